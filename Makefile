# Two commands do all the set-up: `make demo` and `make test`.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The environment is rebuilt when what it is made from changes; Python sources are used in place.
INSTALLED := $(VENV)/.installed
NATIVE := CMakeLists.txt $(wildcard native/*.cpp native/*.h native/*.hpp native/*/*.cpp native/*/*.hpp)

.PHONY: help install engines demo test check docs format check-native clean

help:
	@echo "make demo          train on MovieLens-100K, evaluate, recommend, write demo/report.html"
	@echo "make test          run every test"
	@echo "make engines       install Ray, Spark, LanceDB and Milvus, so that their tests run too"
	@echo "make check         lint, types, import levels, doctests"
	@echo "make docs          build the site: build/site/index.html"
	@echo "make check-native  build the kernels with sanitizers and fuzz them"
	@echo "make format        format the code"
	@echo "make clean         remove what these commands made"

$(INSTALLED): pyproject.toml constraints.txt $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hashgnn needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python3 -m venv failed; on Debian install it with: apt-get install python3-venv"; exit 1; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || \
	  { echo "a C++20 compiler is missing; on Debian install it with: apt-get install g++"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==$(TORCH)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all]" --group dev
	@touch $@

# Generated calls of the fuzz test, and the processor if it is another one: FOR=aarch64 runs in an emulator.
CALLS = 1000000
FOR =

# The one version that the constraints name; asked for by itself, so that a local CPU build is found.
TORCH = $(shell sed -n 's/^torch==//p' constraints.txt)

# Threads that wait give their core away: beside other work, spinning ones are ten times slower.
export OMP_WAIT_POLICY = PASSIVE

install: $(INSTALLED)

# Ray, Spark, LanceDB and Milvus, about a gigabyte, for the tests that start them; without them, those tests skip.
engines: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group engines

demo: $(INSTALLED)
	$(BIN)/hashgnn demo --output demo

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=loadfile $(PYTEST_ARGS)

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py
	$(BIN)/python -m pytest -q --doctest-modules --doctest-continue-on-failure src

docs: $(INSTALLED)
	$(BIN)/python docs/site/build.py

check-native: $(INSTALLED)
	native/check.sh $(CALLS) 1 $(FOR)

format: $(INSTALLED)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
