"""The screen's page: connections that break in silence, and what the page says beside the picture."""

import selectors
import socket
import threading
import time

import pytest

from browser import Browser
from conftest import SETTINGS
from screen import Screen
from test_attacks_disk import MACHINE as FLOOD
from test_attacks_disk import flooded  # noqa: F401 (a fixture)
from test_monitor import people  # noqa: F401 (a fixture)
from test_sharing import join, link, shot, sign_in, until


class Path:
    """A way to the server that can swallow every byte without closing anything, as a failing network does."""

    def __init__(self, port):
        self.server = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        # What becomes of a request for a WebSocket: "pass", "strip" of its header, "swallow".
        self.upgrade = "pass"
        self.open = threading.Event()
        self.open.set()
        self.listening = threading.Thread(target=self.listen, daemon=True)
        self.listening.start()

    def listen(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client):
        with client, socket.create_connection(("127.0.0.1", self.server)) as server, selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            swallowed = not self.open.is_set()
            while True:
                for key, _ in ready.select():
                    try:
                        data = key.fileobj.recv(65536)
                        if key.fileobj is client and b"Upgrade: websocket" in data and self.upgrade != "pass":
                            swallowed = self.upgrade == "swallow"
                            data = data.replace(b"Upgrade: websocket", b"X-Dropped: websocket")
                        # What has lost bytes once is of no use any more.
                        swallowed = swallowed or not self.open.is_set()
                        if not data:
                            return
                        if not swallowed:
                            key.data.sendall(data)
                    except OSError:
                        return

    def close(self):
        self.listener.close()


@pytest.fixture
def path(bed):
    path = Path(bed.port)
    yield path
    path.close()


def open_screen(browser, bed, api, session):
    sign_in(browser, bed, api, f"sessions/{session}/screen")
    browser.wait_state("connected")


class Through:
    """The bed as a browser reaches it on this way."""

    def __init__(self, path):
        self.origin = f"http://localhost:{path.port}"
        self.url = f"{self.origin}/qemu-web-desktop/"


def test_a_path_that_swallows_bytes_is_noticed_within_15_seconds_and_again_at_once(alice, shown, browser, path):
    open_screen(browser, Through(path), alice, shown)
    path.open.clear()
    begun = time.monotonic()
    browser.wait_state("lost", 20)
    assert time.monotonic() - begun < 15
    browser.wait(lambda: "does not answer" in browser.text("#message"))
    path.open.set()
    begun = time.monotonic()
    browser.wait_state("connected", 20)
    assert time.monotonic() - begun < 6


def test_a_screen_at_rest_stays_connected(alice, shown, browser, bed):
    open_screen(browser, bed, alice, shown)
    # A resting picture is longer without a frame than the page waits for one.
    with pytest.raises(AssertionError):
        browser.wait_state("lost", 15)
    assert not [line for line in browser.console() if "not understood" in line["message"]]


@pytest.mark.parametrize("upgrade", ["strip", "swallow"])
def test_a_proxy_that_does_not_pass_websockets_is_named_as_the_reason(bed, alice, shown, browser, path, upgrade):
    path.upgrade = upgrade
    sign_in(browser, Through(path), alice, f"sessions/{shown}/screen")
    browser.wait(lambda: "WebSocket connections do not get through" in browser.text("#message"), 20)
    assert "Ask the administrator" in browser.text("#message")
    shot(browser, f"no-websockets-{upgrade}")
    if upgrade == "strip":
        assert any("left the Upgrade header out" in line["MESSAGE"] for line in bed.journal("_COMM=qwd-display"))
    path.upgrade = "pass"
    browser.wait_state("connected", 30)


# Shutting down


@pytest.fixture
def patient(settings):
    """Guests have as long as a test to shut down, which this one's does not."""
    settings(SETTINGS.replace('stop_grace = "1s"', 'stop_grace = "40s"'))


def watch_shutdown(browser, bed, session):
    """The page says it within two seconds, with the picture still there."""
    begun = time.monotonic()
    browser.wait(lambda: "Shutting down" in browser.text("#ending") and browser.title.endswith("shutting down"), 10)
    assert time.monotonic() - begun < 2
    assert browser.script("return document.documentElement.dataset.state") == "connected"
    assert not browser.find("#ending-extend").displayed


@pytest.mark.parametrize("stop", [["qwdctl", "stop"], ["systemctl", "stop", "--no-block"]], ids=["qwdctl", "systemctl"])
def test_the_page_says_at_once_that_somebody_else_stops_the_session(bed, patient, alice, browser, stop):
    session = alice.create()[1]["id"]
    try:
        open_screen(browser, bed, alice, session)
        unit = f"qwd-session-{session}.service"
        bed.run("systemd-run", "--no-block", *stop, unit if "systemctl" in stop else session)
        watch_shutdown(browser, bed, session)
        shot(browser, "shutting-down")
        # A launcher that has begun anew tells it to a page that comes back.
        bed.run("systemctl", "restart", "qwd-launcher")
    finally:
        bed.ctl("stop", "--kill", session, check=False)
    browser.wait_state("ended")


def test_the_page_says_at_once_that_the_time_is_over(bed, patient, alice, browser):
    session = alice.create(lifetime="20s")[1]
    try:
        open_screen(browser, bed, alice, session["id"])
        browser.wait(lambda: time.time() >= session["expires_at"] - 1, 30)
        browser.wait(lambda: time.time() >= session["expires_at"], 5)
        watch_shutdown(browser, bed, session["id"])
    finally:
        bed.ctl("stop", "--kill", session["id"], check=False)


# Who is there


@pytest.fixture
def other():
    with Browser() as second:
        yield second


def test_the_bar_names_who_is_there_and_announces_who_comes_and_leaves(bed, alice, shown, browser, other):
    open_screen(browser, bed, alice, shown)
    assert browser.text("#people-count") == "1" and browser.text("#others") == ""
    _, secret = link(alice, shown, role="view")
    guest = Screen(bed.origin, join(bed, secret)[1]["ticket"])
    browser.wait(lambda: browser.text("#others") == "With Guest: view only", 5)
    assert browser.text("#people-said") == "Guest joined (view only)."
    shot(browser, "viewers")
    guest.close()
    browser.wait(lambda: browser.text("#people-said").endswith("Guest left.") and browser.text("#others") == "", 12)
    # The owner's second window is the owner still, by name.
    sign_in(other, bed, alice, f"sessions/{shown}/screen")
    other.wait_state("connected")
    browser.wait(lambda: browser.text("#others"), 5)
    assert browser.text("#others") == "With Guest (not verified) (owner): control"
    browser.click("#people-open")
    assert "(you)" in browser.text("#people-list") and "(owner)" in browser.text("#people-list")
    shot(browser, "viewers-panel")


# The clipboard, and what else the page offers


def test_without_a_clipboard_agent_text_is_typed_as_keys(bed, alice, shown, browser):
    open_screen(browser, bed, alice, shown)
    screen = Screen(bed.origin, alice.ticket(shown))
    first = screen.menu()
    browser.click("#clipboard-open")
    browser.type("#clipboard-text", "c")
    browser.click("#clipboard-send")
    browser.wait(lambda: "No clipboard agent" in browser.text("#clipboard-said"), 10)
    shot(browser, "no-agent")
    # GRUB's command line, and a command of many kinds of character: it draws nothing for what is not typed.
    browser.click("#clipboard-type")
    browser.wait(lambda: browser.text("#clipboard-said").startswith("Typed"), 10)
    until(lambda: screen.highlight() == -1)
    assert first != -1
    before = screen.picture()
    browser.type("#clipboard-text", "echo 'Ab(1){2}\"_|~\" ü'")
    browser.click("#clipboard-type")
    browser.wait(lambda: "Left out: 1" in browser.text("#clipboard-said"), 10)
    until(lambda: screen.picture() != before)
    shot(browser, "typed")


def test_a_guest_who_only_looks_has_no_field_to_send_from(bed, alice, shown, browser):
    _, secret = link(alice, shown, role="view")
    browser.open(f"{bed.url}join#{secret}")
    browser.wait_state("connected")
    browser.click("#clipboard-open")
    assert not browser.find("#clipboard-send").displayed and not browser.find("#clipboard-type").displayed
    assert browser.find("#clipboard-text").prop("readOnly") and "Text typed here" not in browser.text("#clipboard")


def test_closing_the_page_asks_who_controls_the_machine(bed, alice, shown, browser):
    ask = "const e = new Event('beforeunload', {cancelable: true}); dispatchEvent(e); return e.defaultPrevented"
    open_screen(browser, bed, alice, shown)
    assert browser.script(ask)
    _, secret = link(alice, shown, role="view")
    browser.open(f"{bed.url}join#{secret}")
    browser.wait_state("connected")
    assert not browser.script(ask)


def test_without_javascript_the_screens_page_does_not_wait_for_ever(bed, alice, shown):
    with Browser(arguments=["--blink-settings=scriptEnabled=false"]) as plain:
        sign_in(plain, bed, alice, f"sessions/{shown}/screen")
        assert "A screen needs JavaScript" in plain.text("body") and not plain.find("#message").displayed
        shot(plain, "screen-without-javascript")


def test_the_screen_says_why_its_machine_does_not_answer(bed, flooded, alice, browser):
    flooded('disk_max = "24M"')
    made = alice.create(machine=FLOOD)[1]["id"]
    sign_in(browser, bed, alice, f"sessions/{made}/screen")
    browser.wait_state("connected")
    card = '#ending[data-stage="paused"]:not([hidden])'
    browser.wait(lambda: browser.find_all(card), 180, "the notice")
    assert "Session paused. Disk limit reached." in browser.text(card)
    assert "Session paused." in browser.script("return document.getElementById('ending-said').textContent")
    shot(browser, "screen-paused")
    # Also on a page that is opened later.
    browser.open(f"{bed.url}sessions/{made}/screen")
    browser.wait(lambda: browser.find_all(card), 60, "the notice again")
    bed.ctl("stop", made)


def test_links_are_copied_where_browsers_have_no_clipboard(bed, alice, shown, browser):
    # The page of a session that is starting replaces itself, and what is selected on it is lost.
    bed.wait(f"qwdctl show {shown} --json | grep -q running")
    sign_in(browser, bed, alice, f"sessions/{shown}")
    # As over plain http.
    browser.script("Object.defineProperty(Navigator.prototype, 'clipboard', {get: () => undefined})")
    browser.click(".copyable button")
    browser.wait(lambda: browser.text(".copyable button") in ("Copied", "Press Ctrl+C"))
    assert browser.script("return getSelection().toString()") == browser.find("input.copy").prop("value")


def test_a_link_that_expired_and_one_that_was_taken_back_read_differently(bed, alice, shown, browser):
    made, taken = link(alice, shown)
    _, secret = link(alice, shown, seconds=5)
    browser.open(f"{bed.url}join#{secret}")
    browser.wait_state("connected")
    browser.wait_state("ended")
    assert "The link has expired" in browser.text("#message")
    assert "has expired" in join(bed, secret)[1]["message"]
    assert alice.call("DELETE", f"sessions/{shown}/shares/{made}")[0] == 204
    assert "taken back" in join(bed, taken)[1]["message"]


# The last one: from here on people sign in.


def test_an_administrator_looks_on_until_they_say_that_they_take_control(bed, people, browser, other):
    boss, ada = people["boss"], people["ada"]
    session = ada.create()[1]["id"]
    try:
        open_screen(browser, bed, ada, session)
        open_screen(other, bed, boss, session)
        browser.wait(lambda: browser.text("#others") == "With boss (administrator): view only", 5)
        assert "View only" in other.text("#bar") and "ada’s session" in other.text("#bar")
        shot(other, "looking-on")
        other.click("#take")
        other.wait(lambda: other.text("#take") == "Stop controlling")
        browser.wait(lambda: browser.text("#others") == "With boss (administrator): control", 5)
        browser.wait(lambda: browser.text("#people-said").endswith("boss (administrator) took control."), 5)
        shot(browser, "taken-control")
        other.click("#take")
        other.wait(lambda: other.text("#take") == "Take control")
        lines = [line["MESSAGE"] for line in bed.journal(f"QWD_SESSION={session}")]
        for line in (f"Viewer ada (control) connected to session {session} from 127.0.0.1",
                     f"Viewer boss (view, administrator) connected to session {session} from 127.0.0.1",
                     f"Viewer boss (control, administrator) connected to session {session} from 127.0.0.1"):
            assert line in lines
    finally:
        bed.ctl("stop", session, check=False)
