# On a machine with Python 3.11 or later, make and a package registry:
#   make demo   runs the main job          make test   runs the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint docs bench clean

demo: $(READY)
	rm -rf pprl-demo
	$(BIN)/pprl demo -o pprl-demo

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	$(BIN)/mkdocs build --strict --quiet

bench: $(READY) benchmarks/peers/.ready
	$(BIN)/python benchmarks/bench_encode.py

benchmarks/peers/.ready: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv benchmarks/peers/venv
	benchmarks/peers/venv/bin/python -m pip install --quiet --requirement $<
	touch $@

clean:
	rm -rf $(VENV) pprl-demo dist site

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[clkhash,dask,fair,phone,phonetic,recordlinkage,report,sealing]' --group dev
	touch $@
