"""Faults at random moments: programs killed, files damaged, the bus restarted, nothing left to write on."""

import ctypes
import os
import resource
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from processes import OURS
from traces import RECORDS

RUN = "/run"
MS_REMOUNT, MS_NOSUID, MS_NODEV = 32, 2, 4
# A program that lives for a moment only is looked for so long, in seconds.
HUNT = 0.6
# The launcher's limit, as its unit has it.
DESCRIPTORS = 8192


class Strikes:
    """Chooses what breaks, and remembers what has to be repaired."""

    def __init__(self, chance):
        self.chance, self.log, self.counts = chance, [], Counter()
        self.repairs, self.begun, self.spare, self.full = [], time.monotonic(), [], set()

    def run(self, seconds):
        end = self.begun + seconds
        while (now := time.monotonic()) < end:
            due = [repair for repair in self.repairs if repair[0] <= now]
            for repair in due:
                self.repairs.remove(repair)
                repair[1]()
            self.strike()
            time.sleep(self.chance.uniform(0.02, 0.4))

    def strike(self):
        names = list(STRIKES)
        name = self.chance.choices(names, [STRIKES[name][0] for name in names])[0]
        at = time.time()
        try:
            done = STRIKES[name][1](self)
        except (OSError, subprocess.SubprocessError) as e:
            done = f"failed: {e}"
        if done:
            self.counts[name] += 1
            self.log.append(f"{at:.3f} {name}: {done}")

    def later(self, seconds, repair):
        self.repairs.append((time.monotonic() + seconds, repair))

    def repair(self):
        """Leave nothing broken, and Apache and the bus running."""
        for _, repair in self.repairs:
            repair()
        self.repairs.clear()
        for process in self.spare:
            process.kill()
            process.wait()
        self.spare.clear()
        for unit in ("dbus", "apache2"):
            subprocess.run(["systemctl", "reset-failed", unit], capture_output=True, timeout=60)
            subprocess.run(["systemctl", "start", unit], check=True, capture_output=True, timeout=60)


def find(wanted, seconds=0.0):
    """Return the pid and the command line of a process whose first words are these."""
    end = time.monotonic() + seconds
    seen = set()
    while True:
        for pid in os.listdir("/proc"):
            if pid.isdigit() and pid not in seen:
                seen.add(pid)
                with suppress(OSError):
                    words = Path("/proc", pid, "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                    exe = os.readlink(f"/proc/{pid}/exe")
                    if wanted(exe, words):
                        return int(pid), " ".join(words[1:3])
                    # A child that has not become its program yet is looked at again.
                    if not exe.startswith((OURS, "/usr/bin/qemu")):
                        if exe.endswith(("systemd", "systemd-executor", "qwd")):
                            seen.discard(pid)
        if time.monotonic() > end:
            return None
        time.sleep(0.002)


def killer(wanted, seconds=0.0):
    def strike(self):
        found = find(wanted, seconds)
        if not found:
            return None
        with suppress(ProcessLookupError):
            os.kill(found[0], signal.SIGKILL)
        return f"pid {found[0]} {found[1]}"
    return strike


def program(name, *verb):
    """Return what tells a program of ours: they are one file under several names."""
    return lambda exe, words: exe.startswith(OURS) and os.path.basename(words[0]) == name and words[1:1 + len(verb)] == [*verb]


def any_qemu(self):
    pids = [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit() and is_qemu(folder)]
    if not pids:
        return None
    pid = self.chance.choice(sorted(pids))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return f"pid {pid}"


def is_qemu(folder):
    with suppress(OSError):
        return "/qemu-system-" in os.readlink(folder / "exe")


def call(*words):
    def strike(self):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        return f"exit {done.returncode} {done.stderr.strip()[:80]}"
    return strike


def fresh(unit, *words):
    """Return a strike that does not use up the starts that systemd allows the unit."""
    def strike(self):
        subprocess.run(["systemctl", "reset-failed", unit], capture_output=True, timeout=60)
        return call(*words)(self)
    return strike


def damage(self):
    records = sorted(RECORDS.glob("*.json"))
    if not records:
        return None
    record, how = self.chance.choice(records), self.chance.choice(["removed", "cut", "empty", "noise"])
    if how == "removed":
        record.unlink()
    else:
        with open(record, "r+b") as file:
            if how == "noise":
                file.write(bytes(self.chance.randrange(256) for _ in range(40)))
            else:
                file.truncate(0 if how == "empty" else self.chance.randrange(1, 300))
    return f"{record.name} {how}"


def descriptors(self):
    found = find(program("qwd-launcher"))
    if not found:
        return None
    few = len(os.listdir(f"/proc/{found[0]}/fd")) + self.chance.randrange(4)
    resource.prlimit(found[0], resource.RLIMIT_NOFILE, (few, DESCRIPTORS))
    self.later(self.chance.uniform(0.3, 3), lambda: more_descriptors(found[0]))
    return f"{few} for pid {found[0]}"


def more_descriptors(pid):
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


def full(what):
    """Return a strike that leaves no room below /run: of bytes, or of names."""
    def strike(self):
        now = os.statvfs(RUN)
        if what == "size":
            used, whole = (now.f_blocks - now.f_bfree) * now.f_frsize, now.f_blocks * now.f_frsize
        else:
            used, whole = now.f_files - now.f_ffree, now.f_files
        if what in self.full:
            return None
        remount(f"{what}={used}")
        self.full.add(what)
        self.later(self.chance.uniform(0.3, 3), lambda: empty(self, what, whole))
        return f"{used}"
    return strike


def empty(self, what, whole):
    remount(f"{what}={whole}")
    self.full.remove(what)


def remount(option):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", RUN.encode(), None, MS_REMOUNT | MS_NOSUID | MS_NODEV, option.encode()):
        raise OSError(ctypes.get_errno(), f"{RUN} cannot be mounted with {option}")


def second_launcher(self):
    self.spare.append(subprocess.Popen([f"{OURS}qwd-launcher"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL))
    return f"pid {self.spare[-1].pid}"


# How often, beside the others, and what.
STRIKES = {
    "kill the launcher": (6, killer(program("qwd-launcher"))),
    "kill the portal": (3, killer(program("qwd-portal"))),
    "kill the display": (3, killer(program("qwd-display"))),
    "kill a session's start": (4, killer(program("qwd-session"), HUNT)),
    "kill a powerdown": (4, killer(program("qwd-powerdown"), HUNT)),
    "kill what clears up": (4, killer(program("qwd-reaper", "end"), HUNT)),
    "kill an expiry": (4, killer(program("qwd-reaper", "expire"), HUNT)),
    "kill a sweep": (1, killer(program("qwd-reaper", "sweep"), HUNT)),
    "kill an examination": (1, killer(program("qwd-inspect"), HUNT / 4)),
    "kill QEMU": (6, any_qemu),
    "kill Apache": (1, fresh("apache2", "systemctl", "kill", "--signal=KILL", "--kill-who=main", "apache2")),
    "restart Apache": (1, fresh("apache2", "systemctl", "restart", "apache2")),
    "restart the bus": (2, fresh("dbus", "systemctl", "restart", "dbus")),
    "re-execute systemd": (2, call("systemctl", "daemon-reexec")),
    "reload systemd": (2, call("systemctl", "daemon-reload")),
    "restart the launcher": (1, call("systemctl", "restart", "qwd-launcher")),
    "start a sweep": (2, call("systemctl", "start", "--no-block", "qwd-reaper.service")),
    "start a second launcher": (1, second_launcher),
    "damage a record": (2, damage),
    "take the launcher's descriptors": (2, descriptors),
    "fill /run": (2, full("size")),
    "take the names below /run": (2, full("nr_inodes")),
}
