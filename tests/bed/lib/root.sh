# shellcheck shell=bash
# Cached root directories, one per suite, flavour and content of the package lists.

# Packages of a flavour: "base" is the lists base and SUITE; another flavour adds its own list,
# but for minimal, which is less than base.
package_files() {
    local suite=$1 flavour=$2
    if [ "$flavour" = minimal ]; then
        echo "$HERE/packages/$flavour"
        return
    fi
    echo "$HERE/packages/base" "$HERE/packages/$suite"
    if [ "$flavour" != base ]; then
        [ -e "$HERE/packages/$flavour" ] || die "no package list packages/$flavour"
        echo "$HERE/packages/$flavour"
    fi
}

# The programs that finish a root; the first of them for every root.
customizers() {
    echo "$HERE/customize"
    [ "$1" != vm ] || echo "$HERE/customize-vm"
}

# The key: whatever decides the content of a root.
root_key() {
    local files
    files=$(package_files "$@") || exit 1
    # shellcheck disable=SC2046,SC2086 # lists of files without blanks
    { words $files | sort && cat $(customizers "$2"); } | sha256sum | cut -c1-12
}

root_dir() { echo "$CACHE/roots/$1-$2-$(root_key "$1" "$2")"; }

# ensure_root SUITE [FLAVOUR]: make it unless it is there, print its directory.
ensure_root() {
    local suite=$1 flavour=${2:-base} dir
    check_suite "$suite"
    dir=$(root_dir "$suite" "$flavour") || exit 1
    [ -d "$dir" ] || locked "$CACHE/lock.$suite-$flavour" make_root "$suite" "$flavour" "$dir" >&2 ||
        die "could not make a root of $suite ($flavour); see $dir.log"
    echo "$dir"
}

# Under the lock, so that no other attempt for this suite and flavour goes on.
make_root() {
    local suite=$1 flavour=$2 dir=$3 packages part attempt
    [ ! -d "$dir" ] || return 0
    need_tool mmdebstrap
    say "making a root of $suite ($flavour), about two minutes"
    mkdir -p "${dir%/*}"
    packages=$(package_files "$suite" "$flavour") || return 1
    # shellcheck disable=SC2086 # a list of files without blanks
    packages=$(words $packages | sort -u | paste -sd,)
    for attempt in 1 2 3; do
        remove_parts "$dir"
        part=$(mktemp -d "$dir.part.XXXXXX") && chmod 755 "$part" || return 1
        if bootstrap "$suite" "$flavour" "$part" "$packages" >"$dir.log" 2>&1; then
            # Only a finished root gets the name that is looked for.
            mv "$part" "$dir"
            return
        fi
        say_why "$dir.log"
        if [ "$attempt" = 3 ] || ! network_failed "$dir.log"; then break; fi
        say "the archive could not be reached: trying again"
    done
    remove_parts "$dir"
    return 1
}

# What broken attempts have left. One that cannot be removed does not hinder the next.
remove_parts() {
    local part
    for part in "$1".part*; do
        [ ! -e "$part" ] || remove_tree "$part" || say "could not remove $part"
    done
}

# mmdebstrap reports the cause first, and then what it cleans up.
say_why() {
    head -n -20 "$1" | grep -E '^(E|Err):|: error' | head -5 >&2
    tail -20 "$1" >&2
}

network_failed() {
    grep -qE 'Could not (resolve|connect)|Unable to connect|Temporary failure|Connection (failed|timed out|reset|refused)|Failed to fetch|Hash Sum mismatch| 50[0234] ' "$1"
}

# bootstrap SUITE FLAVOUR DIR PACKAGES
bootstrap() {
    local suite=$1 flavour=$2 dir=$3 packages=$4 file options=() status=0
    for file in $(customizers "$flavour"); do
        options+=("--customize-hook='$file' \"\$1\" $suite $flavour")
    done
    apt_options >"$dir.apt.conf" || return 1
    sources "$suite" >"$dir.list" || return 1
    contained nice mmdebstrap --variant=minbase --include="$packages" \
        --aptopt='Acquire::Retries "3"' --aptopt="$dir.apt.conf" \
        --keyring="$KEYRING" --dpkgopt=force-unsafe-io \
        "${options[@]}" \
        "$suite" "$dir" "$dir.list" || status=1
    rm -f "$dir.apt.conf" "$dir.list"
    return "$status"
}

# contained CMD…: what it mounts and starts ends with it, and it ends with us. mmdebstrap as root mounts
# /proc, /sys and /dev for all to see: killed, or with a process left that uses one, it leaves them.
contained() { setpriv --pdeathsig KILL unshare --mount --pid --mount-proc --fork --kill-child "$@"; }
