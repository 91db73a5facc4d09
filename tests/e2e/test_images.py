"""Images of every format: the same disk boots to the same screen, and stays as it was."""

import json
import time

import pytest

import boot_disk
from conftest import MACHINES, SETTINGS
from screen import Api, Screen

IMAGES = "/var/lib/qemu-web-desktop/machines"
CONFIG = "/etc/qemu-web-desktop/config.d/test.toml"
# What QEMU calls them. Nothing in the names says what they are.
FORMATS = ["qcow2", "vdi", "vmdk", "vpc", "vhdx", "qed"]
NAMES = ["format-raw.iso", "format-iso.qcow2", *(f"format-{name}.img" for name in FORMATS)]
BLUE, WHITE = bytes.fromhex("a80000"), bytes.fromhex("ffffff")


@pytest.fixture(scope="module")
def disks(bed, tmp_path_factory):
    """The folder on the bed with the disk as it is and as a CD."""
    folder = tmp_path_factory.mktemp("disks")
    bed.run("mkdir -p /srv/boot /srv/other && mount -t tmpfs -o size=64m none /srv/other && chmod 755 /srv/other")
    for name, content in (("disk.raw", boot_disk.disk()), ("disk.iso", boot_disk.cd())):
        (folder / name).write_bytes(content)
        bed.put(folder / name, "/srv/boot/")
    yield "/srv/boot"
    bed.ctl("stop", "--all", check=False)
    bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES)
    bed.write(CONFIG, SETTINGS)
    bed.run(f"umount /srv/other; rm -rf /srv/boot /srv/other {IMAGES}/format-* {IMAGES}/packed-* {IMAGES}/downloads/packed-*")


@pytest.fixture(scope="module")
def machines(bed, disks):
    """All eight put there by hand; one is a link to another file system."""
    bed.run(f"cd {IMAGES} && cp {disks}/disk.raw format-raw.iso && cp {disks}/disk.iso format-iso.qcow2")
    for name in FORMATS:
        bed.run(f"qemu-img convert -f raw -O {name} {disks}/disk.raw {IMAGES}/format-{name}.img")
    bed.run(f"mv {IMAGES}/format-qed.img /srv/other/ && ln -s /srv/other/format-qed.img {IMAGES}/")
    bed.run("sh", "-c", f"chmod a+r {IMAGES}/format-*")
    sections = "".join(f"[{name}]\ndescription=For a test\n" for name in NAMES)
    bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES + sections)
    return NAMES


def settled(screen, seconds=120):
    """The picture once the guest has said its line."""
    end, last = time.monotonic() + seconds, b""
    while time.monotonic() < end:
        now = screen.picture()
        pixels = [now[at:at + 3] for at in range(0, len(now), 4)]
        if now == last and pixels.count(BLUE) > len(pixels) * 0.9 and WHITE in pixels:
            return now
        last = now
        time.sleep(0.2)
    raise AssertionError("the guest said nothing")


def checksums(bed):
    return bed.run(f"cat {IMAGES}/format-*.* | sha256sum; sha256sum {IMAGES}/format-*.*").stdout


def overlay(bed, session):
    return bed.run("sh", "-c", 'ls /var/tmp/systemd-private-*-qwd-session-"$1".service-*/tmp/disk.qcow2', "sh", session).stdout.strip()


def test_every_format_boots_to_the_same_screen_and_is_not_written_to(bed, machines):
    before = checksums(bed)
    alice = Api(bed, "alice")
    started = []
    for name in machines:
        status, made = alice.create(machine=name)
        assert status == 201, (name, made)
        started.append(made["id"])
    pictures = [settled(Screen(bed.origin, alice.ticket(made))) for made in started]
    different = [name for name, picture in zip(machines, pictures) if picture != pictures[0]]
    assert not different
    for name, made in zip(machines, started):
        # What the guest wrote is on its own disk, as large as the image's or, beside a CD, as configured.
        disk = overlay(bed, made)
        bed.run("grep", "-aq", boot_disk.MARK.decode(), disk)
        size = json.loads(bed.run("qemu-img", "info", "-U", "--output=json", disk).stdout)["virtual-size"]
        assert size == 10 << 30 if "iso.qcow2" in name else boot_disk.SIZE <= size < boot_disk.SIZE * 1.2, name
    bed.ctl("stop", *started)
    assert checksums(bed) == before


PACKED = {
    "packed-gz.img": ("disk.raw.gz", "gzip -c disk.raw > disk.raw.gz"),
    "packed-xz.img": ("disk.qcow2.xz", "qemu-img convert -O qcow2 disk.raw disk.qcow2 && xz -k disk.qcow2"),
    "packed-zst.img": ("disk.zst", "zstd -q disk.raw -o disk.zst"),
    "packed-zip.img": ("disk.zip", "zip -q disk.zip disk.raw"),
}


def test_what_comes_packed_is_unpacked_by_nobody_in_particular(bed, disks):
    for _, made_by in PACKED.values():
        bed.run(f"cd {disks} && {made_by}")
    sections = "".join(f"[{name}]\nurl=file://{disks}/{file}\ndescription=Packed\n" for name, (file, _) in PACKED.items())
    bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES + sections)
    results = bed.json("download", *PACKED)
    assert [(r["name"], r["result"]) for r in results] == [(name, "downloaded") for name in PACKED]
    for name, (file, _) in PACKED.items():
        origin = "disk.qcow2" if "qcow2" in file else "disk.raw"
        bed.run("cmp", f"{disks}/{origin}", f"{IMAGES}/{name}")
        assert bed.run("stat", "-Lc", "%U %a", f"{IMAGES}/{name}").stdout == "root 644\n"
    assert [r["result"] for r in bed.json("download", *PACKED)] == ["current"] * 4
    units = {line["UNIT"] for line in bed.journal("-u", "qwd-unpack-*") if "UNIT" in line}
    assert len(units) >= 4, "each in a unit of its own"
    # It is a disk that boots.
    made = bed.json("start", "packed-xz.img")["id"]
    bed.ctl("stop", made)


def test_a_bomb_and_a_run_that_was_ended_leave_the_old_image_in_force(bed, disks):
    name = "packed-gz.img"
    before = bed.run("sha256sum", f"{IMAGES}/{name}").stdout
    # 20 GB of zeros in 20 MB.
    bed.run(f"cd {disks} && head -c 100M /dev/zero | gzip -c > part && "
            "for i in $(seq 200); do cat part; done > bomb.gz && rm part")
    section = f"[{name}]\nurl=file://{disks}/bomb.gz\ndescription=Packed\n"
    bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES + section)
    bed.write(CONFIG, SETTINGS + '[download]\nsize_max = "200M"\n')
    done = bed.ctl("download", name, check=False)
    assert done.returncode == 1 and "more than 200 MiB" in done.stderr, done.stderr
    bed.write(CONFIG, SETTINGS)
    bed.run("systemd-run", "-qG", "--unit=run-to-end", "qwdctl", "download", name)
    bed.wait("systemctl list-units --plain --no-legend 'qwd-unpack-*' | grep -q .")
    bed.run("systemctl", "kill", "-s", "KILL", "run-to-end")
    bed.wait("! systemctl list-units --plain --no-legend 'qwd-unpack-*' | grep -q .")
    assert bed.run("sha256sum", f"{IMAGES}/{name}").stdout == before
    assert bed.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""
