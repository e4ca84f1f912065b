# make demo   install into .venv and optimise examples/softmax.py
# make test   install what the tests need and run every check
# make test-corpus   the long lists of kernels and programs
# make image  the Docker image in which the sandbox holds processes; nothing is pulled
# make serve  the web page on http://127.0.0.1:8000
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-corpus lint image serve install install-dev system-packages clean

# Where nothing can hold untrusted code, the demo says so and goes on: all that it runs is in this repository.
demo: install
	@if $(BIN)/python -c 'from sandbox.isolation import choose_isolation as choose; from sandbox.settings import SandboxSettings; choose(SandboxSettings.load().isolation)' 2>/dev/null; \
	then $(BIN)/kernelwright optimize examples/softmax.py; \
	else echo "No sandbox works here (see kernelwright doctor); the demo runs this repository's own code without one." >&2; \
	KERNELWRIGHT_ISOLATION=process $(BIN)/kernelwright optimize examples/softmax.py; fi

test: install-dev system-packages lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not corpus" --durations=25

test-corpus: install-dev system-packages
	$(BIN)/python -m pytest -n 2 --dist worksteal -m corpus --durations=40

lint: install-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --quiet --site-dir build/site

image: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e ".[docker]"
	$(BIN)/python -m sandbox.docker

serve: install
	$(BIN)/kernelwright serve

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev

$(VENV)/.installed: pyproject.toml
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e ".[docker,postgresql,redis,triton]" --group dev
	@touch $@

# Chromium, Docker, PostgreSQL and Redis for the end-to-end tests. Present ones are left alone.
system-packages:
	@.ci/system-packages

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
