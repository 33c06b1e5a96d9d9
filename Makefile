# Everything a fresh machine needs is done by the targets themselves: `make demo`, `make test`, `make lint`.
# PYTHON chooses the interpreter that .venv is made with, VENV another place for it.
PYTHON ?= python3
VENV ?= .venv
DEMO_CONFIG ?= examples/digits.yaml

BIN := $(VENV)/bin
# The stamp is newer than what it was made from exactly when the environment is up to date.
STAMP := $(VENV)/.installed-paretoprune

.DEFAULT_GOAL := help
.PHONY: help install demo test test-matrix lint format constraints wheel image clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "paretoprune needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another one: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) -m venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV): torch, ray and mlflow among them, some minutes and about 6 GB the first time."
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[dev]'
	@touch $@

install: $(STAMP) ## Make .venv and install the tested versions into it

demo: $(STAMP) ## Search for a smaller digits classifier and export the best one below 40 % of its MACs
	@rm -rf runs/demo
	$(BIN)/paretoprune search $(DEMO_CONFIG) --name demo
	$(BIN)/paretoprune front demo
	$(BIN)/paretoprune export demo --target-flops 0.4 --out runs/demo/export
	@echo
	@echo "Done. Before and after:      runs/demo/export/report.html"
	@echo "The Pareto front in MLflow:  $(BIN)/paretoprune ui demo"
	@echo "The pruned network:          runs/demo/export/model.safetensors, model.pt2, model.onnx"

test: $(STAMP) ## Run the tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST_ARGS)

test-matrix: $(STAMP) ## Cut every network of docs/networks.md and make the page again: ten minutes
	@rm -rf build/matrix
	PARETOPRUNE_MATRIX_ROWS=build/matrix $(BIN)/python -m pytest -m matrix --numprocesses 2 $(PYTEST_ARGS)
	$(BIN)/python -m benchmarks.surgery.networks update build/matrix

lint: $(STAMP) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Put the code into the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: $(STAMP) ## Write the installed versions into constraints.txt
	@sed -n '/^#/p' constraints.txt > constraints.txt.new
	@$(BIN)/python -m pip freeze --exclude-editable --all --exclude pip --exclude uv | sed 's/+[a-z0-9.]*$$//' >> constraints.txt.new
	@mv constraints.txt.new constraints.txt

wheel: $(STAMP) ## Build dist/paretoprune-*.whl
	$(BIN)/python -m pip wheel --disable-pip-version-check --quiet --no-deps --wheel-dir dist .

image: ## Build the container image
	docker build -f docker/Dockerfile -t paretoprune .

clean: ## Remove the environment and caches; runs/ stays
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis ./*.egg-info
