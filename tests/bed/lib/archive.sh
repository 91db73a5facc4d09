# shellcheck shell=bash
# Where Debian comes from: the machine's own apt configuration, never a name written here.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# host_uris: "URI RELEASE" of the host's Debian sources that have a component main.
host_uris() {
    # shellcheck disable=SC2016 # apt expands these
    apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' | awk '$3 == "main" { print $1, $2 }' | sort -u
}

# uri_for REGEX: the first host URI whose release matches.
uri_for() { host_uris | awk -v re="^($1)\$" '$2 ~ re { print $1; exit }'; }

# sources SUITE: one-line sources for SUITE, its updates and its security updates.
sources() {
    local suite=$1 main security
    main=$(uri_for "$suite")
    # The neighbour's archive holds it too; names that others use as well come last.
    main=${main:-$(uri_for 'bookworm|trixie')}
    main=${main:-$(uri_for 'oldstable|stable|testing|sid')}
    [ -n "$main" ] || die "found no Debian archive in the apt configuration of this machine"
    security=$(uri_for '[a-z]+-security')
    echo "deb [signed-by=$KEYRING] $main $suite main"
    echo "deb [signed-by=$KEYRING] $main $suite-updates main"
    if [ -n "$security" ]; then
        echo "deb [signed-by=$KEYRING] $security $suite-security main"
    fi
}

# apt_options: what a bootstrap must inherit to reach the archive as the host does.
apt_options() {
    apt-config dump | grep -E '^Acquire::(Check-(Valid-Until|Date)|Retries|https?::)' |
        grep -v ' "";$' || true
}
