"""Images that administrators make and change: by the installed package, in its sandboxes, under real sessions."""

import json

import pytest

import boot_disk
from conftest import MACHINES, SETTINGS
from screen import Api, Screen
from test_images import IMAGES, settled

CATALOGUE = "/etc/qemu-web-desktop/machines.conf"
CONFIG = "/etc/qemu-web-desktop/config.d/test.toml"
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


def test_what_was_imported_from_anywhere_boots_to_the_same_screen(bed, kept):
    alice, pictures = Api(bed, "alice"), []
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


def test_a_removed_machine_is_gone(bed, kept):
    name = kept[2]
    assert bed.json("remove", name)["result"] == "removed"
    assert name not in bed.run("cat", CATALOGUE).stdout
    assert bed.run(f"ls -A {IMAGES}").stdout.count(name) == 0
    assert bed.ctl("start", name, check=False).returncode == 4
