"""The package on a Debian 13 with a kernel of its own: cgroup v2, systemd 257, nothing emulated but the processor."""

import pytest

from conftest import e2e
from screen import Api, Screen
from test_units import gone, prop

# A template is rated as one of its instances.
UNITS = sorted(path.name.replace("@.", "@abcdefghij.") for path in (e2e.TREE / "units").glob("*.service"))


# They have no option that takes a mount namespace: with /run full there is none.
WITHOUT_NAMESPACE = ("qwd-expire@", "qwd-reaper.")


def exposed_little(bed, unit):
    """systemd's own rating is 2.0 or better, or 3.0 without a mount namespace."""
    most = 30 if unit.startswith(WITHOUT_NAMESPACE) else 20
    rated = bed.run("systemd-analyze", "security", "--no-pager", f"--threshold={most}", unit, check=False)
    assert rated.returncode == 0, rated.stdout


def failed_units(bed):
    return bed.run("systemctl", "--failed", "--plain", "--no-legend").stdout


@pytest.fixture
def alice(bed):
    """A person who signs in by typing a name; what she has left is stopped."""
    yield Api(bed, "alice")
    bed.ctl("stop", "--all", check=False)


def test_nothing_fails_after_an_installation(bed):
    assert bed.run("stat", "-f", "-c", "%T", "/sys/fs/cgroup").stdout.strip() == "cgroup2fs"
    assert failed_units(bed) == ""
    active = bed.run("systemctl", "is-active", "qwd-portal.socket", "qwd-display.socket", "qwd-reaper.timer", check=False)
    assert active.stdout.split() == ["active"] * 3


@pytest.mark.parametrize("unit", UNITS)
def test_a_shipped_unit_is_exposed_little(bed, unit):
    exposed_little(bed, unit)


def test_a_screen_greets_through_apache_and_leaves_nothing_behind(bed, alice):
    status, made = alice.create()
    assert status in (200, 201), made
    screen = Screen(bed.origin, alice.ticket(made["id"]))
    assert screen.greeting == b"RFB 003.008\n" and screen.width > 0
    assert prop(bed, made["id"], "Slice") == "qwd-sessions.slice"
    assert "qwd.slice/qwd-sessions.slice" in prop(bed, made["id"], "ControlGroup")
    exposed_little(bed, f"qwd-session-{made['id']}.service")
    assert alice.call("DELETE", f"sessions/{made['id']}")[0] in (200, 202, 204)
    screen.wait_closed()
    gone(bed, made["id"])
    assert failed_units(bed) == ""
