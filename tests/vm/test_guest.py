"""A real guest: a reboot is its own affair, and its own end the session's."""

import pytest

from conftest import FOLDER, HERE
from rescue_cd import SECTOR, write_cd
from test_units import gone, prop


@pytest.fixture(scope="module")
def machine(bed, root, tmp_path_factory):
    """A machine with iPXE in it, which asks the world what to do."""
    iso = tmp_path_factory.mktemp("guest") / "guest.iso"
    # What fills the sector up must be of the script's kind.
    script = (HERE / "guest.ipxe").read_bytes().ljust(SECTOR, b"\n")
    write_cd(iso, [("linux16", (root / "usr/lib/ipxe/ipxe.lkrn").read_bytes(), ""), ("initrd16", script, "")], root)
    bed.put(iso, FOLDER)
    return iso.name


@pytest.fixture
def asking(world, outside, session, machine):
    """A session whose guest is up: its id, and the guest's question."""
    made = session(machine=machine)
    assert made["network"] == "user"
    path, question = world.asked()
    assert path == "/start"
    return made["id"], question


def test_a_reboot_keeps_the_session_and_a_guests_own_end_ends_it_within_two_seconds(bed, world, asking):
    made, question = asking
    process = prop(bed, made, "MainPID")
    world.tell(question, "reboot")
    path, question = world.asked()
    assert path == "/start"
    assert (prop(bed, made, "MainPID"), bed.json("show", made)["state"]) == (process, "running")
    world.tell(question, "poweroff")
    bed.wait(f"test ! -e /run/qemu-web-desktop/records/{made}.json", 120)
    assert "shut down by its guest" in bed.json("show", made)["message"]
    gone(bed, made)
    # From QEMU's end, when its monitor does not answer any more, to the line that tells the owner.
    story = bed.journal(f"QWD_SESSION={made}")
    at = lambda said: next(int(line["__MONOTONIC_TIMESTAMP"]) for line in story if said in line["MESSAGE"])
    assert at("has ended. ") - at("The guest has ended.") <= 2_000_000
