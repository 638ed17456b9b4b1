# Credit model workbench. `make` alone prints this help.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
STUDY  ?= params/taiwan.yaml
export JUPYTER_PLATFORM_DIRS := 1
export OMP_NUM_THREADS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup report smoke alternative scale test test-first test-second test-notebooks lint lab bench notebooks pins clean

help:  ## print this help
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY)  ## make .venv with the hash-pinned requirements and the package
$(READY): requirements.txt requirements-setup.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.txt
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.txt requirements-setup.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

report: $(READY)  ## run STUDY (params/taiwan.yaml) and print where the HTML and PDF are
	@$(BIN)/workbench run $(STUDY)

smoke: $(READY)  ## the same on 2,000 applicants
	@$(BIN)/workbench run params/smoke.yaml

alternative: $(READY)  ## make a synthetic world of 50,000 applicants and run params/alternative.yaml on it
	@test -f world/truth.json || $(BIN)/workbench synth --applicants 50000 --seed 1 --out world
	@WORKBENCH_KEY=$${WORKBENCH_KEY:-a-made-world-needs-no-secret-key} $(BIN)/workbench run params/alternative.yaml

scale: $(READY)  ## the tests of 50,000 applicants, and the growth from 100,000 to 1,000,000 (10 minutes, 10 GB of disk)
	$(BIN)/pytest -m scale
	$(BIN)/python -m benchmarks.scale

test: $(READY) lint  ## everything CI runs: lint, types, tests, notebooks
	@sh tests/debian.sh
	@shared=$$(mktemp -d); trap 'rm -rf "$$shared"' EXIT; WORKBENCH_TEST_RUNS=$$shared \
	$(MAKE) --no-print-directory --jobs 2 --output-sync=line test-first test-second test-notebooks

# Two halves of about the same length, each on a core of its own.
FIRST := tests/explanation tests/fairness tests/monitoring tests/statistics tests/training tests/validation \
	tests/pipeline/test_pipeline.py tests/pipeline/test_leftovers.py
test-first: $(READY)
	$(BIN)/pytest -p no:cacheprovider $(FIRST)
test-second: $(READY)
	$(BIN)/pytest $(addprefix --ignore=,$(FIRST))
test-notebooks: $(READY)
	$(BIN)/pytest --nbval-lax notebooks -p no:cacheprovider

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lab: $(READY)  ## JupyterLab on the notebooks, with this environment's kernel
	$(BIN)/jupyter lab $(LAB_OPTIONS) $$([ "$$(id -u)" != 0 ] || echo --allow-root) --notebook-dir=. notebooks/01_data.ipynb

bench: $(READY)  ## side-by-side measurements against what a user would pick instead
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.latency

notebooks: $(READY)  ## run the notebooks on the smoke study and keep their outputs
	$(BIN)/python -m tests.refresh_notebooks

pins: $(READY)  ## resolve pyproject.toml again into the hash-pinned requirements
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.11 --extra cpu --extra dev pyproject.toml -o requirements.txt
	echo uv | $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --python-version 3.11 - -o requirements-setup.txt

clean:  ## remove the environment, the runs and the caches
	rm -rf $(VENV) runs .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
