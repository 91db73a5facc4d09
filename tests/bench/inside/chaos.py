"""Sessions whose programs are killed at random, and what there is of them once it is quiet."""

import http.client
import json
import random
import struct
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from ours import ORIGIN, Place
from people import live, ticket, work
from screen import Api, Refused, Screen
from strikes import Strikes
from traces import Traces, in_use, starts, story
from waiting import wait

WORK = ("round", "finish")

MACHINE = "boot.img"
# Seconds that a session lives, and that it is extended by.
LIFETIMES, EXTENSION = (4, 30), (3, 15)
# How long what has been ended may take to be cleared up, before and after the second sweep.
QUIET = (12, 30)
SOCKETS = ("qwd-portal.socket", "qwd-display.socket", "qwd-auth-network.socket", "qwd-auth-pam.socket",
           "qwd-auth-command.socket", "qwd-mail.socket", "qwd-reaper.timer")
# What a client sees of a program that has just been killed.
FAULTS = (OSError, EOFError, ValueError, KeyError, TypeError, AssertionError, RuntimeError, Refused, struct.error,
          http.client.HTTPException, subprocess.SubprocessError)

known = set()


def round(seconds, seed):
    """Have people work and things break for so many seconds; then count what should not be, once it is quiet."""
    strikes = Strikes(random.Random(f"{seed} strikes"))
    breaking = threading.Thread(target=strikes.run, args=(seconds,))
    breaking.start()
    counts = live("chaos", seconds, random.Random(seed).randrange(1 << 30), life)
    breaking.join()
    strikes.repair()
    problems, sweeps = settle()
    problems += probe()
    return {"counts": {**counts, "second sweeps": sweeps - 1}, "strikes": strikes.counts, "log": strikes.log,
            "problems": problems, "stories": stories(problems)}


def finish():
    """Wait until all sessions have ended in their time, and count what is left."""
    latest = max(LIFETIMES) + 4 * max(EXTENSION)
    with suppress(TimeoutError):
        wait(lambda: not Traces(known).running, pause=1, patience=latest)
    problems, _ = settle()
    running = Traces(known).running
    problems += [f"does not end: {id}" for id in running]
    if not running and (count := in_use()):
        problems.append(f"places taken: {count}, though no session runs")
    problems += [f"started {count} times: {id}" for id, count in starts().items() if count > 1]
    problems += probe()
    return {"problems": problems, "stories": stories(problems), "sessions": len(known)}


def settle():
    """Sweep, once more if that was not enough, and return what should not be there then; and how many sweeps it took."""
    for sweeps, seconds in enumerate(QUIET, 1):
        done = subprocess.run(["systemctl", "start", "qwd-reaper.service"], capture_output=True, text=True, timeout=400)
        failed = [] if done.returncode == 0 else [f"the sweep fails: {done.stderr.strip()}"]
        found = [*failed, *look(seconds)]
        if not found:
            break
    return found, sweeps


def look(seconds):
    """Return what is wrong, if that does not pass in so many seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            traces = Traces(known)
            known.update(traces.ids & {*traces.running, *traces.listed})
            found = traces.problems()
        except FAULTS as e:
            found = [f"no answer: {type(e).__name__}: {e}"]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.5)


def probe():
    """Return what is wrong with the service itself: does it listen, and start, show and stop a session?"""
    states = subprocess.run(["systemctl", "is-active", *SOCKETS], capture_output=True, text=True).stdout.split()
    found = [f"does not work: {unit} is {state}" for unit, state in zip(SOCKETS, states) if state != "active"]
    try:
        wait(attempt, pause=0.5, patience=30)
    except TimeoutError:
        found.append(f"does not work: {attempt.reason}")
    return found


def attempt():
    api = Api(Place, "probe")
    try:
        status, made = api.create(machine=MACHINE, lifetime="1m")
        if status >= 300:
            raise RuntimeError(f"create: {status} {made}")
        known.add(made["id"])
        Screen(ORIGIN, api.ticket(made["id"])).close()
        status, answer = api.call("DELETE", f"sessions/{made['id']}")
        if status >= 300:
            raise RuntimeError(f"stop: {status} {answer}")
        wait(lambda: over(api, made["id"]), patience=20)
        return True
    except (TimeoutError, *FAULTS) as e:
        attempt.reason = f"{type(e).__name__}: {e}"
        return False


def over(api, session):
    return api.call("GET", f"sessions/{session}")[1].get("state") in (None, "ended", "failed")


def life(api, chance, counts):
    """One session, from its start to its end or to where its owner leaves it."""
    time.sleep(chance.uniform(0, 0.3))
    try:
        session = (begin if chance.random() < 0.7 else begin_as_root)(api, chance)
    except FAULTS:
        counts["failed starts"] += 1
        time.sleep(chance.uniform(0, 0.5))
        return
    known.add(session.id)
    counts["lives"] += 1
    for _ in range(chance.randint(0, 4)):
        try:
            chance.choice(DEEDS)(session, chance, counts)
        except FAULTS:
            counts["failed deeds"] += 1
        time.sleep(chance.uniform(0, 0.6))
    try:
        end(session, chance, counts)
    except FAULTS:
        counts["failed ends"] += 1
    leave(session, chance, counts)


@dataclass
class Session:
    """A session and the client of its owner; root has none."""

    id: str
    api: Api | None
    viewers: list = field(default_factory=list)

    def call(self, method, what="", body=None):
        return answered(self.api.call(method, f"sessions/{self.id}{what}", body))


def begin(api, chance):
    made = answered(api.create(machine=MACHINE, lifetime=lifetime(chance)))
    return Session(made["id"], api)


def begin_as_root(_, chance):
    options = ["--no-wait"] if chance.random() < 0.5 else []
    return Session(json.loads(qwdctl("start", MACHINE, "--lifetime", lifetime(chance), "--json", *options))["id"], None)


def lifetime(chance):
    return f"{chance.randint(*LIFETIMES)}s"


def qwdctl(*words):
    return subprocess.run(["qwdctl", *words], check=True, capture_output=True, text=True, timeout=120).stdout


def answered(answer):
    status, body = answer
    if status >= 300:
        raise RuntimeError(f"{status} {body}")
    return body


def extend(session, chance, counts):
    seconds = chance.randint(*EXTENSION)
    if session.api and chance.random() < 0.7:
        session.call("POST", "/extend", {"seconds": seconds})
    else:
        qwdctl("extend", session.id, f"{seconds}s")
    counts["extensions"] += 1


def view(session, chance, counts):
    if session.api:
        right = ticket(session.api, session.id, chance, counts)
    else:
        link = json.loads(qwdctl("share", session.id, "--json"))["url"]
        right = answered(Api(Place, "guest").call("POST", "join", {"secret": link.split("#")[1]}))["ticket"]
        counts["guests"] += 1
    session.viewers.append(Screen(ORIGIN, right))
    counts["viewers"] += 1
    work(session.viewers[-1], chance)


def leave(session, chance, counts):
    while session.viewers:
        session.viewers.pop().close()


def consult(session, chance, counts):
    if session.api:
        answered(session.api.call("GET", "sessions"))
    qwdctl("list", "--all")


DEEDS = (extend, extend, view, view, leave, consult)


def end(session, chance, counts):
    die = chance.random()
    if die < 0.35 and session.api:
        session.call("DELETE")
    elif die < 0.5:
        qwdctl("stop", session.id, *(["--kill"] if chance.random() < 0.5 else []))
    elif die < 0.55:
        subprocess.run(["systemctl", "stop", f"qwd-session-{session.id}.service"], check=True, capture_output=True, timeout=60)
    else:
        counts["left to their timers"] += 1
        return
    if session.api:
        wait(lambda: over(session.api, session.id), patience=15)


def stories(problems):
    """Return what the journal has on the sessions that something is wrong with."""
    ids = [id for id in sorted(known) if any(id in problem for problem in problems)]
    return {id: story(id) for id in ids[:3]}
