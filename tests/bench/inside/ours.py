"""The service through its front door: Apache, the JSON API, the WebSocket."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import processes
from screen import Api, Screen, WebSocket
from waiting import wait
from wire import Framed

PORT = 8080
ORIGIN = f"http://localhost:{PORT}"
MACHINE = "idle.img"
GREETING = b"RFB 003.008\n"
RECORDS = Path("/run/qemu-web-desktop/records")
LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
REAPER = "/usr/libexec/qemu-web-desktop/qwd-reaper"
# As many requests at a time as keep two CPUs busy.
AT_ONCE = 4
# How the ids of copied records begin.
COPY = "bench"


class Place:
    """Where the client finds the service."""

    port, origin = PORT, ORIGIN


class Worker:
    """One person's client, and a new one for each of a burst."""

    WORK = ("start", "burst", "open", "view", "leave", "stop", "cookie", "records", "fill", "listing", "sweep",
            "passes", "disperse")

    def __init__(self):
        self.api, self.viewers = Api(Place, "bench"), []
        # Whose sessions are there by the hundred.
        self.crowd, self.sessions = Api(Place, "crowd"), []

    def start(self):
        """Milliseconds from the request to the screen's greeting, and the session's id."""
        begun = time.perf_counter()
        session, viewer = greet(self.api)
        took = (time.perf_counter() - begun) * 1000
        viewer.close()
        return took, session

    def burst(self, count):
        """That many requests at the same moment, each from a client of its own: milliseconds until
        the last greeting, how each fared, and the CPU seconds that everybody took for it."""
        before, machines = processes.cpu(), processes.machines()
        clients = [Api(Place, f"bench{i}") for i in range(count)]
        begun = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            results = list(pool.map(greet_or_say, clients))
        took = (max(r["at"] for r in results) - begun) * 1000
        cpu = processes.grown(before, processes.cpu())
        cpu |= {name: seconds - machines[name] for name, seconds in processes.machines().items()}
        for client, result in zip(clients, results):
            if "session" in result:
                screen = Screen(ORIGIN, client.ticket(result["session"]))
                result["right"] = f"qwd-{result['session']}" in screen.name
                screen.close()
                self.end(client, result["session"])
        return took, results, cpu

    def open(self):
        """A session that runs, without a viewer; its id."""
        session, viewer = greet(self.api)
        viewer.close()
        wait(lambda: self.api.call("GET", f"sessions/{session}")[1]["state"] == "running")
        return session

    def view(self, session):
        """One more viewer, who has seen the screen once and stays."""
        screen = Screen(ORIGIN, self.api.ticket(session))
        screen.picture()
        self.viewers.append(screen)

    def leave(self):
        """All viewers go."""
        while self.viewers:
            self.viewers.pop().close()

    def stop(self, *sessions):
        """Comes back when they are gone."""
        for session in sessions:
            self.api.call("DELETE", f"sessions/{session}")
        for session in sessions:
            self.end(self.api, session)

    def cookie(self):
        """What a browser that is signed in sends."""
        return self.api.cookie

    def knock(self, session):
        """With a ticket in hand, what is left to do for a connection."""
        ticket = self.api.ticket(session)
        return lambda: Framed(ORIGIN, ticket)

    def records(self, count):
        """The launcher has so many sessions more on its books, copies of one that runs; none: those are gone.

        The reaper would remove what has no unit, so it has to wait."""
        verb = "stop" if count else "start"
        subprocess.run(["systemctl", verb, "qwd-reaper.timer"], check=True)
        for record in RECORDS.glob(f"{COPY}*"):
            record.unlink()
        text = next(RECORDS.glob("*.json")).read_text()
        for i in range(count):
            name = COPY + "".join(LETTERS[i // 32 ** k % 32] for k in range(5))
            (RECORDS / f"{name}.json").write_text(text.replace(json.loads(text)["record"]["id"], name))
        # A new one reads them all.
        subprocess.run(["systemctl", "stop", "qwd-launcher"], check=True)

    def fill(self, count):
        """Another person has so many sessions that run."""
        def one(_):
            session, viewer = greet(self.crowd)
            viewer.close()
            return session
        if not self.sessions:
            # The first request brings the cookie that the others send.
            self.sessions.append(one(0))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            self.sessions += pool.map(one, range(count - len(self.sessions)))

    def listing(self):
        """Milliseconds for the list of that person's sessions."""
        begun = time.perf_counter()
        status, answer = self.crowd.call("GET", "sessions")
        took = (time.perf_counter() - begun) * 1000
        if status != 200 or len(answer["sessions"]) < len(self.sessions):
            raise RuntimeError(f"the list: {status}, {answer}")
        return took

    @staticmethod
    def sweep():
        """Milliseconds for one pass of the reaper."""
        begun = time.perf_counter()
        subprocess.run([REAPER, "sweep"], check=True)
        return (time.perf_counter() - begun) * 1000

    def passes(self, count):
        """CPU seconds of one pass of the reaper as its timer starts it, of all who take part."""
        before = processes.cpu()
        for _ in range(count):
            subprocess.run(["systemctl", "start", "qwd-reaper.service"], check=True)
        # The reaper itself is over, and systemd has reaped it.
        return sum(processes.grown(before, processes.cpu()).values()) / count

    def disperse(self):
        """The other person's sessions end."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda session: self.end(self.crowd, session), self.sessions))
        self.sessions = []

    @staticmethod
    def end(client, session):
        client.call("DELETE", f"sessions/{session}")
        wait(lambda: client.call("GET", f"sessions/{session}")[1].get("state") in (None, "ended", "failed"))


def greet(api):
    """A session and a connection on which its screen has greeted."""
    status, answer = api.create(machine=MACHINE)
    if status >= 300:
        raise RuntimeError(f"create: {status} {answer}")
    viewer = WebSocket(ORIGIN, api.ticket(answer["id"]))
    greeting = viewer.read(len(GREETING))
    if greeting != GREETING:
        raise RuntimeError(f"greeted with {greeting}")
    return answer["id"], viewer


def greet_or_say(api):
    try:
        session, viewer = greet(api)
        result = {"at": time.perf_counter(), "session": session}
        viewer.close()
        return result
    except Exception as e:
        return {"at": time.perf_counter(), "problem": str(e)}
