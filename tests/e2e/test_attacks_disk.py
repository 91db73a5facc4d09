"""Guests that write without end take neither each other's room nor the server's."""

import time

import pytest

import boot_disk

SMALL = "/srv/small"
MACHINE = "flood.img"
IMAGE = f"/var/lib/qemu-web-desktop/machines/{MACHINE}"
MORE = "/etc/qemu-web-desktop/config.d/zz.toml"
MACHINES = "/etc/qemu-web-desktop/machines.conf"


@pytest.fixture
def flooded(bed, tmp_path):
    """A machine whose guest fills its disk, and a small file system for the disks of sessions."""
    bed.run(f"mkdir -p {SMALL} && mount -t tmpfs -o size=200M,mode=755 none {SMALL}")
    (tmp_path / MACHINE).write_bytes(boot_disk.flood())
    bed.put(tmp_path / MACHINE, IMAGE)
    bed.run("truncate", "-s", "4G", IMAGE)
    machines = bed.run("cat", MACHINES).stdout
    bed.write(MACHINES, f"{machines}\n[{MACHINE}]\ndescription=Writes without end\ndisk=virtio\n")

    def settings(session="", paths=""):
        bed.write(MORE, f'[session]\nstop_grace = "60s"\n{session}\n[paths]\n{paths}\n')

    yield settings
    left = [made["id"] for made in bed.json("list")]
    bed.ctl("stop", "--kill", *left, check=False)
    bed.wait(f'test -z "$(ls {SMALL})"')
    bed.run(f"rm -f {MORE} {IMAGE}; umount {SMALL}")
    bed.write(MACHINES, machines)


def paused(bed, made, why):
    bed.wait(f"qwdctl show {made} --json | grep -q '\"paused\": *\"{why}\"'", 180)


def longer(bed, made, size):
    bed.wait(f"test $(stat -c %s {disk(made)}) -gt {size}", 180)


def length(bed, made):
    return int(bed.run(f"stat -c %s {disk(made)}").stdout)


def disk(made):
    """Wherever it is."""
    return f"$(ls {SMALL}/{made}/disk.qcow2 /var/tmp/systemd-private-*-qwd-session-{made}.*/tmp/disk.qcow2 2>/dev/null | head -1)"


def test_a_session_writes_no_more_than_it_may(bed, flooded):
    flooded('disk_max = "24M"')
    made = bed.json("start", MACHINE)["id"]
    paused(bed, made, "disk_limit")
    assert 12 << 20 < length(bed, made) <= 24 << 20
    assert bed.run("systemctl", "is-active", f"qwd-session-{made}").stdout.strip() == "active"
    assert "Disk limit reached" in bed.ctl("show", made).stdout
    refused = bed.ctl("resume", made, check=False)
    assert refused.returncode == 1 and "--disk-max" in refused.stderr, refused.stderr
    # The guest does not hear the power button: nobody waits for it.
    start = time.monotonic()
    bed.ctl("stop", made)
    assert time.monotonic() - start < 30


def test_all_together_leave_the_reserve_and_go_on_once_there_is_room(bed, flooded, alice):
    flooded(paths=f'dir_snapshots = "{SMALL}"\ndisk_start_reserve = "130M"\ndisk_pause_reserve = "120M"')
    quiet = bed.json("start", "menu.iso")["id"]
    first, second = (bed.json("start", MACHINE, "--no-wait")["id"] for _ in range(2))
    paused(bed, first, "server_disk_full")
    paused(bed, second, "server_disk_full")
    free = int(bed.run(f"df --output=avail -B1 {SMALL} | tail -1").stdout)
    assert 0 < free <= 120 << 20
    assert bed.json("show", quiet)["paused"] == ""
    status, refused = alice.create()
    assert (status, refused["error"]) == (507, "no_space"), refused
    assert "paths." not in refused["message"] and "/srv" not in refused["message"]
    said = bed.ctl("start", "menu.iso", check=False)
    assert said.returncode == 1 and "paths.disk_start_reserve" in said.stderr, said.stderr
    checked = bed.ctl("check", check=False)
    assert "paths.disk_start_reserve" in checked.stdout + checked.stderr
    second, first = sorted((first, second), key=lambda made: length(bed, made))
    before = length(bed, second)
    bed.ctl("stop", "--kill", first)
    longer(bed, second, before + (4 << 20))
    # A launcher that begins anew finds out, too.
    paused(bed, second, "server_disk_full")
    bed.run("systemctl", "kill", "-s", "KILL", "qwd-launcher")
    paused(bed, second, "server_disk_full")


def test_a_session_that_is_being_stopped_cannot_fill_the_disk(bed, flooded):
    flooded(paths=f'dir_snapshots = "{SMALL}"\ndisk_start_reserve = "130M"\ndisk_pause_reserve = "120M"')
    made = bed.json("start", MACHINE)["id"]
    # Its guest does not hear the power button, and has a minute.
    start = time.monotonic()
    bed.ctl("stop", made)
    assert time.monotonic() - start < 50
    assert any(f"Killed session {made}" in line["MESSAGE"] for line in bed.journal("-t", "qwd-launcher"))
