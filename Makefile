# Everything a developer or a machine runs. `make help` lists it.
#
# The environment is .venv, made from requirements/dev.txt: versions and hashes are checked.
# PYTHON=/path/to/python3.12 picks another interpreter (3.11 to 3.14).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= auto
PYTEST_ARGS ?=
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Compiled modules are kept: tests start hundreds of processes, and each would compile the package.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env demo test test-fast check format bench lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(READY) ## the environment in .venv, from locked requirements

$(READY): requirements/dev.txt tools/make_env.sh
	@PYTHON="$(PYTHON)" tools/make_env.sh $(VENV)
	@touch $@

demo: $(READY) ## the main job on real input: serve, trust, sign, verify, refuse, recompute
	@$(BIN)/python tools/demo.py

test: $(READY) ## all tests
	@tools/debian_packages.sh
	@$(BIN)/pytest -n $(WORKERS) $(PYTEST_ARGS)

test-fast: $(READY) ## tests that take under a minute together
	@$(BIN)/pytest -n $(WORKERS) -m "not slow" --hypothesis-profile=fast $(PYTEST_ARGS)

check: $(READY) ## format, lint, types, import contract, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/pytest -q -p no:cacheprovider tests/house tests/docs -m "not slow"

format: $(READY) ## let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## medians, and ratios to the crypto floor and to installed peers
	@$(BIN)/python bench/run.py

lock: $(READY) ## make requirements/*.txt again; `make lock ARGS=--upgrade` takes newer versions
	@tools/lock.sh $(ARGS)

clean: ## remove the environment and all caches
	rm -rf $(VENV) .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
