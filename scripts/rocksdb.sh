#!/usr/bin/env bash
# Compiles RocksDB into target/rocksdb/librocksdb.a. .cargo/config.toml passes this path to
# librocksdb-sys.
#
# The sources, their list and the definitions are those of the librocksdb-sys crate in Cargo.lock.
# Its own build compiles 343 files separately, and most of the time is spent on parsing the same
# headers. This script compiles them in sixteen units, which takes about a quarter of the processor
# time. The library is optimised like RocksDB's releases, and all profiles use it.
#
# Takes less than a second if the library is up to date. CXX selects the compiler, ROCKSDB_JOBS the
# number of units that are compiled at the same time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly UNITS=16
readonly PLACE=target/rocksdb
readonly LIBRARY=$PLACE/librocksdb.a
readonly COMPILER=${CXX:-c++}

# source_of CRATE: the folder of a crate's source, downloaded if necessary.
source_of() {
    local manifest
    manifest=$(cargo metadata --locked --format-version 1 |
        grep -o "\"manifest_path\":\"[^\"]*/$1-[0-9][^\"]*/Cargo.toml\"" | head -n 1 | cut -d '"' -f 4)
    [ -n "$manifest" ] || {
        echo "rocksdb: Cargo.lock does not contain the crate $1" >&2
        exit 1
    }
    dirname "$manifest"
}

version=$(sed -n '/^name = "librocksdb-sys"/{n;s/^version = "\(.*\)"/\1/p}' Cargo.lock)
flags=(-O2 -std=c++20 -fPIC -ffunction-sections -fdata-sections -w
    -DNDEBUG=1 -DLZ4=1 -DZSTD=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION
    -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX)
case $(uname -s) in
    Linux)
        flags+=(-DOS_LINUX -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT
            -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT)
        jobs=${ROCKSDB_JOBS:-$(nproc)}
        ;;
    Darwin)
        flags+=(-DOS_MACOSX)
        jobs=${ROCKSDB_JOBS:-$(sysctl -n hw.ncpu)}
        ;;
    *)
        echo "rocksdb: this script supports Linux and macOS only; set ROCKSDB_COMPILE=1 to let librocksdb-sys compile RocksDB" >&2
        exit 1
        ;;
esac
readonly STAMP="librocksdb-sys $version, $("$COMPILER" --version | head -n 1), ${flags[*]}"

if [ -f "$LIBRARY" ] && [ "$(cat "$PLACE/stamp" 2>/dev/null)" = "$STAMP" ]; then
    exit 0
fi

source=$(source_of librocksdb-sys)
lz4=$(source_of lz4-sys)/liblz4
zstd=$(source_of zstd-sys)/zstd/lib
includes=(-I"$source/rocksdb/include" -I"$source/rocksdb" -I"$source/rocksdb/third-party/gtest-1.8.1/fused-src"
    -I"$source" -I"$lz4" -I"$lz4/lib" -I"$zstd" -include cstdint)

work=$PLACE/work
rm -rf "$PLACE"
mkdir -p "$work"
sed 's/^ *//; /^$/d; /util\/build_version.cc/d' "$source/rocksdb_lib_sources.txt" |
    awk -v units="$UNITS" -v work="$work" '
        { lines[NR] = $0 }
        END {
            for (line = 1; line <= NR; line++) {
                unit = int((line - 1) * units / NR) + 1
                printf "#include \"rocksdb/%s\"\n", lines[line] > sprintf("%s/%02d.cc", work, unit)
            }
        }'
printf '#include "build_version.cc"\n' >"$work/00.cc"

echo "rocksdb: compiling RocksDB $version in $((UNITS + 1)) units, $jobs at a time (about 15 minutes of processor time, once)"
export COMPILER work
# shellcheck disable=SC2016
printf '%s\0' "$work"/*.cc | xargs -0 -P "$jobs" -I{} bash -c '
    unit=$(basename "$1" .cc)
    shift
    "$COMPILER" "$@" -c "$work/$unit.cc" -o "$work/$unit.part"
    mv "$work/$unit.part" "$work/$unit.o"
    set -- "$work"/*.o
    echo "rocksdb: $#/'"$((UNITS + 1))"' units compiled"
' unit {} "${flags[@]}" "${includes[@]}"

ar crs "$LIBRARY" "$work"/*.o
rm -rf "$work"
printf '%s\n' "$STAMP" >"$PLACE/stamp"
echo "rocksdb: $LIBRARY is ready"
