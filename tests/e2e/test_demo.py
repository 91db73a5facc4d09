"""What 'make demo' promises: an address to open, and nothing left after Ctrl-C."""

import os
import re
import signal
import subprocess
import urllib.request

from conftest import BED, TREE


def beds():
    listed = subprocess.run([BED, "list"], text=True, capture_output=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines()}


def test_the_demo_shows_an_address_and_goes_without_a_trace(deb):
    demo = subprocess.Popen([TREE / "tests/demo.sh"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            env={**os.environ, "QWD_DEB": str(deb)}, start_new_session=True,
                            # Whoever runs the tests in the background has it ignored, and a shell keeps it so.
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    said, address = [], None
    try:
        for line in demo.stdout:
            said.append(line)
            found = re.search(r"Open +(http://localhost:\d+/qemu-web-desktop/)", line)
            if found:
                address = found[1]
                break
        assert address, "".join(said)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=60) as page:
            assert "A small menu (GRUB)" in page.read().decode()
    finally:
        # As a terminal does it: to everything that was started.
        os.killpg(demo.pid, signal.SIGINT)
        rest = demo.communicate(timeout=120)[0]
    assert demo.returncode == 0, rest
    assert f"demo-{demo.pid}" not in beds()
