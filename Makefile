# Crowdpulse. `make help` lists what there is to do.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then echo $$p; exit; fi; \
	done; echo python3)
SOURCE ?= synthetic
RUN := .venv/bin/python

.PHONY: help demo up down status test check format bench sql environment training-environment tools clean

help:  ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  SOURCE=live make demo   the public Wikimedia streams instead of generated events"
	@echo "  PYTHON=python3.12       the interpreter for .venv;  .env.example lists all settings"

demo: environment  ## Everything, running: stack, jobs, events; shows what is in the indices
	@$(RUN) -m stack.demo --source $(SOURCE)

up: environment  ## Start the local stack: Kafka, Elasticsearch, Flink, S3
	@$(RUN) -m stack up

down: $(if $(wildcard .venv .stack),environment)  ## Stop the stack, the jobs and the producers
	@test ! -x $(RUN) || $(RUN) -m stack down

status: environment  ## What runs, and where
	@$(RUN) -m stack status

sql: environment  ## The Flink SQL client with all tables declared
	@$(RUN) -m stack sql

test: environment-dev training-environment  ## All tests: Java, Python, and the real stack from end to end
	mvn -f connectors/pom.xml --batch-mode --no-transfer-progress verify
	OMP_NUM_THREADS=1 .venv-training/bin/python -m pytest --confcutdir=tests/models tests/models
	$(RUN) -m pytest

check: environment-dev  ## Style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	mvn -q -f connectors/pom.xml validate

format: environment-dev  ## Put the Python files in form
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: environment-dev training-environment  ## Measure: each row a ratio to a reference of the same run
	@.venv-training/bin/python -m bench.texts_per_second
	@$(RUN) -m bench

clean: $(if $(wildcard .venv .stack),environment)  ## Stop, and remove all that was built, downloaded or written
	@test ! -x $(RUN) || $(RUN) -m stack down --data
	rm -rf .stack .venv .venv-training connectors/*/target

tools:
	@bash stack/tools.sh "$(PYTHON)"

environment: .venv/runtime

environment-dev: .venv/development

training-environment: .venv-training/ready  ## What training the models needs, in an environment of its own

.venv/runtime: requirements.txt
	@bash stack/tools.sh "$(PYTHON)"
	@echo "Python environment: .venv (by $(PYTHON); the first time this downloads about 600 MB)"
	@test -x .venv/bin/python || "$(PYTHON)" -m venv .venv
	@.venv/bin/pip install --progress-bar on --disable-pip-version-check -r requirements.txt | grep --line-buffered -E '^(Collecting|Installing)'; test $${PIPESTATUS[0]} -eq 0
	@.venv/bin/python -c 'import pyflink, kafka, pydantic_settings'
	@touch $@

.venv/development: requirements.txt requirements-dev.txt .venv/runtime
	@.venv/bin/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.venv-training/ready: requirements-training.txt
	@bash stack/tools.sh "$(PYTHON)"
	@echo "Training environment: .venv-training (by $(PYTHON); the first time this downloads about 200 MB)"
	@test -x .venv-training/bin/python || "$(PYTHON)" -m venv .venv-training
	@.venv-training/bin/pip install --quiet --disable-pip-version-check -r requirements-training.txt
	@touch $@
