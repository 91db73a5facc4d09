"""Bad input: a sentence, a stable word, an exit status, a line in the journal, and nothing left behind."""

import pytest

from conftest import MACHINES, SETTINGS
from test_units import gone

IMAGES = "/var/lib/qemu-web-desktop/machines"
CONFIG = "/etc/qemu-web-desktop/config.d/test.toml"


@pytest.fixture
def alice(bed, alice):
    status, made = alice.create()
    assert status == 201
    bed.ctl("stop", made["id"])
    return alice


@pytest.fixture
def nothing_left(bed):
    """Compares what there is of units, files and sockets before and after."""
    def look():
        units = bed.run("systemctl list-units --all --plain --no-legend 'qwd-session-*' 'qwd-expire@*' 'qwd-examine-*' | wc -l").stdout
        files = bed.run("ls -R /run/qemu-web-desktop/records /run/qemu-web-desktop/sessions; ls -d /var/tmp/systemd-private-*qwd-session-* 2>/dev/null; true").stdout
        return units, files
    quiet = "! systemctl list-units --all --plain --no-legend 'qwd-session-*' 'qwd-examine-*' | grep -q ."
    bed.wait(quiet)
    before = look()
    yield
    bed.wait(quiet)
    assert look() == before
    assert bed.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


@pytest.fixture
def machine(bed):
    """Adds a machine to the catalogue, its image made by a shell line in the machines' folder."""
    def add(name, made_by="true"):
        bed.run("sh", "-c", f"cd {IMAGES} && {made_by}")
        bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES + f"[{name}]\ndescription=For a test\n")
        return name
    yield add
    bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES)
    bed.run(f"cd {IMAGES} && rm -f bad-*")


@pytest.mark.parametrize("name", ["../x", "-drive", "a,b=c", "menu.iso\n", "menu.iso\0", "x" * 10_000, "", "/etc/passwd", "none.iso"])
def test_no_such_machine(bed, alice, nothing_left, name):
    status, answer = alice.create(machine=name)
    assert (status, answer["error"]) in [(404, "no_such_machine"), (400, "bad_request")]
    assert answer["message"].endswith(".") and len(answer["message"]) < 400
    if "\0" not in name and len(name) < 1000:
        assert bed.ctl("start", "--", name, check=False).returncode in (2, 4)


@pytest.mark.parametrize("wanted", [
    {"cpus": -1}, {"cpus": 1.5}, {"cpus": 2**32}, {"cpus": "two"}, {"memory_bytes": 1}, {"memory_bytes": 2**63},
    {"memory_bytes": 2**64}, {"lifetime_seconds": 2**64}, {"unknown": 1}, {"machine": 7},
])
def test_numbers_out_of_range_and_unknown_keys(alice, nothing_left, wanted):
    status, answer = alice.create(**wanted)
    assert status == 400 and answer["error"] == "bad_request" and answer["message"].endswith(".")


def test_a_lifetime_beyond_the_longest_is_refused_by_that_limit(alice, nothing_left):
    status, answer = alice.create(lifetime_seconds=10**12)
    assert (status, answer["error"]) == (409, "limit_reached") and "snapshot_lifetime" in answer["message"]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"machine":"menu.iso","machine":"menu.iso"}', "{" * 1000])
def test_a_body_that_is_no_request(alice, nothing_left, body):
    status, answer = alice.call("POST", "sessions", body)
    assert status == 400 and answer["error"] == "bad_request"


IMAGES_THAT_ARE_NONE = {
    "missing": "true",
    "truncated": f"head -c 3000000 {IMAGES}/menu.iso > bad-truncated.iso",
    "text": "echo hello > bad-text.iso",
    "empty": ": > bad-empty.iso",
    "folder": "true",
    "backing": "qemu-img create -q -f qcow2 -F raw -b /etc/passwd bad-backing.iso 2>/dev/null",
    "secret": f"cp {IMAGES}/menu.iso bad-secret.iso && chmod 600 bad-secret.iso",
}


@pytest.mark.parametrize("kind", IMAGES_THAT_ARE_NONE)
def test_an_image_that_cannot_be_used(bed, alice, nothing_left, machine, kind):
    name = machine(f"bad-{kind}.iso", IMAGES_THAT_ARE_NONE[kind])
    status, answer = alice.create(machine=name)
    assert (status, answer["error"]) == (409, "machine_unusable"), answer
    assert answer["message"].endswith(".")
    done = bed.ctl("start", name, check=False)
    assert done.returncode == 1 and done.stderr.strip().endswith(".")
    refused = bed.journal("MESSAGE_ID=" + message_id("REFUSED"), f"QWD_MACHINE={name}")
    assert len(refused) == 2


def message_id(name):
    import re
    from conftest import TREE

    return re.search(rf'{name}: &str = "([0-9a-f]+)"', (TREE / "src/journal.rs").read_text())[1]


def test_a_name_with_blanks_and_brackets_is_an_ordinary_name(bed, alice, machine):
    name = machine("bad-no (it is) fine.iso", f"cp menu.iso 'bad-no (it is) fine.iso'")
    status, made = alice.create(machine=name)
    assert status == 201, made
    bed.ctl("stop", made["id"])


def test_a_broken_configuration_leaves_the_last_good_one_in_force_and_is_told(bed, alice, nothing_left):
    bed.write(CONFIG, SETTINGS.replace("service_max_load", "service_max_laod"))
    try:
        status, made = alice.create()
        assert status == 201
        bed.ctl("stop", made["id"])
        assert "service_max_load" in bed.json("status")["config_problem"]
        checked = bed.ctl("check", check=False)
        line = SETTINGS[:SETTINGS.index("service_max_load")].count("\n") + 1
        assert checked.returncode == 1
        assert f"{CONFIG}:{line}" in checked.stdout + checked.stderr
        assert "did you mean 'limits.service_max_load'" in checked.stdout + checked.stderr
    finally:
        bed.write(CONFIG, SETTINGS)
    assert bed.json("status")["config_problem"] == ""


def test_no_room_for_the_disk(bed, alice, nothing_left):
    bed.run("mkdir -p /srv/full && mount -t tmpfs -o size=64k none /srv/full && chmod 755 /srv/full")
    bed.write("/etc/qemu-web-desktop/config.d/zz.toml", '[paths]\ndir_snapshots = "/srv/full"\n')
    try:
        status, answer = alice.create()
        assert (status, answer["error"]) == (507, "no_space"), answer
        assert "room" in answer["message"]
        assert bed.ctl("start", "menu.iso", check=False).returncode == 1
        bed.wait("test -z \"$(ls /srv/full)\"")
    finally:
        bed.run("rm -f /etc/qemu-web-desktop/config.d/zz.toml; umount /srv/full; rmdir /srv/full")


@pytest.mark.parametrize("program, told", [
    ("qemu-system-none", "not installed"),
    ("false", "exit status 1"),
])
def test_qemu_missing_or_dying_at_once(bed, alice, nothing_left, program, told):
    bed.write(CONFIG, SETTINGS.replace("[qemu]", f'[qemu]\nqemu_exec = "{program}"'))
    try:
        done = bed.ctl("start", "menu.iso", "--owner", "local:alice", check=False)
        assert done.returncode == 1 and told in done.stderr, done.stderr
        status, made = alice.create()
        if status == 201:
            bed.wait(f"qwdctl show {made['id']} --json | grep -q failed")
            assert told in alice.call("GET", f"sessions/{made['id']}")[1]["message"]
        else:
            assert (status, made["error"]) == (500, "failed") and told in made["message"]
    finally:
        bed.write(CONFIG, SETTINGS)


def test_systemd_refusing(bed, alice, nothing_left):
    bed.run("mkdir -p /run/systemd/system && ln -sf /dev/null /run/systemd/system/qwd-sessions.slice && systemctl daemon-reload")
    try:
        status, answer = alice.create()
        assert status in (500, 503) and answer["message"].endswith("."), answer
        assert bed.ctl("start", "menu.iso", check=False).returncode == 1
    finally:
        bed.run("rm -f /run/systemd/system/qwd-sessions.slice && systemctl daemon-reload")


def test_the_launcher_down_is_a_sentence(bed, alice):
    bed.run("systemctl", "mask", "--runtime", "--now", "qwd-launcher.service")
    try:
        status, answer = alice.create()
        assert (status, answer["error"]) == (503, "unavailable")
        done = bed.ctl("list", check=False)
        assert done.returncode == 1 and "qwd-launcher" in done.stderr
    finally:
        bed.run("systemctl", "unmask", "--runtime", "qwd-launcher.service")
