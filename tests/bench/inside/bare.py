"""The limit: a running session's own QEMU command line, started with nothing of ours around it.

Its disk is ready before the clock starts, its monitors have listeners that nobody talks to, and its
screen is a Unix socket instead of a descriptor that somebody would have to bring."""

import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import processes

# Where the session's own view of the file system has them.
OVERLAY = "/var/tmp/disk.qcow2"
IMAGE = "/run/image"
MACHINE = "/var/lib/qemu-web-desktop/machines/idle.img"
PATIENCE = 60


class Worker:
    WORK = ("learn", "start", "burst")

    def __init__(self, _):
        self.folder = Path(tempfile.mkdtemp(prefix="bare-"))
        self.argv, self.template = [], self.folder / "template"

    def learn(self, session, size):
        """Takes the command line of this session's QEMU; its disk has that many bytes."""
        self.argv = command_line(session)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", self.template, str(size)], check=True)
        return self.argv

    def start(self):
        """Milliseconds from fork to the screen's greeting."""
        return self.burst(1)[0]

    def burst(self, count):
        """The same for that many at once, until the last of them has greeted; and the CPU seconds they took."""
        machines = [Machine(self, i) for i in range(count)]
        try:
            begun = time.perf_counter()
            for machine in machines:
                machine.fork()
            for machine in machines:
                machine.greeting()
            took = (time.perf_counter() - begun) * 1000
            return took, processes.shares(Path("/proc") / str(machine.process.pid) for machine in machines)
        finally:
            for machine in machines:
                machine.end()


class Machine:
    """One bare QEMU."""

    def __init__(self, bare, number):
        self.disk, self.screen = bare.folder / f"{number}.qcow2", bare.folder / f"{number}.vnc"
        self.said = bare.folder / f"{number}.log"
        shutil.copy(bare.template, self.disk)
        self.monitors = []
        self.argv = [self.word(bare, word) for word in bare.argv]
        self.argv[self.argv.index("-vnc") + 1] = f"unix:{self.screen}"
        self.process = None

    def word(self, bare, word):
        monitor = re.fullmatch(r"(socket,id=monitor\d+),fd=\d+(,.*)", word)
        if not monitor:
            return word.replace(OVERLAY, str(self.disk)).replace(IMAGE, MACHINE)
        listener = socket.socket(socket.AF_UNIX)
        path = bare.folder / f"{self.disk.stem}-{len(self.monitors)}.mon"
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        listener.listen()
        self.monitors.append(listener)
        return f"{monitor[1]},fd={listener.fileno()}{monitor[2]}"

    def fork(self):
        self.screen.unlink(missing_ok=True)
        fds = [listener.fileno() for listener in self.monitors]
        with self.said.open("w") as said:
            self.process = subprocess.Popen(self.argv, pass_fds=fds, stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def greeting(self):
        """Comes back when the screen has greeted."""
        end = time.monotonic() + PATIENCE
        while True:
            with socket.socket(socket.AF_UNIX) as viewer:
                viewer.settimeout(PATIENCE)
                try:
                    viewer.connect(str(self.screen))
                    if viewer.recv(12, socket.MSG_WAITALL) == b"RFB 003.008\n":
                        return
                    raise RuntimeError("bare QEMU did not greet")
                except (FileNotFoundError, ConnectionRefusedError):
                    if self.process.poll() is not None or time.monotonic() > end:
                        raise RuntimeError(f"bare QEMU: {self.said.read_text()}") from None
            # Often enough to be exact, seldom enough to leave QEMU its CPU.
            time.sleep(0.0005)

    def end(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        for listener in self.monitors:
            listener.close()


def command_line(session):
    """The arguments of the process that runs this session's machine."""
    mark = f"guest=qwd-{session},".encode()
    for _, program, words in processes.everything():
        if any(word.startswith(mark) for word in words) and "qemu-system" in program:
            return [program, *(word.decode() for word in words[1:-1])]
    raise RuntimeError(f"no QEMU of session {session}")
