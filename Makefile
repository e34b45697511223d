# Two commands for a newcomer: `make train`, `make test`. Both start from a bare clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help

.PHONY: help train test test-slow test-gpu test-triton check docs format clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/'

# Installed once for users (stamp-run), once more with the tools that check (stamp-dev).
# pip >= 25.1 knows dependency groups (PEP 735), hence the upgrade.
$(VENV)/stamp-run: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("allmlp needs Python >= 3.11, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/stamp-dev: $(VENV)/stamp-run
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[export,schedulefree,serve,sweep,tensorboard]' \
		--group dev --group docs --group peers
	@# pages are tested in a browser; without one those tests are skipped and say so
	@command -v chromium >/dev/null || command -v chromium-headless-shell >/dev/null || { [ "$$(id -u)" = 0 ] && \
		command -v apt-get >/dev/null && apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends chromium-headless-shell; } >/dev/null 2>&1 || \
		echo "no Chromium and no way to install it: tests of pages in a browser will be skipped"
	@touch $@

train: $(VENV)/stamp-run  ## train a Mixer on handwritten digits (one to two minutes)
	$(BIN)/allmlp train

test: $(VENV)/stamp-dev  ## everything that .ci/run runs: lint, types, imports, tests, doctests, README
	@# kernels in Triton's interpreter beside lint and types
	@$(MAKE) --no-print-directory --jobs=2 check test-triton
	@# one thread each: two workers of two threads on two cores wait for each other
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal \
		--jaxtyping-packages=allmlp,beartype.beartype
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal -m "unhooked and not slow" tests

test-slow: $(VENV)/stamp-dev  ## the longer proofs
	$(BIN)/pytest -q -m slow

test-gpu: $(VENV)/stamp-dev  ## what needs a CUDA device
	$(BIN)/pytest -q -m gpu
	$(BIN)/pytest -q tests/ops/test_fused.py

test-triton: $(VENV)/stamp-dev  ## the kernels for cards, in Triton's interpreter
	@# in a process of its own: Triton reads the variable when it is imported
	OMP_NUM_THREADS=1 TRITON_INTERPRET=1 $(BIN)/pytest -q \
		--jaxtyping-packages=allmlp,beartype.beartype tests/ops/test_fused.py

check: $(VENV)/stamp-dev  ## lint, types, import contracts, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src
	@# tests reach into sub-modules, which torch types as Tensor | Module
	$(BIN)/mypy --explicit-package-bases --disable-error-code=union-attr --disable-error-code=arg-type \
		--disable-error-code=attr-defined --disable-error-code=misc tests
	$(BIN)/mypy --explicit-package-bases --disable-error-code=union-attr --disable-error-code=arg-type \
		--disable-error-code=misc --disable-error-code=import-not-found \
		--disable-error-code=import-untyped benchmarks
	$(BIN)/lint-imports --no-logo
	$(BIN)/typos

docs: $(VENV)/stamp-dev  ## the site, in build/site; warnings are errors (`make test` builds it as well)
	$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --quiet docs build/site
	@echo open build/site/index.html

format: $(VENV)/stamp-dev  ## format and sort imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what make and the tests made (not runs/)
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
