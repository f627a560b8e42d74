# Commands of this repository. `make` lists them.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

CACHE := $(or $(XDG_CACHE_HOME),$(if $(HOME),$(HOME)/.cache),/tmp)/autoops

# A build server clones anew each time; what was built before is kept outside of the clone.
ifdef CI
export CARGO_TARGET_DIR ?= $(CACHE)/target
endif
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Nothing on this machine is reached by way of a proxy.
COMMA := ,
OTHERS := $(or $(NO_PROXY),$(no_proxy))
export NO_PROXY := 127.0.0.1,localhost$(if $(OTHERS),$(COMMA)$(OTHERS))
export no_proxy := $(NO_PROXY)

.PHONY: dev
dev: cargo ## Build and run everything on this machine; ARGS="--help" shows what can be set
	@$(if $(STORE),scripts/engines)
	@scripts/step "build" cargo build --workspace --bins
	@exec $(TARGET)/debug/autoops-dev $(if $(STORE),--store $(STORE)) $(ARGS)

# Workflow tests mostly wait for each other's timers: more threads than cores make them quick.
.PHONY: test
test: toolchain ## Format, lints, templates and all tests, as the build server runs them
	@scripts/step "1/7 format" cargo fmt --all --check
	@scripts/step "2/7 infrastructure" scripts/cfn-lint
	@scripts/step "3/7 lints" cargo clippy --workspace --all-targets --locked -- -D warnings
	@scripts/step "4/7 programs and tests" cargo build --workspace --all-targets --locked
	@scripts/step "5/7 Temporal server" $(TARGET)/debug/autoops-dev find-temporal
	@scripts/step "6/7 DynamoDB Local and OpenSearch" scripts/engines
	@RUST_TEST_THREADS=8 scripts/step "7/7 tests" cargo test --workspace --locked
	@echo "all steps passed"

.PHONY: test-stack
test-stack: toolchain ## Test the adapters of AWS services alone, on real engines
	@scripts/step "1/3 programs and tests" cargo build --workspace --all-targets --locked
	@scripts/step "2/3 DynamoDB Local and OpenSearch" scripts/engines
	@scripts/step "3/3 tests" cargo test --workspace --locked --test engines

.PHONY: chaos
chaos: toolchain ## Kill worker and server in larger samples, raise 100000 alerts at once; AUTOOPS_KILL_SEED=N takes others
	@scripts/step "1/2 programs and tests" cargo build --workspace --all-targets --locked
	@AUTOOPS_CHAOS=1 scripts/step "2/2 kills" cargo test --workspace --locked --test kill -- --nocapture

# The release build of the worker lies beside the bench, which takes that one.
.PHONY: bench
bench: cargo ## Patch 100, 1000 and 10000 simulated devices; AUTOOPS_BENCH_DEVICES=N,M takes others
	@scripts/step "1/2 programs and bench" cargo build --release --workspace --bins --bench scale --locked
	@scripts/step "2/2 bench" cargo bench --workspace --bench scale --locked

.PHONY: bench-campaign
bench-campaign: cargo ## Run a campaign over 10000 simulated devices; AUTOOPS_BENCH_DEVICES=N,M takes others
	@scripts/step "1/2 programs and bench" cargo build --release --workspace --bins --bench scale --locked
	@AUTOOPS_BENCH_OF=campaign scripts/step "2/2 bench" cargo bench --workspace --bench scale --locked

# The records are few and written by hand: they show what comes out. Figures on real data: docs/priorities.md.
.PHONY: eval
eval: cargo ## Try the analysis on a few records, and measure how fast it ranks; needs no server
	@scripts/step "1/2 program" cargo build -p autoops-starter --bin autoops --locked
	@$(TARGET)/debug/autoops eval deadlines --explain --kev starter/fixtures/eval/kev.json < starter/fixtures/eval/records.jsonl
	@scripts/step "2/2 bench" cargo bench -p autoops-domain --bench ranking --locked

.PHONY: check
check: toolchain ## Format, lints and documentation, without tests
	@scripts/step "1/3 format" cargo fmt --all --check
	@scripts/step "2/3 lints" cargo clippy --workspace --all-targets --locked -- -D warnings
	@RUSTDOCFLAGS="-D warnings" scripts/step "3/3 documentation" cargo doc --workspace --no-deps --locked

.PHONY: infra
infra: ## Check the CloudFormation templates and the environments
	@scripts/step "infrastructure" scripts/cfn-lint

.PHONY: histories
histories: cargo ## Record the workflow histories of the replay tests anew
	@AUTOOPS_RECORD_HISTORIES=1 scripts/step "histories" cargo test --workspace --locked --test workflows records_histories

.PHONY: clean
clean: ## Remove what was built; the data of `make dev` stays
	@cargo clean
	@rm -rf bin

# What is missing is fetched by rustup, in the version of rust-toolchain.toml.
.PHONY: cargo toolchain
cargo:
	@scripts/toolchain
toolchain:
	@scripts/toolchain rustfmt clippy
