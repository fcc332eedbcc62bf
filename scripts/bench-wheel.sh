#!/usr/bin/env bash
# Measures the cost of a call from Python before it reaches the database (percolate-py/benches).
# Only the code of the wheel is built with optimisation, in the shared target folder: RocksDB is not
# part of the measurement.
#
#   scripts/bench-wheel.sh          the cost of finding the parent of a call
#   scripts/bench-wheel.sh rival    Rust spans in Python, compared with pyo3-tracing-opentelemetry (builds it first)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" = rival ]; then
    target=${CARGO_TARGET_DIR:-target}/rival-python
    cargo build --quiet --release --manifest-path bench/rival-python/Cargo.toml --target-dir "$target"
    package=$(mktemp -d)
    trap 'rm -rf "$package"' EXIT
    cp "$target/release/librival.so" "$package/rival.abi3.so"
    PYTHONPATH=$package:percolate-py/python .venv/bin/python bench/rival-python/measure.py
    exit
fi

cargo build --quiet --package percolate-py --config 'profile.dev.package.percolate-py.opt-level=3'

package=$(mktemp -d)
trap 'rm -rf "$package"' EXIT
mkdir "$package/percolate_rocks"
cp percolate-py/python/percolate_rocks/*.py "$package/percolate_rocks/"
cp "${CARGO_TARGET_DIR:-target}/debug/lib_percolate_rocks.so" "$package/percolate_rocks/_percolate_rocks.abi3.so"

for bench in percolate-py/benches/*.py; do
    PYTHONPATH=$package .venv/bin/python "$bench"
done
