# shellcheck shell=bash
# shellcheck disable=SC2034 # used by those that source it
# Shared by all programs of the test bed: messages, the cache, locks, recorded processes.

CACHE=$(realpath -m "${QWD_CACHE:-/var/cache/qwd-testbed}")
HERE=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

need_root() { [ "$(id -u)" = 0 ] || die "must run as root"; }

need_tool() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null || die "$tool is not installed: run 'make deps' as root"
    done
}

# A name becomes part of paths, cgroups and interfaces: keep it plain and short.
check_name() {
    [[ $1 =~ ^[a-z0-9][a-z0-9-]{0,30}$ ]] || die "bad name '$1': want [a-z0-9-], at most 31"
}

check_suite() {
    case $1 in bookworm | trixie) ;; *) die "unknown suite '$1': want bookworm or trixie" ;; esac
}

# words FILE…: the words of package lists, without comments, one per line.
words() { sed 's/#.*//' "$@" | tr -s ' \t\n' '\n' | sed '/^$/d'; }

# locked FILE CMD…: one at a time; the lock ends with the process, however that ends.
locked() {
    local file=$1 fd status=0
    shift
    mkdir -p "$(dirname "$file")"
    exec {fd}>"$file"
    flock "$fd"
    "$@" {fd}>&- || status=$?
    exec {fd}>&-
    return "$status"
}

# A process is its pid and its start time, so that a reused pid is never taken for it.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

record() { printf '%s %s\n' "$2" "$(start_time "$2")" >"$1"; }

# recorded FILE: prints the pid if that process still lives.
recorded() {
    local pid when
    [ -e "$1" ] && read -r pid when <"$1" || return 1
    [ -n "$when" ] && [ "$(start_time "$pid")" = "$when" ] && echo "$pid"
}

# kill_recorded FILE [SIGNAL]: end it, wait for its end, forget it.
kill_recorded() {
    local pid
    if pid=$(recorded "$1"); then
        kill -s "${2:-TERM}" "$pid" 2>/dev/null || true
        wait_gone "$pid" 5 || { kill -KILL "$pid" 2>/dev/null && wait_gone "$pid" 10; } || true
    fi
    rm -f "$1"
}

# A zombie whose parent is slow is gone for our purposes.
alive() { case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in '' | Z* | X*) return 1 ;; esac; }

wait_gone() { wait_until "$2" not alive "$1"; }

not() { ! "$@"; }

# mounts_under DIR: the mount points at DIR and below it, the deepest first.
mounts_under() {
    awk -v d="$1/" 'index($5 "/", d) == 1 { print $5 }' /proc/self/mountinfo | sort -r
}

# A mount that a process still uses is detached rather than left.
unmount_under() {
    local point
    # A bind mount of the host's /sys shares its changes with it: to unmount one would unmount both.
    for point in $(mounts_under "$1"); do mount --make-private "$point"; done
    for point in $(mounts_under "$1"); do
        umount "$point" 2>/dev/null || umount -R -l "$point"
    done
}

# remove_tree DIR: never what is mounted below it.
remove_tree() {
    unmount_under "$1"
    rm -rf --one-file-system "$1"
}

# wait_until SECONDS CMD…: looks every 20 ms for an event nobody will tell us about.
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.02
    done
}
