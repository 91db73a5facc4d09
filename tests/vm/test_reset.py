"""A hard reset with sessions running: what they left on the disks goes at the next boot."""

from screen import Api, Screen
from test_package import failed_units

DISKS = "/var/lib/qemu-web-desktop/disks-test"


def test_after_a_hard_reset_nothing_is_left_and_sessions_start(bed, session):
    inner = session("--owner", "local:bob")["id"]
    bed.run("mkdir", "-p", DISKS)
    bed.write("/etc/qemu-web-desktop/config.d/zz.toml", f'[paths]\ndir_snapshots = "{DISKS}"\n')
    outer = [session()["id"] for _ in range(2)]
    # What the kernel has not written yet would be gone without anybody's help.
    bed.run("touch /root/marked && sync")
    private = bed.run("ls -d /var/tmp/systemd-private-*qwd-session*").stdout.split()
    assert sorted(bed.run("ls", DISKS).stdout.split()) == sorted(outer) and any(inner in path for path in private)
    bed.reset()
    bed.run("test", "-e", "/root/marked")
    assert bed.run("ls", DISKS).stdout == ""
    assert bed.run("ls", "/run/qemu-web-desktop/records").stdout == ""
    left = bed.run("ls", "-d", *private, check=False).stdout
    assert left == "", "the disks in private folders"
    removed = [line["MESSAGE"] for line in bed.journal("-u", "qwd-cleanup.service")]
    assert all(any(made in message and "was removed" in message for message in removed) for made in outer)
    assert failed_units(bed) == ""
    assert bed.json("list", "--all") in ([], {"sessions": []})
    # And on it goes.
    alice = Api(bed, "alice")
    status, made = alice.create()
    assert status in (200, 201), made
    assert Screen(bed.origin, alice.ticket(made["id"])).greeting == b"RFB 003.008\n"
    assert bed.run("ls", DISKS).stdout.split() == [made["id"]]
    bed.ctl("stop", made["id"])
    bed.wait(f"test ! -e {DISKS}/{made['id']}")
