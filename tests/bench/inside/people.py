"""People who use the service at once: their screens, links and guests. Each has sessions of their own."""

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ours import ORIGIN, Place
from screen import Api, Refused, Screen

PEOPLE = 4
KEY_A = 0x61


def live(name, seconds, seed, session):
    """Have people go through one session after the other: how often they did what, and each problem by its words."""
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(PEOPLE) as pool:
        counts = pool.map(lambda n: person(f"{name}{n}", random.Random(seed * PEOPLE + n), end, session), range(PEOPLE))
        return sum(counts, Counter())


def person(name, chance, end, session):
    api, counts = Api(Place, name), Counter()
    while time.monotonic() < end:
        try:
            session(api, chance, counts)
        except Exception as e:
            counts[f"problem: {type(e).__name__}: {e}"] += 1
    # A sign-in would stay for days.
    if api.cookie:
        with suppress(OSError, ValueError):
            api.call("DELETE", "sign-in")
    return counts


def ticket(api, session, chance, counts):
    """Return one's own ticket, or that of a guest with a link, which is withdrawn at times."""
    if chance.random() < 0.7:
        return api.ticket(session)
    status, shared = api.call("POST", f"sessions/{session}/shares", {"role": chance.choice(["view", "control"])})
    if status != 201:
        raise RuntimeError(f"share: {status} {shared}")
    status, joined = Api(Place, "guest").call("POST", "join", {"secret": shared["url"].split("#")[1]})
    if status != 200:
        raise RuntimeError(f"join: {status} {joined}")
    counts["guests"] += 1
    if chance.random() < 0.3:
        with suppress(EOFError, Refused, OSError):
            Screen(ORIGIN, joined["ticket"])
        api.call("DELETE", f"sessions/{session}/shares/{shared['share']['id']}")
        counts["links withdrawn"] += 1
        return api.ticket(session)
    return joined["ticket"]


def work(viewer, chance):
    for _ in range(chance.randint(1, 5)):
        viewer.picture()
        viewer.key(KEY_A)
        viewer.click(chance.randrange(viewer.width), chance.randrange(viewer.height))
