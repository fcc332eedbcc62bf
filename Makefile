# percolate's everyday commands. `make` lists them; docs/development.md says more.
#
# Everything builds with one profile, one feature set and the flags of the environment as they are: RocksDB is built
# once and shared by tests, clippy, examples and the wheel.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-rust test-wheel wheel lint fmt doc bench clean

TARGET := $(or $(CARGO_TARGET_DIR),target)

help:
	@echo "make demo    run the quickstart on the package manifests of this machine (seconds, after the first build)"
	@echo "make test    every test: Rust, doctests, compile errors, examples, the wheel (a few minutes)"
	@echo "make lint    format check, clippy and documentation, warnings denied (about a minute)"
	@echo "make wheel   build the Python wheel into $(TARGET)/wheels (a minute)"
	@echo "make bench   run the benchmarks (a quarter of an hour; the first time builds RocksDB once more, optimised)"
	@echo "make fmt     format the Rust code"
	@echo "make doc     build the documentation into $(TARGET)/doc"
	@echo "make setup   check the machine and install what is missing: libclang, a C++ compiler, .venv"
	@echo "make clean   delete $(TARGET) and .venv; the next build compiles RocksDB again"
	@echo
	@echo "The first build in a fresh clone compiles RocksDB and DataFusion: about twenty minutes on 2 cores."

setup:
	@scripts/setup.sh

demo:
	@scripts/setup.sh rust
	@cargo build --workspace --bin quickstart
	@"$(TARGET)/debug/quickstart"

test: test-rust test-wheel

test-rust:
	@scripts/setup.sh rust
	@echo "==> Rust: unit, integration, compile-error and example tests, doctests (a few minutes)"
	PERCOLATE_CONVENTIONS=strict cargo test --workspace --no-fail-fast

test-wheel:
	@scripts/setup.sh
	@echo "==> wheel: build, install into .venv, pytest (a minute)"
	scripts/test-wheel.sh

wheel:
	@scripts/setup.sh
	.venv/bin/maturin build --profile dev --manifest-path percolate-py/Cargo.toml --interpreter .venv/bin/python

lint:
	@scripts/setup.sh rust
	@echo "==> format (a second)"
	cargo fmt --all --check
	@echo "==> clippy, all targets (half a minute)"
	cargo clippy --workspace --all-targets -- -D warnings
	@echo "==> clippy, the instrumentation alone (half a minute)"
	cargo clippy --package percolate-core --no-default-features -- -D warnings
	@echo "==> documentation (half a minute)"
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

fmt:
	cargo fmt --all

doc:
	@scripts/setup.sh rust
	cargo doc --workspace --no-deps

bench:
	@scripts/setup.sh rust
	@echo "==> the first time builds RocksDB and DataFusion once more, optimised (25 minutes); then some minutes on an idle machine"
	cargo run --release --package percolate-bench --features store,sql,fastrace,autometrics
	@scripts/setup.sh python
	@echo "==> capturing the current Python span (a minute)"
	scripts/bench-wheel.sh

clean:
	cargo clean
	rm -rf .venv
