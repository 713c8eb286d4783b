# Caretree's two commands are `make demo` and `make test`; `make help` lists the others.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := daemon tests ops
APT := apt install python3-venv make git

.PHONY: help setup demo fmt unit test check vectors fuzz bench bench-full proto lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

# The stamp is newer than what was installed from, so an unchanged checkout installs once.
$(VENV)/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Caretree needs Python: $(APT)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Caretree needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) -V). Set PYTHON=... or: $(APT)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Python's venv module is missing: $(APT)"; exit 1; }
	@command -v git >/dev/null || { echo "git is missing: $(APT)"; exit 1; }
	@echo "installing what requirements.lock names into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.installed ## install everything, pinned and hashed, into .venv

demo: setup ## the referral walk on three real peers (DATA=folder of FHIR bundles, KEEP=1 leaves them running)
	@$(BIN)/python -m ops.demo $(if $(DATA),--data "$(DATA)") $(if $(KEEP),--keep)

fmt: setup ## format and sort
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix-only --quiet $(SOURCES)

unit: setup ## the fast tests, under a minute: what you run all day
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --max-worker-restart 0 -m "not processes and not slow"

test: setup ## all tests, under ten minutes
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --max-worker-restart 0

check: setup ## static checks: format, lint, types, walls, protos, tidiness
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	$(BIN)/python ops/generate_protos.py --check
	$(BIN)/python -m pytest -q tests/test_tidy.py

vectors: setup ## the vectors of others, file by file: passed, later, or refused on purpose
	@$(BIN)/python -m tests.vectors

fuzz: setup ## every parser of foreign bytes, changed inputs (TARGET=note SECONDS=600 SEED=7 KEEP=1)
	@$(BIN)/python -m tests.fuzz $(if $(TARGET),--target "$(TARGET)") $(if $(SECONDS),--seconds "$(SECONDS)") \
	  $(if $(SEED),--seed "$(SEED)") $(if $(KEEP),--keep)

bench: setup ## three peers beside three members of etcd, under five minutes (JSON=file, DOCS=1 rewrites the page)
	@$(BIN)/python -m ops.bench $(if $(JSON),--json "$(JSON)") $(if $(DOCS),--docs)

bench-full: setup ## the same, and the rows of a million entries (a quarter of an hour)
	@$(BIN)/python -m ops.bench --full $(if $(JSON),--json "$(JSON)") $(if $(DOCS),--docs)

proto: setup ## generate daemon/caretree/proto from proto/
	@$(BIN)/python ops/generate_protos.py

# Releases younger than a week are left out: a bad one is usually found by then.
lock: setup ## resolve requirements.lock anew
	$(BIN)/uv pip compile --quiet --upgrade --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --exclude-newer "$$(date -u -d '7 days ago' +%F)" --extra dev pyproject.toml -o requirements.lock

clean: ## remove what was built and installed
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache demo-data
	find daemon tests ops -name __pycache__ -type d -prune -exec rm -rf {} +
