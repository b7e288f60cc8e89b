# demo and test set up .venv when it is not there yet; a second call installs nothing.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test test-all check release-check docs bench bench-gpu detection segmentation everything peers
help:
	@echo "make demo    set up, train on bundled photographs, colorize unseen ones with the result and with the shipped network"
	@echo "make test    set up, then run all but the slow tests: at most 6 minutes on two cores"
	@echo "make test-all   also the slow ones: the demo, Slurm, browsers, framework trainings, killed processes"
	@echo "make detection, make segmentation   install Detectron2, mmsegmentation (transfer doctor says what is there)"
	@echo "make check   format, lint, types, import contract, words"
	@echo "make release-check   the wheel in new environments, the oldest versions of what it needs"
	@echo "make docs    the site, into build/site, each link checked"
	@echo "make bench   speed and memory against named peers, into benchmarks/results/"
	@echo "make bench-gpu   the same of a GPU in five minutes, and whether it computes what the CPU does (DEVICE=cpu: a rehearsal)"

$(BIN)/pip:
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) --editable .
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | $(BIN)/pip
	$(INSTALL) --editable '.[dev]'
	@touch $@ .venv/.installed

detection: .venv/.installed
	transfer/detection/install_detectron2.sh $(BIN)/python

segmentation: .venv/.installed
	MMCV_WITH_OPS=0 $(INSTALL) --editable '.[segmentation]'

# What images hold: see Dockerfile.
everything: detection segmentation
	$(INSTALL) --editable '.[shards,perceptual,timm,onnx,film,caffe,lightly,turing]'

# Other systems' own code, which tests compare with; what deoldify asks for beside it is of its time.
peers: .venv/.installed-dev
	$(INSTALL) fastprogress pandas requests
	$(INSTALL) --no-deps deoldify

demo: .venv/.installed
	$(BIN)/pretext train configs/pretext/sample.yaml
	$(BIN)/eval_colorization report configs/eval_colorization/sample.yaml

# Two tests at a time, each on one core; the tests of a file stay together, for what they share.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: .venv/.installed-dev
	$(PYTEST) -m 'not slow'

test-all: .venv/.installed-dev
	$(PYTEST)

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_import_contract.py tests/test_words.py

release-check: .venv/.installed-dev
	tests/release/check.sh

# The variable silences what Material says about its successors.
docs: .venv/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

bench: .venv/.installed-dev detection segmentation
	set -e; for name in lab objective loader colorize training_step from_files start_up metrics evaluation scaling linear features knn frameworks framework_loops pictures; do $(BIN)/python benchmarks/$$name.py; done

DEVICE ?= cuda
bench-gpu: .venv/.installed-dev detection segmentation
	$(BIN)/python benchmarks/gpu.py --device $(DEVICE)
