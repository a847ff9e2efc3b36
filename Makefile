# The menu. `make demo` and `make test` set up everything they need.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
UV     := $(shell command -v uv 2>/dev/null)
NPROC  := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)

export PATH := $(CURDIR)/$(BIN):$(PATH)

# A federation is a dozen processes, and each would compile all it imports again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-once test test-long lint types imports schema schemes-table docs bench fast generate format ci clean

help: ## Show this menu
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  \033[1m%-13s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One environment, made once and again whenever what it rests on changes. uv is
# used when it is there because it is quick; venv and pip do the same job.
$(STAMP): pyproject.toml constraints.txt
ifneq ($(UV),)
	@test -x $(BIN)/python || uv venv -q --python $(PYTHON) $(VENV)
	uv pip install -q --compile-bytecode --python $(BIN)/python -c constraints.txt --group dev -e .
else
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt --group dev -e .
endif
	@touch $@

demo: $(STAMP) ## Run a federation here and show all four ways of recognition, act by act
	@exec hutong demo

demo-once: $(STAMP) ## Play the same acts once and check what comes of each
	@hutong demo --once

# One worker more than cores: a quarter of the time tests wait for a platform that is slow
# on purpose, a heartbeat, a disk. Whole files to one worker, so that what a file shares is
# made once; tests/conftest.py puts the longest first.
TESTS = pytest -n $(shell expr $(NPROC) + 1) --dist loadfile --no-loadscope-reorder

test: $(STAMP) ## Run the tests
	$(TESTS) -m "not long"

# Only the files that hold one: collecting all takes every worker as long as a test.
test-long: $(STAMP) ## Run the tests that walk a whole program or a whole matrix
	$(TESTS) -m long $$(grep -rl --include='test_*.py' 'mark\.long' tests)

fast: $(STAMP) ## Run the tests that start no process
	$(TESTS) -m "not processes and not postgres and not long"

lint: $(STAMP) ## Check style and format
	ruff check .
	ruff format --check .

types: $(STAMP) ## Check types, strictly
	mypy

imports: $(STAMP) ## Check the rules between the rooms
	lint-imports

schema: $(STAMP) ## Check the schema: lint, format, generated code up to date
	@mkdir -p build
	python protos/generate.py --image build/image.binpb
	cd protos && buf lint ../build/image.binpb --config buf.yaml
	cd protos && buf format --diff --exit-code --path hutong .
	python protos/generate.py --check

schemes-table: $(STAMP) ## Check that the documented table of schemes is what the schemes say
	hutong scheme table --check docs/reference/schemes.md

docs: $(STAMP) ## Build the documentation, strictly
	zensical build --clean --strict

bench: $(STAMP) ## Measure: prints a table and writes build/bench.json
	python -m tests.benchmarks.run

generate: $(STAMP) ## Regenerate the package hutong.v1 from the schema
	python protos/generate.py

format: $(STAMP) ## Format everything
	ruff check --fix-only -q .
	ruff format -q .
	cd protos && buf format -w --path hutong .

ci: ## Run what CI runs
	bash .ci/run

clean: ## Remove what the targets above made
	rm -rf build dist site $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
