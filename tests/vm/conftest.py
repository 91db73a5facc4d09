"""What the tests in a virtual machine share: a Debian 13 with a kernel of its own and the package in it.

A test asks it what the tests of tests/e2e ask their bed, by the same names.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from world import SETUP, World

HERE = Path(__file__).resolve().parent
VM = HERE.parent / "bed/vm"
sys.path.insert(0, str(HERE.parent / "e2e"))

# The other folder's conftest, under another name than this one's.
spec = importlib.util.spec_from_file_location("e2e", HERE.parent / "e2e/conftest.py")
e2e = importlib.util.module_from_spec(spec)
# A dataclass looks its module up.
sys.modules["e2e"] = e2e
spec.loader.exec_module(e2e)

deb, session = e2e.deb, e2e.session
SETTINGS = e2e.SETTINGS
MACHINES = e2e.MACHINES + "[guest.iso]\ndescription=A small Linux\n[memtest.iso]\ndescription=Eats memory and CPU\n"
FOLDER = "/var/lib/qemu-web-desktop/machines"


def tool(*args, **options):
    """The virtual machine's own program; its error text is the failure's."""
    done = subprocess.run([VM, *map(str, args)], text=True, capture_output=True, **options)
    assert done.returncode == 0, f"vm {' '.join(map(str, args))}: {done.stderr}"
    return done.stdout.strip()


class Machine(e2e.Bed):
    """A virtual machine; what it was given once it needs again after a reset."""

    def run(self, *cmd, check=True, input=None, timeout=300):
        words = ["sh", "-c", cmd[0]] if len(cmd) == 1 else [str(c) for c in cmd]
        done = subprocess.run([VM, "run", self.name, *words], text=True, capture_output=True, input=input,
                              timeout=timeout, stdin=None if input is not None else subprocess.DEVNULL)
        if check:
            assert done.returncode == 0, f"{cmd}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def put(self, src, dst):
        tool("put", self.name, src, dst)

    def get(self, src, dst):
        tool("get", self.name, src, dst)

    def forward(self, guest=80):
        """Through a proxy inside, so that the service sees a local client, whom alone it serves as it comes."""
        self.run("systemd-run", "-q", "--unit=local", "--socket-property=ListenStream=8080",
                 "/usr/lib/systemd/systemd-socket-proxyd", f"127.0.0.1:{guest}")
        if not self.port:
            self.port = int(tool("forward", self.name, "0", "8080"))
        return self.port

    def reset(self):
        """Pulls the plug; the address stays."""
        tool("reset", self.name)
        self.forward()

    def inside(self, session, *cmd):
        """Runs a program as root, but in the control group of a session: held by its unit's limits."""
        script = 'echo $$ >"/sys/fs/cgroup$1/cgroup.procs" && shift && exec "$@"'
        return self.run("sh", "-c", script, "sh", group(self, session), *cmd, check=False)

    def down(self):
        tool("down", self.name)


def group(machine, session):
    """The control group of a session's unit."""
    return machine.run("systemctl", "show", "-P", "ControlGroup", f"qwd-session-{session}.service").stdout.strip()


def furnish(machine):
    """Settings, machines and a forwarded port: ready for sessions."""
    machine.write("/etc/qemu-web-desktop/config.d/room.toml", e2e.ROOM)
    machine.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS)
    machine.write("/etc/qemu-web-desktop/machines.conf", MACHINES)
    machine.ctl("download", "menu.iso")
    machine.run("cp", "/usr/lib/memtest86+/memtest86+x64.iso", f"{FOLDER}/memtest.iso")
    machine.forward()


@pytest.fixture(scope="session")
def root():
    """The root that the virtual machine's image was made from."""
    image = Path(tool("image"))
    return image.parents[1] / "roots" / image.name


@pytest.fixture(scope="session")
def world():
    """Listens for guests on this host, outside the virtual machine."""
    with World() as world:
        yield world


@pytest.fixture(scope="session")
def bed(deb, world):
    """The virtual machine with the package installed, shared by all tests.

    A guest's way to `world`: an address in a network namespace, a Unix socket, and from there out."""
    name = f"vm-{os.getpid()}"
    tool("up", name, "--guestfwd", f"10.0.2.100:7000={world.port}")
    machine = Machine(name, deb)
    try:
        machine.install()
        furnish(machine)
        yield machine
    finally:
        machine.down()


@pytest.fixture(scope="session")
def outside(bed):
    """The addresses of the world inside the virtual machine."""
    bed.run(SETUP)
    bed.wait("test -S /run/world.sock && ip netns exec world ss -ltn | grep -q ':80 '")
