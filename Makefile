# Everything that rote needs lands in .venv. Two variables:
#   TORCH_INDEX=URL   the wheel index to take torch from (PyTorch's page names one per CUDA version, and one for the CPU)
#   PYTHON=python3.12 the interpreter that makes the environment
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TORCH := torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
# Small models are faster on one thread per process; rote runs two processes where two cores are free.
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo study test test-slow lint docs check clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	$(BIN)/rote demo --out runs/demo

study: $(VENV)/.installed
	$(BIN)/rote study studies/wang2025-lora.toml studies/zeng2024-tasks.toml --out runs/studies

test: $(VENV)/.tests
	$(BIN)/python -m pytest -n 2 --dist worksteal -q

test-slow: $(VENV)/.extras
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m "slow and not gpu"

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.dev
	$(BIN)/mkdocs build --strict --quiet

check: lint docs

clean:
	rm -rf $(VENV) runs site build

# torch first and alone: any other order may fetch several GB of CUDA packages.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "rote needs Python 3.11 or newer, this is " + sys.version)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing torch and rote into $(VENV) (a few minutes) ..."
	$(PIP) $(TORCH)
	$(PIP) -e .
	touch $@

$(VENV)/.tests: $(VENV)/.installed
	$(PIP) -e '.[test]'
	touch $@

# optional extras of rote, so that the slow tests can try them
$(VENV)/.extras: $(VENV)/.tests
	$(PIP) -e '.[test-extras]'
	touch $@

$(VENV)/.dev: $(VENV)/.tests
	$(PIP) -e '.[dev]'
	touch $@
