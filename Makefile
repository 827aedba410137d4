# Everything a person types. `make run` and `make test` do all the set-up they need and ask nothing.
# System packages are named in provisioning/debian-packages.txt, Python packages in pyproject.toml.

.DEFAULT_GOAL := help
# Two recipes at once would build the same .venv twice.
.NOTPARALLEL:

MODEL := smollm2-135m-instruct
# The file appears under its hash only after every byte was verified (models/store.py), so seeing it is enough here;
# `sandyq models pull` itself would read all 98 MB again.
MODELS := $(or $(SANDYQ_HOME),$(HOME)/.local/share/sandyq)/models
MODEL_FILE = $(MODELS)/blobs/$(shell sed -n 's/^sha256 *= *"\(.*\)"/\1/p' models/cards/$(MODEL).toml).gguf
# On a system that is not Debian: make run PACKAGES=true, after installing the packages by hand.
PACKAGES ?= provisioning/install-packages

# A stamp carries a hash of all that decides what is in .venv, so a touched file rebuilds nothing and a changed one does.
# A Python that a system upgrade took away is part of it: the old .venv would not start.
KEY := $(shell { cat pyproject.toml provisioning/debian-packages.txt provisioning/make-environment; pwd; \
	python=$$(sed -n 's/^executable = //p' .venv/pyvenv.cfg); [ -z "$$python" ] || [ -x "$$python" ] || echo gone; \
	} 2>/dev/null | sha256sum | cut -c1-16)
SET_UP := .venv/.set-up-$(KEY)
SET_UP_TEST := .venv/.set-up-test-$(KEY)

.PHONY: help
help:
	@echo "make run      set up what is missing and start a demonstration: engine, box and region on this machine"
	@echo "make test     set up what is missing, read the code (ruff, mypy) and run every test"
	@echo "make setup    only the environment in .venv/ and the embedded model"
	@echo "make bench    measure this machine and write docs/benchmarks.md (some parts: PARTS=\"door login\")"
	@echo "make lint     ruff and mypy only"
	@echo "make format   let ruff rewrite the code"
	@echo "make clean    remove .venv/ and what tools left here; models and boxes' state stay"

.PHONY: setup
setup: $(SET_UP)
	@test -s "$(MODELS)/current.json" -a -s "$(MODEL_FILE)" || .venv/bin/sandyq models pull $(MODEL)

.PHONY: run
run: setup
	@exec .venv/bin/sandyq demo

.PHONY: test
test: setup lint
	@.venv/bin/python -m pytest --numprocesses=2

.PHONY: bench
bench: setup
	@.venv/bin/python -m tests.bench.run $(PARTS:%=--only=%)

.PHONY: lint
lint: $(SET_UP_TEST)
	@.venv/bin/python -m ruff check
	@.venv/bin/python -m ruff format --check
	@.venv/bin/python -m mypy

.PHONY: format
format: $(SET_UP_TEST)
	@.venv/bin/python -m ruff format
	@.venv/bin/python -m ruff check --fix

.PHONY: clean
clean:
	rm -rf .venv build sandyq.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Old stamps go, so that going back to an older pyproject.toml is noticed too.
$(SET_UP):
	@$(PACKAGES) build
	@provisioning/make-environment
	@rm -f .venv/.set-up-*
	@touch $@

$(SET_UP_TEST): $(SET_UP)
	@$(PACKAGES) build test
	@provisioning/make-environment test,lint
	@touch $@
