"""Memory that a guest has freed goes back to the host, unless its machine says that it keeps it.

In a throwaway Debian in a container, where a Linux boots in seconds.
"""

import pytest

from conftest import FOLDER, HERE, e2e
from linux_guest import DISK_AND_BUTTON, write_linux
from test_units import prop

FILLED = 256 << 20
MACHINES = "[guest.iso]\ndescription=Gives back\n[keeps.iso]\ndescription=Keeps\nballoon=no\n"


@pytest.fixture(scope="module")
def container(deb, root, tmp_path_factory):
    """A bed with the package and two machines, one of them without a balloon."""
    iso = tmp_path_factory.mktemp("guest") / "guest.iso"
    write_linux(root, HERE / "freeing-init", iso, [*DISK_AND_BUTTON, "virtio_pci", "virtio_balloon"])
    with e2e.bring_up(deb, "balloon") as bed:
        bed.install()
        bed.write("/etc/qemu-web-desktop/config.d/test.toml", e2e.SETTINGS + e2e.ROOM)
        bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES)
        bed.put(iso, FOLDER)
        bed.run("ln", "-s", "guest.iso", f"{FOLDER}/keeps.iso")
        yield bed


def memory(bed, session):
    return int(prop(bed, session, "MemoryCurrent"))


def test_what_a_guest_has_freed_is_the_hosts_again(container):
    bed = container
    made = {name: bed.json("start", name, "--memory", "512M")["id"] for name in ("guest.iso", "keeps.iso")}
    marked = 'grep -aq "mark: {}" /var/tmp/systemd-private-*-qwd-session-{}.service-*/tmp/disk.qcow2'
    for session in made.values():
        bed.wait(marked.format("full", session), 300)
    full = {name: memory(bed, session) for name, session in made.items()}
    assert all(used > FILLED for used in full.values()), full
    for session in made.values():
        bed.qmp(session, "system_powerdown", monitor="launcher")
        bed.wait(marked.format("freed", session), 60)
    bed.wait(f"test $(systemctl show -P MemoryCurrent qwd-session-{made['guest.iso']}) -lt {full['guest.iso'] - FILLED * 3 // 4}", 120)
    assert memory(bed, made["keeps.iso"]) > full["keeps.iso"] - FILLED // 4
    bed.ctl("stop", "--all", check=False)
