"""What the tests of the installed package share: a throwaway Debian with the package in it."""

import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from browser import Browser
from screen import Api

TREE = Path(__file__).resolve().parents[2]
BED = TREE / "tests/bed/bed"
QMP = TREE / "tests/bed/qmp"

# KVM is not reliable everywhere, and a test machine is busy: neither may decide a test.
SETTINGS = """\
[qemu]
accel = "tcg"
[session]
memory = "128M"
stop_grace = "1s"
[limits]
service_max_load = 1000.0
service_max_session_nb = 40
service_max_session_nb_per_user = 40
service_max_cpu_fraction_nb_per_user = 100.0
service_max_mem_fraction_nb_per_user = 1.0
cpu_overcommit = 40.0
"""

# Whatever room there is on the disk of the machine that runs the tests.
ROOM = '[paths]\ndisk_start_reserve = "64M"\ndisk_pause_reserve = "16M"\n'

MACHINES = """\
[menu.iso]
url=file:///usr/lib/grub-rescue/grub-rescue-cdrom.iso
description=A menu
"""


def tool(*args, **options):
    """The bed's own program; its error text is the failure's."""
    done = subprocess.run([BED, *args], text=True, capture_output=True, **options)
    assert done.returncode == 0, f"bed {' '.join(map(str, args))}: {done.stderr}"
    return done.stdout.strip()


@dataclass
class Bed:
    """A throwaway Debian."""

    name: str
    deb: Path
    port: int = 0

    @property
    def origin(self):
        return f"http://localhost:{self.port}"

    @property
    def url(self):
        """The service, as a browser on this machine reaches it; ends with a slash."""
        return f"{self.origin}/qemu-web-desktop/"

    def run(self, *cmd, check=True, input=None, timeout=300):
        """Runs a program inside (one string: a shell line); the result has returncode, stdout, stderr."""
        words = ["sh", "-c", cmd[0]] if len(cmd) == 1 else [str(c) for c in cmd]
        done = subprocess.run([BED, "run", self.name, *words], text=True, capture_output=True, input=input,
                              timeout=timeout, errors="backslashreplace")
        if check:
            assert done.returncode == 0, f"{cmd}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def ctl(self, *args, check=True):
        """qwdctl, as root."""
        return self.run("qwdctl", *args, check=check)

    def json(self, *args):
        """What qwdctl --json prints."""
        return json.loads(self.ctl(*args, "--json").stdout)

    def qmp(self, session, command, monitor="stop"):
        """What the session's QEMU answers, by default at the monitor that nobody uses until it is stopped."""
        path = f"/run/qemu-web-desktop/sessions/{session}/{monitor}.sock"
        return json.loads(self.run("python3", "-", path, command, input=QMP.read_text()).stdout)

    def put(self, src, dst):
        tool("put", self.name, src, dst)

    def get(self, src, dst):
        tool("get", self.name, src, dst)

    def write(self, path, text):
        self.run("sh", "-c", 'cat >"$1"', "sh", path, input=text)

    def journal(self, *matches):
        """Lines of the journal since boot, as dictionaries."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "-b", "--no-pager", "-o", "json", *matches).stdout
        return [json.loads(line) for line in lines.splitlines()]

    def wait(self, line, seconds=60):
        """Waits inside until a shell line succeeds; looks again ten times a second."""
        script = 'end=$(($(date +%s) + $2)); until sh -c "$1"; do [ $(date +%s) -lt $end ] || exit 1; sleep 0.1; done'
        done = self.run("sh", "-c", script, "sh", line, str(seconds), check=False, timeout=seconds + 30)
        assert done.returncode == 0, f"not within {seconds} s: {line}\n{done.stdout}{done.stderr}"

    def install(self, deb=None):
        """Installs the package by apt, and says what apt said."""
        deb = Path(deb or self.deb)
        self.put(deb, "/root/")
        return self.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--allow-downgrades",
                        f"/root/{deb.name}", timeout=600)

    def forward(self, guest=80):
        self.port = int(tool("forward", self.name, "0", str(guest)))
        return self.port

    def down(self):
        tool("down", self.name)


@contextmanager
def bring_up(deb, label, *options):
    """A bed without the package in it, until the end of the block."""
    name = f"{label}-{os.getpid()}"
    tool("up", name, "--suite", os.environ.get("QWD_SUITE", "bookworm"), *options)
    bed = Bed(name, deb)
    try:
        yield bed
    finally:
        bed.down()


def furnish(bed):
    """Settings, a machine, a forwarded port: ready for sessions."""
    bed.write("/etc/qemu-web-desktop/config.d/room.toml", ROOM)
    bed.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS)
    bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES)
    bed.ctl("download")
    bed.forward()


@pytest.fixture(scope="session")
def deb():
    """The package: $QWD_DEB, or built from this tree."""
    if os.environ.get("QWD_DEB"):
        return Path(os.environ["QWD_DEB"]).resolve()
    built = subprocess.run([TREE / "tests/package/build-deb"], text=True, stdout=subprocess.PIPE)
    assert built.returncode == 0, "the package could not be built"
    return Path(built.stdout.split()[-1])


@pytest.fixture(scope="session")
def bed(deb):
    """A Debian with the package installed and one machine, shared by all tests.

    $QWD_BED names one that is up already and stays: for working on a test."""
    if os.environ.get("QWD_BED"):
        bed = Bed(os.environ["QWD_BED"], deb)
        furnish(bed)
        yield bed
        return
    with bring_up(deb, "e2e") as bed:
        bed.install()
        furnish(bed)
        yield bed


@pytest.fixture(scope="module")
def empty_bed(deb):
    """A Debian of the module's own, without the package."""
    with bring_up(deb, "own") as bed:
        yield bed


@pytest.fixture
def session(bed):
    """Starts sessions and stops at the end what a test has left running."""
    started = []

    def start(*options, machine="menu.iso"):
        made = bed.json("start", machine, *options)
        started.append(made["id"])
        return made

    yield start
    if started:
        bed.ctl("stop", *started, check=False)


@pytest.fixture
def settings(bed):
    """Puts settings in force for one test."""
    def use(text):
        bed.write("/etc/qemu-web-desktop/config.d/test.toml", text)
    yield use
    bed.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS)


@pytest.fixture
def alice(bed):
    return Api(bed, "alice")


@pytest.fixture
def shown(bed, alice):
    """A session of Alice's that runs."""
    status, made = alice.create()
    assert status == 201, made
    yield made["id"]
    bed.ctl("stop", made["id"], check=False)


@pytest.fixture(scope="session")
def chrome():
    """One browser for all tests."""
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(chrome):
    """The browser, without cookies or further windows of the test before."""
    chrome.fresh()
    return chrome
