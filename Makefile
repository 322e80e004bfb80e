# The two commands of the README: `make demo` and `make test`. Everything else serves them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
CARGO ?= cargo
PROFILE ?= dev
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY = $(abspath $(TARGET))/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/modelgate
RUNTIME := .venv/.onnxruntime-1.26.0
LIBRARY = $(abspath $(wildcard .venv/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.1.26.0))

.PHONY: help
help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

.PHONY: demo
demo: build $(RUNTIME) ## judge the flight-delay example and three candidates
	@ORT_DYLIB_PATH=$(LIBRARY) examples/flight-delay/demo.sh $(BINARY)

.PHONY: test
test: $(RUNTIME) ## everything that proves that it works
	ORT_DYLIB_PATH=$(LIBRARY) $(CARGO) test --locked

.PHONY: build
build:
	$(CARGO) build --locked --profile $(PROFILE)

.PHONY: generate
generate: ## write the generated files: the JSON Schema, the pages of the checks, what the cases expect
	MODELGATE_GENERATE=1 $(CARGO) test --locked --test it -- docs:: cases::

# ONNX Runtime's shared library comes inside its Python wheel.
$(RUNTIME):
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps onnxruntime==1.26.0
	@touch $@
