# Two commands do everything: `make demo` and `make test`. Both set up .venv first and skip what is done.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOMS := judges metrics harness kd leaderboard
# Compile once at installation, whatever the shell says: otherwise every start compiles vLLM again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo picture test lint types docs mutants clean

help:
	@echo "make demo   set up .venv, distil a few tiny candidates, evaluate and compare them, build a board"
	@echo "make test   set up .venv, then ruff, pyright and pytest"
	@echo "make docs   set up .venv, then build the documentation as a site, strictly: build/docs/index.html"
	@echo "make picture  draw the README's picture from the demo's board, in a Chromium that is there already"
	@echo "make mutants ROOM=leaderboard/gate   plant faults in a copy and see which no test notices (MINUTES, SEED)"
	@echo "make clean  remove .venv and build leftovers"

setup:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" ROOMS="$(ROOMS)" bash .ci/setup

demo: setup
	@$(BIN)/telbench demo --out demo

# The README's picture: the first screen of the demo's board.
picture: demo
	@$(BIN)/python benchmarks/picture.py demo/board/index.html docs/board.png

# Warnings fail the build. Nothing is fetched, neither now nor when the pages are read.
docs: setup
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: setup
	@echo "== ruff" && $(BIN)/ruff check . && $(BIN)/ruff format --check .

types: setup
	@echo "== pyright" && $(BIN)/pyright

test: lint types
	@echo "== pytest" && $(BIN)/python -m pytest -q --timeout 900 -n auto --maxprocesses 4 --dist loadfile $(PYTEST_OPTIONS)

# Not part of `make test`: a nightly workflow runs all subjects of benchmarks/mutants.toml. No ROOM: all of them.
mutants: setup
	@$(BIN)/python benchmarks/mutants.py --room "$(ROOM)" --minutes $(or $(MINUTES),5) --seed $(or $(SEED),0) $(MUTANTS_OPTIONS)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache
