#!/usr/bin/env bash
# Builds the wheel into .venv and tests it: pytest (with the examples in docstrings), mypy, and
# stubtest. The tests of the database run again over SlateDB, with PERCOLATE_TEST_ENGINE. Then runs the tests that depend on OpenTelemetry and the interpreter
# again: with the oldest supported SDK on the oldest Python found, and with the newest SDK on
# the newest Python. PYTHONS lists more interpreters to consider. Uses the profile, the features and
# the target folder of `cargo build --workspace`, so only this package is compiled.
#
#   scripts/test-wheel.sh                 everything
#   scripts/test-wheel.sh -k fork -x      only pytest, with these arguments
#   PERCOLATE_TEST_ENGINE=slatedb scripts/test-wheel.sh tests/test_query.py    the same over SlateDB
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly BIN=$PWD/.venv/bin
# The tests in which the engine could matter. Those of telemetry, processes and the command do not repeat.
readonly OF_ENGINES=(tests/test_{arrow,calls,compat,database,import,parquet,propagation,query,search,search_on_write,search_vectors,search_where,tables,writes}.py)
readonly TESTS=(tests/test_{baggage,database,on_start,propagation,report,telemetry,trace_context}.py)

# install ENVIRONMENT: builds the package and installs it there. The output is printed only after a
# failure.
install() {
    local output
    if ! output=$(VIRTUAL_ENV=$1 "$BIN/maturin" develop --manifest-path percolate-py/Cargo.toml 2>&1); then
        printf '%s\n' "$output" >&2
        return 1
    fi
}

install "$PWD/.venv"
(cd percolate-py && "$BIN/python" -m pytest "$@")
[ $# -eq 0 ] || exit 0
(
    cd percolate-py
    # Ctrl-C and large tables take long, and do not depend on the engine.
    PERCOLATE_TEST_ENGINE=slatedb "$BIN/python" -m pytest --quiet -k "not ctrl_c and not large" "${OF_ENGINES[@]}"
    "$BIN/python" -m mypy
    "$BIN/python" -m mypy.stubtest percolate_rocks._percolate_rocks --allowlist tests/stubtest-allowlist.txt
)

# Interpreters from 3.10 on, as "MINOR PATH", oldest first: of .venv, in PYTHONS, on the PATH, and
# of pyenv.
interpreters() {
    local python
    for python in "$BIN/python" ${PYTHONS:-} python3 python3.1{0..9} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1*/bin/python; do
        "$python" -c 'import ensurepip, sys, venv; v = sys.version_info
if v >= (3, 10) and getattr(sys, "_is_gil_enabled", lambda: True)() and not hasattr(sys, "pypy_version_info"):
    print(v.minor, sys.executable)' 2>/dev/null || true
    done | sort --key=1n --stable
}

# test_in NAME PYTHON REQUIREMENTS: runs TESTS in their own environment, created again when its
# requirements change.
test_in() {
    local environment=$PWD/.venv/$1 contents
    contents="$("$2" --version)
$(cat "$3")"
    if [ "$contents" != "$(cat "$environment/contents" 2>/dev/null)" ]; then
        rm -rf "$environment"
        "$2" -m venv "$environment"
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$3"
        printf '%s\n' "$contents" >"$environment/contents"
    fi
    install "$environment"
    echo "$1: $("$2" --version), OpenTelemetry SDK $("$environment/bin/python" -c 'import opentelemetry.sdk.version as v; print(v.__version__)')"
    # The oldest SDK imports pkg_resources, which setuptools has deprecated since.
    (cd percolate-py && "$environment/bin/python" -m pytest --quiet -W "ignore:pkg_resources is deprecated" "${TESTS[@]}")
}

found=$(interpreters)
test_in oldest "$(sed -n '1s/^[0-9]* //p' <<<"$found")" percolate-py/requirements-oldest.txt
newest=$(mktemp)
trap 'rm -f "$newest"' EXIT
grep -E '^(hypothesis|opentelemetry|pytest)' percolate-py/requirements-dev.txt | grep -v fastapi >"$newest"
if [ "${found##*$'\n'}" != "${found%%$'\n'*}" ]; then
    test_in newest "$(sed -n '$s/^[0-9]* //p' <<<"$found")" "$newest"
fi
