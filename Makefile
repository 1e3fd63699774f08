# Two commands: `make verify` and `make test`. Each sets everything up on a fresh machine.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: verify test clean

verify: .venv/installed
	@# Exit status 1 means findings: the naive forms and SciPy have some, that is what the table is for.
	$(BIN)/softproof verify || test $$? -eq 1
	@# Our own kernels, all but the naive one, must pass everything.
	$(BIN)/softproof verify --subject 'softproof.kernels:[!n]*'
	$(BIN)/softproof verify --subject 'softproof.kernels:*' --logits verify/data/digits.npz
	$(BIN)/softproof radius verify/data/digits.npz verify/data/digits.npz

test: .venv/installed .venv/checkout/softproof
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=.venv/checkout $(BIN)/mypy -p softproof.kernels -p softproof.derivations -p softproof.verify
	$(BIN)/python -m pytest -q -n auto

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

# mypy cannot follow the import hook of an editable install: show it the checkout under its import name.
.venv/checkout/softproof: .venv/installed
	@mkdir -p .venv/checkout
	@ln -sfn ../.. $@

clean:
	rm -rf .venv build *.egg-info
