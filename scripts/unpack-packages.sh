#!/usr/bin/env bash
# Makes the packages as `cargo publish` does, and unpacks them into one workspace in which each package uses
# the others.
#
#   scripts/unpack-packages.sh TARGET COPY PACKAGE...    packages into TARGET/package, workspace into COPY
#
# `cargo package` can check several packages too. It unpacks them into its registry cache under their versions,
# and does not notice there that the contents of a version have changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly target=$1 copy=$2
shift 2
version=$(sed -n '/^\[workspace.package\]/,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
readonly version

cargo package --locked --allow-dirty --no-verify --target-dir "$target" "${@/#/--package=}"
rm -rf "$copy"
mkdir -p "$copy"
cp Cargo.lock "$copy"
# The profile of the workspace, so that both use the same compiled dependencies.
{
    printf '[workspace]\nresolver = "3"\nmembers = ["*-%s"]\n\n' "$version"
    sed -n '/^\[profile\.dev/,/^$/p' Cargo.toml
    printf '[patch.crates-io]\n'
} >"$copy/Cargo.toml"
for package in "$@"; do
    # Not with the times of the package, which are old: cargo would take changed files for known ones.
    tar -xzmf "$target/package/$package-$version.crate" -C "$copy"
    printf '%s = { path = "%s-%s" }\n' "$package" "$package" "$version" >>"$copy/Cargo.toml"
done
