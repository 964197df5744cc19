# Two commands do all the set-up: `make demo` and `make test`. Python >= 3.11, pip and the package index are all they need.

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
STUDY  ?= deployments/studies/openmoji.yaml
JOBS   ?= 2
# Files of tests side by side, each in a process of its own. No more than two unless asked: one may hold 4 GB and start servers.
PYTEST := OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses $(JOBS) --dist loadfile
DATA   := data/openmoji
MODELS := data/openmoji-models

.PHONY: help setup demo demo-tiny demo-join reattribute validate-data validate validate-tiny gc opt-out history ui deploy stack stack-down demo-stack test test-servers test-browser test-faults fuzz soak dependencies bench bench-seeds bench-samplers bench-estimators bench-estimators-small bench-demo-credits bench-orchestration lock clean

help:            ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/ready   ## virtual environment with the locked dependencies

$(VENV)/ready: requirements.lock
	@echo "setting up $(VENV): downloads some GB once, a few minutes; pip shows what it is at"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# the lock is whole; older pips refuse it when they look for dependencies: sqlalchemy[asyncio] has its extra in no lock
	$(RUN) -m pip install --disable-pip-version-check --no-deps --require-hashes --requirement requirements.lock
	@touch $@

$(DATA)/metadata.csv: tasks/partition/openmoji.py | $(VENV)/ready
	$(RUN) -m tasks.partition.openmoji --out $(DATA)
	@touch $@  # a folder that is there already is only verified

# What the toy studies of latent diffusion and of LoRA stand on; four minutes, once.
$(MODELS)/stamp.json: $(DATA)/metadata.csv | $(VENV)/ready
	$(RUN) -m tasks.toy --images $(DATA) --out $(MODELS)
	@touch $@

# What a preset of ours stands on: OpenMoji, and for two of them models that are made of it.
NEEDS := $(if $(filter deployments/studies/openmoji%,$(STUDY)),$(DATA)/metadata.csv)
NEEDS += $(if $(filter deployments/studies/openmoji-ldm% deployments/studies/openmoji-lora%,$(STUDY)),$(MODELS)/stamp.json)

demo: $(NEEDS) | $(VENV)/ready   ## credit the designers of OpenMoji, start to end; STUDY=deployments/studies/openmoji-ldm.yaml
	$(RUN) -m flows.run $(STUDY)

demo-join: $(DATA)/metadata.csv | $(VENV)/ready   ## its second act: designers who came later join, at a part of the cost
	$(RUN) -m flows.demo_join $(STUDY) $(ARGS)

demo-tiny:       ## the same in its smallest preset
	$(MAKE) demo STUDY=deployments/studies/openmoji-tiny.yaml

reattribute: $(NEEDS) | $(VENV)/ready   ## somebody joined, left or changed images: credit again, at a part of the cost; STUDY=my-study.yaml
	@test "$(origin STUDY)" != file || { echo "which study? make reattribute STUDY=my-study.yaml"; exit 2; }
	$(RUN) -m flows.run_reattribute $(STUDY) $(ARGS)

validate-data: $(NEEDS) | $(VENV)/ready   ## before you spend: is the data sound, what would a run do and cost? STUDY=my-study.yaml
	$(RUN) -m flows.run_validate $(STUDY) $(ARGS)

validate: $(NEEDS) | $(VENV)/ready   ## are a study's credits right? Retrains coalitions from scratch (long; goes on where it was): STUDY=… ARGS="--set validation.one_size=12"
	$(RUN) -m flows.run_validation $(STUDY) $(ARGS)

validate-tiny:   ## the same for the smallest preset, in two minutes
	$(MAKE) validate STUDY=deployments/studies/openmoji-tiny.yaml ARGS="--set validation.projection=64 --set validation.step_factors=[2.0] --set validation.ratios=[0.0] --pages .credit/pages"

gc: | $(VENV)/ready   ## keeping house: lists weights and images that no statement needs; DELETE=1 deletes them
	$(RUN) -m flows.run_gc $(if $(filter-out 0,$(DELETE)),--delete) $(ARGS)

opt-out: | $(VENV)/ready   ## a contributor leaves: NAME="Emily Jäger" removes what is theirs; ARGS=--return when they are back
	@test -n "$$NAME" || { echo 'whose? make opt-out NAME="Emily Jäger"'; exit 2; }
	@$(RUN) -m flows.run_opt_out "$$NAME" $(ARGS)

history: | $(VENV)/ready   ## everybody's credits over time, from all statements of a study: STUDY_NAME=openmoji
	@test -n "$$STUDY_NAME" || { echo 'of which study? make history STUDY_NAME=openmoji'; exit 2; }
	@$(RUN) -m flows.run_history "$$STUDY_NAME" $(ARGS)

ui: $(DATA)/metadata.csv | $(VENV)/ready   ## the Prefect server with all runs so far; start `attribute` from its form
	$(RUN) -m flows.serve

stack: $(DATA)/metadata.csv | $(VENV)/ready   ## Prefect server, S3 server, deployments and workers on this machine, in the background
	$(RUN) -m flows.stack up $(ARGS)

stack-down: | $(VENV)/ready   ## end all of them
	$(RUN) -m flows.stack down

demo-stack: stack   ## the demo, started as a deployment and evaluated by the stack's workers
	$(RUN) -m flows.run_deployed $(STUDY) $(ARGS)

deploy: | $(VENV)/ready   ## work pools and deployments on the Prefect server of PREFECT_API_URL: POOLS=process|docker|kubernetes GPUS=4 IMAGE=…
	$(RUN) -m flows.deploy $(if $(POOLS),--pools $(POOLS)) $(if $(GPUS),--gpus $(GPUS)) $(if $(IMAGE),--image $(IMAGE)) $(ARGS)

test: .venv-audit/ready | $(VENV)/ready   ## lint, types and tests; JOBS=4 runs four at a time
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PYTEST) -m "not servers and not browser and not faults and not fuzz"

test-servers: | $(VENV)/ready   ## tests that start, fill and kill servers (minutes); as root on Debian, installs PostgreSQL for them
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || tests/install.sh postgresql
	$(PYTEST) -m servers

test-browser: | $(VENV)/ready   ## what people see, in a headless Chromium (minutes); as root on Debian, installs it
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || tests/install.sh chromium
	$(RUN) -m pytest -m browser

test-faults: | $(VENV)/ready   ## tests that kill processes, stop servers and fill file systems in the middle of real runs (minutes)
	$(PYTEST) -m faults

fuzz: | $(VENV)/ready   ## hostile manifests and images from a generator: MINUTES=60
	$(RUN) -m tests.fuzz --minutes $(or $(MINUTES),3) $(ARGS)

soak: | $(VENV)/ready   ## random faults against a stack of its own; what was lost, doubled, leaked: MINUTES=60 ARGS="--pace 60"
	$(RUN) -m tests.soak --minutes $(or $(MINUTES),10) $(ARGS)

.venv-audit/ready:
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --disable-pip-version-check pip-audit==2.10.1
	@touch $@

dependencies: .venv-audit/ready | $(VENV)/ready   ## their licences, and known vulnerabilities (needs the network; says so if nobody answers): ARGS="--osv-url https://…/v1/query"
	$(RUN) -m tests.dependencies --pip-audit .venv-audit/bin/pip-audit $(ARGS)

bench: $(NEEDS) | $(VENV)/ready   ## what a coalition of the demo costs, and against retraining
	$(RUN) -m tests.bench.coalition $(STUDY)

bench-seeds: $(NEEDS) | $(VENV)/ready   ## would another seed, or another reference, give the same credits? (three times the demo)
	$(RUN) -m tests.bench.seeds --reference $(STUDY)

bench-samplers: $(NEEDS) | $(VENV)/ready   ## how few steps and images do, and what they save; goes on where it was: ARGS="--archive draws.json"
	$(RUN) -m tests.bench.samplers $(STUDY) $(ARGS)

bench-estimators: | $(VENV)/ready   ## every estimator on games with known credits; goes on where it was: ARGS="--players 20 --jobs 2"
	$(RUN) -m tests.bench.estimators $(ARGS)

bench-estimators-small: | $(VENV)/ready   ## one repetition of it at n = 20 (under a minute); fails on crashes, never on figures
	$(RUN) -m tests.bench.estimators --players 20 --factors 5 --noises 0.1 --noise-kinds iid --repeats 1 --experiments accuracy --archive $$(mktemp)
	$(RUN) -m tests.bench.estimators --players 20 --games saturating signed --repeats 1 --experiments join --archive $$(mktemp)

bench-orchestration: | $(VENV)/ready   ## shards, workers and stores alone, with evaluations that only sleep
	$(RUN) -m tests.bench.orchestration $(ARGS)

bench-demo-credits: $(if $(EVALUATIONS),,$(DATA)/metadata.csv) | $(VENV)/ready   ## the demo's credits at smaller budgets against its exact ones (evaluates all 256 coalitions)
	$(if $(EVALUATIONS),,$(RUN) -m flows.run $(STUDY) --set name=openmoji-complete --set estimation.budget=256)
	$(RUN) -m tests.bench.demo_credits $(EVALUATIONS) $(ARGS)

lock:            ## resolve pyproject.toml's ranges anew (needs `pip install uv`)
	uv pip compile --universal --python-version 3.11 --generate-hashes --quiet \
	  --custom-compile-command "make lock" --extra demo --extra dev pyproject.toml --output-file requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --quiet --constraint requirements.lock \
	  --custom-compile-command "make lock" --extra docker --extra kubernetes pyproject.toml --output-file infra/images/requirements.lock

clean:           ## remove the virtual environment, the demo's data and results
	rm -rf $(VENV) .venv-audit data .credit
