"""Three minutes of random kills; see tests/bench/README.md."""

import os
import subprocess

from conftest import TREE

SECONDS = 180


def test_random_kills_leave_nothing_and_lose_nothing(deb):
    seed = os.environ.get("QWD_CHAOS_SEED")
    done = subprocess.run([TREE / "tests/bench/chaos", str(SECONDS), *filter(None, [seed])], text=True, capture_output=True,
                          env={**os.environ, "QWD_DEB": str(deb)}, timeout=SECONDS * 5)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr
