#!/usr/bin/env bash
# Builds the wheel into .venv and tests it: pytest (with the examples in docstrings), types, the stub against the module.
# Shares profile, features and target folder with `cargo build --workspace`; only what is this package's is compiled.
#
#   scripts/test-wheel.sh                 everything
#   scripts/test-wheel.sh -k fork -x      pytest alone, with these arguments
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly BIN=$PWD/.venv/bin
export VIRTUAL_ENV=$PWD/.venv

# It says a lot of which only a failure is of interest.
if ! output=$("$BIN/maturin" develop --manifest-path percolate-py/Cargo.toml 2>&1); then
    printf '%s\n' "$output" >&2
    exit 1
fi

cd percolate-py
"$BIN/python" -m pytest "$@"
[ $# -eq 0 ] || exit 0
"$BIN/python" -m mypy
"$BIN/python" -m mypy.stubtest percolate_rocks._percolate_rocks --allowlist tests/stubtest-allowlist.txt
