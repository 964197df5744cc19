# Two commands do all the set-up: `make demo` and `make test`. Python >= 3.11, pip and the package index are all they need.

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
STUDY  ?= deployments/studies/openmoji.yaml
DATA   := data/openmoji

.PHONY: help setup demo demo-tiny validate-data gc ui test test-servers lint types bench bench-seeds bench-estimators bench-estimators-small bench-demo-credits lock clean

help:            ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/ready   ## virtual environment with the locked dependencies

$(VENV)/ready: requirements.lock
	@echo "setting up $(VENV): downloads some GB once, a few minutes; pip shows what it is at"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --disable-pip-version-check --require-hashes --requirement requirements.lock
	@touch $@

$(DATA)/metadata.csv: | $(VENV)/ready
	$(RUN) -m tasks.partition.openmoji --out $(DATA)

demo: $(DATA)/metadata.csv | $(VENV)/ready   ## credit the designers of OpenMoji, start to end
	$(RUN) -m flows.run $(STUDY)

demo-tiny:       ## the same in its smallest preset
	$(MAKE) demo STUDY=deployments/studies/openmoji-tiny.yaml

validate-data: $(if $(filter deployments/studies/openmoji%,$(STUDY)),$(DATA)/metadata.csv) | $(VENV)/ready   ## before you spend: is the data sound, what would a run do and cost? STUDY=my-study.yaml
	$(RUN) -m flows.run_validate $(STUDY) $(ARGS)

gc: | $(VENV)/ready   ## keeping house: lists weights and images that no statement needs; DELETE=1 deletes them
	$(RUN) -m flows.run_gc $(if $(filter-out 0,$(DELETE)),--delete) $(ARGS)

ui: $(DATA)/metadata.csv | $(VENV)/ready   ## the Prefect server with all runs so far; start `attribute` from its form
	$(RUN) -m flows.serve

test: | $(VENV)/ready   ## lint, types and tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(RUN) -m pytest -m "not servers"

test-servers: | $(VENV)/ready   ## tests that start, fill and kill servers (minutes)
	$(RUN) -m pytest -m servers

bench: $(DATA)/metadata.csv | $(VENV)/ready   ## what a coalition of the demo costs, and against retraining
	$(RUN) -m tests.bench.coalition $(STUDY)

bench-seeds: $(DATA)/metadata.csv | $(VENV)/ready   ## would another seed, or another reference, give the same credits? (three times the demo)
	$(RUN) -m tests.bench.seeds --reference $(STUDY)

bench-estimators: | $(VENV)/ready   ## every estimator on games with known credits; goes on where it was: ARGS="--players 20 --jobs 2"
	$(RUN) -m tests.bench.estimators $(ARGS)

bench-estimators-small: | $(VENV)/ready   ## one repetition of it at n = 20 (under a minute); fails on crashes, never on figures
	$(RUN) -m tests.bench.estimators --players 20 --factors 5 --noises 0.1 --noise-kinds iid --repeats 1 --experiments accuracy --archive $$(mktemp)
	$(RUN) -m tests.bench.estimators --players 20 --games saturating signed --repeats 1 --experiments join --archive $$(mktemp)

bench-demo-credits: $(if $(EVALUATIONS),,$(DATA)/metadata.csv) | $(VENV)/ready   ## the demo's credits at smaller budgets against its exact ones (evaluates all 256 coalitions)
	$(if $(EVALUATIONS),,$(RUN) -m flows.run $(STUDY) --set name=openmoji-complete --set estimation.budget=256)
	$(RUN) -m tests.bench.demo_credits $(EVALUATIONS) $(ARGS)

lock:            ## resolve pyproject.toml's ranges anew (needs `pip install uv`)
	uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
	  --custom-compile-command "make lock" --extra demo --extra dev pyproject.toml --output-file requirements.lock

clean:           ## remove the virtual environment, the demo's data and results
	rm -rf $(VENV) data .credit
