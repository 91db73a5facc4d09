# shellcheck shell=bash
# A bed's network: a namespace with lo; a veth pair, a way out and forwarded ports on request.

add_network() {
    local ns
    ns=$(netns_name "$1")
    ip netns add "$ns"
    ip -n "$ns" link set lo up
}

remove_network() {
    local ns
    ns=$(netns_name "$1")
    [ ! -e "/run/netns/$ns" ] || ip netns del "$ns"
    # The far end of a veth pair goes with its namespace; a kernel may take a moment over it.
    ip link del "$(veth_name "$1")" 2>/dev/null || true
}

# An interface's name has 15 characters at most.
veth_name() { printf 'qwd%s' "$(printf %s "$1" | sha256sum | cut -c1-10)"; }

### A non-local client: the host reaches the bed at an address of its own.

bed_address() { cat "$(bed_dir "$1")/address" 2>/dev/null; }

connect() {
    local name=$1 ns link net
    if bed_address "$name"; then return; fi
    ns=$(netns_name "$name") link=$(veth_name "$name") net=$(free_net)
    ip link add "$link" type veth peer name eth0 netns "$ns"
    ip addr add "$net.1/30" dev "$link"
    ip link set "$link" up
    ip -n "$ns" addr add "$net.2/30" dev eth0
    ip -n "$ns" link set eth0 up
    echo "$net.2" | tee "$(bed_dir "$name")/address"
}

# The first 10.231.N that no interface of this machine has.
free_net() {
    local n
    for n in $(seq 0 255); do
        ip -o -4 addr | grep -qF " 10.231.$n." || { echo "10.231.$n"; return; }
    done
    die "no free network for a veth pair"
}

### The way out: user-mode network, so that the host's firewall and routing stay untouched.

net_on() {
    local name=$1 dir
    dir=$(bed_dir "$name")
    recorded "$dir/run/slirp" >/dev/null && return
    need_tool slirp4netns
    mkdir -p "$dir/run"
    rm -f "$dir/slirp.ready" && mkfifo "$dir/slirp.ready"
    setsid slirp4netns --configure --mtu=65520 --disable-host-loopback --netns-type=path \
        --ready-fd=3 "/run/netns/$(netns_name "$name")" tap0 \
        3>"$dir/slirp.ready" </dev/null >"$dir/slirp.log" 2>&1 &
    record "$dir/run/slirp" $!
    disown
    # It writes a byte when it is ready, and closes the pipe if it dies.
    [ "$(timeout 20 head -c1 "$dir/slirp.ready")" = 1 ] || die "$(cat "$dir/slirp.log")"
    rm -f "$dir/slirp.ready"
    echo nameserver 10.0.2.3 | enter "$name" sh -c 'cat >/etc/resolv.conf'
}

net_off() {
    local name=$1
    kill_recorded "$(bed_dir "$name")/run/slirp"
    enter "$name" sh -c ': >/etc/resolv.conf'
}

### Forwarded ports

# The listener is opened out here, the connections are made in there, by one process.
forward() {
    local name=$1 port=$2 guest=$3 next=$4 first tries=1
    require_leader "$name" >/dev/null
    if [ "$port" = 0 ]; then next=yes port=18080; fi
    [ -z "$next" ] || tries=200
    first=$port
    while [ "$port" -lt $((first + tries)) ]; do
        if forward_at "$name" "$port" "$guest"; then echo "$port"; return; fi
        port=$((port + 1))
    done
    die "port $first of 127.0.0.1 is taken"
}

forward_at() {
    local name=$1 port=$2 guest=$3 file
    ! listeners "$port" | grep -q . || return 1
    file=$(bed_dir "$name")/run/forward-$port
    mkdir -p "${file%/*}"
    setsid systemd-socket-activate --listen="127.0.0.1:$port" \
        nsenter --net="/run/netns/$(netns_name "$name")" \
        /lib/systemd/systemd-socket-proxyd --connections-max=4096 "127.0.0.1:$guest" \
        </dev/null >"${file%/*/*}/forward.log" 2>&1 &
    record "$file" $!
    disown
    wait_until 5 forward_decided "$file" "$port" || true
    # Somebody else's listener may be seen before ours has given up.
    listens "$file" "$port" || { kill_recorded "$file" && return 1; }
}

listeners() { ss -Hltnp "src 127.0.0.1:$1 or src 0.0.0.0:$1 or src [::]:$1"; }

# listens FILE PORT: the recorded process has the port.
listens() {
    local pid
    pid=$(recorded "$1") && listeners "$2" | grep -q "[(,]pid=$pid,"
}

# Either it listens, or it has given up because somebody was quicker.
forward_decided() { ! recorded "$1" >/dev/null || listens "$1" "$2"; }
