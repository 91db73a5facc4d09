"""A real Debian desktop: seen in the browser, and asked before it is ended."""

import os
import subprocess
import time

import pytest

from conftest import SETTINGS, TREE
from screen import Api, Screen
from test_main_job import shot

DISKS = "/srv/desktop-disks"
# A desktop under TCG on a busy machine takes its time.
PATIENCE = 900


@pytest.fixture(scope="module")
def desktop(bed, deb):
    """The machine, its disks where a test can look into them, and time to shut down."""
    made = subprocess.run([TREE / "tests/bed/desktop-image"], text=True, stdout=subprocess.PIPE, check=True,
                          env={**os.environ, "QWD_DEB": str(deb)}).stdout
    bed.put(made.split()[-1], "/srv/desktop.qcow2")
    machines = bed.run("cat", "/etc/qemu-web-desktop/machines.conf").stdout
    bed.write("/etc/qemu-web-desktop/machines.conf",
              machines + "[desktop.qcow2]\nurl=file:///srv/desktop.qcow2\ndescription=Debian with a desktop\n")
    bed.run("mkdir", "-p", DISKS)
    settings = SETTINGS.replace('stop_grace = "1s"', 'stop_grace = "10m"').replace("[qemu]", "[qemu]\ntb_size = 256")
    bed.write("/etc/qemu-web-desktop/config.d/test.toml", settings + f'[paths]\ndir_snapshots = "{DISKS}"\n')
    bed.ctl("download", "desktop.qcow2")
    yield "desktop.qcow2"
    bed.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS)
    bed.ctl("stop", "--all", check=False)
    bed.write("/etc/qemu-web-desktop/machines.conf", machines)
    bed.run("rm", "-rf", DISKS, "/srv/desktop.qcow2", "/var/lib/qemu-web-desktop/machines/desktop.qcow2",
            "/var/lib/qemu-web-desktop/machines/downloads/desktop.qcow2")


# What takes the shift key on the keyboard that QEMU has.
SHIFTED = set('~!@#$%^&*()_+{}|:"<>?ABCDEFGHIJKLMNOPQRSTUVWXYZ')
SHIFT, CONTROL, ALT, RETURN = 0xFFE1, 0xFFE3, 0xFFE9, 0xFF0D


def type_line(screen, text):
    for character in text:
        if character in SHIFTED:
            screen.press(SHIFT, True)
        screen.key(ord(character))
        if character in SHIFTED:
            screen.press(SHIFT, False)
        # The answer shows that the machine's keyboard has had it: it holds few keys at a time.
        screen.picture()
    screen.key(RETURN)


def terminal(screen):
    """Whether one is there: an eighth of the screen, and more, is black."""
    data = screen.picture()
    black = sum(data[i:i + 3] == b"\0\0\0" for i in range(0, len(data), 4 * 97))
    return black * 97 > screen.width * screen.height / 8


def open_terminal(screen):
    """By the desktop's own shortcut, once it listens to that."""
    for key in (CONTROL, ALT):
        screen.press(key, True)
    screen.key(ord("t"))
    for key in (ALT, CONTROL):
        screen.press(key, False)
    end = time.monotonic() + 60
    while not terminal(screen) and time.monotonic() < end:
        time.sleep(1)
    return terminal(screen)


def colours(screen):
    data = screen.picture()
    return len({bytes(data[i:i + 3]) for i in range(0, len(data), 4 * 97)})


def wait_for(look, what, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"no {what} within {seconds} s"
        time.sleep(1)


def on_disk(bed, path, mark):
    return bed.run("grep", "-aqF", mark, path, check=False).returncode == 0


def test_a_desktop_is_seen_and_asked_before_its_end(bed, browser, desktop):
    alice = Api(bed, "alice")
    status, made = alice.create(machine=desktop, memory_bytes=1 << 30)
    assert status == 201, made
    session, disk = made["id"], f"{DISKS}/{made['id']}/disk.qcow2"
    screen = Screen(bed.origin, alice.ticket(session))
    wait_for(lambda: colours(screen) > 40, "desktop")
    # The agent in the guest answers; of a guest without one nothing is known.
    wait_for(lambda: alice.call("GET", f"sessions/{session}")[1]["booted"], "agent")
    assert "Guest" in bed.ctl("show", session).stdout
    browser.open(bed.url)
    name, value = alice.cookie.split("=", 1)
    browser.call("POST", "/cookie", {"cookie": {"name": name, "value": value, "path": "/", "httpOnly": True}})
    browser.open(f"{bed.url}sessions/{session}/screen")
    browser.wait_state("connected")
    # What is typed into a terminal, the guest does. It writes a mark when it is shut down.
    unit = ("[Service]\\nType=oneshot\\nRemainAfterExit=yes\\nExecStop=/bin/sh -c \\\"printf down-%%%%s-marker now >/root/mark; sync\\\"\\n"
            "[Install]\\nWantedBy=multi-user.target")
    ready = "x=ready; echo $x-marker | sudo tee /root/ready; sync"

    def terminal_answers():
        if not terminal(screen) and not open_terminal(screen):
            return False
        screen.click(screen.width // 4, screen.height // 3)
        type_line(screen, ready)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if on_disk(bed, disk, "ready-marker"):
                return True
            time.sleep(1)
        return False

    wait_for(terminal_answers, "terminal")
    type_line(screen, f'printf "{unit}" | sudo tee /etc/systemd/system/mark.service; sudo systemctl enable --now mark; '
                      "x=armed; echo $x-marker | sudo tee /root/armed; sync")
    wait_for(lambda: on_disk(bed, disk, "armed-marker"), "unit in the guest", 300)
    shot(browser, "desktop")
    bed.run("ln", disk, f"{DISKS}/kept.qcow2")
    stopped = bed.ctl("stop", session)
    assert stopped.returncode == 0
    told = bed.json("show", session)
    assert (told["state"], told["message"]) == ("ended", "It was stopped by root.")
    assert not any("cut off" in line["MESSAGE"] for line in bed.journal(f"QWD_SESSION={session}"))
    assert bed.run("ls", DISKS).stdout.split() == ["kept.qcow2"]
    assert on_disk(bed, f"{DISKS}/kept.qcow2", "down-now-marker")
