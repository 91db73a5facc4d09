"""Attempts by a guest that broke out of its QEMU, or by anybody on the host, to reach by a session what is another's."""

import json

import pytest

from conftest import TREE
from screen import Api
from test_units import prop

SESSIONS = "/run/qemu-web-desktop/sessions"
OWNER = "zebedee"
CALLS = "/root/bus_calls.py"

# Puts a link to the other session's monitor in the place of its own, by each name it may have. Prints what worked.
REPLACE = """
import os, sys
own, other = sys.argv[1:]
def attempt(what, *calls):
    try:
        for call in calls:
            call()
        print(what)
    except OSError:
        pass
for name in ("launcher.sock", "stop.sock"):
    mine = f"{own}/{name}"
    attempt(f"{name} removed", lambda: os.unlink(mine))
    attempt(f"{name} moved", lambda: os.rename(mine, f"{mine}.old"))
    attempt(f"{name} linked", lambda: os.symlink(f"{other}/{name}", mine))
attempt("directory moved", lambda: os.rename(own, f"{own}.old"))
attempt("directory linked", lambda: os.symlink(other, own))
attempt("directory made", lambda: os.makedirs(own))
attempt("stop.sock of the unit", lambda: os.unlink("/run/stop.sock"))
"""

# The user who listens on each of the paths, as the kernel tells root.
LISTENER = """
import socket, struct, sys
for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        print(struct.unpack("3i", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1])
"""

@pytest.fixture(scope="module", autouse=True)
def calls(bed):
    bed.put(TREE / "tests/e2e/bus_calls.py", CALLS)


@pytest.fixture
def two(bed, session):
    """Two sessions of two people."""
    return session("--owner", f"local:{OWNER}")["id"], session("--owner", "local:bob")["id"]


def user_of(bed, made):
    pid = prop(bed, made, "MainPID")
    return pid, bed.run("awk", "/^Uid:/ {print $2}", f"/proc/{pid}/status").stdout.strip()


def inside(pid):
    """The session's own view of the file system."""
    return ["nsenter", "-t", pid, "-m", "-r", "-w"]


def as_user(uid):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]


def picture(bed, made):
    """How the launcher answers root, the owner, who asks for a picture of the screen: "ok", or why not."""
    call = [["Picture", "a{sv}s", [{"owner": "local:root"}, made]]]
    [[word, text]] = json.loads(bed.run("python3", CALLS, input=json.dumps(call)).stdout)
    return word if word == "ok" else text


def test_a_session_cannot_put_a_link_in_the_place_of_its_monitor(bed, two):
    pid, uid = user_of(bed, two[0])
    paths = [f"{SESSIONS}/{made}" for made in two]
    look = f"find {SESSIONS} -printf '%p %i %y %m %U\\n'"
    before = bed.run(look).stdout
    assert bed.run(*as_user(uid), "python3", "-c", REPLACE, *paths).stdout == ""
    # From its own view, too: the /run that it has is a private one.
    bed.run(*inside(pid), *as_user(uid), "python3", "-c", REPLACE, *paths)
    assert bed.run(look).stdout == before
    assert all(bed.json("show", made)["state"] == "running" for made in two)


def test_nothing_is_writable_to_a_session_but_what_is_private_to_it(bed, session):
    pid, uid = user_of(bed, session()["id"])
    find = "(find / -xdev -writable; find /run /dev /var -writable) 2>/dev/null | xargs stat -c '%F %n'; true"
    found = bed.run(*inside(pid), *as_user(uid), "sh", "-c", find).stdout.splitlines()
    private = ("/run", "/tmp", "/var/tmp", "/var/tmp/disk.qcow2", "/dev/shm", "/dev/mqueue")
    kinds = ("directory ", "regular file ", "regular empty file ")
    named = {line.split()[-1] for line in found if line.startswith(kinds)}
    assert "/var/tmp/disk.qcow2" in named and named <= set(private), named
    mounts = bed.run("awk", '$5 == "/run" {print $4, $9}', f"/proc/{pid}/mountinfo").stdout.split()
    assert mounts in (["/", "tmpfs"], []), "its own"


def test_the_kernel_names_the_sessions_user_as_the_one_who_listens(bed, two):
    for made in two:
        _, uid = user_of(bed, made)
        sockets = [f"{SESSIONS}/{made}/{name}.sock" for name in ("launcher", "stop")]
        assert bed.run("python3", "-c", LISTENER, *sockets).stdout.split() == [uid, uid]
        facts = bed.run("stat", "-c", "%U %a", f"{SESSIONS}/{made}", *sockets).stdout.splitlines()
        assert facts == ["root 700", "root 600", "root 666"]


def test_the_launcher_follows_no_link_and_speaks_to_no_other_user(bed, session):
    own, other = session()["id"], session()["id"]
    mine, theirs = (f"{SESSIONS}/{made}/launcher.sock" for made in (own, other))
    assert picture(bed, own) == "ok"
    bed.run("mv", mine, f"{mine}.old")
    bed.run("ln", "-s", theirs, mine)
    assert "is no socket" in picture(bed, own)
    bed.run("ln", "-f", theirs, mine)
    assert "Another user" in picture(bed, own)
    assert picture(bed, other) == "ok"
    bed.run("mv", f"{mine}.old", mine)
    assert picture(bed, own) == "ok"


def test_a_session_of_the_version_before_keeps_its_screen_and_is_the_administrators(bed, session, alice, shown):
    own = session()["id"]
    # That version left the directory to the session's user, and wrote down no proof of the owner's name.
    bed.run("chown", user_of(bed, own)[1], f"{SESSIONS}/{own}")
    assert picture(bed, own) == "ok"
    bed.run("chown", "nobody", f"{SESSIONS}/{own}")
    assert "belongs to another user" in picture(bed, own)
    assert alice.call("GET", f"sessions/{shown}")[0] == 200
    record = f"/run/qemu-web-desktop/records/{shown}.json"
    bed.run("sed", "-i", r's/"owner": *"[^"]*"/"owner":"unknown:alice"/', record)
    bed.run("systemctl", "restart", "qwd-launcher")
    assert alice.call("GET", f"sessions/{shown}")[0] == 404
    assert bed.json("show", shown)["proof"] == "unknown"


def test_whose_a_session_is_can_be_read_by_nobody_else_on_the_host(bed, two):
    status, made = Api(bed, OWNER).create()
    assert status == 201, made
    kept = made["id"]
    read = r"""
        systemctl show '*'; systemctl list-units --all --full; systemctl cat 'qwd-*' 2>&1; systemctl list-timers --all
        systemctl status 'qwd-*' 2>&1; ps auxwwe; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null
        busctl tree org.freedesktop.systemd1; find /run /tmp /var/tmp /var/lib/qemu-web-desktop 2>/dev/null
        find /run -type f -readable -size -1024k -exec cat {} + 2>/dev/null
    """
    seen = bed.run(*as_user(65534), "sh", "-c", f"({read}) | tr -cd '[:print:]\\n'").stdout
    assert kept in seen, "ids are no secret"
    assert [line for line in seen.splitlines() if OWNER in line] == []
    bed.ctl("stop", kept)
    lines = bed.journal(f"QWD_SESSION={kept}")
    owners = {line["SYSLOG_IDENTIFIER"]: line.get("QWD_OWNER") for line in lines if "SYSLOG_IDENTIFIER" in line}
    assert OWNER in owners["qwd-launcher"]


def test_a_session_gets_nothing_by_the_channel_a_second_time(bed, session):
    made = session()["id"]
    pid, _ = user_of(bed, made)
    assert bed.run("readlink", f"/proc/{pid}/fd/0").stdout.strip() == "/dev/null"
    started = bed.run("systemctl", "show", "-P", "ExecStart", f"qwd-session-{made}.service").stdout
    assert "qemu-system" not in started
    refused = bed.run("/usr/libexec/qemu-web-desktop/qwd-session", check=False, input="")
    assert refused.returncode == 125 and "was not handed over" in refused.stderr
