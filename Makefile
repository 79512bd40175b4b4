# The first Python on PATH that is new enough; `make PYTHON=/path/to/python3.12 test` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
READY := .venv/.ready

.PHONY: help demo test test-long test-emulators format lock

help:
	@echo "make demo       set up, then validate, plan, apply and status on the simulator"
	@echo "make test       set up, then format, lint, types, and tests with branch coverage"
	@echo "make test-long  the long searches that make test leaves out"
	@echo "make test-emulators  state against other people's servers: S3 (moto), and Azure (azurite) where npm is"
	@echo "make format     put the code in shape"
	@echo "make lock       choose the versions in requirements-dev.lock anew (needs uv)"

$(READY): bootstrap.py pyproject.toml requirements-dev.lock
	@test -n "$(PYTHON)" || { echo "tuneform needs Python 3.11 or newer on PATH, or make PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" bootstrap.py

demo: $(READY)
	@scripts/demo

test: $(READY)
	@scripts/check

test-long: $(READY)
	HYPOTHESIS_PROFILE=long .venv/bin/python -m pytest -n 2 -q -m long

test-emulators: $(READY)
	@scripts/test-emulators

format: $(READY)
	.venv/bin/ruff check --fix-only --quiet .
	.venv/bin/ruff format --quiet .

lock:
	scripts/lock
