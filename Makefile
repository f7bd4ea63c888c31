# Everything runs in a virtual environment of its own, made on first use.
PYTHON ?= python3.11
VENV := .venv
LOCK := requirements.lock
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 4

.PHONY: demo test quick versions chaos fuzz conformance check lint types coverage readme listing lock clean

demo: $(READY)
	@$(BIN)/tp-mcp demo

# Many tests wait for processes of their own, so there are more workers than a small machine has processors.
test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --cov --cov-report=

# While working: no real processes, and fewer examples of each property.
quick: $(READY)
	$(BIN)/python -m pytest -q -n auto -m "not slow" --hypothesis-profile quick

# One target on each supported Python, each in a virtual environment of its own: `make versions TARGET=quick`.
PYTHONS := 3.11 3.12 3.13
TARGET ?= test
versions:
	@missing=; failed=; \
	for version in $(PYTHONS); do \
		if ! python$$version -c "" 2>/dev/null; then missing="$$missing python$$version"; continue; fi; \
		echo "== python$$version: make $(TARGET)"; \
		$(MAKE) --no-print-directory $(TARGET) PYTHON=python$$version VENV=.venvs/$$version || failed="$$failed $$version"; \
	done; \
	if [ -n "$$missing" ]; then echo "not found on PATH, so not tested:$$missing"; fi; \
	if [ -n "$$failed" ]; then echo "failed on Python:$$failed"; exit 1; fi

SEED ?= 0
chaos: $(READY)
	@$(BIN)/python -m tests.chaos --seed $(SEED)

# Every tool with hostile arguments; the suite has a short form of it.
fuzz: $(READY)
	@$(BIN)/python -m tests.fuzz --seed $(SEED)

# The official conformance suite, with the Node that comes in the virtual environment.
SUITE := tests/conformance
conformance: $(READY) $(SUITE)/node_modules/.package-lock.json
	@$(BIN)/python -m tests.conformance

$(SUITE)/node_modules/.package-lock.json: $(READY) $(SUITE)/package-lock.json
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix $(SUITE) --no-audit --no-fund --loglevel=error
	@touch $@

check: lint types test coverage

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

# One floor over the whole package, for the tests that `make test` ran last; pyproject.toml has it.
coverage: $(READY)
	$(BIN)/coverage report

readme: $(READY)
	$(BIN)/python -m tests.readme

# The listing of the tools that ships with the package.
listing: $(READY)
	$(BIN)/python -m tests.listing

# Exact versions of all dependencies, without an index: every installation uses them as constraints. Renew them with the
# oldest Python 3.11 at hand, because newer versions of a package may refuse it.
lock:
	@rm -rf build/lock && $(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check . --group dev
	@{ echo "# Written by \`make lock\`: the versions that installations of this project use."; \
		build/lock/bin/python -m pip freeze --exclude tp-mcp; } > $(LOCK)
	@rm -rf build/lock

clean:
	rm -rf $(VENV) .venvs $(SUITE)/node_modules build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml $(LOCK)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev --constraint $(LOCK)
	@touch $(READY)
