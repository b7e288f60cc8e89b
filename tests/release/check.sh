#!/usr/bin/env bash
# What is released, as strangers get it: the wheel in new environments of the oldest and newest Python, and the source
# with the oldest versions of the packages that pyproject.toml names. Run in the root of the source, with .venv set up.
set -euo pipefail
uv=$PWD/.venv/bin/uv
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Interpreters of pyenv are found too, without its shims.
for bin in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin; do
  [ -d "$bin" ] && PATH=$bin:$PATH
done

.venv/bin/python -m build --no-isolation --wheel --outdir "$folder" . >/dev/null
check_wheel() { # on a version of Python
  if ! "$uv" venv --quiet --python "$1" "$folder/$1"; then
    echo "NOT CHECKED: there is no Python $1 here, and uv could not bring it"
    return
  fi
  "$uv" pip install --quiet --python "$folder/$1/bin/python" --constraint constraints.txt "$folder"/*.whl
  OMP_NUM_THREADS=1 tests/release/drive.sh "$folder/$1" >"$folder/$1.log" 2>&1 || { cat "$folder/$1.log" && return 1; }
  echo "the wheel works on Python $1"
}
check_wheel 3.11 &
check_wheel 3.13
wait $!

"$uv" venv --quiet --python .venv/bin/python "$folder/oldest"
"$uv" pip install --quiet --python "$folder/oldest/bin/python" --resolution lowest-direct \
  --editable '.[timm,onnx,shards,film,caffe]' 'pytest>=9' 'pytest-xdist>=3.8' 'beartype>=0.23' 'rz-colorization>=1.0.5' \
  'ipython>=8' 'onnxruntime>=1.23'
cd tests
ignored=$(printf -- '--ignore tests/%s ' cluster docs end_to_end eval_colorization outside release slurm tasks/test_rivals.py \
  transfer/[!fl]* transfer/[fl]*.py)
cd ..
# shellcheck disable=SC2086
OMP_NUM_THREADS=1 "$folder/oldest/bin/python" -m pytest -q -n 2 --dist loadfile -m 'not slow' -p no:cacheprovider \
  -W ignore::DeprecationWarning $ignored tests
echo "the oldest versions of pyproject.toml work"
