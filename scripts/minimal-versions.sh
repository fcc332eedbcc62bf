#!/usr/bin/env bash
# Checks percolate-otel and percolate-macros, with all features, against the lowest versions that their
# manifests allow. Cargo selects them (`-Z direct-minimal-versions`) in a copy of the packages, without
# development dependencies. A requirement that is too low makes the selection or the check fail: raise it in
# `[workspace.dependencies]` of Cargo.toml. Dependencies of dependencies keep the versions of Cargo.lock, so
# that new releases do not change the result.
#
#   scripts/minimal-versions.sh     compiles into target/features, as `make features` does
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly PACKAGES=(percolate-macros percolate-otel)
mkdir -p "${CARGO_TARGET_DIR:-target}/features"
target=$(cd "${CARGO_TARGET_DIR:-target}/features" && pwd)
copy=$(mktemp -d)
readonly target copy
trap 'rm -rf "$copy"' EXIT

scripts/unpack-packages.sh "$target" "$copy" "${PACKAGES[@]}"
for manifest in "$copy"/*/Cargo.toml; do
    # The manifest of a package is normalised: each dependency is a table.
    sed -E '/^\[(target\..*\.)?dev-dependencies\./,/^$/d' "$manifest" >"$copy/manifest"
    mv "$copy/manifest" "$manifest"
done

# Cargo keeps the versions of a lock file. It selects those of the packages that are taken out of it.
direct=$(sed -En 's/^\[(target\..*\.)?dependencies\.([^].]*)\]$/\2/p' "$copy"/*/Cargo.toml | sort -u | paste -sd ' ' -)
awk -v RS= -v ORS='\n\n' -v direct="$direct" '
    BEGIN { count = split(direct, names, " "); for (i = 1; i <= count; i++) drop["\"" names[i] "\""] }
    !($4 in drop)
' Cargo.lock >"$copy/Cargo.lock"

cd "$copy"
# The option is unstable. It only decides what is written into the lock file.
RUSTC_BOOTSTRAP=1 cargo fetch --quiet -Z direct-minimal-versions
echo "the lowest versions:"
awk -v RS= -v direct="$direct" '
    BEGIN { count = split(direct, names, " "); for (i = 1; i <= count; i++) keep["\"" names[i] "\""] }
    $4 in keep { gsub(/"/, ""); print "  " $4 " " $7 }
' Cargo.lock
CARGO_PROFILE_DEV_DEBUG=false cargo check --locked --workspace --all-features --target-dir "$target"
