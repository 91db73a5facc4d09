"""A session on a bridge: its network card comes and goes with it, and nothing else about it changes.

What a guest reaches takes a kernel of its own: tests/vm/test_networks.py.
"""

import re

import pytest

from conftest import MACHINES
from test_hardware import CATALOGUE, IMAGES
from test_units import gone, prop

HELPER = "/usr/lib/qemu/qemu-bridge-helper"
KEYS = {
    "net-bridge.iso": "network=bridge\nbridge=qwdbr0",
    "net-together.iso": "network=bridge\nbridge=qwdbr0\nbridge_isolated=no",
    "net-away.iso": "network=bridge\nbridge=qwdbr9",
    "net-dummy.iso": "network=bridge\nbridge=qwddum0",
    "net-none.iso": "network=none",
}
# The names of the devices whose descriptors a process has.
CARDS = "sed -n 's/^iff:[[:space:]]*//p' /proc/{}/fdinfo/* 2>/dev/null; true"


@pytest.fixture(scope="module")
def bridged(bed):
    """Machines on a bridge, and on what is none."""
    bed.run("ip link add qwdbr0 type bridge; ip link add qwddum0 type dummy; ip link set qwdbr0 up")
    for name in KEYS:
        bed.run("ln", "-sf", "menu.iso", f"{IMAGES}/{name}")
    sections = "".join(f"[{name}]\ndescription=For a test\n{keys}\n" for name, keys in KEYS.items())
    bed.write(CATALOGUE, MACHINES + sections)
    yield bed
    bed.ctl("stop", "--all", check=False)
    bed.write(CATALOGUE, MACHINES)
    bed.run(f"ip link del qwdbr0; ip link del qwddum0; rm -f {IMAGES}/net-*")


def cards(bed):
    """The devices on the bridge, each with what the bridge does with it."""
    lines = bed.run("bridge", "-d", "-o", "link").stdout.splitlines()
    found = [(re.match(r"\d+: (\S+?):? ", line), line) for line in lines if " master qwdbr0 " in line]
    return {match[1]: line for match, line in found}


def test_the_card_is_on_the_bridge_and_the_session_may_do_no_more_than_others(bridged, session):
    bed = bridged
    first, second = session(machine="net-bridge.iso"), session(machine="net-together.iso")
    assert first["network"] == "bridge"
    process = {made["id"]: prop(bed, made["id"], "MainPID") for made in (first, second)}
    name = {made: bed.run(CARDS.format(pid)).stdout.strip() for made, pid in process.items()}
    on = cards(bed)
    assert set(on) == set(name.values()) and len(on) == 2
    assert "isolated on" in on[name[first["id"]]] and "isolated off" in on[name[second["id"]]]
    macs = {made: bed.qmp(made, "query-rx-filter")[0]["main-mac"] for made in process}
    assert len(set(macs.values())) == 2 and all(int(mac[:2], 16) & 3 == 2 for mac in macs.values()), macs
    for made, pid in process.items():
        held = bed.run("grep", "^Cap", f"/proc/{pid}/status").stdout.split()[1::2]
        assert set(held) == {"0" * 16}
        assert "tun" not in prop(bed, made, "DeviceAllow")
        assert prop(bed, made, "PrivateNetwork") == "yes"
        assert prop(bed, made, "RestrictAddressFamilies") == "AF_UNIX"
        assert bed.run("nsenter", "-t", pid, "-n", "ip", "-br", "link").stdout.split()[0] == "lo"
        assert bed.run("systemd-analyze", "security", "--threshold=20", f"qwd-session-{made}.service", check=False).returncode == 0


@pytest.mark.parametrize("end", ["qwdctl", "kill -9", "nobody is there"])
def test_the_card_is_gone_with_its_session(bridged, end):
    bed = bridged
    made = bed.json("start", "net-bridge.iso")["id"]
    assert len(cards(bed)) == 1
    if end == "qwdctl":
        bed.ctl("stop", made)
    elif end == "kill -9":
        bed.run("kill", "-9", prop(bed, made, "MainPID"))
    else:
        # A systemd that was renewed meanwhile, and none of our programs.
        bed.run("systemctl mask --runtime -q qwd-launcher qwd-reaper && systemctl kill -s KILL qwd-launcher && systemctl daemon-reexec")
        try:
            assert len(cards(bed)) == 1
            bed.run("systemctl", "kill", "-s", "KILL", f"qwd-session-{made}")
            bed.wait("! ip -o link show type tun | grep -q .", 20)
        finally:
            bed.run("systemctl unmask --runtime -q qwd-launcher qwd-reaper")
    bed.wait("! ip -o link show type tun | grep -q .", 20)
    bed.ctl("list")
    gone(bed, made)


def test_the_card_is_made_by_a_unit_that_can_do_little_else(bridged, session):
    """Looked at while it works: its helper waits for a word."""
    bed = bridged
    bed.run("cp", "-p", HELPER, f"{HELPER}.real")
    waiting = f"#!/bin/sh\nuntil test -e {HELPER}.go; do sleep 0.1; done\nexec {HELPER}.real \"$@\"\n"
    try:
        bed.write(HELPER, waiting)
        bed.run("systemd-run", "-q", "--collect", "--unit=net-start", "--service-type=exec", "qwdctl", "start", "net-bridge.iso")
        unit = "qwd-tap-*.service"
        bed.wait(f"systemctl list-units --plain --no-legend --state=activating '{unit}' | grep -q .")
        unit = bed.run("systemctl", "list-units", "--plain", "--no-legend", unit).stdout.split()[0]
        bed.wait(f"test $(systemctl show -P MainPID {unit}) != 0")
        exposed = bed.run("systemd-analyze", "security", "--no-pager", "--threshold=20", unit, check=False)
        process = bed.run("systemctl", "show", "-P", "MainPID", unit).stdout.strip()
        status = bed.run("cat", f"/proc/{process}/status").stdout
    finally:
        bed.run("touch", f"{HELPER}.go")
        bed.wait("! systemctl list-units --plain --no-legend net-start.service | grep -q .", 60)
        bed.run("mv", f"{HELPER}.real", HELPER)
        bed.run("rm", f"{HELPER}.go")
        bed.ctl("stop", "--all")
    assert exposed.returncode == 0, exposed.stdout
    assert re.search(r"^CapBnd:\s*0*1000$", status, re.M), status
    assert not re.search(r"^Uid:\s*0\s", status, re.M), status


def test_what_is_no_bridge_is_refused_by_a_sentence(bridged):
    bed = bridged

    def refused(machine):
        done = bed.ctl("start", machine, check=False)
        assert done.returncode == 1, done.stdout
        assert bed.json("list") == [] and cards(bed) == {}
        assert bed.run("find", "/run/systemd/units", "-name", "*qwd-tap*").stdout == ""
        return done.stderr
    assert "There is no bridge 'qwdbr9' on the server" in refused("net-away.iso")
    told = bed.run("qwdctl", "check", "--json", check=False).stdout
    assert "There is no bridge 'qwdbr9' on the server" in told
    assert "qwddum0" in refused("net-dummy.iso")
    bed.run("mv", HELPER, f"{HELPER}.away")
    try:
        assert "'apt install qemu-system-common'" in refused("net-bridge.iso")
        assert "'apt install qemu-system-common'" in bed.run("qwdctl", "check", "--json", check=False).stdout
    finally:
        bed.run("mv", f"{HELPER}.away", HELPER)


def test_a_machine_without_a_network_has_no_card(bridged, session):
    made = session(machine="net-none.iso")
    assert (made["network"], made["notes"]) == ("none", [])
    assert prop(bridged, made["id"], "PrivateNetwork") == "yes"
    assert bridged.qmp(made["id"], "query-rx-filter") == []


def test_a_network_that_contradicts_itself_is_told_with_its_key(bridged):
    bed = bridged
    bed.run("ln", "-sf", "menu.iso", f"{IMAGES}/net-wrong.iso")
    before = bed.run("cat", CATALOGUE).stdout
    try:
        for keys, sentence in [("bridge=qwdbr0", "bridge says nothing beside network = user"),
                               ("network=bridge\nbridge=br0,script=/x", "a bridge has a name such as br0"),
                               ("network_allow=localhost", "'localhost' is no network")]:
            bed.write(CATALOGUE, f"{before}[net-wrong.iso]\ndescription=x\n{keys}\n")
            refused = bed.ctl("start", "net-wrong.iso", check=False)
            assert refused.returncode == 1 and sentence in refused.stderr, refused.stderr
            assert sentence in bed.ctl("check", check=False).stdout
    finally:
        bed.write(CATALOGUE, before)
