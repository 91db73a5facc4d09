"""The predecessor through its front door: the form's answer names a WebSocket, which is tried until
the machine behind it greets. Its settings are read anew for each request."""

import re
import subprocess
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from screen import Screen, WebSocket
from waiting import wait
from wire import Framed

FORM = "http://localhost/cgi-bin/qemu-web-desktop.pl"
SCREENS = "http://localhost:6080"
SETTINGS = Path("/etc/qemu-web-desktop/config.pl")
TOKENS = Path("/var/lib/qemu-web-desktop/snapshots/websockify-target.d")
WANTED = {"machine": "idle.img", "user": "bench", "cpu": "1", "memory": "0.125", "snapshot_lifetime": "43200"}
GREETING = b"RFB 003.008\n"
PATIENCE = 30


class Worker:
    WORK = ("fresh", "delay", "start", "burst", "open", "view", "leave", "stop", "tokens", "point", "fill", "listing",
            "disperse")

    def __init__(self):
        self.viewers, self.crowd = [], []

    def fresh(self):
        """As after a boot, with what the requests before have left gone."""
        subprocess.run(["systemctl", "restart", "apache2"], check=True)

    def delay(self, seconds):
        """How long it waits before it answers, so that the machine has time to come up."""
        change("boot_delay", seconds)

    def start(self):
        """Milliseconds from the request to the screen's greeting, and the session."""
        begun = time.perf_counter()
        session = create()
        viewer = greeted(session)
        took = (time.perf_counter() - begun) * 1000
        viewer.close()
        return took, session

    def burst(self, count):
        """That many requests at the same moment: milliseconds until the last greeting, and how each fared."""
        begun = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            results = list(pool.map(greet_or_say, range(count)))
        took = (max(r["at"] for r in results) - begun) * 1000
        for result in results:
            if "session" in result:
                session = result["session"]
                screen = Screen(SCREENS, None, **way(session))
                result["right"] = session["name"] in screen.name
                screen.close()
        self.stop(*(r["promised"] for r in results if "promised" in r))
        return took, results

    def open(self):
        """A session that runs, without a viewer."""
        session = create()
        greeted(session).close()
        return session

    def view(self, session):
        """One more viewer, who has seen the screen once and stays."""
        screen = Screen(SCREENS, None, **way(session))
        screen.picture()
        self.viewers.append(screen)

    def leave(self):
        """All viewers go."""
        while self.viewers:
            self.viewers.pop().close()

    def stop(self, *sessions):
        """Comes back when they are gone."""
        for session in sessions:
            ask(session_stop=session["name"])

    def fill(self, count, seconds):
        """So many sessions with the stand-in, one after the other, as far as that time goes: milliseconds each."""
        change("qemu_exec", '"/usr/local/bin/stand-in"')
        times, begun = [], time.perf_counter()
        while len(times) < count and time.perf_counter() - begun < seconds:
            took, session = self.start()
            times.append(took)
            self.crowd.append(session)
        change("qemu_exec", '"/usr/local/bin/qemu-tcg"')
        return times

    @staticmethod
    def listing():
        """Milliseconds for the list of sessions."""
        begun = time.perf_counter()
        ask(machine="monitor", user=WANTED["user"])
        return (time.perf_counter() - begun) * 1000

    def disperse(self):
        self.stop(*self.crowd)
        self.crowd = []

    def point(self, port):
        """A token that leads to this port, as a session's would."""
        (TOKENS / "port").write_text(f"port: 127.0.0.1:{port}\n")
        return {"token": "port"}

    @staticmethod
    def knock(session):
        return lambda: Framed(SCREENS, **way(session))

    def tokens(self, count):
        """So many sessions' tokens more that lead nowhere; none: those are gone."""
        for token in TOKENS.glob("bench*"):
            token.unlink()
        for i in range(count):
            (TOKENS / f"bench{i}").write_text(f"bench{i}: 127.0.0.1:1\n")


def change(key, value):
    """Gives a setting another value; the last line of that name counts."""
    text = SETTINGS.read_text()
    SETTINGS.write_text(re.sub(rf"(?m)^(\$config\{{{key}\}} *=).*;$", rf"\1 {value};", text))


def ask(**fields):
    with urllib.request.urlopen(FORM, urllib.parse.urlencode(fields).encode(), timeout=120) as answer:
        return answer.read().decode("utf-8", "replace")


def create():
    """A session that is promised, by its name and its screen's token."""
    page = ask(**WANTED)
    name, token = re.search(r"as session ([\w-]+)", page), re.search(r"token=(\w+)", page)
    if not name or not token or "Connect to your machine" not in page:
        problem = re.search(r"\[ERROR\][^<]*", page)
        raise RuntimeError(problem.group() if problem else "no machine was promised")
    return {"name": name[1], "token": token[1]}


def way(session):
    """How a WebSocket gets there."""
    return {"path": f"/?token={session['token']}", "protocols": ["binary"]}


def greeted(session):
    """A connection on which the screen has greeted."""
    def look():
        try:
            viewer = WebSocket(SCREENS, **way(session))
            if viewer.read(len(GREETING)) == GREETING:
                return viewer
        except (OSError, EOFError):
            return None
    return wait(look, pause=0.005, patience=PATIENCE)


def greet_or_say(_):
    result = {}
    try:
        result["promised"] = create()
        greeted(result["promised"]).close()
        result["session"] = result["promised"]
    except Exception as e:
        result["problem"] = str(e)
    return {"at": time.perf_counter(), **result}
