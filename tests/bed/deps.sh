#!/bin/bash
# As root: install by apt what this machine lacks to build, test and demonstrate the project.
# Debian 12 or 13. Does nothing, and asks the archive nothing, when everything is there.
# QEMU is not in the list: the tests use the one in the test bed's own roots, so that the host's
# packages neither matter nor conflict.
set -euo pipefail

RUST=1.85

packages=(
    # build
    gcc make pkg-config libpam0g-dev git
    # the .deb
    debhelper dh-sysuser apache2-dev devscripts lintian fakeroot
    # lint
    shellcheck
    # the test bed
    mmdebstrap debian-archive-keyring systemd-container iproute2 socat slirp4netns
    openssh-client e2fsprogs fdisk
    # tests and measurements
    dbus-daemon
    curl python3 python3-pytest python3-pytest-xdist python3-websocket python3-prometheus-client wrk chromium chromium-driver fonts-dejavu-core
)

# at_least WANTED VERSION
at_least() { printf '%s\n' "$1" "$2" | sort -VC; }

# A toolchain from elsewhere, the person's own if this runs under sudo, is as good as Debian's.
has_rust() {
    local home tool version
    home=$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)
    for tool in cargo rustc; do
        version=$(HOME=$home PATH=$PATH:$home/.cargo/bin "$tool" --version 2>/dev/null | cut -d' ' -f2)
        [ -n "$version" ] && at_least "$RUST" "$version" || return 1
    done
    PATH=$PATH:$home/.cargo/bin command -v rustfmt >/dev/null
}

# Debian 12 ships a compiler that keeps up with browsers under a name of its own.
rust_packages() {
    # shellcheck source=/dev/null
    case $(. /etc/os-release && echo "${VERSION_ID:-}") in
        12) echo cargo-web rustc-web rustfmt-web ;;
        *) echo cargo rustc rustfmt rust-clippy ;;
    esac
}

installed() { [ "$(dpkg-query -Wf '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Debian 12's first archive keyring does not know Debian 13.
knows_trixie() { [ -e /usr/share/keyrings/debian-archive-trixie-automatic.gpg ]; }

missing() {
    local package
    for package in "${packages[@]}"; do
        installed "$package" || echo "$package"
    done
    has_rust || for package in $(rust_packages); do installed "$package" || echo "$package"; done
    knows_trixie || echo debian-archive-keyring
}

main() {
    [ "$(id -u)" = 0 ] || { echo "deps: must run as root" >&2 && exit 1; }
    local wanted
    mapfile -t wanted < <(missing | sort -u)
    [ "${#wanted[@]}" -gt 0 ] || return 0
    echo "deps: installing ${wanted[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -qq -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0)
    "${apt[@]}" update
    "${apt[@]}" install -y --no-install-recommends "${wanted[@]}" >/dev/null
}

main
