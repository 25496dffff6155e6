# Everything is set up by the first target that needs it; nothing outside .venv is touched.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for python in python3 python3.12 python3.11 python3.10; do \
	$$python -c "$(SUPPORTED)" 2>/dev/null && echo $$python && break; done)

AISTA_FUZZ_EXAMPLES ?= 10000

.PHONY: help quickstart test fuzz lint docs format bench release-check clean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "aista needs Python 3.10, 3.11 or 3.12; say which with make PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

quickstart: $(READY) ## embedded corpus, CE-only twin and AI-STA, scores, runs/quickstart/report.html
	$(BIN)/aista quickstart runs/quickstart

test: $(READY) ## the whole test suite, on up to four cores
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

fuzz: $(READY) ## generated bad input, AISTA_FUZZ_EXAMPLES (10000) for each test of tests/fuzz; a kill at every file event
	AISTA_FUZZ_EXAMPLES=$(AISTA_FUZZ_EXAMPLES) $(BIN)/python -m pytest -n auto --maxprocesses 4 tests/fuzz tests/chaos

lint: $(READY) ## formatter, linter, types, import floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## the documentation site, in site/; a broken link or a name without documentation fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build  # --quiet would hide the warnings, which then do not fail

format: $(READY) ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) ## benchmarks; results are printed, see benchmarks/README.md
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-columns=min,median,max

release-check: $(READY) ## build wheel and sdist of the last commit, check and try them
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[release]"
	$(BIN)/python -m tools.release_check

clean: ## remove the environment and caches; runs and data stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
