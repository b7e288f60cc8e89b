#!/usr/bin/env bash
# Drives what is installed in an environment, away from the source: drive.sh ENVIRONMENT
set -euo pipefail
bin=$(realpath "$1")/bin
cd "$(mktemp -d)"
"$bin/python" -c 'import pretext; assert "site-packages" in pretext.__file__, pretext.__file__'
"$bin/pretext" --version
"$bin/pretext" train --data.train sample --data.image_size 48 --data.crop_size 32 --data.num_workers 0 \
  --network.width 0.125 --steps 2 --batch_size 2 --run_dir run
"$bin/pretext" colorize run/samples --out colorized
"$bin/pretext" export run
"$bin/eval_colorization" report run --data sample:held-out --max_images 3 --out report
"$bin/transfer" knn --backbone.model run --data.train sample --data.test sample --k '[1]' --out results
"$bin/transfer" table results --out table
test -s run/weights.safetensors -a -s report/index.html -a -s results/results.jsonl
