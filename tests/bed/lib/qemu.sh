# shellcheck shell=bash
# QEMU and its tools out of the cached trixie root, so that they are the same on every host and
# do not meddle with what is installed there.
# Inside, /srv is the directory of the machine and /mnt the directory of its image.

# qemu_root DIR IMAGES CMD…: become CMD, in a mount namespace of its own; the pid stays.
qemu_root() {
    local root
    root=$(ensure_root trixie) || exit 1
    # shellcheck disable=SC2016 # expanded in there
    exec unshare --mount --propagation private bash -c '
        set -e
        mount --bind "$2" "$1/srv"
        mount --bind "$3" "$1/mnt"
        for dir in dev proc; do mount --rbind "/$dir" "$1/$dir"; done
        # User-mode network asks the resolver named there.
        mount --bind "$(realpath /etc/resolv.conf)" "$1/etc/resolv.conf"
        root=$1
        shift 3
        exec chroot "$root" "$@"' sh "$root" "$@"
}

# qemu_img DIR IMAGES ARG…
qemu_img() {
    local dir=$1 images=$2
    shift 2
    (qemu_root "$dir" "$images" qemu-img "$@")
}

# qmp SOCKET COMMAND [ARGUMENTS]: one command, its answer as JSON.
qmp() { python3 "$HERE/qmp" "$@"; }
