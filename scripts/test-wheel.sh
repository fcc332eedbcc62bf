#!/usr/bin/env bash
# Builds the wheel into .venv and tests it: pytest (with the examples in docstrings), types, the stub against the module,
# and once more what touches OpenTelemetry, against the oldest SDK supported.
# Shares profile, features and target folder with `cargo build --workspace`; only what is this package's is compiled.
#
#   scripts/test-wheel.sh                 everything
#   scripts/test-wheel.sh -k fork -x      pytest alone, with these arguments
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly BIN=$PWD/.venv/bin
readonly OLDEST=$PWD/.venv/oldest
readonly REQUIREMENTS=percolate-py/requirements-oldest.txt

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

if ! cmp -s "$REQUIREMENTS" "$OLDEST/installed.txt"; then
    rm -rf "$OLDEST"
    "$BIN/python" -m venv "$OLDEST"
    "$OLDEST/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$REQUIREMENTS"
    cp "$REQUIREMENTS" "$OLDEST/installed.txt"
fi
install "$OLDEST"
echo "oldest SDK: $("$OLDEST/bin/python" -c 'import opentelemetry.sdk.version as v; print(v.__version__)')"
# That SDK itself uses what setuptools has deprecated since.
(
    cd percolate-py
    "$OLDEST/bin/python" -m pytest --quiet -W "ignore:pkg_resources is deprecated" \
        tests/test_propagation.py tests/test_telemetry.py tests/test_baggage.py
)
