"""What there is of each session on this machine, and what of it should not be there."""

import json
import os
import re
import subprocess
import time
from collections import defaultdict
from pathlib import Path

RECORDS = Path("/run/qemu-web-desktop/records")
SESSIONS = Path("/run/qemu-web-desktop/sessions")
# A session's end stays on record for its owner, for a day.
NOTICES = "/run/qemu-web-desktop/ended"
FOLDERS = ("/run", "/var/lib/qemu-web-desktop", "/var/tmp", "/tmp", "/sys/fs/cgroup")
OTHERS = (NOTICES, "/run/log", "/run/qemu-web-desktop/root")
LETTERS = "[a-km-np-z2-9]"
WORD = re.compile(f"(?<![a-z0-9]){LETTERS}{{10}}(?![a-z0-9])")
UNIT = re.compile(f"qwd-(?:session-|tap-|ended@|failed@|expire@)({LETTERS}{{10}})(?![a-z0-9])")
TIMER = re.compile(f"qwd-expire@({LETTERS}{{10}})\\.([0-9]+)\\.timer")
RUNNING = ("active", "activating", "deactivating", "reloading")
# systemd's message that a unit has been started.
STARTED = "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf"
# After its end a guest has stop_grace to shut down; then the unit's own limits count.
GRACE = 10


def output(*words, seconds=60):
    return subprocess.run(words, capture_output=True, text=True, timeout=seconds).stdout


class Traces:
    """All traces at one moment."""

    def __init__(self, known=()):
        self.units = [line.split(None, 4) for line in
                      output("systemctl", "list-units", "--all", "--plain", "--full", "--no-legend", "qwd-*").splitlines()]
        self.running = {m[1] for name, _, state, *_ in self.units
                        if state in RUNNING and (m := re.fullmatch(f"qwd-session-({LETTERS}{{10}})\\.service", name))}
        self.timers = defaultdict(set)
        for name, _, state, *_ in self.units:
            if state == "active" and (m := TIMER.fullmatch(name)):
                self.timers[m[1]].add(int(m[2]))
        self.listed = {one["id"]: one["state"] for one in listing()}
        self.places = collect()
        self.ids = {*known, *self.running, *self.timers, *self.listed}
        for text in self.places:
            self.ids |= {*UNIT.findall(text)}
        for folder in (RECORDS, SESSIONS):
            self.ids |= {word for name in os.listdir(folder) for word in WORD.findall(name)}

    def problems(self):
        """Return a sentence for each thing that should not be; each begins with its kind."""
        found = [*self.leftovers()]
        found += [f"listed, does not run: {id} ({state})" for id, state in self.listed.items() if id not in self.running]
        found += [f"runs, is not listed: {id}" for id in self.running - {*self.listed} if not self.runs_to_its_timer(id)]
        found += [f"neither running nor ending: {id} is {state} for good" for id, state in self.listed.items()
                  if id in self.running and state != "running"]
        for id in self.running:
            found += self.ends(id)
        return found

    def leftovers(self):
        for id, places in self.of(self.ids - self.running).items():
            yield from (f"left of a session that does not run: {id}: {place}" for place in places)

    def of(self, ids):
        """Return the places that name each of these sessions."""
        found = defaultdict(list)
        for text in self.places:
            for id in {*WORD.findall(text)} & ids:
                found[id].append(text)
        return found

    def runs_to_its_timer(self, id):
        """Return whether it is one whose record was damaged: it goes on to the end that its timer holds."""
        return (RECORDS / f"{id}.json").exists() and any(end + GRACE > time.time() for end in self.timers[id])

    def ends(self, id):
        try:
            end = json.loads((RECORDS / f"{id}.json").read_bytes())["record"]["expires_at"]
        except (OSError, ValueError, KeyError, TypeError) as e:
            return [] if self.runs_to_its_timer(id) else [f"runs without a record: {id} ({type(e).__name__})"]
        found = []
        if time.time() > end + GRACE:
            found.append(f"past its end: {id} by {time.time() - end:.0f} s")
        elif end not in self.timers[id]:
            found.append(f"timer missing: {id} ends at {end}, its timers at {sorted(self.timers[id])}")
        spare = self.timers[id] - {end}
        return found + [f"timer to spare: {id} at {when}, ends at {end}" for when in spare]


def listing():
    """Return all sessions as the launcher lists them."""
    done = subprocess.run(["qwdctl", "list", "--all", "--json"], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"list: {done.stderr.strip()}")
    return json.loads(done.stdout)


def in_use():
    """Return how many sessions the service counts against its limits."""
    return json.loads(output("qwdctl", "monitor", "--once", "--json"))["status"]["sessions"]


def collect():
    """Return names of everything that may carry the id of a session."""
    found = []
    for folder in FOLDERS:
        for at, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if os.path.join(at, name) not in OTHERS]
            found += [os.path.join(at, name) for name in (*folders, *files)]
    for link in Path("/run/systemd/dynamic-uid").glob("direct:*"):
        found.append(f"{link} -> {os.readlink(link)}")
    commands = (("systemctl", "list-units", "--all", "--plain", "--full", "--no-legend"), ("systemctl", "list-jobs", "--no-legend"),
                ("ip", "-o", "link"), ("ip", "maddr"))
    found += [line for words in commands for line in output(*words).splitlines()]
    for file in ("/proc/net/unix", "/proc/self/mountinfo"):
        found += Path(file).read_text().splitlines()
    return found + [*processes()]


def processes():
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield "process: " + (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue


def starts():
    """Return how often systemd has started the unit of each session."""
    subprocess.run(["journalctl", "--sync"], capture_output=True, timeout=60)
    counts = defaultdict(int)
    for line in output("journalctl", "-b", "--no-pager", "-o", "cat", "--output-fields=UNIT", "-o", "json", STARTED).splitlines():
        if m := re.fullmatch(f"qwd-session-({LETTERS}{{10}})\\.service", json.loads(line).get("UNIT", "")):
            counts[m[1]] += 1
    return counts


def story(id):
    """Return what the journal says of a session."""
    return output("journalctl", "-b", "--no-pager", "-o", "short-precise", f"QWD_SESSION={id}", "+",
                  f"UNIT=qwd-session-{id}.service", "+", f"_SYSTEMD_UNIT=qwd-session-{id}.service", "+",
                  f"UNIT=qwd-ended@{id}.service", "+", f"UNIT=qwd-failed@{id}.service", "+",
                  f"_SYSTEMD_UNIT=qwd-ended@{id}.service", "+", f"_SYSTEMD_UNIT=qwd-failed@{id}.service").splitlines()[-40:]
