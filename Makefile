# `make verify`, `make conformance`, `make test`, `make notebooks`, `make docs`. Each sets everything up on a fresh machine.

PYTHON ?= python3
BIN := .venv/bin

BROWSERS := chromium-headless-shell chromium chromium-browser google-chrome

LESSONS := $(wildcard notebooks/[0-9]_*.py)
BUILT := $(LESSONS:notebooks/%.py=build/notebooks/%.ipynb)
SOURCES := $(wildcard notebooks/*.py) $(shell find kernels derivations verify -name '*.py')

.PHONY: verify conformance test check lint types pytest notebooks docs browser clean

# What a first minute shows: does it work here, and what does it find?
FIRST := softmax log_softmax cross_entropy --dtype float32 --suite accuracy --suite special-values
OURS := --subject 'softproof.kernels:[!n]*'
OTHERS := --subject '*textbook:*' --subject 'scipy.special:*' --subject '*torch_forms:*[!d]'

verify: .venv/installed
	@echo "Our kernels, which must pass:"
	$(BIN)/softproof verify $(FIRST) $(OURS)
	@echo "The same of others:"
	$(BIN)/softproof verify $(FIRST) $(OTHERS) || test $$? -eq 1
	@echo "A FAIL of others is a finding about them, such as a textbook form that overflows; ours pass. All of it: make conformance"

# Every definition, every subject, every suite: minutes.
conformance: .venv/installed
	@# Exit status 1 means findings: the naive forms and SciPy have some, that is what the table is for.
	$(BIN)/softproof verify || test $$? -eq 1
	@# Our own kernels, all but the naive one, must pass everything.
	$(BIN)/softproof verify $(OURS)
	$(BIN)/softproof verify log_softmax cross_entropy --subject 'softproof.kernels:*' --logits verify/data/digits.npz
	$(BIN)/softproof radius verify/data/digits.npz verify/data/digits.npz

# Lint and types are checked beside the tests: mypy keeps one core busy, and the tests would wait.
test: .venv/installed .venv/checkout/softproof browser
	$(MAKE) --no-print-directory --jobs=3 lint types pytest FOLDER=.

# What a contributor runs while working: lint, types, and the tests of one folder of the packages.
FOLDER ?= .
check: .venv/installed .venv/checkout/softproof
	$(MAKE) --no-print-directory --jobs=3 lint types pytest

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	MYPYPATH=.venv/checkout $(BIN)/mypy -p softproof.kernels -p softproof.derivations -p softproof.verify

# Each of the tests' many commands is a process of its own: it finds our modules compiled.
pytest:
	$(BIN)/python -m compileall -q -j 0 kernels derivations verify
	@# Stealing leaves nearly every file with one process, which makes its fixtures once, and ends
	@# all processes at the same time, which handing out whole files does not.
	$(BIN)/python -m pytest -q -n auto --dist worksteal tests/$(FOLDER)

# What is built already, from what is unchanged, is kept: an interrupted build goes on.
notebooks: $(BUILT)

build/notebooks/%.ipynb: notebooks/%.py $(SOURCES) .venv/installed
	$(BIN)/python notebooks/build_notebooks.py $<

docs: notebooks
	$(BIN)/python notebooks/build_docs.py

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@# PyTorch from a wheel at hand only: the index's would pull gigabytes of CUDA.
	@$(BIN)/python -m pip install --quiet --no-index --no-deps torch 2>/dev/null \
	  && $(BIN)/python -m pip install --quiet torch \
	  || echo "No PyTorch wheel at hand: its subjects are skipped. (pip install torch)"
	@$(BIN)/python -m pip install --quiet 'mcp>=2' 2>/dev/null \
	  || echo "No package mcp at hand: its test is skipped. (pip install 'softproof[mcp]')"
	@touch $@

# A CI machine gets a browser where that is possible; a contributor's machine is left alone.
browser:
	@for b in $(BROWSERS); do command -v $$b >/dev/null && exit 0; done; \
	{ [ "$$CI" ] && [ "$$(id -u)" = 0 ] && export DEBIAN_FRONTEND=noninteractive \
	  && apt-get -qq update && apt-get -qq -y --no-install-recommends install \
	     $(firstword $(BROWSERS)) >/dev/null; } \
	|| echo "No browser here: tests that need one are skipped. (apt-get install $(firstword $(BROWSERS)))"

# mypy cannot follow the import hook of an editable install: show it the checkout under its import name.
.venv/checkout/softproof: .venv/installed
	@mkdir -p .venv/checkout
	@ln -sfn ../.. $@

clean:
	rm -rf .venv build *.egg-info
