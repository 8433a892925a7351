.PHONY: install chat ask dev test audit lint format bench index soak
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PORT ?= 8501

help:
	@echo "make chat           open the chat in the browser (http://localhost:8501)"
	@echo "make ask Q=\"...\"    ask one question in the terminal"
	@echo "make test           run the tests"
	@echo "make dev            serve the graph with the LangGraph dev server (http://localhost:2024)"
	@echo "make lint | audit | bench | soak | install"

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Expected Python 3.11 or newer; try: make PYTHON=python3.12 install"; exit 1; }
	@echo "Installing into .venv (about a minute) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# torch first and by its exact version: any other spec may fetch another build.
	@$(PIP) torch==2.13.0
	@$(PIP) --editable ".[cpu]"
	@touch $@

.venv/.installed-dev: .venv/.installed
	@$(PIP) --editable ".[cpu,dev]"
	@touch $@

install: .venv/.installed

index: install
	@$(BIN)/switchyard index

chat: index
	@$(BIN)/switchyard ui --port $(PORT)

# Handed over in the environment: pasted into the line, quotes and dollars of a question would be the shell's.
ask: override export Q := $(value Q)
ask: install
	@$(BIN)/switchyard ask -- "$$Q"

dev: .venv/.installed-dev
	@$(BIN)/langgraph dev --no-browser --no-reload

test: .venv/.installed-dev
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: .venv/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: .venv/.installed-dev
	@$(BIN)/python .ci/audit.py

format: .venv/.installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: .venv/.installed-dev index
	@$(BIN)/python -m benchmarks --short
	@$(BIN)/switchyard eval all --report benchmarks/results

soak: .venv/.installed-dev index
	@$(BIN)/python -m benchmarks.load --experts tiny --json benchmarks/results/load/tiny.json --plot benchmarks/results/load/tiny.png
	@$(BIN)/python -m benchmarks.load --experts shipped --sides bare,ours --json benchmarks/results/load/shipped.json --plot benchmarks/results/load/shipped.png
	@$(BIN)/python -m benchmarks.soak
