"""What the monitor says of a busy session, beside what the kernel and systemd-cgtop say."""

import json
import re

from conftest import group

# Reads the monitor five times; the clock is this machine's own, at the moment when each line has come.
READINGS = """
import json, subprocess, time
monitor = subprocess.Popen(["qwdctl", "monitor", "--json", "--interval", "4"], stdout=subprocess.PIPE, text=True)
lines = []
for line in monitor.stdout:
    lines.append([time.monotonic(), json.loads(line)])
    if len(lines) == 5:
        break
monitor.terminate()
monitor.wait()
print(json.dumps(lines))
"""


def kernel(bed, path):
    """CPU seconds, bytes and tasks in the files of the control group."""
    text = bed.run(f"cd /sys/fs/cgroup{path} && sed -n 's/^usage_usec //p' cpu.stat && cat memory.current pids.current").stdout
    usage, memory, tasks = (int(line) for line in text.split())
    return usage / 1e6, memory, tasks


def cgtop(bed, path):
    """The same as systemd-cgtop has them: CPU time in all, so that no clock is read."""
    told = bed.run("systemd-cgtop", "--batch", "--iterations=1", "--raw", "--cpu=time", path).stdout
    tasks, usage, memory = map(int, re.search(rf"^{re.escape(path)}\s+(\d+)\s+(\d+)\s+(\d+)\s", told, re.M).groups())
    return usage / 1e6, memory, tasks


def between(figures, before, after):
    """The figures lie between those before and those after; memory comes and goes, so a little beyond is no other."""
    assert before[0] <= figures["cpu_seconds"] <= after[0], (before, figures, after)
    low, high = sorted((before[1], after[1]))
    assert low * 0.9 <= figures["memory_used_bytes"] <= high * 1.1, (before, figures, after)
    low, high = sorted((before[2], after[2]))
    assert low - 2 <= figures["tasks"] <= high + 2, (before, figures, after)


def test_the_figures_of_a_busy_session_are_the_kernels(bed, session):
    made = session("--memory", "256M", machine="memtest.iso")["id"]
    path = group(bed, made)
    # While QEMU and its guest start, memory is given back as well as taken.
    bed.wait(f"[ $(sed -n 's/^usage_usec //p' /sys/fs/cgroup{path}/cpu.stat) -gt 10000000 ]", 180)
    before = [look(bed, path) for look in (kernel, cgtop)]
    lines = json.loads(bed.run("python3", "-c", READINGS).stdout)
    after = [look(bed, path) for look in (cgtop, kernel)]
    moments = [moment for moment, _ in lines]
    figures = [next(s for s in answer["sessions"] if s["id"] == made) for _, answer in lines]
    for shown in (figures[0], figures[-1]):
        for low, high in zip(before, reversed(after)):
            between(shown, low, high)
    assert figures[-1]["memory_limit_bytes"] == int(bed.run("cat", f"/sys/fs/cgroup{path}/memory.max").stdout)
    # Each rate is what was used since the reading before, by the time since then: the times make up the whole.
    used = [later["cpu_seconds"] - earlier["cpu_seconds"] for earlier, later in zip(figures, figures[1:])]
    rates = [shown["cpus_busy"] for shown in figures[1:]]
    whole = sum(cpu / rate for cpu, rate in zip(used, rates))
    assert 0.8 <= whole / (moments[-1] - moments[0]) <= 1.25, (used, rates, moments)
    # One CPU that is never idle, and QEMU itself.
    assert all(0.5 < rate < 1.6 for rate in rates), rates
