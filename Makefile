# OnAir: `make demo ONCE=1 OUT=dir` shows it, `make test` proves it. Everything stays inside this folder.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export UV_SYSTEM_CERTS := 1
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE ?= hardlink
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYRIGHT_PYTHON_CACHE_DIR := $(CURDIR)/.cache/pyright
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

ONCE ?=
ONLY ?=
OUT ?= out
EXTRAS := --extra gateway --extra asr --extra llm --extra tts --extra avatar --extra cli
FAST := "not slow and not e2e"
SLOW := "slow or e2e"
# slow ones that mind no company: what they wait for is counted in seconds
SIDE := tests/gateway tests/ingest tests/redis
# tests/model, whose histories are many, runs without coverage; tests/compose is run by test-compose
REST := --ignore tests/model --ignore tests/compose
TEST_DEPS := $(VENV)/.synced-test
RUN_DEPS := $(VENV)/.synced

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-compose check fmt lint types house fast chaos security bench clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "OnAir needs Python 3.11, 3.12 or 3.13; name one by PYTHON=python3.12" >&2; exit 2; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "the venv module is missing: apt install python3-venv" >&2; exit 2; }
	@$(BIN)/pip install --quiet --no-cache-dir "uv>=0.9"

$(RUN_DEPS): $(BIN)/uv pyproject.toml uv.lock
	@echo "installing what OnAir needs (about 350 MB in $(VENV))"
	@$(BIN)/uv sync --locked $(EXTRAS) --no-default-groups --inexact
	@touch $@

$(TEST_DEPS): $(RUN_DEPS)
	@echo "installing what its tests need"
	@$(BIN)/uv sync --locked $(EXTRAS) --all-groups
	@touch $@

setup: $(RUN_DEPS) ## make .venv with all that OnAir needs to run

demo: $(RUN_DEPS) ## play the recorded room in a loop and show it; once for the record: make demo ONCE=1 OUT=dir
	@$(BIN)/onair demo $(if $(ONCE),--once) --out $(OUT)

up: $(RUN_DEPS) ## start the brokers and the six services on this machine
	@$(BIN)/onair up

lint: $(TEST_DEPS)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(TEST_DEPS)
	@$(BIN)/pyright

house: $(TEST_DEPS)
	@$(BIN)/lint-imports

fast: $(TEST_DEPS)
	@$(BIN)/pytest -q -n auto -m $(FAST)

check: lint types house fast ## lint, types, house rules and fast tests: about four minutes on two cores

test: $(TEST_DEPS) ## every test: fast ones side by side, with coverage of the pure parts, then the slow ones
	@$(BIN)/pytest -n auto tests/model
	@$(BIN)/python -m coverage erase
	@$(BIN)/pytest -q -n auto --cov --cov-report= -m $(FAST) $(REST)
	@$(BIN)/coverage report --include='services/contract/*,services/*/core/*,services/runtime/words.py,services/runtime/sound.py,services/runtime/voices.py,services/runtime/timeline.py,services/runtime/law.py,onair/latency.py,onair/show.py,onair/told.py,onair/view.py' --fail-under=100
	@$(BIN)/pytest -n auto -m $(SLOW) $(SIDE)
	@$(BIN)/pytest --durations=20 -m $(SLOW) $(REST) $(SIDE:%=--ignore %)

test-compose: $(TEST_DEPS) ## the containers, for real: build, up, kill, restart, down; tests/redis on redis:7-bookworm
	@$(BIN)/pytest -s tests/compose
	@if docker info >/dev/null 2>&1; then ONAIR_TEST_IMAGE=redis:7-bookworm $(BIN)/pytest -q -n auto tests/redis; fi

fmt: $(TEST_DEPS) ## format and mend what can be mended
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

chaos: $(TEST_DEPS) ## put every promise to the test and write docs/promises.md; one of them: make chaos ONLY=R1
	@$(BIN)/python -m tests.chaos $(if $(ONLY),$(ONLY),--report docs/promises.md)

security: $(TEST_DEPS) ## attack a gateway and write what held to docs/security.md; one promise: make security ONLY=S4
	@$(BIN)/python -m tests.security $(if $(ONLY),$(ONLY),--report docs/security.md)

bench: $(TEST_DEPS) ## measure a hop of the bus beside raw redis-py, and what is added to the engines of a chat and of a call
	@$(BIN)/python -m bench.hop
	@$(BIN)/python -m bench.chat
	@$(BIN)/python -m bench.call

clean: ## remove what make made
	@rm -rf $(VENV) .cache .coverage* out
