# Two commands are all that a newcomer needs: `make run` and `make test`. `make help` lists the rest.

CARGO ?= cargo
BINARY := $(or $(CARGO_TARGET_DIR),target)/release/timberyard

.DEFAULT_GOAL := help
.PHONY: help run build page test check bench conformance torture fuzz deps coverage \
        dev-setup build-prod test-coverage lint format migrate-up migrate-down migrate-create

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build what is missing and start on 127.0.0.1:8080, data in ./data
	@exec $(BINARY) server

build: page ## optimised binary: target/release/timberyard, with the page where Node is there
	@scripts/need rust
	$(CARGO) build --release --locked -p timberyard-app

page: ## the page alone, which the next build of the server takes in
	@scripts/page

test: deps ## set up what the tests need, then run all of them
	$(CARGO) test --workspace --locked

check: ## formatting, lints as errors, licences and sources, crate graph
	@scripts/need rust
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	scripts/cargo-deny check --hide-inclusion-graph bans licenses sources
	$(CARGO) run --quiet --locked -p xtask -- crate-graph
	scripts/lint-deploy
	scripts/page --check

bench: build deps ## measure decoders, formats and the built server, report into bench/reports; SIZE=quick takes a tenth of the lines
	@command -v zstd >/dev/null || { echo "bench needs the zstd command: every figure is divided by what it takes"; exit 1; }
	$(CARGO) run --release --locked -p timberyard-bench -- decode
	$(CARGO) run --release --locked -p timberyard-bench -- senders
	$(CARGO) run --release --locked -p timberyard-bench -- agent
	$(CARGO) run --release --locked -p timberyard-bench -- pipeline $(if $(filter quick,$(SIZE)),--lines 100000)
	$(CARGO) run --release --locked -p timberyard-bench -- pushdown $(if $(filter quick,$(SIZE)),--lines 100000)
	$(CARGO) run --release --locked -p timberyard-bench -- events $(if $(filter quick,$(SIZE)),--events 10000)
	$(CARGO) run --release --locked -p timberyard-bench -- run $(if $(filter quick,$(SIZE)),--quick)

conformance: ## compare a fresh server at URL with the recorded answers in DIR
	@test -n "$(DIR)" -a -n "$(URL)" || { echo "usage: make conformance DIR=folder URL=http://127.0.0.1:8080"; exit 2; }
	$(CARGO) run --quiet --locked -p timberyard-testkit --bin conformance -- "$(DIR)" "$(URL)"

torture: deps ## the tests at full size and for long; figures into target/torture.md
	scripts/torture

fuzz: ## decoders, LogQL and the store's files under libFuzzer; SECONDS_EACH=60, TARGETS="otlp_proto logql store"
	@scripts/fuzz

deps: ## set up what the tests need, nothing else
	@scripts/need rust
	@scripts/deps

coverage: deps ## test coverage, where cargo-llvm-cov is installed
	@command -v cargo-llvm-cov >/dev/null || { \
	  echo "coverage needs cargo-llvm-cov: cargo install cargo-llvm-cov && rustup component add llvm-tools"; exit 1; }
	$(CARGO) llvm-cov --workspace --locked --html

# The words of the systems that Timberyard replaces.
dev-setup: deps
build-prod: build
test-coverage: coverage
lint: check
format:
	$(CARGO) fmt --all
migrate-up migrate-down: build
	@exec $(BINARY) migrate $(@:migrate-%=%)
migrate-create: build
	@test -n "$(name)" || { echo "usage: make migrate-create name=what_it_does"; exit 2; }
	@exec $(BINARY) migrate new "$(name)"
