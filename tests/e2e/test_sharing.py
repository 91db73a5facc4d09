"""Who else is on the screen, by which link, and how long it goes on."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from screen import Api, Refused, Screen


@pytest.fixture
def alice(bed):
    return Api(bed, "alice")


@pytest.fixture
def shown(bed, alice):
    """A session of Alice's that runs."""
    status, made = alice.create()
    assert status == 201, made
    yield made["id"]
    bed.ctl("stop", made["id"], check=False)


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
    # What a client says about its address is not believed.
    guest = Screen(bed.origin, join(bed, secret)[1]["ticket"], headers={"X-Forwarded-For": "203.0.113.9"})
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
