# shellcheck shell=bash
# The process that becomes a virtual machine: lib/qemu-start.sh DIR IMAGES CMD…
# It records itself before it does anything, so that a killed 'vm up' can still be cleaned up.
set -euo pipefail
here=$(dirname "$0")
. "$here/common.sh"
. "$here/archive.sh"
. "$here/root.sh"
. "$here/qemu.sh"

record "$1/qemu" "$BASHPID"
qemu_root "$@"
