#!/usr/bin/env bash
# Measures the wheel (percolate-py/benches).
#
#   scripts/bench-wheel.sh            the cost of finding the parent of a call, before it reaches the
#                                     database. Only the code of the wheel is built with optimisation
#   scripts/bench-wheel.sh operations get, insert, query and search, compared with rocksdict and sqlite3.
#                                     Builds the release wheel, which takes half an hour the first time
#   scripts/bench-wheel.sh compare    one task with percolate, LanceDB, Chroma and sqlite-utils, in a release wheel
#   scripts/bench-wheel.sh features   what these four can do, each line tried
#   scripts/bench-wheel.sh rival      Rust spans in Python, compared with pyo3-tracing-opentelemetry (builds it first)
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

# run BENCH PROFILE: runs a benchmark with the library of this profile.
run() {
    local package
    package=$(mktemp -d)
    mkdir "$package/percolate_rocks"
    cp percolate-py/python/percolate_rocks/*.py "$package/percolate_rocks/"
    cp "${CARGO_TARGET_DIR:-target}/$2/lib_percolate_rocks.so" "$package/percolate_rocks/_percolate_rocks.abi3.so"
    PYTHONPATH=$package .venv/bin/python "percolate-py/benches/$1.py"
    rm -rf "$package"
}

if [ "${1:-}" = compare ] || [ "${1:-}" = features ]; then
    environment=${CARGO_TARGET_DIR:-target}/compare-python
    [ -d "$environment" ] || "${PYTHON:-python3}" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet --requirement bench/compare-python/requirements.txt
    cargo build --quiet --release --package percolate-py
    package=$(mktemp -d)
    trap 'rm -rf "$package"' EXIT
    mkdir "$package/percolate_rocks"
    cp percolate-py/python/percolate_rocks/*.py "$package/percolate_rocks/"
    cp "${CARGO_TARGET_DIR:-target}/release/lib_percolate_rocks.so" "$package/percolate_rocks/_percolate_rocks.abi3.so"
    program=measure
    [ "$1" = compare ] || program=features
    PYTHONPATH=$package "$environment/bin/python" "bench/compare-python/$program.py"
    exit
fi

if [ "${1:-}" = operations ]; then
    .venv/bin/python -m pip install --quiet rocksdict==0.3.29
    cargo build --quiet --release --package percolate-py
    run operations release
    exit
fi

cargo build --quiet --package percolate-py --config 'profile.dev.package.percolate-py.opt-level=3'
run capture debug
