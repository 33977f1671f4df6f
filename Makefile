# What a person types. Each target is short; the work is in scripts/ and in the packages.

PYTHON ?=
PORT ?= 8000
SERVER ?= milvus://127.0.0.1:19530
export PYTHON PORT

BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help demo test learn milvus check format lint types install lock clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: ## Draw a gallery, index it, serve it on 127.0.0.1:8000 (PORT=9000 for another port)
	@scripts/install
	@scripts/demo

test: ## Run the tests
	@scripts/install --dev
	@$(BIN)/python -m pytest

learn: ## Run the slow tests: train for minutes, find nine in ten; kill a service that is written to
	@scripts/install --dev
	@$(BIN)/python -m pytest -m slow tests/model/test_learning.py tests/benchmarks/test_soak.py

# Collections contract_... are made there and deleted again.
milvus: ## Run the contract of galleries against a Milvus server (SERVER=milvus://127.0.0.1:19530)
	@scripts/install --dev
	@SELVEDGE_TEST_MILVUS=$(SERVER) $(BIN)/python -m pytest tests/indexer/contract

check: lint types test learn ## Everything a change must pass

lint: ## ruff: format and lint
	@scripts/install --dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: ## mypy, strict
	@scripts/install --dev
	@$(BIN)/mypy

format: ## Rewrite the files as ruff likes them
	@scripts/install --dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

install: ## Only create the environment, tests' tools included
	@scripts/install --dev

lock: ## Resolve the dependencies anew and write constraints/ (UPGRADE=1: newest releases)
	@scripts/install
	@$(BIN)/python -m venv out/lock
	@out/lock/bin/python -m pip install --quiet uv
	@PATH="$(CURDIR)/out/lock/bin:$$PATH" out/lock/bin/python scripts/lock.py $(if $(UPGRADE),--upgrade)

clean: ## Remove the environment, the demo and every cache
	rm -rf .venv out build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
