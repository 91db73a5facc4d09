"""A bed with the package, an idle machine, and an agent that does the work inside."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from conftest import BED, SETTINGS, bring_up  # noqa: E402
from idle_image import MIB, image  # noqa: E402

MACHINES = """\
[idle.img]
url=file:///root/bench/idle.img
description=Says one line and halts
"""


class Place:
    """Ours, ready to be measured; ends with its bed."""

    disk_size = MIB

    def __init__(self, deb):
        self.bed = bring_up(deb, "bench")
        try:
            self.furnish()
        except BaseException:
            self.bed.down()
            raise

    def furnish(self):
        bed = self.bed
        prefer(bed.name)
        bed.install()
        bed.write("/etc/qemu-web-desktop/config.d/bench.toml", SETTINGS)
        bed.write("/etc/qemu-web-desktop/machines.conf", MACHINES)
        # A port that an Origin names.
        bed.write("/etc/apache2/conf-enabled/bench.conf", "Listen 8080\n")
        bed.run("systemctl", "reload", "apache2")
        with tempfile.TemporaryDirectory() as folder:
            tools = Path(folder) / "bench"
            tools.mkdir()
            (tools / "idle.img").write_bytes(image())
            for source in [*(HERE / "inside").glob("*.py"), HERE.parent / "e2e/screen.py"]:
                (tools / source.name).write_bytes(source.read_bytes())
            bed.put(tools, "/root/")
        bed.ctl("download")
        self.agent = subprocess.Popen([BED, "run", bed.name, "python3", "/root/bench/agent.py"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, what, *args):
        """One piece of work inside, and what it brought."""
        self.agent.stdin.write(json.dumps({"do": what, "args": args}) + "\n")
        self.agent.stdin.flush()
        line = self.agent.stdout.readline()
        answer = json.loads(line) if line else {"error": "the agent has ended"}
        if "error" in answer:
            raise SystemExit(f"bench: {what}: {answer['error']}")
        return answer["result"]

    def warm_up(self):
        """What happens only once is over, and the limit knows the command line."""
        session = self.do("ours.open")
        self.do("bare.learn", session, self.disk_size)
        self.do("ours.stop", session)

    def end(self):
        self.agent.stdin.close()
        self.agent.wait()
        self.bed.down()


def prefer(name):
    """Gives the bed as a whole the CPU before all else: its processes' nice values count in its own cgroup only."""
    for group in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")):
        for knob, most in (("cpu.shares", 262144), ("cpu.weight", 10000)):
            knob = group / f"qwd-bed-{name}" / knob
            if knob.exists():
                knob.write_text(f"{most}\n")
