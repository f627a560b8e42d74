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
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: dev
dev: toolchain ## Build and run everything on this machine; ARGS="--help" shows what can be set
	@scripts/step "build" cargo build --workspace --bins
	@exec $(TARGET)/debug/autoops-dev $(ARGS)

# Workflow tests mostly wait for each other's timers: more threads than cores make them quick.
.PHONY: test
test: toolchain ## Format, lints and all tests, as the build server runs them
	@scripts/step "1/5 format" cargo fmt --all --check
	@scripts/step "2/5 lints" cargo clippy --workspace --all-targets --locked -- -D warnings
	@scripts/step "3/5 programs and tests" cargo build --workspace --all-targets --locked
	@scripts/step "4/5 Temporal server" $(TARGET)/debug/autoops-dev find-temporal
	@RUST_TEST_THREADS=8 scripts/step "5/5 tests" cargo test --workspace --locked
	@echo "all steps passed"

.PHONY: check
check: toolchain ## Format, lints and documentation, without tests
	@scripts/step "1/3 format" cargo fmt --all --check
	@scripts/step "2/3 lints" cargo clippy --workspace --all-targets --locked -- -D warnings
	@RUSTDOCFLAGS="-D warnings" scripts/step "3/3 documentation" cargo doc --workspace --no-deps --locked

.PHONY: histories
histories: toolchain ## Record the workflow histories of the replay tests anew
	@AUTOOPS_RECORD_HISTORIES=1 scripts/step "histories" cargo test -p autoops-tests --test workflows records_histories

.PHONY: clean
clean: ## Remove what was built; the data of `make dev` stays
	@cargo clean
	@rm -rf bin

# rustup reads rust-toolchain.toml and fetches what is missing.
.PHONY: toolchain
toolchain:
	@scripts/toolchain
