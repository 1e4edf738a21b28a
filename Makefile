# make demo   try tconnectsync with a simulated pump; needs Python 3.11+ only
# make test   everything: unit, wire, end-to-end with a real Nightscout (needs npm), acceptance
# make test-fast  unit and acceptance tests only: no npm, under a minute
# make lint   style and types
# make law    more random weeks than the suite has: make law SEEDS=20, or FROM=100 SEEDS=20
# make docs   rewrite what docs and .env.example take from the tables in the code

PYTHON ?= python3
BIN = .venv/bin

# Three, because tests also wait. Files that take long come first (tests/conftest.py).
WORKERS = -n 3 --dist loadfile --no-loadscope-reorder

# Compiled tests are kept, or each of the three processes would compile them all in every run.
unexport PYTHONDONTWRITEBYTECODE

SEEDS ?= 10
FROM ?= 100

.PHONY: demo test test-fast law lint docs bench clean

demo: .venv/installed
	@$(BIN)/tconnectsync --demo

test: .venv/installed-for-tests
	@$(BIN)/python -m tests.support.provision
	$(BIN)/python -m pytest $(WORKERS)

test-fast: .venv/installed-for-tests
	$(BIN)/python -m pytest $(WORKERS) tests/unit tests/acceptance

law: .venv/installed-for-tests
	LAW_FROM=$(FROM) LAW_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/wire/test_law.py -k seed

lint: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed-for-tests
	$(BIN)/python -m tests.support.reference

bench: .venv/installed-for-tests
	$(BIN)/python -m tests.bench

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing tconnectsync into .venv ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/installed-for-tests: .venv/installed
	@echo "Installing what the tests need into .venv ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -e ".[test,lint]"
	@touch $@

clean:
	rm -rf .venv .cache build dist *.egg-info
