"""A minute in which nobody does anything."""

import time

from figures import Row

MINUTE = 60
# The most CPU that the timer's pass may take, in ms.
PASS = 20
# Besides our own: what the predecessor keeps running.
PEER = ("websockify",)


def idle(places, thorough):
    """What our programs do while nothing goes on, and what the reaper's timer costs."""
    ours, peer = places.ours, places.peer
    session, other = ours.do("ours.open"), peer.do("peer.open")
    # All programs run, one session too; then the timer waits so that what is left can be told apart.
    ours.bed.run("systemctl", "stop", "qwd-reaper.timer")
    rest(ours, peer)
    before = [activity(place) for place in (ours, peer)]
    time.sleep(MINUTE)
    after = [activity(place) for place in (ours, peer)]
    passes = ours.do("ours.passes", 4)
    ours.bed.run("systemctl", "start", "qwd-reaper.timer")
    ours.do("ours.stop", session)
    peer.do("peer.stop", other)
    mine, theirs = (spent(*pair) for pair in zip(before, after))
    own = [name for name in mine if name.startswith("qwd-")]
    total = lambda told, names, what: sum(told[name][what] for name in names if name in told)
    return [
        Row("idle: wake-ups a minute besides the timer's", "", total(mine, own, "switches"),
            peer=total(theirs, PEER, "switches"), remark=f"with a session; {listed(mine, own)}").exactly(0),
        Row("idle: CPU a minute besides the timer's", "ms", total(mine, own, "cpu") * 1000,
            peer=total(theirs, PEER, "cpu") * 1000).exactly(0),
        Row("idle: CPU of the timer's pass, once a minute", "ms", passes * 1000, remark="reaper, launcher, systemd and D-Bus").at_most(PASS),
    ]


def activity(place):
    """What those that are compared have done so far."""
    told = place.do("processes.activity")
    return {name: figures for name, figures in told.items() if name.startswith("qwd-") or name in PEER}


def rest(*places):
    """What the last session's start and its first viewers have left to do is done."""
    for place in places:
        place.do("processes.memory")


def spent(before, after):
    """What each group has more than before. Where a process of it was replaced, there is no figure."""
    for name, figures in before.items():
        if not set(figures["processes"]) <= set(after.get(name, {}).get("processes", [])):
            raise RuntimeError(f"{name} was replaced while it was measured, so there is no figure")
    return {name: {what: figures[what] - before.get(name, {}).get(what, 0) for what in ("cpu", "switches")}
            for name, figures in after.items()}


def listed(told, names):
    return ", ".join(f"{name} {told[name]['switches']}" for name in sorted(names))
