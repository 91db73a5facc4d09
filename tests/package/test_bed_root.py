"""The cached root of a bed: what a broken attempt leaves does not break the next one."""

import os
import subprocess
from pathlib import Path

import pytest

BED = Path(__file__).resolve().parents[1] / "bed/bed"

# Stands in for mmdebstrap: notes each call, then does what the test says.
FAKE = """#!/bin/bash
for word; do [ -d "$word" ] && case $word in */roots/*.part.*) root=$word ;; esac; done
: "${root:?}"
[ -z "$(ls -A "$root")" ] || { echo "E: $root is not empty" && exit 1; }
echo "$root" >>"$CALLS"
mkdir -p "$root"/{sys,proc,etc} && mount -t tmpfs -o ro tmpfs "$root/sys" && mount --rbind /proc "$root/proc"
(cd "$root/sys" && exec sleep 600 >/dev/null 2>&1 </dev/null) &
"""

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="mounting takes root")


class Cache:
    """A cache of the test's own, and what stands in for mmdebstrap there."""

    def __init__(self, folder):
        self.folder, self.calls = folder, folder / "calls"
        self.env = {**os.environ, "QWD_CACHE": str(folder / "cache"), "CALLS": str(self.calls),
                    "PATH": f"{folder}/bin:{os.environ['PATH']}"}
        (folder / "bin").mkdir()

    def make(self, script):
        fake = self.folder / "bin/mmdebstrap"
        fake.write_text(FAKE + script)
        fake.chmod(0o755)
        return subprocess.run([BED, "root", "bookworm", "minimal"], env=self.env, text=True, capture_output=True,
                              timeout=60)

    def attempts(self):
        return len(self.calls.read_text().split())

    def mounts(self):
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.folder) in line]

    def files(self):
        return sorted(path.name for path in (self.folder / "cache/roots").iterdir())


@pytest.fixture
def cache(tmp_path):
    cache = Cache(tmp_path)
    yield cache
    for line in sorted(cache.mounts(), reverse=True):
        subprocess.run(["umount", "-l", line.split()[4]])


def test_an_attempt_that_fails_leaves_no_mount_and_says_why(cache):
    done = cache.make("seq 50; echo 'E: no such package'; exit 1")
    assert done.returncode != 0
    assert "E: no such package" in done.stderr and "\n50\n" in done.stderr
    assert cache.attempts() == 1
    assert cache.mounts() == []
    assert all(name.endswith(".log") for name in cache.files())


def test_an_attempt_that_the_network_failed_is_made_three_times(cache):
    done = cache.make('echo "E: Failed to fetch a.deb  503  Unavailable"; [ "$(wc -l <"$CALLS")" = 3 ]')
    assert done.returncode == 0, done.stderr
    assert cache.attempts() == 3
    assert oct(Path(done.stdout.strip()).stat().st_mode) == "0o40755"
    assert cache.make("exit 1").stdout == done.stdout
    assert cache.mounts() == []
    assert cache.attempts() == 3


def test_an_attempt_is_not_hindered_by_what_a_killed_one_left(cache):
    name = subprocess.run(["bash", "-c", f'. {BED.parent}/lib/common.sh; . {BED.parent}/lib/root.sh; root_dir bookworm minimal'],
                          env=cache.env, text=True, capture_output=True, check=True).stdout.strip()
    for part in (f"{name}.part", f"{name}.part.abc"):
        os.makedirs(f"{part}/sys/kept")
        subprocess.run(["mount", "--rbind", "/sys", f"{part}/sys"], check=True)
    before = Path("/proc/self/mountinfo").read_text().count(" /sys")
    done = cache.make("exit 0")
    assert done.returncode == 0, done.stderr
    assert cache.mounts() == []
    assert all(".part" not in name for name in cache.files())
    # The host's own are shared with such a mount, and stay.
    assert os.path.ismount("/sys") and Path("/proc/self/mountinfo").read_text().count(" /sys") == before
