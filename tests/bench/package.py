"""The package that is measured, and where the modules are that measuring shares with the tests."""

import os
import subprocess
import sys
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
# The beds, the browser and the clients are those of the tests.
sys.path.append(str(TREE / "tests/e2e"))


def package():
    """$QWD_DEB, or built from this tree."""
    if os.environ.get("QWD_DEB"):
        return Path(os.environ["QWD_DEB"]).resolve()
    built = subprocess.run([TREE / "tests/package/build-deb"], text=True, stdout=subprocess.PIPE, check=True)
    return Path(built.stdout.split()[-1])
