# Everything a newcomer, a contributor and CI call. `make` alone explains the targets.
# Needs only make and Python 3.11; the rest goes into .venv/.

PYTHON ?= python3
BIN := .venv/bin
RUN_SET := .venv/.run-set
DEV_SET := .venv/.dev-set
FIDELITY_VENV := .venv-fidelity
FIDELITY_SET := $(FIDELITY_VENV)/.fidelity-set
FUZZ_VENV := .venv-fuzz
FUZZ_SET := $(FUZZ_VENV)/.fuzz-set
CLIENTS_VENV := .venv-clients
CLIENTS_SET := $(CLIENTS_VENV)/.clients-set
MUTMUT_VENV := .venv-mutmut
MUTMUT_SET := $(MUTMUT_VENV)/.mutmut-set
WEB_VENV := .venv-web
WEB_SET := $(WEB_VENV)/.web-set
WEB_DEBS := chromium fonts-noto-cjk fonts-noto-core
WEB_REPORT := var/web/junit.xml
COMPOSE_VENV := .venv-compose
COMPOSE_SET := $(COMPOSE_VENV)/.compose-set
PEERS_VENV := .venv-peers
PEERS_SET := $(PEERS_VENV)/.peers-set
PACKAGES := contracts hop bff qs llmgw fakes harness scripts
RUN_LOG := var/contracts/runs.jsonl
FAULTS_REPORT := var/faults/junit.xml
SEED ?= 1
RUNS ?= 200
MINUTES ?= 1
INPUTS ?=
TARGET ?=
KEEP ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory
# Preflight speaks before anything is installed: prerequisites keep their order, even under -j.
.NOTPARALLEL:
.PHONY: help run setup test test-contracts sim test-faults test-backends backup restore mutants mutmut fuzz eval bench-retrieval bench bench-peers test-fidelity test-llm test-clients test-web test-compose check fake ingest smoke up down logs local-llm-up local-llm-down local-llm-health schemas reason-codes settings-table clean chromium dir-given python preflight preflight-run

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile
	@echo "Settings come from the environment, then from .env.local (.env.example lists them)."

# `exec` makes the supervisor make's own child, so that a SIGTERM to make reaches it.
# LLM=llamacpp brings a real model server; LLM=http://… uses one that runs.
run: preflight-run $(RUN_SET) $(if $(filter llamacpp,$(LLM)),$(FIDELITY_SET)) ## set up, ingest docs/, start all: make run [LLM=llamacpp]; Ctrl-C stops them
	@exec $(BIN)/python -m scripts.run --end-with-parent

setup: preflight $(RUN_SET) ## the environment in .venv, alone

test: preflight $(DEV_SET) ## every test that needs no server
	@$(BIN)/python -m pytest

# Every reason code, fault and transition, in memory; then the gate reads what was played.
test-contracts: preflight $(DEV_SET) ## the contract suite and its gate, six minutes
	@rm -f $(RUN_LOG) && mkdir -p $(dir $(RUN_LOG))
	@$(BIN)/python -m pytest harness/contracts harness/scenarios --run-log $(RUN_LOG)
	@$(BIN)/python -m harness.coverage $(RUN_LOG)

# Called again, it goes on where it was; FRESH=1 begins anew.
sim: preflight $(DEV_SET) ## random worlds, each from its own seed: make sim SEED=1 RUNS=200
	@exec $(BIN)/python -m harness.sim --seed $(SEED) --runs $(RUNS) $(if $(FRESH),--fresh)

# Over real sockets, for CI: ONLY='stall and plain' selects, as pytest's -k does.
test-faults: preflight $(DEV_SET) ## every fault over four real processes, seven minutes, with a report
	@mkdir -p $(dir $(FAULTS_REPORT))
	@$(BIN)/python -m pytest harness/faults -k "$(ONLY)" --tb short \
	--basetemp $(dir $(FAULTS_REPORT))tmp --junitxml $(FAULTS_REPORT) \
	-o junit_suite_name=faults -o junit_family=xunit1

# Servers of our own, on private ports, with their data in var/backends/; BACKENDS=mysql narrows it.
BACKENDS ?= mysql,opensearch
test-backends: preflight $(DEV_SET) ## the store and the search on real servers, killed and restarted
	@case ",$(BACKENDS)," in *,mysql,*) $(BIN)/python -m scripts.install_mariadb;; esac
	@BACKENDS="$(BACKENDS)" $(BIN)/python -m pytest harness/backends --tb short

# Each law of the lists is broken in a copy of the tree; its tests have to notice.
mutants: preflight $(DEV_SET) ## would the tests notice? make mutants [SINCE=rev] [ONLY=name]
	@$(BIN)/python -m harness.sabotage --since "$(SINCE)" --only "$(ONLY)"

# Every small change of the pure cores, in an environment that has mutmut too.
mutmut: preflight $(MUTMUT_SET) ## the same by machine, for the cores: make mutmut [MODULE=llmgw/guard.py]
	@nice -n 10 $(MUTMUT_VENV)/bin/python -m harness.sabotage.by_machine $(MODULE)

# Under atheris, which lives apart. KEEP=1 writes what is worth keeping into the corpus.
fuzz: preflight $(DEV_SET) $(FUZZ_SET) ## odd bytes into every reader: make fuzz MINUTES=1|INPUTS=2000 [TARGET=sse]
	@FUZZ_PYTHON=$(FUZZ_VENV)/bin/python exec $(BIN)/python -m harness.fuzz $(TARGET) \
	--minutes "$(MINUTES)" $(if $(INPUTS),--inputs "$(INPUTS)") $(if $(KEEP),--keep)

# All rows take turns in one run; a quarter of an hour, QUICK=1 eight minutes. Ctrl-C ends all of it.
# The FAQs come out of Debian's packages, by apt, without root.
eval: preflight $(DEV_SET) ## how well the search finds, by language: make eval [OS_URL=http://…:9200]
	@exec $(BIN)/python -m harness.eval $(if $(OS_URL),--opensearch "$(OS_URL)")

bench-retrieval: preflight $(DEV_SET) ## 100,000 chunks: ingest rate, search times, memory
	@exec $(BIN)/python -m harness.retrieval_bench

bench: preflight $(DEV_SET) ## how fast, as ratios, into docs/benchmarks.md: make bench [QUICK=1]
	@exec $(BIN)/python -m harness.bench $(if $(QUICK),--quick)

# Other people's gateways, to stand beside ours; without Node, LiteLLM's alone.
bench-peers: preflight $(PEERS_SET) ## install LiteLLM's and Portkey's gateways for make bench

# The server and its model live apart, so that nothing of ours can come to need them.
test-fidelity: preflight $(DEV_SET) $(FIDELITY_SET) ## the fake against a real llama.cpp server
	@FIDELITY_PYTHON=$(FIDELITY_VENV)/bin/python $(BIN)/python -m pytest harness/fidelity

# A real model, through the whole chain. KEEP=1 writes the figures into the handbook.
test-llm: preflight $(DEV_SET) $(FIDELITY_SET) ## a real small model behind it all: make test-llm [QUESTIONS=12]
	@exec $(BIN)/python -m harness.llm --python $(FIDELITY_VENV)/bin/python \
	$(if $(QUESTIONS),--questions "$(QUESTIONS)") $(if $(KEEP),--page docs/local-model-figures.md)

# So do other people's clients. None of them may ask the network for anything.
test-clients: preflight $(RUN_SET) $(CLIENTS_SET) ## the fake with three clients, unmodified
	@LITELLM_LOCAL_MODEL_COST_MAP=True $(CLIENTS_VENV)/bin/python -m pytest \
	-c harness/clients/pytest.ini harness/clients

# Debian's Chromium, driven by Playwright, which lives apart; nothing is fetched from the pages' side.
test-web: preflight $(WEB_SET) chromium ## the chat page in a real browser; screenshots in var/web
	@mkdir -p $(dir $(WEB_REPORT))
	@$(WEB_VENV)/bin/python -m pytest -c harness/web/pytest.ini harness/web -k "$(ONLY)" --tb short \
	--junitxml $(WEB_REPORT)

# Docker's own programs without Docker's engine, and the Dockerfile's steps in a folder.
test-compose: preflight $(DEV_SET) $(COMPOSE_SET) ## the containers' files, and what the images hold
	@COMPOSE_TOOLS=$(COMPOSE_VENV) $(BIN)/python -m pytest harness/compose

check: preflight $(DEV_SET) ## ruff, mypy strict, import directions and purity
	@$(BIN)/python -m ruff check $(PACKAGES)
	@$(BIN)/python -m ruff format --check $(PACKAGES)
	@$(BIN)/python -m mypy $(PACKAGES)
	@$(BIN)/python -m pytest harness/test_tidy.py

fake: preflight $(RUN_SET) ## the fake model server alone, on FAKE_PORT
	@exec $(BIN)/python -m scripts.with_env $(BIN)/python -m fakes.openai_compat_server serve

ingest: dir-given preflight $(RUN_SET) ## index a folder of documents: make ingest DIR=path
	@exec $(BIN)/python -m scripts.with_env $(BIN)/python -m qs.ingest "$(DIR)"

backup: preflight $(RUN_SET) ## copy what is kept of conversations, and the index: make backup [TO=folder]
	@exec $(BIN)/python -m scripts.with_env $(BIN)/python -m qs.store backup $(if $(TO),"$(TO)")

restore: preflight $(RUN_SET) ## put such a copy back: make restore FROM=folder
	@test -n "$(FROM)" || { echo "usage: make restore FROM=var/backups/…" >&2; exit 2; }
	@exec $(BIN)/python -m scripts.with_env $(BIN)/python -m qs.store restore "$(FROM)"

smoke: ## ask a running stack: plain, streaming, off-topic, bad input
	@sh scripts/smoke_chat.sh

# From here to `local-llm-health` only make, sh and Docker are needed: no Python.
up: ## everything in containers: make up [LLM=fake|ollama|vllm] [GPU=1]; fake is meant where none is named
	@sh scripts/containers.sh up $(LLM)

down: ## stop the containers; indexed documents, stored turns and fetched models stay
	@sh scripts/containers.sh down

logs: ## what the containers log, until Ctrl-C
	@sh scripts/containers.sh logs

local-llm-up: ## a model server alone, in a container: make local-llm-up [LLM=ollama|vllm] [GPU=1]
	@sh scripts/containers.sh local-llm-up $(LLM)

local-llm-down: ## stop it
	@sh scripts/containers.sh local-llm-down

local-llm-health: ## does it list the model, does it write: make local-llm-health [LLM=ollama|vllm|http://…/v1]
	@LLM="$(LLM)" sh scripts/local_llm_health.sh

schemas: preflight $(DEV_SET) ## write contracts/schemas/ from the code
	@$(BIN)/python -m scripts.write_schemas

reason-codes: preflight $(DEV_SET) ## write docs/reason-codes*.md from the table and its words
	@$(BIN)/python -m scripts.write_reason_codes

settings-table: preflight $(DEV_SET) ## write docs/settings.md from the settings classes
	@$(BIN)/python -m scripts.write_settings

clean: ## back to a fresh checkout (.venv, the index, logs); .env.local stays
	rm -rf .venv $(FIDELITY_VENV) $(CLIENTS_VENV) $(FUZZ_VENV) $(MUTMUT_VENV) $(WEB_VENV) $(PEERS_VENV) $(COMPOSE_VENV) var build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(PACKAGES) -name __pycache__ -type d -prune -exec rm -rf {} +

# As root, or by sudo where that asks nothing; else it says what to install.
chromium:
	@command -v chromium >/dev/null && fc-list 2>/dev/null | grep -q NotoSansCJK || { \
	echo "installing $(WEB_DEBS) (once)"; \
	asroot=$$([ "$$(id -u)" = 0 ] || echo "sudo -n"); \
	$$asroot apt-get update -qq && $$asroot env DEBIAN_FRONTEND=noninteractive \
	apt-get install -qq -y --no-install-recommends fontconfig $(WEB_DEBS) >/dev/null; } || { \
	echo "test-web needs Chromium: apt install fontconfig $(WEB_DEBS)" >&2; exit 1; }

dir-given:
	@test -n "$(DIR)" || { echo "usage: make ingest DIR=path/to/a/folder" >&2; exit 2; }
	@test -e "$(DIR)" || { echo "no such folder: $(DIR)" >&2; exit 2; }
	@test -d "$(DIR)" || { echo "not a folder: $(DIR)" >&2; exit 2; }

python:
	@command -v $(PYTHON) >/dev/null || { \
	echo "Python 3.11 or newer is needed; $(PYTHON) was not found:" \
	"install it, or call make with PYTHON=/path/to/python3.11" >&2; exit 1; }

preflight: python
	@$(PYTHON) -m scripts.preflight setup

preflight-run: python
	@$(PYTHON) -m scripts.preflight run

$(RUN_SET): requirements/run.txt
	@echo "setting up .venv (once, about a minute)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(PIP) install -r requirements/run.txt
	@touch $@

$(DEV_SET): requirements/dev.txt $(RUN_SET)
	@echo "installing the development tools (once)"
	@$(PIP) install -r requirements/dev.txt
	@touch $@

$(FIDELITY_SET): requirements/fidelity.txt
	@echo "setting up $(FIDELITY_VENV) (once: a model server and 100 MB of model)"
	@$(PYTHON) -m venv --clear $(FIDELITY_VENV)
	@echo '*' > $(FIDELITY_VENV)/.gitignore
	@$(FIDELITY_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -r requirements/fidelity.txt
	@touch $@

$(CLIENTS_SET): requirements/clients.txt
	@echo "setting up $(CLIENTS_VENV) (once, about a minute)"
	@$(PYTHON) -m venv --clear $(CLIENTS_VENV)
	@echo '*' > $(CLIENTS_VENV)/.gitignore
	@$(CLIENTS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -r requirements/clients.txt
	@touch $@

$(MUTMUT_SET): requirements/mutmut.txt requirements/dev.txt requirements/run.txt
	@echo "setting up $(MUTMUT_VENV) (once, about a minute)"
	@$(PYTHON) -m venv --clear $(MUTMUT_VENV)
	@echo '*' > $(MUTMUT_VENV)/.gitignore
	@$(MUTMUT_VENV)/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/mutmut.txt
	@touch $@

$(FUZZ_SET): requirements/fuzz.txt
	@echo "setting up $(FUZZ_VENV) (once, a few seconds)"
	@$(PYTHON) -m venv --clear $(FUZZ_VENV)
	@echo '*' > $(FUZZ_VENV)/.gitignore
	@$(FUZZ_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -r requirements/fuzz.txt
	@touch $@

$(WEB_SET): requirements/web.txt requirements/run.txt
	@echo "setting up $(WEB_VENV) (once, about a minute)"
	@$(PYTHON) -m venv --clear $(WEB_VENV)
	@echo '*' > $(WEB_VENV)/.gitignore
	@$(WEB_VENV)/bin/python -m pip --disable-pip-version-check --quiet install -r requirements/web.txt
	@touch $@

$(COMPOSE_SET): requirements/compose.txt
	@echo "setting up $(COMPOSE_VENV) (once, a few seconds)"
	@$(PYTHON) -m venv --clear $(COMPOSE_VENV)
	@echo '*' > $(COMPOSE_VENV)/.gitignore
	@$(COMPOSE_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r requirements/compose.txt
	@touch $@

$(PEERS_SET): requirements/bench-peers.txt harness/bench/npm/package-lock.json
	@echo "setting up $(PEERS_VENV) (once, some minutes)"
	@$(PYTHON) -m venv --clear $(PEERS_VENV)
	@echo '*' > $(PEERS_VENV)/.gitignore
	@$(PEERS_VENV)/bin/python -m pip --disable-pip-version-check --quiet install --no-deps -r requirements/bench-peers.txt
	@cp harness/bench/npm/package.json harness/bench/npm/package-lock.json $(PEERS_VENV)/
	@if command -v npm >/dev/null; then npm --prefix $(PEERS_VENV) ci --ignore-scripts --no-audit --no-fund --loglevel error; \
	else echo "npm is not there: make bench will leave Portkey out" >&2; fi
	@touch $@
