#!/bin/bash
# Everything that can be said about the source without running it ('make lint').
set -euo pipefail
cd "$(dirname "$(realpath "$0")")/.."

say() { printf '\n== %s\n' "$*"; }

shell_files() { git ls-files -z | xargs -0 grep -lE '^#!.*\b(ba|da)?sh\b|^# shellcheck shell=' --; }

# The units name programs that are not installed here: a staged copy has its own paths.
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

verify_units() {
    local unit
    make -s install PROFILE=dev DESTDIR="$stage/root" unitdir=/units >/dev/null
    for unit in "$stage"/root/units/*; do
        sed -i "s|/usr/libexec/|$stage/root/usr/libexec/|" "$unit"
    done
    # It warns on standard error and exits with 0.
    systemd-analyze verify --man=no "$stage"/root/units/* 2>&1 | tee "$stage/said"
    [ ! -s "$stage/said" ]
}

say cargo fmt
cargo fmt --check
say cargo clippy
cargo clippy --locked --all-targets -- -D warnings
say shellcheck
mapfile -t files < <(shell_files)
shellcheck -x "${files[@]}"
say systemd-analyze verify
make -s all PROFILE=dev
verify_units
say lintian
deb=$(tests/package/build-deb 2>"$stage/deb.log" | tail -1) || { tail -30 "$stage/deb.log" && exit 1; }
lintian --fail-on error,warning "${deb%/*}"/qemu-web-desktop_*.changes
say "nothing to complain about"
