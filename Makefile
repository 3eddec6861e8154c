# Crowdpulse. `make help` lists what there is to do.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	if $$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then echo $$p; exit; fi; \
	done; echo python3)
SOURCE ?= synthetic
RUN := .venv/bin/python

.PHONY: help demo view up down status test fuzz test-compose faults check audit sbom format bench soak profile sql dashboards \
	lineage environment training-environment tools clean

help:  ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  SOURCE=live make demo   the public Wikimedia streams instead of generated events"
	@echo "  FUZZ_SECONDS=60         so long for each target of make fuzz"
	@echo "  PYTHON=python3.12       the interpreter for .venv;  .env.example lists all settings"

demo: environment chart-libraries  ## Everything, running: stack, jobs, events; shows what is in the indices
	@$(RUN) -m stack.demo --source $(SOURCE)

view: environment chart-libraries  ## The dashboards in the browser, from what is in Elasticsearch
	@$(RUN) -m stack view

up: environment  ## Start the local stack: Kafka, Elasticsearch, Flink, S3
	@$(RUN) -m stack up

down: $(if $(wildcard .venv .stack),environment)  ## Stop the stack, the jobs and the producers
	@test ! -x $(RUN) || $(RUN) -m stack down

status: environment  ## What runs, and where
	@$(RUN) -m stack status

sql: environment  ## The Flink SQL client with all tables declared
	@$(RUN) -m stack sql

# Tests without the stack run in two processes; both must find them in the same order, hence the seed of hashes.
test: environment-dev training-environment chart-libraries  ## All tests: Java, Python, and the real stack from end to end
	mvn -f connectors/pom.xml --batch-mode --no-transfer-progress verify
	OMP_NUM_THREADS=1 .venv-training/bin/python -m pytest --confcutdir=tests/models tests/models
	PYTHONHASHSEED=0 $(RUN) -m pytest -m "not stack" --numprocesses 2 --dist loadfile
	$(RUN) -m pytest -m stack

# A stack of its own beside the open one, with the same jars: what has TLS and logins cannot be both.
test-secured: environment-dev  ## The end-to-end tests on the secured stack: TLS and logins, each role with its own rights
	@mkdir -p .stack/jars .stack/secured && ln -sfn ../jars .stack/secured/jars
	CROWDPULSE_SECURED=1 CROWDPULSE_PORT_BASE=29000 CROWDPULSE_STATE_DIR="$(CURDIR)/.stack/secured" \
		$(RUN) -m pytest -m stack $(or $(TESTS),tests/stack/test_secured.py tests/e2e)

FUZZ_SECONDS ?= 600

fuzz: environment-dev  ## Look for inputs that break a parser, a model or a function: ten minutes for each target
	@$(RUN) -m tests.fuzz --seconds $(FUZZ_SECONDS)

test-compose: environment  ## docker-compose.yml, really run: an engine, its images, all services, then nothing of it left
	@PYTHONUNBUFFERED=1 $(RUN) -m tests.compose.run

faults: environment-dev  ## Kill, fill, slow and poison the running stack under 200,000 records; writes docs/reliability.md
	CROWDPULSE_FAULT_EVENTS=$${CROWDPULSE_FAULT_EVENTS:-200000} $(RUN) -m pytest -s tests/faults

check: environment-dev  ## Style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/hadolint docker/Dockerfile tests/compose/Dockerfile
	mvn -q -f connectors/pom.xml validate

audit: environment .venv-audit/ready  ## Known vulnerabilities of what we depend on, as far as reachable; secrets in git's files
	@$(RUN) -m deploy.audit

sbom: environment .venv-audit/ready  ## What the software is made of, as CycloneDX files in .stack/sbom
	@$(RUN) -m deploy.audit.sbom

format: environment-dev  ## Put the Python files in form
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

dashboards: environment  ## kibana/dashboards/*.yaml to what Kibana imports (Python 3.12 or later)
	@test -x .venv-dashboards/bin/kb-dashboard || $(MAKE) --no-print-directory .venv-dashboards/ready
	@$(RUN) -m kibana.compile $(if $(CHECK),--check)

lineage: environment  ## docs/lineage.md: topics, jobs, indices and dashboards
	@$(RUN) -m stack.lineage

bench: environment-dev training-environment  ## Measure: each row beside its reference; writes docs/performance.md; about an hour
	@$(RUN) -m bench

soak: environment-dev  ## Half an hour at 70 % of what `make bench` has measured: does anything grow?
	@$(RUN) -m bench.soak

profile: environment-dev  ## Where a job's CPU time goes: make profile JOB=wiki_edits
	@$(RUN) -m bench.profile $(or $(JOB),$(error Name a job: make profile JOB=wiki_edits))

clean: $(if $(wildcard .venv .stack),environment)  ## Stop, and remove all that was built, downloaded or written
	@test ! -x $(RUN) || $(RUN) -m stack down --data
	rm -rf .stack .venv .venv-training .venv-dashboards .venv-audit services/live_view/node_modules connectors/*/target

chart-libraries: services/live_view/node_modules/.package-lock.json

services/live_view/node_modules/.package-lock.json: services/live_view/package-lock.json
	@echo "Chart libraries of the live view (by npm; the first time this downloads about 20 MB)"
	@npm ci --prefix services/live_view --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

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

.venv-audit/ready: requirements-audit.txt .venv/runtime
	@.venv/bin/python -m venv .venv-audit
	@.venv-audit/bin/pip install --quiet --disable-pip-version-check -r requirements-audit.txt
	@touch $@

.venv-dashboards/ready: requirements-dashboards.txt
	@python=$$(for p in $(PYTHON) python3.14 python3.13 python3.12 python3; do \
		if $$p -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then echo $$p; exit; fi; done); \
	test -n "$$python" || { echo "kb-dashboard needs Python 3.12 or later: name one with PYTHON=…" >&2; exit 1; }; \
	"$$python" -m venv .venv-dashboards
	@.venv-dashboards/bin/pip install --quiet --disable-pip-version-check -r requirements-dashboards.txt
	@touch $@
