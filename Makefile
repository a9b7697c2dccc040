# On a machine with Python 3.11 or later, make and a package registry:
#   make demo   runs the main job          make test   runs the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test notebooks lint docs package test-matrix bench bench-quick secure clean

demo: $(READY)
	rm -rf pprl-demo
	$(BIN)/pprl demo -o pprl-demo

test: $(READY)
	$(BIN)/python -m pytest -n auto

notebooks: $(READY)
	$(BIN)/python -m pytest --nbmake -q examples/notebooks

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python scripts/check_site.py

package: $(READY)
	$(BIN)/python scripts/check_package.py

test-matrix:
	$(PYTHON) scripts/test_matrix.py

bench: $(READY) benchmarks/peers/.ready
	$(BIN)/python benchmarks/side_by_side.py

bench-quick: $(READY)
	$(BIN)/python benchmarks/side_by_side.py --quick

# The environment of a computing party of a secure linkage; its engine has wheels for Linux and
# Python 3.11 here.
secure: secure/.venv/.ready

secure/.venv/.ready: secure/pyproject.toml secure/constraints.txt
	$(PYTHON) -m venv secure/.venv
	secure/.venv/bin/python -m pip install --quiet --constraint secure/constraints.txt --only-binary spu,pyrage,jaxlib --editable secure
	touch $@

# The environment that bench_encode.py and bench_compare.py use.
benchmarks/peers/.ready: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv benchmarks/peers/venv
	benchmarks/peers/venv/bin/python -m pip install --quiet --requirement $<
	touch $@

clean:
	rm -rf $(VENV) secure/.venv pprl-demo dist site .matrix benchmarks/peers/venv benchmarks/peers/venvs benchmarks/peers/.ready

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[clkhash,dask,fair,phone,phonetic,recordlinkage,report,sealing]' --group dev
	touch $@
