#!/usr/bin/env bash
# Installs Detectron2 into the environment of a Python (default: .venv/bin/python): its main branch from GitHub, or where
# GitHub cannot be reached the copy of release 0.6 on PyPI, which has no C++ sources. Nothing here needs those (rotated
# boxes, deformable convolutions); the names that NumPy 1.24 and Pillow 10 removed are replaced in its sources, as Detectron2's
# main branch has replaced them.
set -euo pipefail
python=${1:-.venv/bin/python}
constraints=$(cd "$(dirname "$0")/../.." && pwd)/constraints.txt
install="$python -m pip install --quiet --disable-pip-version-check"
if [ -f "$constraints" ]; then install="$install --constraint $constraints"; fi # a wheel has none

if "$python" -c 'import detectron2' 2>/dev/null; then exit 0; fi
$install 'setuptools<82' wheel pycocotools fvcore 'iopath<0.1.10' 'omegaconf<2.4' 'hydra-core>=1.1' \
  yacs portalocker termcolor tabulate cloudpickle
if GIT_TERMINAL_PROMPT=0 timeout 30 git ls-remote --quiet https://github.com/facebookresearch/detectron2 HEAD >/dev/null 2>&1; then
  exec $install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2'
fi

echo "GitHub cannot be reached: installing Detectron2 0.6 from PyPI (pb1-detectron2), without its C++ operators"
$install uv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nexit 1\n' > "$work/ninja" && chmod +x "$work/ninja" # else torch's builder wants to compile
PATH="$work:$PATH" CC=/bin/true CXX=/bin/true LDSHARED=/bin/true \
  "$python" -m uv pip install --quiet --python "$python" --no-deps --no-build-isolation pb1-detectron2==0.6
folder=$("$python" -c 'import importlib.util; print(importlib.util.find_spec("detectron2").submodule_search_locations[0])')
touch "$folder/_C.py"
find "$folder" -name '*.py' -exec sed -i -E \
  -e 's/\bnp\.(bool|float|int|object|str)\b/\1/g' -e 's/\bImage\.LINEAR\b/Image.BILINEAR/g' {} +
"$python" -c 'import detectron2'
