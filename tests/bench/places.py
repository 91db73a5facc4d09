"""Where measuring takes place: two throwaway Debians, one with our package, one with the predecessor's.

Each has a network of its own, an idle machine, and an agent inside that does the work."""

import json
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from conftest import BED, ROOM, SETTINGS, bring_up
from idle_image import MIB, image

HERE = Path(__file__).resolve().parent

MACHINES = """\
[idle.img]
url=file:///root/bench/idle.img
description=Says one line and halts
"""

# Sessions by the hundred, whose QEMU is the stand-in.
STAND_IN = """\
[qemu]
qemu_exec = "/usr/local/bin/stand-in"
[session]
memory = "1M"
memory_min = "1M"
[limits]
service_max_session_nb = 2000
service_max_session_nb_per_user = 2000
cpu_overcommit = 2000.0
service_max_cpu_fraction_nb_per_user = 2000.0
"""


class Place:
    """A bed with a package, ready to be measured."""

    role, options = "", ()
    # Before everything else on the machine.
    preferred = True

    def __init__(self, stack, deb=None):
        self.bed = stack.enter_context(bring_up(deb, f"bench-{self.role}", *self.options))
        if self.preferred:
            prefer(self.bed.name)
        self.put_tools()
        self.furnish()
        self.agent = subprocess.Popen([BED, "run", self.bed.name, "python3", "/root/bench/agent.py", self.role],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(self.dismiss)

    def put_tools(self):
        with tempfile.TemporaryDirectory() as folder:
            tools = Path(folder) / "bench"
            tools.mkdir()
            (tools / "idle.img").write_bytes(image())
            for source in [*HERE.glob("inside/*.*"), *HERE.glob("peer/*"), HERE.parent / "e2e/screen.py"]:
                (tools / source.name).write_bytes(source.read_bytes())
            self.bed.put(tools, "/root/")
        self.bed.run("install -m 755 /root/bench/stand_in.py /usr/local/bin/stand-in")

    def furnish(self):
        raise NotImplementedError

    def do(self, what, *args):
        """One piece of work inside, and what it brought."""
        self.ask(what, *args)
        return self.answer(what)

    def ask(self, what, *args):
        # One that has ended is noticed when its answer does not come.
        with suppress(BrokenPipeError):
            self.agent.stdin.write(json.dumps({"do": what, "args": args}) + "\n")
            self.agent.stdin.flush()

    def answer(self, what):
        line = self.agent.stdout.readline()
        answer = json.loads(line) if line else {"error": "the agent has ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.role}: {what}: {answer['error']}")
        return answer["result"]

    def dismiss(self):
        with suppress(BrokenPipeError):
            self.agent.stdin.close()
        self.agent.wait()


class Ours(Place):
    """Our package, through Apache."""

    role = "ours"

    def furnish(self):
        bed = self.bed
        bed.install()
        bed.write("/etc/qemu-web-desktop/config.d/bench.toml", SETTINGS + ROOM)
        bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES)
        # A port that an Origin names.
        bed.write("/etc/apache2/conf-enabled/bench.conf", "Listen 8080\n")
        bed.run("systemctl", "reload", "apache2")
        bed.ctl("download")

    def warm_up(self):
        """What happens only once is over, and the limit knows the command line."""
        session = self.do("ours.open")
        self.do("bare.learn", session, MIB)
        self.do("ours.stop", session)

    @contextmanager
    def stand_in(self):
        """Sessions that begin meanwhile have the stand-in for a QEMU."""
        path = "/etc/qemu-web-desktop/config.d/stand-in.toml"
        self.bed.write(path, STAND_IN)
        try:
            yield
        finally:
            self.bed.run("rm", path)


class Peer(Place):
    """The predecessor's package, through its Apache and websockify, its limits raised.

    The accelerator is the one our sessions have. The load it looks at is the whole machine's, and
    other work there must not decide whether it starts a session."""

    role, options = "peer", ("--suite", "bookworm", "--flavour", "peer")
    deb = "/var/cache/qwd-testbed/qemu-web-desktop_*.deb"

    def furnish(self):
        bed = self.bed
        found = bed.run(f"ls {self.deb}", check=False).stdout.split()
        if not found:
            raise SystemExit("bench: the archive of this machine has no Perl version of the package")
        bed.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "-i", found[0])
        bed.run("install -m 755 /root/bench/qemu-tcg /usr/local/bin/ && "
                "install -D /root/bench/CpuLoad.pm /usr/local/share/bench/Sys/CpuLoad.pm && "
                "cat /root/bench/config.pl >>/etc/qemu-web-desktop/config.pl && "
                "cp /root/bench/idle.img /var/lib/qemu-web-desktop/machines/")
        bed.write("/etc/apache2/conf-enabled/bench.conf", "PerlSwitches -I/usr/local/share/bench\n")
        bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES)
        bed.run("qwdctl refresh && systemctl restart apache2")

    def warm_up(self):
        self.do("peer.stop", self.do("peer.open"))


class Places:
    """Both of them; they end with the block."""

    def __init__(self, deb):
        self.deb, self.stack = deb, ExitStack()

    def __enter__(self):
        with self.stack:
            self.ours = Ours(self.stack, self.deb)
            self.peer = Peer(self.stack)
            self.ours.warm_up()
            self.peer.warm_up()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *_):
        self.stack.close()


def prefer(name):
    """Gives the bed as a whole the CPU before all else: its processes' nice values count in its own cgroup only."""
    for group in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")):
        for knob, most in (("cpu.shares", 262144), ("cpu.weight", 10000)):
            knob = group / f"qwd-bed-{name}" / knob
            if knob.exists():
                knob.write_text(f"{most}\n")
