"""Sessions that come and go with viewers on them, and what the service holds meanwhile."""

import os
import subprocess
from pathlib import Path

import processes
from ours import MACHINE, ORIGIN
from people import live, ticket, work
from screen import Screen
from waiting import wait

WORK = ("run", "held", "files")

# What a session leaves in one of these, it leaves for good. Notices are kept for a day by intent.
FOLDERS = ("/run/qemu-web-desktop", "/var/lib/qemu-web-desktop", "/run/systemd/transient", "/run/systemd/units", "/tmp", "/var/tmp")
NOTICES = "/run/qemu-web-desktop/ended"
# Which browsers have signed out is remembered for good, up to a number.
KEPT = (NOTICES, "/run/qemu-web-desktop/portal/signed-out")
GROUPS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup")


def run(seconds, seed):
    """So many seconds of people who work: how often what was done, and what went wrong, by its words."""
    return live("soak", seconds, seed, session)


def session(api, chance, counts):
    status, made = api.create(machine=MACHINE)
    if status >= 300:
        raise RuntimeError(f"create: {status} {made}")
    counts["sessions"] += 1
    viewers = []
    try:
        for _ in range(chance.randint(1, 3)):
            viewers.append(Screen(ORIGIN, ticket(api, made["id"], chance, counts)))
            counts["viewers"] += 1
        for viewer in viewers:
            work(viewer, chance)
        # Some leave, some vanish in the middle of a picture, some are there when it ends.
        for viewer in viewers[:chance.randint(0, len(viewers))]:
            if chance.random() < 0.3:
                viewer.ask(incremental=False)
            viewer.close()
    finally:
        end(api, made["id"], chance.random())
        wait(lambda: api.call("GET", f"sessions/{made['id']}")[1].get("state") in (None, "ended", "failed"))
        for viewer in viewers:
            viewer.close()


def end(api, session, die):
    """By its owner, by the administrator, or by an accident."""
    if die < 0.8:
        api.call("DELETE", f"sessions/{session}")
    elif die < 0.9:
        subprocess.run(["qwdctl", "stop", session], check=True, capture_output=True)
    else:
        subprocess.run(["systemctl", "kill", "--signal=KILL", f"qwd-session-{session}.service"], check=True)


def held():
    """Of each program: memory in kB, descriptors, threads; and files, units and groups of all."""
    memory = processes.memory()
    figures = {}
    for folder, group in processes.groups():
        if group.startswith("qwd-"):
            figures[f"{group}: memory"] = memory.get(group, 0)
            figures[f"{group}: descriptors"] = len(os.listdir(folder / "fd"))
            figures[f"{group}: threads"] = len(os.listdir(folder / "task"))
    for folder in FOLDERS:
        figures[f"files in {folder}"] = sum(path.startswith(f"{folder}/") for path in files())
    units = subprocess.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "qwd-*"], capture_output=True, text=True)
    # A check or a reaper's pass of this moment is none that was left behind.
    figures["units"] = sum("qwd-session-" in line or "failed" in line for line in units.stdout.splitlines())
    figures["control groups"] = sum(1 for top in GROUPS for _ in Path(top).glob("**/qwd-session-*"))
    figures["processes"] = sum(1 for folder, group in processes.groups() if group.startswith("qwd-"))
    figures["notices"] = len(os.listdir(NOTICES))
    return figures


def files():
    """Return everything in the folders but what is kept by intent."""
    return [os.path.join(at, name) for folder in FOLDERS for at, _, names in os.walk(folder) for name in names
            if not at.startswith(KEPT)]
