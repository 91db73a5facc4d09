# shellcheck shell=bash
# The process that becomes systemd-nspawn: lib/start.sh NAME OPTION…
# It records itself before it does anything, so that a killed 'bed up' can still be cleaned up.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/boot.sh"

name=$1
dir=$(bed_dir "$name")
shift
record "$dir/nspawn" "$BASHPID"
enter_cgroup "$(cgroup_name "$name")"
# shellcheck disable=SC2046 # a prefix of several words, or none
exec $(scope_prefix "$name") systemd-nspawn --quiet --directory="$dir/root" --machine="$name" \
    --register=no --keep-unit --console=pipe --capability=all --resolv-conf=off --timezone=off \
    --link-journal=no --network-namespace-path="/run/netns/$(netns_name "$name")" \
    "$@" /.bed-init
