"""What the holder of a link, a local account or an escaped QEMU can use up of what everybody needs."""

import json
import subprocess
import threading
import time

import pytest

from conftest import BED, SETTINGS, TREE
from screen import Api, Refused, Screen, WebSocket

# Runs inside as an account: 600 calls that wait for a session, and how one more fares. Leaves when its input ends.
WAITERS = """
import dbus, dbus.bus, dbus.lowlevel, sys
NAME, PATH = "org.qemuwebdesktop.Launcher1", "/org/qemuwebdesktop/Launcher1"
session, state = sys.argv[1:]

def word(connection, seconds):
    try:
        connection.call_blocking(NAME, PATH, NAME, "Wait", "a{sv}ssu", [{}, session, state, seconds], timeout=30)
    except dbus.DBusException as error:
        return error.get_dbus_name()
    return "ok"

connections = [dbus.bus.BusConnection(dbus.bus.BUS_SYSTEM) for _ in range(6)]
for connection in connections:
    for _ in range(100):
        call = dbus.lowlevel.MethodCallMessage(NAME, PATH, NAME, "Wait")
        call.append(dbus.Dictionary({}, "sv"), session, state, dbus.UInt32(3600), signature="a{sv}ssu")
        connection.send_message(call)
    connection.flush()
print(word(dbus.bus.BusConnection(dbus.bus.BUS_SYSTEM), 5), flush=True)
sys.stdin.read()
"""

# In QEMU's place: greets, and says one thing a second on its monitors for ever.
HOSTILE = """#!/usr/bin/python3
import re, socket, sys, threading, time

def talk(connection):
    try:
        connection.sendall(b'{"QMP": {}}\\n')
        while True:
            connection.sendall(b'{"event": "X"}\\n')
            time.sleep(1)
    except OSError:
        pass

def serve(fd):
    listener = socket.socket(fileno=fd)
    while True:
        threading.Thread(target=talk, args=[listener.accept()[0]], daemon=True).start()

found = [re.match(r"socket,id=monitor\\d+,fd=(\\d+)", word) for word in sys.argv]
for monitor in filter(None, found):
    threading.Thread(target=serve, args=[int(monitor[1])]).start()
"""


@pytest.fixture
def share(bed, alice, shown):
    """Makes links to Alice's session; the secret."""
    def make(role="view", **how):
        status, made = alice.call("POST", f"sessions/{shown}/shares", {"role": role, **how})
        assert status == 201, made
        return made["url"].split("#")[1]
    return make


def join(bed, secret):
    status, answer = Api(bed, None).call("POST", "join", {"secret": secret})
    assert status == 200, answer
    return answer["ticket"]


def together(count, work):
    """Runs the work in so many threads; what each returned."""
    found = []
    threads = [threading.Thread(target=lambda: found.append(work())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_a_link_does_not_use_up_the_tickets(bed, alice, shown, share):
    flooded, other = share(), share()
    own, guest = alice.ticket(shown), join(bed, other)
    answers = together(12, lambda: [join(bed, flooded) for _ in range(30)])
    last = sum(answers, [])[-1]
    # Tickets from before and from after.
    for ticket in (own, guest, alice.ticket(shown), join(bed, other), join(bed, flooded)):
        Screen(bed.origin, ticket).close()
    with pytest.raises(Refused) as refused:
        Screen(bed.origin, answers[0][0])
    assert refused.value.status == 403 and last != answers[0][0]


def crowd(bed, secret, most):
    """Opens screens by a link until one is refused."""
    guests = []
    while len(guests) < most:
        try:
            guests.append(WebSocket(bed.origin, join(bed, secret)))
        except Refused as refused:
            assert refused.status == 503 and "share link" in refused.args[0]
            break
    return guests


def test_guests_leave_room_for_the_owner(bed, alice, shown, share):
    guests = crowd(bed, share(), 40)
    try:
        assert len(guests) == 16
        # Another link has room of its own, as far as the session has any for guests.
        guests += crowd(bed, share(), 40)
        guests += crowd(bed, share(), 40)
        assert len(guests) == 32
        own = [Screen(bed.origin, alice.ticket(shown)) for _ in range(3)]
        assert all(screen.picture() for screen in own)
        guests.pop().close()
        # Who leaves makes room.
        end = time.monotonic() + 30
        while len(guests) < 32 and time.monotonic() < end:
            guests += crowd(bed, share(), 1)
        assert len(guests) == 32
    finally:
        for screen in guests:
            screen.close()
    [screen.close() for screen in own]


def test_refused_screens_do_not_flood_the_journal(bed, shown):
    before = len(bed.journal("-u", "qwd-display", "-p", "warning"))

    def knock():
        for number in range(25):
            with pytest.raises(Refused):
                WebSocket(bed.origin, ticket="A" * 43 if number % 2 else "B")
    together(8, knock)
    lines = bed.journal("-u", "qwd-display", "-p", "warning")
    # The line of this minute may be another test's.
    assert lines and len(lines) - before <= 4, [line["MESSAGE"] for line in lines[before:]]


def started_by(bed, account):
    made = as_account(bed, account, "qwdctl", "start", "menu.iso", "--json")
    return json.loads(made.stdout)["id"]


def as_account(bed, account, *words, **how):
    return bed.run("setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups", "--", *words, **how)


@pytest.fixture
def carol(bed):
    """An account that may use the launcher, and a session of hers that runs."""
    bed.run("id carol || useradd -M -G qwd-users carol")
    bed.write("/usr/local/lib/waiters.py", WAITERS)
    own = started_by(bed, "carol")
    yield own
    bed.ctl("stop", own, check=False)


def waiting(bed, *arguments):
    """600 calls of carol's that wait; what the first one beyond them was answered."""
    words = ["setpriv", "--reuid=carol", "--regid=carol", "--init-groups", "--"]
    process = subprocess.Popen([BED, "run", bed.name, *words, "python3", "/usr/local/lib/waiters.py", *arguments],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def answers_others(bed):
    begun = time.monotonic()
    bed.ctl("list")
    return time.monotonic() - begun < 10


def test_calls_that_wait_hold_up_nobody_and_end_with_their_caller(bed, session, carol):
    others = session()["id"]
    # Her calls before may not be answered yet, and Debian 13's bus refuses what the launcher has not read yet.
    full = {"org.qemuwebdesktop.Error.limit_reached", "org.freedesktop.DBus.Error.LimitsExceeded"}
    for wanted, answers in [(others, full | {"org.qemuwebdesktop.Error.no_such_session"}), (carol, full)]:
        process, answer = waiting(bed, wanted, "running")
        try:
            assert answer in answers
            assert answers_others(bed)
            tasks = int(bed.run("systemctl show --value -p TasksCurrent qwd-launcher").stdout)
            assert tasks < 100, tasks
        finally:
            process.communicate("")
    # Her next wait is admitted as soon as the bus has said that the others' connections are closed.
    wait = ["busctl", "call", *["org.qemuwebdesktop.Launcher1", "/org/qemuwebdesktop/Launcher1"],
            "org.qemuwebdesktop.Launcher1", "Wait", "'a{sv}ssu'", "0", carol, "running", "0"]
    bed.wait("setpriv --reuid=carol --regid=carol --init-groups -- " + " ".join(wait), 20)


def test_a_hostile_monitor_pins_few_threads(bed, alice, settings):
    bed.write("/usr/local/bin/hostile-qemu", HOSTILE)
    bed.run("chmod", "755", "/usr/local/bin/hostile-qemu")
    settings(SETTINGS.replace("[qemu]", '[qemu]\nqemu_exec = "/usr/local/bin/hostile-qemu"'))
    made = alice.create()[1]["id"]
    refused = []

    def look():
        try:
            WebSocket(bed.origin, alice.ticket(made))
        except Refused as refusal:
            refused.append(refusal.status)
    threads = [threading.Thread(target=look, daemon=True) for _ in range(60)]
    try:
        for thread in threads:
            thread.start()
        end = time.monotonic() + 20
        while len(refused) < 40 and time.monotonic() < end:
            threads[-1].join(0.1)
        assert len(refused) >= 40 and set(refused) == {503}
        assert answers_others(bed)
        assert int(bed.run("systemctl show --value -p TasksCurrent qwd-launcher").stdout) < 50
    finally:
        bed.ctl("stop", made, check=False)
        bed.wait(f"! test -e /run/qemu-web-desktop/records/{made}.json", 20)


def test_a_display_that_was_taken_over_reports_no_more_than_a_good_one(bed, shown):
    bed.put(TREE / "tests/e2e/bus_calls.py", "/usr/local/lib/bus_calls.py")
    good = {"session": shown, "role": "view", "address": "192.0.2.7", "since": 1}

    def report(*viewers):
        wanted = json.dumps([["Report", "aa{sv}", [list(viewers)]]])
        done = as_account(bed, "_qwd-display", "python3", "/usr/local/lib/bus_calls.py", input=wanted)
        return json.loads(done.stdout)[0]
    assert report(good) == ["ok", []]
    unknown = good | {"session": "aaaaaaaaaa"}
    assert report(good, unknown) == ["ok", [["aaaaaaaaaa", ""]]]
    assert report(*[good] * 2000)[0] == "bad_request"
    for wrong in ({"session": "x" * 9999}, {"name": "x" * 9999}, {"address": "everywhere"}, {"role": "owner"}, {"x": "y"}):
        assert report(good | wrong)[0] == "bad_request", wrong
