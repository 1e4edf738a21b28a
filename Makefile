# make demo   try tconnectsync with a simulated pump; needs Python 3.11+ only
# make test   everything: with a real Nightscout (needs npm) and a browser (chromium)
# make test-fast  unit and acceptance tests only: no npm, under a minute
# make lint   style and types
# make law    more random weeks than the suite has: make law SEEDS=20, or FROM=100 SEEDS=20
# make docs   rewrite what docs and .env.example take from the tables in the code
# make pictures   make the README's pictures again; needs npm and chromium
# make lock   write the lock files again after a change of dependencies; newest versions: UPGRADE=--upgrade
# make dist   the wheel and the source archive, in dist/
# make sbom   what a release depends on, as CycloneDX, in dist/
# make rebuild-check  build twice in different surroundings, and compare byte by byte

PYTHON ?= python3
BIN = .venv/bin

# Four on two cores, because tests also wait. Files that take long come first (tests/conftest.py).
WORKERS = -n 4 --dist loadfile --no-loadscope-reorder

# Compiled tests are kept: in the first run each of these processes would compile them all.
unexport PYTHONDONTWRITEBYTECODE
COLLECT = $(BIN)/python -m pytest --collect-only -qq

SEEDS ?= 10
FROM ?= 100

# Lock files hold versions and checksums for all systems and Pythons, but no address.
LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --custom-compile-command "make lock" $(UPGRADE)

.PHONY: demo test test-fast law lint docs pictures bench lock dist sbom rebuild-check clean

demo: .venv/installed
	@$(BIN)/tconnectsync --demo

test: .venv/compiled-tests
	@$(BIN)/python -m tests.support.provision
	@$(BIN)/python -m tests.support.browser
	@$(BIN)/python -m tests.support.postgres
	$(BIN)/python -m pytest $(WORKERS)

test-fast: .venv/compiled-tests
	$(BIN)/python -m pytest $(WORKERS) tests/unit tests/acceptance

law: .venv/installed-for-tests
	LAW_FROM=$(FROM) LAW_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/wire/test_law.py -k seed

lint: .venv/installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed-for-tests
	$(BIN)/python -m tests.support.reference

pictures: .venv/installed-for-tests
	$(BIN)/python -m tests.support.pictures

bench: .venv/installed-for-tests
	$(BIN)/python -m tests.bench

lock: .venv/installed-for-tests
	$(LOCK) --extra notify --extra socks --group build --output-file requirements.lock
	$(LOCK) --extra notify --extra socks --extra fleet --group build --constraint requirements.lock \
		--output-file requirements-fleet.lock
	$(LOCK) --all-extras --group build --group lock --constraint requirements-fleet.lock \
		--output-file requirements-dev.lock

dist sbom rebuild-check: .venv/installed-for-tests
	@$(BIN)/python -m tests.support.release $@

define make_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; say: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
endef

PIP_INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check

# Without the lock, so that it works where packages come from elsewhere, as on 32-bit Raspberry Pi OS.
.venv/installed: pyproject.toml
	$(make_venv)
	@echo "Installing tconnectsync into .venv ..."
	@$(PIP_INSTALL) -e .
	@touch $@

.venv/installed-for-tests: pyproject.toml requirements-dev.lock
	$(make_venv)
	@echo "Installing tconnectsync and what the tests need into .venv ..."
	@$(PIP_INSTALL) --require-hashes -r requirements-dev.lock
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch .venv/installed $@

.venv/compiled-tests: .venv/installed-for-tests
	@$(COLLECT) tests/unit > /dev/null & $(COLLECT) --ignore tests/unit > /dev/null; wait
	@touch $@

clean:
	rm -rf .venv .cache build dist *.egg-info
