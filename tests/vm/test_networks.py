"""What a guest reaches in each kind of network, tried from inside of it.

User mode takes cgroup v2, hence the virtual machine, with guests that can fetch a page and nothing else.
Guests that see each other on a bridge are Linux, which boots in seconds in a container.
"""

import pytest

from conftest import FOLDER, HERE, MACHINES, e2e
from linux_guest import write_linux
from rescue_cd import SECTOR, write_cd
from test_units import gone
from world import HOST, LINK_LOCAL, LOCAL, NEIGHBOUR, ROUTER, WORLD, probes

CATALOGUE = "/etc/qemu-web-desktop/machines.conf"
BRIDGE = "br0"
# On the bridge: this host, a neighbour of it, who stands for another guest where there is none, the way out.
BRIDGE_HOST, BRIDGE_NEIGHBOUR, BRIDGE_GATEWAY = "10.77.0.1", "10.77.0.2", "10.77.0.254"
# A bridge whose cable leads into a namespace.
SETUP = f"""
set -e
ip link add {BRIDGE} type bridge
ip address add {BRIDGE_HOST}/16 dev {BRIDGE}
ip link set {BRIDGE} up
ip link add cable0 type veth peer name cable1 netns world
ip link set cable0 master {BRIDGE} up
ip -n world address add {BRIDGE_NEIGHBOUR}/16 dev cable1
ip -n world address add {BRIDGE_GATEWAY}/16 dev cable1
ip -n world link set cable1 up
"""
# A name server: whatever is asked for has the world's address.
NAMES = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
while True:
    question, client = server.recvfrom(512)
    end = question.index(b"\\0", 12) + 5
    head = question[:2] + b"\\x81\\x80" + b"\\0\\1" * 2 + bytes(4)
    answer = b"\\xc0\\x0c\\0\\1\\0\\1" + bytes(4) + b"\\0\\4" + socket.inet_aton(sys.argv[2])
    server.sendto(head + question[12:end] + answer, client)
"""

USER = {"loopback": "10.0.2.2", "host": HOST, "neighbour": NEIGHBOUR, "another guest": BRIDGE_NEIGHBOUR,
        "link-local": LINK_LOCAL, "by name": "world.test", "world": WORLD}
BRIDGED = {"loopback": "10.0.2.2", "host": BRIDGE_HOST, "neighbour": BRIDGE_NEIGHBOUR, "world": WORLD}
# The keys of a machine, the addresses to try, and which of them answer.
MODES = {
    "closed": ("", USER, {"by name", "world"}),
    "chosen": (f"network_allow={LOCAL}", USER, {"neighbour", "by name", "world"}),
    "loopback": ("network_allow=127.0.0.1", USER, {"loopback", "by name", "world"}),
    "bridge": (f"network=bridge\nbridge={BRIDGE}", BRIDGED, {"host", "neighbour", "world"}),
    "none": ("network=none", {}, set()),
}


def guest(root, iso, name):
    """A CD with iPXE, which asks the world by its name what to do."""
    script = (HERE / "guest.ipxe").read_text()
    changes = [("set r start", f"set r start-{name}")]
    if MODES[name][1] is BRIDGED:
        changes += [("255.255.255.0", "255.255.0.0"), ("ip 10.0.2.15", "ip 10.77.3.3"),
                    ("gateway 10.0.2.2", f"gateway {BRIDGE_GATEWAY}")]
    for usual, own in changes:
        assert usual in script
        script = script.replace(usual, own)
    script = script.encode().ljust(SECTOR, b"\n")
    write_cd(iso, [("linux16", (root / "usr/lib/ipxe/ipxe.lkrn").read_bytes(), ""), ("initrd16", script, "")], root)


@pytest.fixture
def modes(bed, root, outside, tmp_path):
    """A machine for each mode, on a host with a bridge and a name server in its local network."""
    for name in MODES:
        iso = tmp_path / f"mode-{name}.iso"
        guest(root, iso, name)
        bed.put(iso, FOLDER)
    bed.run(SETUP)
    bed.run("systemd-run", "-q", "--unit=names", "-p", "NetworkNamespacePath=/run/netns/world",
            "python3", "-c", NAMES, ROUTER, WORLD)
    resolv = bed.run("cat", "/etc/resolv.conf").stdout
    bed.write("/etc/resolv.conf", f"nameserver 127.0.0.53\nnameserver {ROUTER}\n")
    sections = [f"[mode-{name}.iso]\ndescription=For a test\n{keys}\n" for name, (keys, _, _) in MODES.items()]
    bed.write(CATALOGUE, MACHINES + "".join(sections))
    yield
    bed.ctl("stop", "--all", check=False)
    bed.write(CATALOGUE, MACHINES)
    bed.write("/etc/resolv.conf", resolv)
    bed.run(f"systemctl stop names; ip link del cable0; ip link del {BRIDGE}; rm -f {FOLDER}/mode-*")


def test_a_guest_reaches_what_its_machine_says_and_nothing_else(bed, world, modes, session):
    for address in {*USER.values(), *BRIDGED.values()} - {"10.0.2.2", "world.test"}:
        bed.run("curl", "-s", "-o", "/dev/null", "--max-time", "20", f"http://{address}/")
    made = {name: session("--memory", "128M", machine=f"mode-{name}.iso") for name in MODES}
    assert {name: one["network"] for name, one in made.items()} == {
        name: "user" if targets is USER else name for name, (_, targets, _) in MODES.items()}
    seen = {}
    while len(seen) < len(MODES) - 1:
        path, question = world.asked()
        kind, name, *numbers = path.strip("/").replace("-", "/", 1).split("/")
        targets = MODES[name][1]
        if kind == "start":
            world.tell(question, *probes(targets.values(), f"/seen-{name}"))
        else:
            seen[name] = {list(targets)[int(number)] for number in numbers}
            world.tell(question, "poweroff")
    assert seen == {name: answers for name, (_, _, answers) in MODES.items() if name != "none"}
    # A guest that finds no card has nobody to tell: it ends.
    bed.wait(f"test ! -e /run/qemu-web-desktop/records/{made['none']['id']}.json", 120)
    assert "shut down by its guest" in bed.json("show", made["none"]["id"])["message"]
    bed.wait(f"test -z \"$(ip -o link show type tun)\"", 120)
    gone(bed, made["bridge"]["id"])


@pytest.fixture
def container(deb, root, tmp_path):
    """A bed with the package, a bridge, and Linux guests on it."""
    write_linux(root, HERE / "bridged-init", tmp_path / "guest.iso", ["virtio_pci", "virtio_net"])
    with e2e.bring_up(deb, "bridge") as bed:
        bed.install()
        bed.write("/etc/qemu-web-desktop/config.d/test.toml",
                  e2e.SETTINGS + e2e.ROOM + f'[network]\nmode = "bridge"\nbridge = "{BRIDGE}"\n')
        bed.write(CATALOGUE, "[guest.iso]\ndescription=Kept apart\n[open.iso]\ndescription=Not\nbridge_isolated=no\n")
        bed.put(tmp_path / "guest.iso", FOLDER)
        bed.run("ln", "-s", "guest.iso", f"{FOLDER}/open.iso")
        bed.run(f"ip netns add world && ip -n world link set lo up && ip -n world address add {WORLD}/32 dev lo")
        bed.run(SETUP)
        bed.run("mkdir -p /srv/www && echo x >/srv/www/index.html")
        bed.run("systemd-run", "-q", "--unit=world", "-p", "NetworkNamespacePath=/run/netns/world",
                "busybox", "httpd", "-f", "-p", "80", "-h", "/srv/www")
        bed.run("systemd-run", "-q", "--unit=teller", "--service-type=exec", "python3", "-u", "-m", "http.server", "8000",
                "-d", "/srv/www")
        yield bed


def address(card):
    """What tests/vm/bridged-init makes of a MAC address."""
    *_, third, last = (int(part, 16) for part in card.split(":"))
    return f"10.77.{third % 64 + 64}.{last % 250 + 2}"


def test_guests_on_a_bridge_are_in_its_network_and_see_each_other_only_where_they_may(container):
    bed = container
    made = {name: bed.json("start", machine, "--memory", "128M")["id"]
            for name, machine in [("first", "guest.iso"), ("second", "guest.iso"), ("open", "open.iso")]}
    card = {name: bed.qmp(session, "query-rx-filter")[0]["main-mac"] for name, session in made.items()}
    asked = "journalctl -u teller --no-pager | grep -q 'GET /{}'"
    for mac in card.values():
        bed.wait(asked.format(mac.replace(":", "")), 300)
    for name, mac in card.items():
        targets = {**BRIDGED, "host": f"{BRIDGE_HOST}:8000",
                   **{other: address(card[other]) for other in card if other != name}}
        lines = [f"timeout 15 wget -q -O /dev/null http://{target}/ && touch '/seen-{column}' &" for column, target in targets.items()]
        report = f"wget -q -O /dev/null http://{BRIDGE_HOST}:8000/{name}$(ls -d /seen-* | tr -d '\\n')"
        script = "\n".join([*lines, "wait", report, ""])
        bed.write("/srv/www/told", script)
        bed.run("mv", "/srv/www/told", "/srv/www/" + mac.replace(":", ""))
    seen = {}
    for name in made:
        bed.wait(asked.format(f"{name}/seen-"), 120)
        line = bed.run(f"journalctl -u teller --no-pager -o cat | grep -o 'GET /{name}/seen-[^ ]*' | head -1").stdout
        seen[name] = {column.strip() for column in line.split("/seen-")[1:]}
    usual = {"host", "neighbour", "world"}
    assert seen == {"first": usual | {"open"}, "second": usual | {"open"}, "open": usual | {"first", "second"}}
    bed.ctl("stop", "--all")
    bed.wait("test -z \"$(ip -o link show type tun)\"")
    for session in made.values():
        gone(bed, session)
