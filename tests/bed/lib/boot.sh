# shellcheck shell=bash
# Booting a root by systemd-nspawn with systemd as PID 1, and ending it again.
#
# A bed is the directory $CACHE/beds/NAME: upper/ and work/ of an overlay on the cached root,
# root/ (the mounted whole), and files that record what was started.

BEDS=$CACHE/beds
CG=/sys/fs/cgroup

bed_dir() { echo "$BEDS/$1"; }
netns_name() { echo "qwd-$1"; }
cgroup_name() { echo "qwd-bed-$1"; }

# The container's PID 1, as seen from here.
leader() { recorded "$(bed_dir "$1")/leader"; }

require_leader() { leader "$1" || die "no running bed '$1'"; }

### The root directory

mount_root() {
    local dir=$1 lower=$2
    mkdir -p "$dir"/{upper,work,root,dev}
    mount -t overlay "bed-${dir##*/}" \
        -o "lowerdir=$lower,upperdir=$dir/upper,workdir=$dir/work" "$dir/root" 2>/dev/null || {
        # No overlayfs here (a container without the right to mount it): a whole copy.
        rmdir "$dir/root"
        cp -a --reflink=auto "$lower" "$dir/root"
    }
}

# The bed has a name of its own, and knows the host's: what resolves it must not hang.
write_names() {
    local root=$1 name=$2 host
    host=$(hostname)
    echo "$name" >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 %s\n' \
        "$name" >"$root/etc/hosts"
    [ "$host" = "$name" ] || echo "127.0.1.1 $host" >>"$root/etc/hosts"
}

### Devices: nodes of the bed's own, so that its chmod does not reach the host's.

# clone_device DIR NODE GROUP: prints the nspawn option that brings it in.
clone_device() {
    local dir=$1 node=$2 group=$3 gid copy
    [ -c "$node" ] || return 0
    copy=$dir/dev/${node##*/}
    gid=$(awk -F: -v g="$group" '$1 == g { print $3 }' "$dir/root/etc/group")
    rm -f "$copy"
    # shellcheck disable=SC2046 # major and minor
    mknod "$copy" c $(stat -c '0x%t 0x%T' "$node")
    chown "root:${gid:-0}" "$copy"
    chmod 0660 "$copy"
    echo "--bind=$copy:$node"
}

### Control groups

legacy_cgroups() { [ ! -e "$CG/cgroup.controllers" ]; }

hierarchies() { find "$CG" -mindepth 1 -maxdepth 1 -type d; }

# Run in the process that becomes nspawn. With v1 each hierarchy needs a cgroup of ours, or the
# bed would act on the host's own; with v2 one does, made by the host's systemd if it has one.
enter_cgroup() {
    local name=$1 top group file
    if legacy_cgroups; then
        for top in $(hierarchies); do
            group=$top/$name
            mkdir -p "$group"
            for file in cpuset.cpus cpuset.mems; do
                [ ! -e "$group/$file" ] || cat "$top/$file" >"$group/$file"
            done
            echo "$BASHPID" >"$group/cgroup.procs"
        done
    elif [ ! -d /run/systemd/system ]; then
        mkdir -p "$CG/$name"
        echo "$BASHPID" >"$CG/$name/cgroup.procs"
    fi
}

# prints the prefix that makes a delegated scope where the host's systemd governs cgroup v2.
scope_prefix() {
    if ! legacy_cgroups && [ -d /run/systemd/system ]; then
        echo "systemd-run --scope --quiet --collect --unit=$(cgroup_name "$1") -p Delegate=yes --"
    fi
}

remove_cgroups() {
    local name=$1 top
    legacy_cgroups || [ ! -d /run/systemd/system ] || return 0
    for top in "$CG" $(hierarchies); do
        [ -d "$top/$name" ] || continue
        wait_until 5 remove_cgroup "$top/$name" || say "cgroup $top/$name is still busy"
    done
}

remove_cgroup() {
    find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
    [ ! -d "$1" ]
}

### Boot

boot() {
    local name=$1 dir options
    shift
    dir=$(bed_dir "$name")
    install -m 755 "$HERE/init" "$dir/root/.bed-init"
    mapfile -t options < <(clone_device "$dir" /dev/kvm kvm && clone_device "$dir" /dev/net/tun root)
    # Its own session and no terminal: a Ctrl-C meant for the caller must not reach it.
    setsid bash "$HERE/lib/start.sh" "$name" "${options[@]}" "$@" \
        </dev/null >"$dir/console.log" 2>&1 &
    disown
    wait_until 20 eval "[ -e '$dir/nspawn' ]" || die "nspawn did not start: $(cat "$dir/console.log")"
    wait_until 60 found_or_ended "$name" || true
    [ -e "$dir/leader" ] || die "no PID 1 in the bed: $(cat "$dir/console.log")"
    wait_until 300 running "$name" || die "the bed did not come up: $(tail "$dir/console.log")"
}

# The child of nspawn that is 1 in a PID namespace of its own is the bed's systemd.
find_leader() {
    local dir nspawn child
    dir=$(bed_dir "$1")
    nspawn=$(recorded "$dir/nspawn") || return 1
    while read -r child; do
        [ "$(awk '$1 == "NSpid:" { print $NF }' "/proc/$child/status" 2>/dev/null)" = 1 ] || continue
        record "$dir/leader" "$child"
        return 0
    done < <(tr ' ' '\n' <"/proc/$nspawn/task/$nspawn/children")
    return 1
}

found_or_ended() { find_leader "$1" || ! recorded "$(bed_dir "$1")/nspawn" >/dev/null; }

# systemctl itself waits for the end of the boot once the bed's bus answers.
running() {
    local state
    leader "$1" >/dev/null || die "the bed ended: $(tail "$(bed_dir "$1")/console.log")"
    state=$(enter "$1" systemctl is-system-running --wait 2>/dev/null)
    case $state in
        running) return 0 ;;
        degraded) say "bed $1 is degraded: $(enter "$1" systemctl --failed --plain --no-legend | cut -d' ' -f1)" ;;
        *) return 1 ;;
    esac
}

enter() { (become "$@"); }

# become NAME CMD…: turn into CMD inside, in the bed's cgroups; it ends when we are ended.
become() {
    local pid
    pid=$(require_leader "$1") || exit 1
    shift
    join_cgroup "$pid"
    exec nsenter -t "$pid" -a -r -w env -i PATH="$BED_PATH" HOME=/root TERM="${TERM:-dumb}" \
        LANG=C.UTF-8 setpriv --pdeathsig KILL "$@"
}

BED_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# Limits and delegation inside look at where a process stands: beside PID 1, as a login would.
join_cgroup() {
    local _ controllers path
    while IFS=: read -r _ controllers path; do
        case $controllers in
            '') join_subgroup "$CG$(unified_part)$path" ;;
            name=systemd) join_subgroup "$CG/systemd$path" ;;
            *) echo "$BASHPID" >"$CG/$controllers${path%/init.scope}/cgroup.procs" ;;
        esac
    done <"/proc/$1/cgroup" 2>/dev/null
}

unified_part() { if legacy_cgroups; then echo /unified; fi; }

# PID 1 stands in init.scope; a group with children may hold no processes itself.
join_subgroup() {
    local group=${1%/init.scope}/bed-run
    mkdir -p "$group" 2>/dev/null && echo "$BASHPID" >"$group/cgroup.procs"
}

### The end

destroy() {
    local name=$1 dir file
    dir=$(bed_dir "$name")
    for file in "$dir"/run/*; do
        [ ! -e "$file" ] || kill_recorded "$file"
    done
    # A killed 'bed up' may not have come as far as to record it.
    [ -e "$dir/leader" ] || find_leader "$name" || true
    # PID 1's end takes every process of the bed with it; nspawn then tidies up after itself.
    kill_recorded "$dir/leader" KILL
    kill_recorded "$dir/nspawn"
    remove_network "$name"
    unmount_under "$dir"
    remove_cgroups "$(cgroup_name "$name")"
    remove_tree "$dir"
}
