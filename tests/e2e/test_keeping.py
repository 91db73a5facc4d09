"""Images that administrators make and change: by the installed package, in its sandboxes, under real sessions."""

import json
import time

import pytest

import boot_disk
from conftest import MACHINES, SETTINGS
from screen import Api, Screen
from test_images import IMAGES, settled

CATALOGUE = "/etc/qemu-web-desktop/machines.conf"
CONFIG = "/etc/qemu-web-desktop/config.d/test.toml"
PEOPLE = "/etc/qemu-web-desktop/config.d/people.toml"
HERE = "/srv/keep"
SMALL = "/srv/small"
NAMES = ["kept-vdi.qcow2", "kept-vhdx.qcow2", "kept-device.qcow2"]


@pytest.fixture(scope="module")
def disks(bed, tmp_path_factory):
    """The folder on the bed with the little machine as image and as device, and with a large disk."""
    folder = tmp_path_factory.mktemp("disks")
    for name, content in (("disk.raw", boot_disk.disk()), ("disk.iso", boot_disk.cd())):
        (folder / name).write_bytes(content)
        bed.run("mkdir", "-p", HERE, SMALL)
        bed.put(folder / name, HERE)
    # Nobody but root may read them.
    bed.run(f"cd {HERE} && for f in vdi vhdx; do qemu-img convert -f raw -O $f disk.raw disk.$f; done && "
            "(cat disk.raw; head -c 400M /dev/zero | tr '\\0' x) > large.raw && chmod 600 *")
    bed.run("for n in 0 1 2 3; do [ -e /dev/loop$n ] || mknod -m 600 /dev/loop$n b 7 $n; done")
    device = bed.run("losetup", "-f", "--show", f"{HERE}/disk.raw").stdout.strip()
    bed.run("mount", "-t", "tmpfs", "-o", "size=100m", "none", SMALL)
    yield device
    # Where a test failed, it may stand still yet.
    bed.run("systemctl", "kill", "-s", "KILL", "run-at-work", check=False)
    bed.ctl("stop", "--all", check=False)
    bed.write(CATALOGUE, MACHINES)
    bed.write(CONFIG, SETTINGS)
    bed.run(f"losetup -d {device}; umount {SMALL}; rm -rf {HERE} {SMALL} {IMAGES}/kept-* {IMAGES}/.kept-*")


@pytest.fixture(scope="module")
def kept(bed, disks):
    """Machines that were imported from images and from a device."""
    for source, name in zip((f"{HERE}/disk.vdi", f"{HERE}/disk.vhdx", disks), NAMES):
        assert bed.json("import", source, name)["result"] == "imported"
    return NAMES


@pytest.fixture(scope="module")
def alice(bed, disks):
    """Signed in, so that root can start sessions for her."""
    bed.run("id alice || useradd --create-home alice; echo 'alice:right of alice' | chpasswd")
    bed.write(PEOPLE, '[sign_in]\nmethods = ["pam"]\n')
    alice = Api(bed, "alice")
    status, answer = alice.call("POST", "sign-in", {"name": "alice", "password": "right of alice"})
    assert status == 200, answer
    yield alice
    bed.run("rm", PEOPLE)


@pytest.fixture
def name(kept):
    return kept[0]


def checksum(bed, name):
    return bed.run("sha256sum", f"{IMAGES}/{name}").stdout


def refused(bed, words, *args):
    done = bed.ctl(*args, check=False)
    assert done.returncode == 1 and words in done.stderr, (args, done)


def at_work(bed, *args):
    """A run of qwdctl that stands still in the middle of its work."""
    bed.run("systemd-run", "-qG", "--unit=run-at-work", "qwdctl", *args)
    bed.wait("test -s /var/lib/qemu-web-desktop/machines/.kept-*.work/disk")
    bed.run("systemctl", "kill", "-s", "STOP", "run-at-work")


def nothing_half_made(bed):
    assert bed.run(f"ls -d {IMAGES}/.*.work {SMALL}/.*.work 2>/dev/null || true").stdout == ""
    assert bed.run("ls", "/run/qemu-web-desktop/holds").stdout == ""


def test_what_was_imported_from_anywhere_boots_to_the_same_screen(bed, kept, alice):
    pictures = []
    offered = {m["name"] for m in bed.json("machines") if m["state"] == "ready"}
    assert set(kept) <= offered
    for name in kept:
        facts = json.loads(bed.run("qemu-img", "info", "--output=json", f"{IMAGES}/{name}").stdout)
        assert facts["format"] == "qcow2"
        assert bed.run("stat", "-c", "%U %a", f"{IMAGES}/{name}").stdout == "root 644\n"
        status, made = alice.create(machine=name)
        assert status == 201, (name, made)
        pictures.append(settled(Screen(bed.origin, alice.ticket(made["id"]))))
        bed.ctl("stop", made["id"])
    assert pictures[1:] == pictures[:-1]
    units = {line["UNIT"] for line in bed.journal("-u", "qwd-convert-*") if "UNIT" in line}
    assert len(units) >= len(kept), "each in a unit of its own"
    nothing_half_made(bed)


def test_a_device_in_use_is_not_read(bed, disks):
    bed.run(f"mkfs.ext4 -q -F {HERE}/fs.raw 8M && losetup /dev/loop3 {HERE}/fs.raw && mkdir {HERE}/mnt "
            f"&& mount /dev/loop3 {HERE}/mnt")
    refused(bed, "is in use; unmount it first", "import", "/dev/loop3", "kept-new.qcow2")
    bed.run(f"umount {HERE}/mnt && losetup -d /dev/loop3")
    nothing_half_made(bed)


def test_an_image_is_left_alone_while_a_session_stands_on_it(bed, name, session):
    made = session("--no-wait", machine=name)
    before = checksum(bed, name)
    for args in (["resize", name, "+1G"], ["compact", name], ["remove", name],
                 ["import", f"{HERE}/disk.vdi", name, "--replace"]):
        refused(bed, f"'qwdctl stop {made['id']}' ends it first", *args)
    bed.ctl("stop", made["id"])
    assert checksum(bed, name) == before
    assert bed.json("resize", name, "+1G")["disk_bytes"] > 1 << 30
    assert bed.json("compact", name)["result"] in ("compacted", "unchanged")


def test_no_session_starts_on_an_image_that_is_being_changed(bed, name):
    at_work(bed, "import", f"{HERE}/large.raw", name, "--replace")
    doing = "is being imported at this moment"
    refused(bed, doing, "start", name)
    refused(bed, doing, "compact", name)
    assert doing in next(m["problem"] for m in bed.json("machines") if m["name"] == name)
    before = checksum(bed, name)
    # Killed in the middle, it holds nothing and has changed nothing; what it left goes with the sweep.
    bed.run("systemctl", "kill", "-s", "KILL", "run-at-work")
    bed.wait("! systemctl is-active -q run-at-work")
    bed.wait("! systemctl list-units --plain --no-legend 'qwd-convert-*' | grep -q .")
    assert bed.run(f"ls -d {IMAGES}/.*.work").stdout
    made = bed.json("start", name)
    bed.ctl("stop", made["id"])
    bed.run("systemctl", "start", "qwd-reaper")
    assert checksum(bed, name) == before
    nothing_half_made(bed)
    assert bed.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def test_a_full_disk_is_a_sentence_and_leaves_nothing(bed, disks, settings):
    settings(SETTINGS + f'[paths]\ndir_machines = "{SMALL}"\n')
    refused(bed, "not enough room", "import", f"{HERE}/large.raw", "kept-new.qcow2")
    # Of a device nothing is known beforehand: it ends when the room does.
    device = bed.run("losetup", "-f", "--show", f"{HERE}/large.raw").stdout.strip()
    refused(bed, "not enough room", "import", device, "kept-new.qcow2")
    bed.run("losetup", "-d", device)
    assert bed.run(f"ls -A {SMALL}").stdout == ""
    assert "kept-new" not in bed.run("cat", CATALOGUE).stdout
    nothing_half_made(bed)


def test_what_lies_is_refused(bed, disks):
    bed.run(f"cd {HERE} && qemu-img create -q -f qcow2 -F raw -b /etc/shadow leak.qcow2 && "
            "qemu-img create -q -f qcow2 -o data_file=data.raw,data_file_raw=on split.qcow2 8M && "
            "qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentFlat parts.vmdk 8M && "
            "cp disk.vdi cut.vdi && truncate -s -1M cut.vdi")
    for name, words in (("leak.qcow2", ""), ("split.qcow2", ""), ("parts.vmdk", "in other files"), ("cut.vdi", "cut short")):
        refused(bed, words, "import", f"{HERE}/{name}", "kept-new.qcow2")
    assert bed.run(f"ls {IMAGES}").stdout.count("kept-new") == 0
    nothing_half_made(bed)


def written(bed, name):
    """Whether a guest has written to the machine's disk: what it boots from stands where it writes as well."""
    bed.run(f"qemu-img convert -O raw {IMAGES}/{name} {HERE}/content")
    look = f"dd if={HERE}/content bs=512 skip={boot_disk.PLACE} count=1 status=none | grep -aq '{boot_disk.MARK.decode()}'"
    return bed.run(look, check=False).returncode == 0


def said(bed, session):
    """How it ended, as its owner reads it."""
    bed.wait(f"! test -e /run/qemu-web-desktop/records/{session}.json")
    return bed.json("show", session)["message"]


def at_screen(alice, made):
    """The session's guest has written to its disk and said so."""
    return settled(Screen(alice.bed.origin, alice.ticket(made["id"])))


@pytest.fixture
def fresh(bed, disks):
    """A machine whose guest has never run."""
    bed.ctl("import", f"{HERE}/disk.vdi", "kept-fresh.qcow2")
    yield "kept-fresh.qcow2"
    bed.ctl("discard", "kept-fresh.qcow2", "--yes", check=False)
    bed.ctl("remove", "kept-fresh.qcow2", "--yes")


def test_a_master_changes_when_its_session_is_stopped(bed, fresh, alice):
    before = checksum(bed, fresh)
    assert not written(bed, fresh)
    made = bed.json("start", fresh, "--master", "--owner", "alice")
    at_screen(alice, made)
    # Until then it is as it was, and nobody else starts from it or changes it.
    assert checksum(bed, fresh) == before
    assert f"changed in session {made['id']}" in alice.create(machine=fresh)[1]["message"]
    refused(bed, f"'qwdctl stop {made['id']}' ends it first", "start", fresh, "--master")
    refused(bed, f"'qwdctl stop {made['id']}' ends it first", "remove", fresh)
    # By its owner, and while none of our programs runs.
    bed.run("systemctl", "stop", "qwd-launcher")
    assert alice.call("DELETE", f"sessions/{made['id']}")[0] < 300
    assert f"What was done in it is in '{fresh}' from now on." in said(bed, made["id"])
    assert written(bed, fresh)
    assert bed.run("stat", "-c", "%U %a", f"{IMAGES}/{fresh}").stdout == "root 644\n"
    nothing_half_made(bed)
    status, again = alice.create(machine=fresh)
    assert status == 201, again
    bed.ctl("stop", again["id"])


def test_a_master_stays_when_its_session_is_killed_and_the_copy_waits(bed, fresh, alice):
    before = checksum(bed, fresh)
    for end in ("qwdctl", "unit"):
        made = bed.json("start", fresh, "--master", "--owner", "alice")
        at_screen(alice, made)
        if end == "qwdctl":
            bed.ctl("stop", "--kill", made["id"])
        else:
            bed.run("systemctl", "kill", "-s", "KILL", f"qwd-session-{made['id']}")
        message = said(bed, made["id"])
        assert f"The machine '{fresh}' is as it was." in message and f"'qwdctl adopt {fresh}'" in message
        assert checksum(bed, fresh) == before
        bed.run("systemctl", "start", "qwd-reaper")
        work = next(m["work"] for m in bed.json("machines") if m["name"] == fresh)
        assert work == {"purpose": "master", "session": made["id"], "over": True}
        # The old master serves meanwhile, and a second copy is not begun.
        bed.ctl("stop", bed.json("start", fresh)["id"])
        refused(bed, "qwdctl discard", "start", fresh, "--master")
        if end == "qwdctl":
            assert bed.json("discard", fresh, "--yes")["result"] == "discarded"
            nothing_half_made(bed)
    # What was not flushed when it was killed is lost, as with any computer; what there is can be had.
    assert bed.json("adopt", fresh)["result"] == "adopted"
    again = bed.json("start", fresh, "--owner", "alice")
    at_screen(alice, again)
    bed.ctl("stop", again["id"])
    nothing_half_made(bed)


def test_a_copy_outlives_a_reset(bed, fresh):
    before = checksum(bed, fresh)
    made = bed.json("start", fresh, "--master", "--no-wait")
    # What a reset leaves: neither a session nor anything below /run.
    bed.run("systemctl", "stop", "qwd-launcher")
    bed.run(f"rm /run/qemu-web-desktop/records/{made['id']}.*; systemctl kill -s KILL qwd-session-{made['id']}")
    bed.wait(f"! systemctl list-units --plain --no-legend 'qwd-session-{made['id']}*' 'qwd-failed@{made['id']}*' | grep -q .")
    bed.run("systemctl", "restart", "qwd-cleanup")
    bed.run("systemctl", "start", "qwd-reaper")
    assert checksum(bed, fresh) == before
    refused(bed, f"'qwdctl adopt {fresh}'", "compact", fresh)
    bed.ctl("discard", fresh, "--yes")
    nothing_half_made(bed)


def offered(alice):
    return {m["name"] for m in alice.call("GET", "machines")[1]["machines"]}


def test_a_machine_is_installed_on_the_screen_and_offered_then(bed, disks, alice):
    name = "kept-made.qcow2"
    refused(bed, "'chmod a+r'", "create", name, "--size", "1G", "--iso", f"{HERE}/disk.iso")
    bed.run("chmod", "644", f"{HERE}/disk.iso", f"{HERE}/disk.raw")
    refused(bed, "is no CD", "create", name, "--size", "1G", "--iso", f"{HERE}/disk.raw")
    refused(bed, "none.iso cannot be read", "create", name, "--size", "1G", "--iso", "none.iso")
    made = bed.json("create", name, "--size", "64M", "--iso", f"{HERE}/disk.iso", "--owner", "alice",
                    "--description", "Made here")
    assert made["owner"] == "alice" and made["id"] in {s["id"] for s in alice.call("GET", "sessions")[1]["sessions"]}
    assert name not in offered(alice)
    at_screen(alice, made)
    assert "is being installed" in next(m["problem"] for m in bed.json("machines") if m["name"] == name)
    bed.ctl("stop", made["id"])
    assert f"The machine '{name}' can be started from now on." in said(bed, made["id"])
    assert name in offered(alice)
    facts = json.loads(bed.run("qemu-img", "info", "--output=json", f"{IMAGES}/{name}").stdout)
    assert (facts["format"], facts["virtual-size"]) == ("qcow2", 64 << 20)
    assert written(bed, name)
    status, session = alice.create(machine=name)
    assert status == 201, session
    bed.ctl("stop", session["id"])
    refused(bed, "There is an image", "create", name, "--size", "1G", "--iso", f"{HERE}/disk.iso")
    bed.ctl("remove", name, "--yes")
    nothing_half_made(bed)


def test_a_machine_that_is_a_cd_installs_another_by_its_name(bed, alice):
    made = bed.json("create", "kept-by.qcow2", "--size", "64M", "--iso", "menu.iso", "--owner", "alice")
    assert Screen(bed.origin, alice.ticket(made["id"])).greeting == b"RFB 003.008\n"
    bed.ctl("stop", made["id"])
    assert next(m["description"] for m in bed.json("machines") if m["name"] == "kept-by.qcow2") == "Installed from menu.iso"
    bed.ctl("remove", "kept-by.qcow2", "--yes")
    nothing_half_made(bed)


def test_an_installation_that_ran_out_of_time_or_was_killed_is_not_lost(bed, disks, alice):
    name = "kept-late.qcow2"
    create = ["create", name, "--size", "64M", "--iso", f"{HERE}/disk.iso", "--owner", "alice"]
    bed.run("chmod", "644", f"{HERE}/disk.iso")
    for end in ("killed", "expired"):
        made = bed.json(*create)
        at_screen(alice, made)
        if end == "killed":
            bed.ctl("stop", "--kill", made["id"])
        else:
            bed.run("sed", "-i", 's/"expires_at":[0-9]*/"expires_at":1/', f"/run/qemu-web-desktop/records/{made['id']}.json")
            bed.run("systemctl", "start", f"qwd-expire@{made['id']}.0.service")
        assert f"'qwdctl adopt {name}'" in said(bed, made["id"])
        assert f"'qwdctl discard {name}'" in next(m["problem"] for m in bed.json("machines") if m["name"] == name)
        assert name not in offered(alice)
        if end == "killed":
            bed.ctl("discard", name, "--yes")
            assert name not in bed.run("cat", CATALOGUE).stdout
    assert bed.json("adopt", name)["result"] == "adopted"
    assert written(bed, name) and name in offered(alice)
    nothing_half_made(bed)


SHIFT, RETURN = 0xFFE1, 0xFF0D


def told(bed, screen, text, until):
    """Types that into the firmware's shell until the line holds: before the shell is there, nobody listens."""
    end = time.monotonic() + 240
    while bed.run(until, check=False).returncode:
        assert time.monotonic() < end, f"the firmware's shell does not take {text}"
        for letter in text:
            screen.press(SHIFT, letter in '"%')
            screen.key(ord(letter))
        screen.press(SHIFT, False)
        screen.key(RETURN)
        time.sleep(1)


def shared(bed, one, other):
    """How much of the secrets in one file of the module's stands in the other as well."""
    first, second = (bytes.fromhex(bed.run(f"od -An -v -tx1 {path} | tr -d ' \\n'").stdout) for path in (one, other))
    parts = [first[at:at + 16] for at in range(0, len(first) - 16, 16)]
    # What is random; the rest is much the same in every module.
    parts = [part for part in parts if len(set(part)) > 13]
    return sum(part in second for part in parts) / len(parts)


def test_what_the_firmware_and_its_module_remember_is_kept_with_the_machine(bed, disks, alice):
    name = "kept-uefi.qcow2"
    sections = bed.run("cat", CATALOGUE).stdout
    bed.write(CATALOGUE, sections + f"[{name}]\ndescription=For a test\nfirmware=uefi\ntpm=yes\nmemory=256M\n")
    bed.ctl("import", f"{HERE}/disk.vdi", name)
    made = bed.json("start", name, "--master", "--owner", "alice")
    work = f"{IMAGES}/.{name}.work/nvram"
    screen = Screen(bed.origin, alice.ticket(made["id"]))
    told(bed, screen, 'set bye "reset -s"', f"LC_ALL=C grep -qaP 'b\\0y\\0e\\0' {work}/uefi && test -s {work}/module/tpm2-00.permall")
    bed.ctl("stop", made["id"])
    assert f"is in '{name}' from now on" in said(bed, made["id"])
    kept = f"{IMAGES}/.{name}.*.nvram"
    assert bed.run(f"stat -c '%U %a' {kept} {kept}/tpm {kept}/uefi").stdout == "root 700\nroot 600\nroot 644\n"
    before = bed.run(f"echo {kept}").stdout
    # It stays with the machine, whose image is another one now.
    bed.ctl("resize", name, "+1M")
    assert bed.run(f"echo {kept}").stdout != before
    digest = bed.run(f"sha256sum {kept}/*").stdout
    status, again = alice.create(machine=name)
    assert status == 201, again
    own = f"/var/tmp/systemd-private-*-qwd-session-{again['id']}.service-*/tmp"
    bed.wait(f"test -s {own}/tpm/tpm2-00.permall")
    assert shared(bed, f"{kept}/tpm", f"{own}/tpm/tpm2-00.permall") > 0.5
    # The shell has its own variables among the firmware's: this one ends the session.
    told(bed, Screen(bed.origin, alice.ticket(again["id"])), "%bye%", f"! test -e /run/qemu-web-desktop/records/{again['id']}.json")
    assert bed.run(f"sha256sum {kept}/*").stdout == digest
    bed.ctl("remove", name, "--yes")
    assert bed.run(f"ls -A {IMAGES}").stdout.count(name) == 0


def test_what_cannot_start_leaves_nothing(bed, fresh, settings):
    settings(SETTINGS.replace('accel = "tcg"', 'accel = "tcg"\nqemu_exec = "qemu-system-nowhere"'))
    before = checksum(bed, fresh)
    for args in (["start", fresh, "--master"],
                 ["create", "kept-never.qcow2", "--size", "1G", "--iso", f"{HERE}/disk.iso"]):
        refused(bed, "", *args)
    assert checksum(bed, fresh) == before and "kept-never" not in bed.run("cat", CATALOGUE).stdout
    nothing_half_made(bed)


def test_a_removed_machine_is_gone(bed, kept):
    name = kept[2]
    assert bed.json("remove", name, "--yes")["result"] == "removed"
    assert name not in bed.run("cat", CATALOGUE).stdout
    assert bed.run(f"ls -A {IMAGES}").stdout.count(name) == 0
    assert bed.ctl("start", name, check=False).returncode == 4
