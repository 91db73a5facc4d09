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

make_root() {
    local suite=$1 flavour=$2 dir=$3 files
    [ ! -d "$dir" ] || return 0
    need_tool mmdebstrap
    say "making a root of $suite ($flavour), about two minutes"
    rm -rf "$dir.part"
    mkdir -p "${dir%/*}"
    files=$(package_files "$suite" "$flavour") || return 1
    # shellcheck disable=SC2086 # a list of files without blanks
    bootstrap "$suite" "$flavour" "$dir.part" "$(words $files | sort -u | paste -sd,)" \
        >"$dir.log" 2>&1 || { tail -20 "$dir.log" >&2; return 1; }
    # Only a finished root gets the name that is looked for.
    mv "$dir.part" "$dir"
}

# bootstrap SUITE FLAVOUR DIR PACKAGES
bootstrap() {
    local suite=$1 flavour=$2 dir=$3 packages=$4 file options=()
    for file in $(customizers "$flavour"); do
        options+=("--customize-hook='$file' \"\$1\" $suite $flavour")
    done
    apt_options >"$dir.apt.conf" || return 1
    sources "$suite" >"$dir.list" || return 1
    nice mmdebstrap --variant=minbase --include="$packages" \
        --aptopt="$dir.apt.conf" --keyring="$KEYRING" --dpkgopt=force-unsafe-io \
        "${options[@]}" \
        "$suite" "$dir" "$dir.list" || return 1
    rm -f "$dir.apt.conf" "$dir.list"
}
