"""What processes take: memory they own and share (PSS), CPU, wake-ups."""

import os
import time
from pathlib import Path

OURS = "/usr/libexec/qemu-web-desktop/"
TICKS = os.sysconf("SC_CLK_TCK")

WORK = ("memory", "cpu", "activity")


def groups():
    """Processes and the group each belongs to; those of no interest are left out."""
    for folder, exe, words in everything():
        if group := group_of(exe, words):
            yield folder, group


def everything():
    """All processes: their folder, program and command line."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                exe = os.readlink(folder / "exe").removesuffix(" (deleted)")
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            yield folder, exe, words


def group_of(exe, words):
    if exe.startswith(OURS):
        # One file under several names.
        name = os.path.basename(words[0]).decode()
        return name if name.startswith("qwd-") else None
    if b"/usr/bin/websockify" in words:
        return "websockify"
    if exe.endswith("/dash") and any(b"qemu-tcg" in word for word in words):
        # Waits for the predecessor's QEMU.
        return "sh"
    known = {"/usr/sbin/apache2": "apache2", "/usr/lib/systemd/systemd": "systemd", "/usr/bin/dbus-daemon": "dbus",
             "/usr/bin/socat": "socat"}
    return known.get(exe)


def memory():
    """PSS of each group in kB, once it does not change any more: who has just served somebody tidies up."""
    last = total(pss)
    for _ in range(20):
        time.sleep(0.3)
        now = total(pss)
        if sum(now.values()) == sum(last.values()):
            break
        last = now
    return last


def cpu():
    """CPU seconds of each group so far, those of its ended processes included."""
    return total(cpu_of)


def activity():
    """Of each group: CPU seconds, how often the kernel has given one of its threads the CPU, and who is in it."""
    times, switches = cpu(), total(switches_of)
    who = {}
    for folder, group in groups():
        who.setdefault(group, []).append(int(folder.name))
    return {name: {"cpu": times[name], "switches": switches[name], "processes": who.get(name, [])}
            for name in times if name in switches}


def grown(before, after):
    """What each group has more than before. One with less was replaced meanwhile, and what it had is lost."""
    lost = sorted(name for name, figure in before.items() if after.get(name, 0) < figure)
    if lost:
        raise RuntimeError(f"{', '.join(lost)}: replaced while it was measured, so there is no figure")
    return {name: figure - before.get(name, 0) for name, figure in after.items()}


def machines():
    """CPU seconds that all QEMUs have taken, from the fork of their process on."""
    return shares(folder for folder, exe, _ in everything() if "/qemu-system-" in exe)


def shares(folders):
    """CPU seconds of these QEMUs, and of their guests."""
    told = [(cpu_of(folder), beside(folder)) for folder in folders]
    guests = sum(guest for _, guest in told)
    return {"QEMU": sum(both for both, _ in told) - guests, "its guest meanwhile": guests}


def beside(folder):
    """CPU seconds of a process's threads but for the first: of a QEMU, those of its guest and little else."""
    threads = (task for task in (folder / "task").iterdir() if task.name != folder.name)
    return sum(int((task / "schedstat").read_text().split()[0]) for task in threads) / 1e9


def childless():
    """Those that start a process for each connection have been told of the end of all."""
    return all(not (folder / "task" / folder.name / "children").read_text()
               for folder, group in groups() if group in ("websockify", "socat"))


def total(measure):
    figures = {}
    for folder, group in groups():
        try:
            figures[group] = figures.get(group, 0) + measure(folder)
        except OSError:
            continue
    return figures


def pss(folder):
    for line in (folder / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def cpu_of(folder):
    # After the name, which may hold anything: utime, stime, cutime, cstime are fields 14 to 17.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def switches_of(folder):
    counts = (line.split() for task in (folder / "task").iterdir() for line in (task / "status").read_text().splitlines())
    return sum(int(words[1]) for words in counts if words[0].endswith("_ctxt_switches:"))
