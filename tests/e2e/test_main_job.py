"""The main job, as a person does it: pick a machine, work on its screen, come back to it."""

import re
import subprocess

import pytest

from browser import Browser
from conftest import TREE
from screen import Api

SHOTS = TREE / "target/screenshots"

# Where the menu's highlight is: the first of ten rows in a row that are nearly all bright; -1 if none is.
HIGHLIGHT = """
const canvas = document.querySelector('#screen canvas');
const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
let run = 0;
for (let y = 0; y < canvas.height; y++) {
  let bright = 0;
  for (let x = 0; x < canvas.width; x++) bright += pixels[(y * canvas.width + x) * 4 + 1] > 100;
  run = bright > canvas.width * 0.7 ? run + 1 : 0;
  if (run == 10) return y - 9;
}
return -1;
"""


def shot(browser, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser.screenshot(SHOTS / f"{name}.png")


def create(browser, bed, name):
    """Fills the form in and comes out on the session's page; gives the session's id."""
    browser.open(bed.url)
    browser.type("#name", name)
    browser.click('input[name="machine"][value="menu.iso"]')
    browser.click('input[name="terms"]')
    shot(browser, "first")
    browser.click('form[action$="/sessions"] button.primary')
    browser.wait(lambda: "/sessions/" in browser.url)
    return re.search(r"/sessions/([a-z0-9]+)", browser.url)[1]


def highlight(browser):
    return browser.script(HIGHLIGHT)


def menu(browser):
    """Waits until the machine's menu is on the canvas; says where its highlight is."""
    browser.wait_state("connected")
    return browser.wait(lambda: (at := highlight(browser)) > 0 and at, 90, "a menu on the screen")


def to_screen(browser):
    """From a session's page to its screen: by the button, which is there once it runs (until then the page replaces itself)."""
    browser.wait(lambda: browser.find("#session").attribute("data-state") == "running", 60, "a running session")
    browser.click("a.button.primary")
    return menu(browser)


def press(browser, key):
    browser.script("document.querySelector('#screen canvas').focus()")
    browser.press(key)


@pytest.fixture
def cleared(bed):
    yield
    bed.ctl("stop", "--all", check=False)


def test_from_the_form_to_the_screen_and_back_to_it(bed, browser, cleared):
    session = create(browser, bed, "alice")
    browser.wait(lambda: browser.find("#session").attribute("data-state") == "running", 60, "a running session")
    shot(browser, "session")
    first = to_screen(browser)
    shot(browser, "screen")
    # An arrow key moves the highlight.
    press(browser, "down")
    moved = browser.wait(lambda: (at := highlight(browser)) > first and at, 60, "the key's effect")
    # A closed browser ends nothing: another one comes back to the same machine, as it was left.
    with Browser() as again:
        again.open(bed.url + "static/qwd.css")
        for cookie in browser.cookies:
            again.set_cookie(cookie["name"], cookie["value"], path=cookie["path"])
        again.open(bed.url + "sessions")
        again.wait_for(f'a[href$="/sessions/{session}/screen"]').click()
        assert menu(again) == moved
        # Two browsers see the same screen.
        press(again, "up")
        browser.wait(lambda: highlight(browser) == first, 60, "the other one's key")
    told = bed.run("journalctl", f"QWD_SESSION={session}", "-o", "json").stdout
    for program in ("qwd-portal", "qwd-launcher", "qwd-display"):
        assert f'"{program}"' in told, program


def test_stop_on_the_page_ends_the_session_and_says_so(bed, browser, cleared):
    session = create(browser, bed, "alice")
    browser.wait(lambda: browser.find("#session").attribute("data-state") == "running", 60, "a running session")
    browser.click("details.confirm summary")
    browser.click("details.confirm button.danger")
    browser.wait(lambda: browser.find("#session").attribute("data-state") == "ended", 60, "the end")
    assert "stopped by its owner" in browser.text("#session")
    assert bed.json("show", session)["state"] == "ended"


def test_the_forms_work_without_javascript(bed, cleared):
    with Browser(arguments=["--blink-settings=scriptEnabled=false"]) as plain:
        session = create(plain, bed, "nojs")
        plain.wait(lambda: "running" in plain.text("#session").lower(), 60, "a page that reloads itself")
        plain.find("details.confirm summary").click()
        plain.find("details.confirm button.danger").click()
        plain.wait(lambda: "stopped by its owner" in plain.text("#session"), 60, "the end")
    assert bed.json("show", session)["state"] == "ended"


def test_terms_not_agreed_to_are_refused_by_the_server_too(bed, browser):
    browser.open(bed.url)
    browser.type("#name", "alice")
    browser.click('form[action$="/sessions"] button.primary')
    browser.wait_for("#terms-error")
    assert browser.find("#name").prop("value") == "alice"
    status, answer = Api(bed, "alice").create(terms=False)
    assert (status, answer["error"]) == (400, "bad_request")


def test_a_lost_connection_is_shown_and_comes_back_by_itself(bed, browser, session, cleared):
    create(browser, bed, "alice")
    to_screen(browser)
    press(browser, "down")
    with browser.losing_screen():
        bed.run("systemctl", "kill", "-s", "KILL", "qwd-display.service")
    menu(browser)


def test_a_screen_says_why_it_is_over(bed, browser, cleared):
    made = create(browser, bed, "alice")
    to_screen(browser)
    bed.ctl("stop", made)
    browser.wait_state("ended")
    assert "stopped by root" in browser.text("#message")
    shot(browser, "ended")


def test_over_https_the_screen_is_the_same_and_the_cookie_is_guarded(bed, cleared):
    bed.run("a2enmod -q ssl && a2ensite -q default-ssl && systemctl restart apache2")
    try:
        port = int(subprocess.run([TREE / "tests/bed/bed", "forward", bed.name, "0", "443"], text=True,
                                  capture_output=True, check=True).stdout)
        with Browser(accept_insecure_certs=True) as secure:
            secure.open(f"https://localhost:{port}/qemu-web-desktop/")
            secure.type("#name", "alice")
            secure.click('input[name="machine"][value="menu.iso"]')
            secure.click('input[name="terms"]')
            secure.click('form[action$="/sessions"] button.primary')
            secure.wait(lambda: "/sessions/" in secure.url)
            to_screen(secure)
            cookies = {c["name"]: c for c in secure.call("GET", "/cookie")}
            held = cookies["__Host-qwd-browser"]
            assert held["secure"] and held["httpOnly"] and held["path"] == "/" and held["sameSite"] == "Strict"
    finally:
        bed.run("a2dissite -q default-ssl && a2dismod -q ssl && systemctl restart apache2")
