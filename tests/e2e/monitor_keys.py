"""The live monitor on a terminal of its own: what ends it, and how it leaves the terminal. Runs in the bed."""

import sys

import pexpect

RATE = r"\d\.\d\d/1"
LEFT = "\x1b[?25h\x1b[?1049l"


def shell():
    """An interactive one, whose prompt says that it has the terminal back."""
    spawned = pexpect.spawn("bash", ["--norc", "-i"], dimensions=(24, 80), encoding="utf8", timeout=60,
                            env={"PS1": "READY ", "PATH": "/usr/bin:/bin", "TERM": "xterm"})
    spawned.expect("READY ")
    return spawned


def begin(spawned):
    spawned.sendline("qwdctl monitor --interval 1")
    spawned.expect_exact("\x1b[?1049h\x1b[?25l")
    spawned.expect("q ends")
    spawned.expect(RATE)


def left(spawned):
    """The last that was written is what gives the screen back; the terminal is as it was."""
    spawned.expect_exact(LEFT)
    spawned.expect("READY ")
    assert "\x1b[?2026" not in spawned.before, spawned.before
    spawned.sendline("echo status=$?; stty -a")
    spawned.expect(r"status=(\d+)")
    status = spawned.match[1]
    spawned.expect("READY ")
    assert " icanon" in spawned.before and " echo " in spawned.before, spawned.before
    return status


def by_key():
    spawned = shell()
    begin(spawned)
    # Drawn in place: over the old, never after an empty screen.
    spawned.expect_exact("\x1b[?2026h\x1b[H")
    spawned.setwinsize(12, 60)
    spawned.expect(RATE)
    spawned.send("q")
    assert left(spawned) == "0"


def by_interrupt():
    spawned = shell()
    begin(spawned)
    spawned.sendintr()
    assert left(spawned) == "0"


def stopped_for_a_while():
    spawned = shell()
    begin(spawned)
    spawned.send("\x1a")
    spawned.expect_exact(LEFT)
    spawned.expect("READY ")
    spawned.sendline("fg")
    spawned.expect_exact("\x1b[?1049h\x1b[?25l")
    spawned.expect(RATE)
    spawned.send("q")
    assert left(spawned) == "0"


for check in (by_key, by_interrupt, stopped_for_a_while):
    print(check.__name__, file=sys.stderr)
    check()
