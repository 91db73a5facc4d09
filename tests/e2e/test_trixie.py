"""Debian 13: the package is built there by its own compiler, installed, and starts a session."""

import os
import subprocess
from pathlib import Path

import pytest

from conftest import MACHINES, ROOM, SETTINGS, TREE, bring_up
from screen import Api, Screen


@pytest.fixture(scope="module")
def trixie(deb):
    """A Debian 13 with the crates of this machine's cargo, which has fetched them already."""
    cargo = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry"
    subprocess.run(["cargo", "fetch", "--locked", "-q"], cwd=TREE, check=True)
    with bring_up(deb, "trixie", "--suite", "trixie", "--bind", f"{cargo}:/cargo/registry") as bed:
        yield bed


@pytest.fixture(scope="module")
def built(trixie):
    """The package, built inside: its path there."""
    files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=TREE,
                           capture_output=True, check=True).stdout
    packed = subprocess.run(["tar", "-cz", "--null", "-T", "-"], cwd=TREE, input=files, capture_output=True, check=True)
    trixie.run("mkdir", "-p", "/root/tree")
    subprocess.run([TREE / "tests/bed/bed", "run", trixie.name, "tar", "-xz", "-C", "/root/tree"], input=packed.stdout, check=True)
    version = trixie.run("cargo", "--version").stdout
    assert version.startswith("cargo 1.85."), version
    # That the compiler builds it is tested, not how fast the result is: optimizing would take most of the time.
    quick = "CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=0"
    offline = "CARGO_HOME=/cargo CARGO_NET_OFFLINE=true"
    done = trixie.run(f"cd /root/tree && {offline} {quick} tests/package/build-deb 2>/root/build.log", check=False, timeout=3000)
    assert done.returncode == 0, trixie.run("tail", "-40", "/root/build.log").stdout
    return done.stdout.split()[-1]


def test_it_is_built_installed_and_starts_a_session_there(trixie, built):
    trixie.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", built, timeout=600)
    assert trixie.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""
    trixie.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS + ROOM)
    trixie.write("/etc/qemu-web-desktop/machines.conf", MACHINES)
    trixie.ctl("download")
    trixie.forward()
    alice = Api(trixie, "alice")
    status, made = alice.create()
    assert status == 201, made
    screen = Screen(trixie.origin, alice.ticket(made["id"]))
    assert screen.menu() > 0
    for unit in (f"qwd-session-{made['id']}", "qwd-portal", "qwd-display", "qwd-launcher"):
        assert trixie.run("systemd-analyze", "security", "--threshold=20", f"{unit}.service", check=False).returncode == 0, unit
    trixie.ctl("stop", made["id"])
    assert trixie.json("show", made["id"])["state"] == "ended"


def test_the_package_of_debian_12_works_there_too(trixie, built):
    trixie.install()
    made = trixie.json("start", "menu.iso")
    assert trixie.json("show", made["id"])["state"] == "running"
    trixie.ctl("stop", made["id"])
