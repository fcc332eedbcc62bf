#!/usr/bin/env bash
# Builds the wheel into .venv and tests it: pytest (with the examples in docstrings), types, the stub against the module.
# Then once more what touches OpenTelemetry and the interpreter, with the oldest SDK on the oldest Python that is found
# here, and with the newest SDK on the newest one. PYTHONS names other interpreters to look among.
# Shares profile, features and target folder with `cargo build --workspace`; only what is this package's is compiled.
#
#   scripts/test-wheel.sh                 everything
#   scripts/test-wheel.sh -k fork -x      pytest alone, with these arguments
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly BIN=$PWD/.venv/bin
readonly TESTS=(tests/test_{baggage,database,propagation,telemetry,trace_context}.py)

# install ENVIRONMENT: builds and installs the package there. It says a lot of which only a failure is of interest.
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
    "$BIN/python" -m mypy
    "$BIN/python" -m mypy.stubtest percolate_rocks._percolate_rocks --allowlist tests/stubtest-allowlist.txt
)

# Interpreters from 3.10 on, as "MINOR PATH", oldest first: .venv's own, those named in PYTHONS, on the PATH, of pyenv.
interpreters() {
    local python
    for python in "$BIN/python" ${PYTHONS:-} python3 python3.1{0..9} "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1*/bin/python; do
        "$python" -c 'import ensurepip, sys, venv; v = sys.version_info
if v >= (3, 10) and getattr(sys, "_is_gil_enabled", lambda: True)() and not hasattr(sys, "pypy_version_info"):
    print(v.minor, sys.executable)' 2>/dev/null || true
    done | sort --key=1n --stable
}

# test_in NAME PYTHON REQUIREMENTS: runs TESTS in an environment of its own, made anew when what it is made of changes.
test_in() {
    local environment=$PWD/.venv/$1 made_of
    made_of="$("$2" --version)
$(cat "$3")"
    if [ "$made_of" != "$(cat "$environment/made-of" 2>/dev/null)" ]; then
        rm -rf "$environment"
        "$2" -m venv "$environment"
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$3"
        printf '%s\n' "$made_of" >"$environment/made-of"
    fi
    install "$environment"
    echo "$1: $("$2" --version), OpenTelemetry SDK $("$environment/bin/python" -c 'import opentelemetry.sdk.version as v; print(v.__version__)')"
    # The oldest SDK itself uses what setuptools has deprecated since.
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
