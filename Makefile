# Caretree's two commands are `make demo` and `make test`; `make help` lists the others.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
SOURCES := daemon tests ops

.PHONY: help setup demo fmt unit test check vectors proto proto-check lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The stamp is newer than what was installed from, so an unchanged checkout installs once.
$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Caretree needs Python 3.11 or newer as '$(PYTHON)': apt install python3 python3-venv make git"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Python's venv module is missing: apt install python3-venv make git"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.installed ## install everything, pinned and hashed, into .venv

demo: setup ## the referral walk on three real peers (DATA=folder of FHIR bundles, KEEP=1 leaves them running)
	@$(BIN)/python -m ops.demo $(if $(DATA),--data "$(DATA)") $(if $(KEEP),--keep)

fmt: setup ## format and sort
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix-only --quiet $(SOURCES)

unit: setup ## the fast tests, under a minute: what you run all day
	@$(BIN)/pytest -q -n 2 -m "not processes and not slow"

test: setup ## all tests, under ten minutes
	@$(BIN)/pytest -q -n 2

check: setup ## static checks: format, lint, types, walls, protos
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(RUN) buf lint
	$(BIN)/python ops/generate_protos.py --check

vectors: setup ## what the test vectors of others say, file by file
	@$(BIN)/python -m tests.vectors

proto: setup ## generate daemon/caretree/proto from proto/
	@$(BIN)/python ops/generate_protos.py

lock: setup ## resolve requirements.lock anew, leaving out releases younger than a week
	$(BIN)/uv pip compile --quiet --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --exclude-newer "$$(date -u -d '7 days ago' +%F)" --extra dev pyproject.toml -o requirements.lock

clean: ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
