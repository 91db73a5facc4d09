"""Who else is on the screen, by which link, and how long it goes on."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from browser import Browser
from conftest import TREE
from screen import Api, Refused, Screen

SHOTS = TREE / "target/screenshots"


def until(look, seconds=30):
    """Waits for what other programs do; `look` gives something true once it is done."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "not within the time"
        time.sleep(0.05)
    return found


def link(owner, session, **wanted):
    """A new link: its id and its secret."""
    status, made = owner.call("POST", f"sessions/{session}/shares", {"role": "view", **wanted})
    assert status == 201, made
    return made["share"]["id"], made["url"].split("#")[1]


def join(bed, secret, guest=None):
    """What the holder of a link gets, signed in or not: status and answer."""
    return (guest or Api(bed, None)).call("POST", "join", {"secret": secret})


def viewers(owner, session):
    status, answer = owner.call("GET", f"sessions/{session}/viewers")
    assert status == 200, answer
    return answer["viewers"]


def shares(owner, session):
    return {share["id"]: share for share in owner.call("GET", f"sessions/{session}/shares")[1]["shares"]}


def test_a_link_for_one_browser_lets_one_of_two_in_who_can_come_back(bed, alice, shown):
    made, secret = link(alice, shown, once=True)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: join(bed, secret), range(8)))
    joined = [answer for status, answer in answers if status == 200]
    assert len(joined) == 1, answers
    assert all("has been used" in answer["message"] for status, answer in answers if status == 403)
    assert shares(alice, shown)[made]["used"]
    # What took the secret's place is good again and again, also after the launcher has forgotten all but its records.
    bed.run("systemctl", "restart", "qwd-launcher")
    for _ in range(2):
        status, again = join(bed, joined[0]["secret"])
        assert (status, again["secret"]) == (200, joined[0]["secret"])
    Screen(bed.origin, again["ticket"]).picture()
    assert join(bed, secret)[0] == 403
    assert alice.call("DELETE", f"sessions/{shown}/shares/{made}")[0] == 204
    assert join(bed, joined[0]["secret"])[0] == 403


def test_the_owner_sees_who_is_there_also_after_restarts(bed, alice, shown):
    made, secret = link(alice, shown)
    own = Screen(bed.origin, alice.ticket(shown))
    guest = Screen(bed.origin, join(bed, secret)[1]["ticket"])
    there = until(lambda: len(found := viewers(alice, shown)) == 2 and found)
    assert [(v["name"], v["role"], v["share"], v["address"]) for v in there] == [
        ("alice", "control", "", "127.0.0.1"), ("", "view", made, "127.0.0.1")]
    bed.run("systemctl", "stop", "qwd-launcher")
    # Who asks first starts the launcher, which has not been told yet: it waits for that.
    assert viewers(alice, shown) == there
    guest.close()
    until(lambda: [v["name"] for v in viewers(alice, shown)] == ["alice"])
    bed.run("systemctl", "kill", "-s", "KILL", "qwd-display.service")
    own.wait_closed()
    until(lambda: viewers(alice, shown) == [])
    again = Screen(bed.origin, alice.ticket(shown, "view"))
    until(lambda: [v["role"] for v in viewers(alice, shown)] == ["view"])
    again.close()


def test_taking_a_link_back_closes_that_persons_screen_within_a_second(bed, alice, shown):
    (first, secret), (_, other) = link(alice, shown), link(alice, shown, once=True)
    own = Screen(bed.origin, alice.ticket(shown))
    gone, stays = (Screen(bed.origin, join(bed, s)[1]["ticket"]) for s in (secret, other))
    assert alice.call("DELETE", f"sessions/{shown}/shares/{first}")[0] == 204
    begun = time.monotonic()
    assert gone.wait_closed() == 1008
    assert time.monotonic() - begun < 1
    own.picture()
    stays.picture()
    until(lambda: len(viewers(alice, shown)) == 2)


def test_the_end_of_a_link_closes_its_screen(bed, alice, shown):
    _, secret = link(alice, shown, seconds=3)
    guest = Screen(bed.origin, join(bed, secret)[1]["ticket"])
    assert guest.wait_closed() == 1008
    assert join(bed, secret)[0] == 403


def test_a_guest_who_is_signed_in_is_named(bed, alice, shown):
    _, secret = link(alice, shown, once=True)
    bob = Api(bed, "bob")
    own = bob.create()[1]["id"]
    status, joined = join(bed, secret, bob)
    assert (status, joined["session"]["owner"]) == (200, "alice")
    assert [share["used_by"] for share in shares(alice, shown).values()] == ["bob"]
    screen = Screen(bed.origin, joined["ticket"])
    assert until(lambda: viewers(alice, shown))[0]["name"] == "bob"
    with pytest.raises(Refused):
        Screen(bed.origin, joined["ticket"])
    screen.close()
    bed.ctl("stop", own)


# In the browser


def shot(browser, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser.screenshot(SHOTS / f"{name}.png")


@pytest.fixture
def guest_browser():
    with Browser() as other:
        yield other


@pytest.fixture
def ending(bed):
    """Warnings from an hour before the end on: a session of half an hour has its first, one of a quarter its second."""
    bed.write("/etc/qemu-web-desktop/config.d/warn.toml", '[session]\nwarn = "1h"\n')
    yield
    bed.run("rm", "/etc/qemu-web-desktop/config.d/warn.toml")


def sign_in(browser, bed, api, path=""):
    """The browser goes on as somebody who is signed in."""
    browser.open(bed.url + "static/qwd.css")
    name, value = api.cookie.split("=")
    browser.set_cookie(name, value, path="/qemu-web-desktop/")
    browser.open(bed.url + path)


def make_link(browser, once=False, role="view"):
    browser.find("#role").select(role)
    if once:
        browser.click("#once")
    browser.click("#share form button")
    return browser.wait_for("#share-link").prop("value")


def test_a_person_shares_with_one_browser_and_takes_it_back(bed, alice, shown, browser, guest_browser):
    sign_in(browser, bed, alice, f"sessions/{shown}")
    url = make_link(browser, once=True)
    guest_browser.open(url)
    guest_browser.wait_state("connected")
    assert "alice’s session" in guest_browser.text("#bar") and "View only" in guest_browser.text("#bar")
    # The owner's page follows by itself.
    browser.wait(lambda: "A guest" in browser.text("#there"), what="the guest on the owner's page")
    browser.wait(lambda: "used by a guest" in browser.text("#links"))
    shot(browser, "sharing")
    # A second browser is told what happened; the first comes back by itself, and by a reload.
    assert "has been used" in join(bed, url.split("#")[1])[1]["message"]
    with guest_browser.losing_screen():
        bed.run("systemctl", "kill", "-s", "KILL", "qwd-display.service")
    guest_browser.wait_state("connected")
    guest_browser.refresh()
    guest_browser.wait_state("connected")
    shot(guest_browser, "guest")
    browser.click("#links button")
    guest_browser.wait_state("ended")
    assert "no longer shared" in guest_browser.text("#message")
    browser.wait(lambda: "Nobody" in browser.text("#there"), what="that nobody is there")


def test_without_javascript_links_are_made_and_viewers_shown(bed, alice, shown):
    screen = Screen(bed.origin, alice.ticket(shown))
    until(lambda: viewers(alice, shown))
    with Browser(arguments=["--blink-settings=scriptEnabled=false"]) as plain:
        sign_in(plain, bed, alice, f"sessions/{shown}")
        assert "alice (you)" in plain.text("#there")
        plain.click("#share form button")
        assert "/join#" in plain.wait_for("#share-link").prop("value")
        plain.click("#links button")
        plain.wait(lambda: not plain.find_all("#links button"), 30, "the link to be gone")
    screen.close()


def test_the_pages_warn_before_the_end_and_extend(bed, alice, ending, browser, guest_browser):
    made = alice.create(lifetime="30m")[1]["id"]
    try:
        _, secret = link(alice, made, role="control")
        sign_in(browser, bed, alice, f"sessions/{made}")
        browser.wait(lambda: "ends soon" in browser.text("#warning"))
        shot(browser, "warning")
        browser.wait(lambda: browser.find("#session").attribute("data-state") == "running", 60, "a running session")
        browser.open(f"{bed.url}sessions/{made}/screen")
        guest_browser.open(f"{bed.url}join#{secret}")
        for side in (browser, guest_browser):
            side.wait_state("connected")
            side.wait_for("#ending")
            assert "ends soon" in side.text("#ending")
            # Nobody who types notices.
            assert side.script("return document.activeElement.tagName") == "CANVAS"
        shot(browser, "ending")
        shot(guest_browser, "ending-guest")
        assert "ask alice" in guest_browser.text("#ending") and not guest_browser.find("#ending-extend").displayed
        # From elsewhere: both notice.
        before = alice.call("GET", f"sessions/{made}")[1]["expires_at"]
        bed.ctl("extend", made, "1h")
        for side in (browser, guest_browser):
            side.wait(lambda: not side.find("#ending").displayed, what="no warning any more")
        assert alice.call("GET", f"sessions/{made}")[1]["expires_at"] == before + 3600
    finally:
        bed.ctl("stop", made)


def test_the_end_is_put_off_from_the_screen_and_without_javascript(bed, alice, ending, browser):
    made = alice.create(lifetime="10m")[1]
    try:
        sign_in(browser, bed, alice, f"sessions/{made['id']}/screen")
        browser.wait_state("connected")
        browser.wait(lambda: "about to end" in browser.text("#ending"))
        shot(browser, "ending-late")
        browser.click("#ending-extend")
        browser.wait(lambda: not browser.find("#ending").displayed, what="no warning any more")
        assert browser.script("return document.activeElement.tagName") == "CANVAS"
        assert alice.call("GET", f"sessions/{made['id']}")[1]["expires_at"] == made["expires_at"] + 3600
        bed.write("/etc/qemu-web-desktop/config.d/warn.toml", '[session]\nwarn = "2h"\n')
        with Browser(arguments=["--blink-settings=scriptEnabled=false"]) as plain:
            sign_in(plain, bed, alice, f"sessions/{made['id']}")
            assert plain.find('meta[http-equiv="refresh"]').attribute("content").startswith("60; url=")
            plain.click("#extend-now")
            plain.wait(lambda: not plain.find_all("#extend-now"))
    finally:
        bed.ctl("stop", made["id"])
