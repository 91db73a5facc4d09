"""A guest with an operating system is asked to shut down, and waited for.

In a throwaway Debian in a container, where a Linux boots in seconds; in the virtual machine it would
take minutes.
"""

import pytest

from conftest import FOLDER, HERE, e2e
from linux_guest import write_linux
from test_units import gone, prop

HELD = "/var/tmp/held.qcow2"


@pytest.fixture(scope="module")
def container(deb, root, tmp_path_factory):
    """A bed with the package and one machine, which takes its time to shut down."""
    iso = tmp_path_factory.mktemp("guest") / "guest.iso"
    write_linux(root, HERE / "asked-init", iso)
    with e2e.bring_up(deb, "shutdown") as bed:
        bed.install()
        bed.write("/etc/qemu-web-desktop/config.d/test.toml", e2e.SETTINGS.replace('stop_grace = "1s"', 'stop_grace = "300s"') + e2e.ROOM)
        bed.write("/etc/qemu-web-desktop/machines.conf", "[guest.iso]\ndescription=A small Linux\n")
        bed.put(iso, FOLDER)
        yield bed


def test_a_guest_is_asked_and_waited_for(container):
    bed = container
    made = bed.json("start", "guest.iso")["id"]
    unit = f"qwd-session-{made}.service"
    # A second name keeps the disk after the session's end.
    bed.run("sh", "-c", 'ln "/var/tmp/systemd-private-"*"-$1-"*/tmp/disk.qcow2 "$2"', "sh", unit, HELD)
    bed.wait(f"grep -q 'mark: up' {HELD}", 240)
    bed.run("systemctl", "stop", "--no-block", unit)
    bed.wait(f"grep -q 'mark: asked' {HELD}", 60)
    assert bed.run("systemctl", "is-active", unit, check=False).stdout.strip() == "deactivating"
    assert prop(bed, made, "SubState") == "stop", "still asking"
    # The other monitor is the one at which it is being stopped.
    bed.qmp(made, "system_powerdown", monitor="launcher")
    bed.wait(f"test ! -e /run/qemu-web-desktop/records/{made}.json", 60)
    bed.run("grep", "-q", "mark: tidy", HELD)
    assert bed.json("show", made)["state"] == "ended"
    assert not any("cut off" in line["MESSAGE"] for line in bed.journal(f"QWD_SESSION={made}"))
    gone(bed, made)
