#!/usr/bin/env bash
# Runs the targets in tests/fuzz under libFuzzer, from the inputs in tests/fuzz/corpus.
#
#   scripts/fuzz.sh              every target
#   scripts/fuzz.sh TARGET...    these targets
#
# PERCOLATE_FUZZ_SECONDS sets the time of each target: 60 by default. Inputs that reach new code are
# collected in target/fuzz/corpus, inputs that break a promise in target/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly BUILT=${CARGO_TARGET_DIR:-target}/fuzz

RUSTC_WRAPPER=$PWD/fuzz/instrument.sh cargo build --manifest-path fuzz/Cargo.toml --target-dir "$BUILT"
export PERCOLATE_CONVENTIONS=strict
if [ $# -eq 0 ]; then
    for target in tests/fuzz/corpus/*; do set -- "$@" "${target##*/}"; done
fi
broken=()
for target in "$@"; do
    echo "==> $target"
    mkdir -p "$BUILT/corpus/$target" "$BUILT/artifacts/$target"
    "$BUILT/debug/$target" -max_total_time="${PERCOLATE_FUZZ_SECONDS:-60}" -timeout=30 -rss_limit_mb=2048 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="$BUILT/artifacts/$target/" \
        "$BUILT/corpus/$target" "tests/fuzz/corpus/$target" || broken+=("$target")
done
if [ ${#broken[@]} -gt 0 ]; then
    echo "fuzz: broken: ${broken[*]}. The inputs are in $BUILT/artifacts; once mended, add them to tests/fuzz/corpus" >&2
    exit 1
fi
