# Every command a user or CI needs. `make setup` is implied by the others.
VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
SYSTEM_PYTHON ?= python3
export DO_NOT_TRACK := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false
# Compiled once, and not by each of the many processes of a run: their imports take half a minute otherwise.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test check bench format lock clean

setup: $(INSTALLED)

# uv comes from PATH, or is installed beside the environment.
UV := $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)

.uv/bin/uv:
	$(SYSTEM_PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv

$(INSTALLED): requirements.lock pyproject.toml | $(filter .uv/bin/uv,$(UV))
	$(UV) venv --quiet --clear --python 3.12 $(VENV)
	VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --editable .
	@touch $@

demo: $(INSTALLED)
	$(VENV)/bin/lmle run --preset demo $(ARGS)

# A file of tests stays in one process, so that what its tests share is made once.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# What every commit passes: format, lint, types, and the tests that take seconds.
check: $(INSTALLED)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(PYTHON) -m pytest -q -m "not slow and not services" $(ARGS)

# Every stage against its limit and its peers: ten minutes on two cores, or at CelebA's size where there is a GPU.
bench: $(INSTALLED)
	$(VENV)/bin/lmle bench $(ARGS)

format: $(INSTALLED)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# After a change of the dependencies in pyproject.toml.
COMPILE = $(UV) pip compile pyproject.toml --quiet --universal --fork-strategy fewest --generate-hashes --no-header \
	--no-annotate --no-emit-index-url --python-version 3.12
lock: $(filter .uv/bin/uv,$(UV))
	$(COMPILE) --extra dev --output-file requirements.lock
	$(COMPILE) --extra s3 --constraint requirements.lock --output-file infra/requirements.lock

clean:
	rm -rf $(VENV) .uv .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
