"""Who gets a screen, and what they may do with it: said by hand, as no browser would."""

import subprocess
import time

import pytest

from conftest import tool
from screen import DOWN, UP, Api, Refused, Screen, WebSocket


def refusal(bed, **how):
    with pytest.raises(Refused) as refused:
        WebSocket(bed.origin, **how)
    return refused.value.status


def test_a_ticket_opens_the_screen_once(bed, alice, shown):
    ticket = alice.ticket(shown)
    screen = Screen(bed.origin, ticket)
    assert screen.greeting == b"RFB 003.008\n"
    assert ticket not in screen.head and "qwd.v1" in screen.head
    assert refusal(bed, ticket=ticket) == 403


def test_an_invented_ticket_and_none_at_all_get_nothing(bed, shown):
    assert refusal(bed, ticket="A" * 43) == 403
    assert refusal(bed, ticket="../../etc/passwd") == 403
    assert refusal(bed, protocols=["qwd.v1"]) == 403


def test_a_ticket_expires(bed, alice, shown):
    ticket = alice.ticket(shown)
    time.sleep(15.5)  # The time a ticket is good for: what is tested is that it passes.
    assert refusal(bed, ticket=ticket) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost.evil.example", "null", "", None])
def test_a_foreign_page_gets_nothing(bed, alice, shown, origin):
    assert refusal(bed, ticket=alice.ticket(shown), headers={"Origin": origin}) == 403


def test_nobody_else_gets_a_ticket(bed, alice, shown):
    mallory = Api(bed, "mallory")
    made = mallory.create()[1]
    try:
        assert mallory.call("POST", f"sessions/{shown}/tickets", {"role": "view"})[0] == 404
        assert mallory.call("GET", f"sessions/{shown}")[0] == 404
        assert mallory.call("DELETE", f"sessions/{shown}")[0] == 404
        assert [s["id"] for s in mallory.call("GET", "sessions")[1]["sessions"]] == [made["id"]]
        assert Api(bed, "x").call("POST", f"sessions/{shown}/tickets", {"role": "view"})[0] in (401, 403)
    finally:
        bed.ctl("stop", made["id"])
    assert alice.call("GET", f"sessions/{shown}")[1]["state"] == "running"


def test_two_viewers_see_the_same_and_none_throws_the_other_out(bed, alice, shown):
    one, two = Screen(bed.origin, alice.ticket(shown)), Screen(bed.origin, alice.ticket(shown))
    first = one.menu()
    assert two.menu() == first
    one.key(DOWN)
    assert one.menu(beside=first) == two.menu(beside=first)


def test_who_may_only_look_cannot_type(bed, alice, shown):
    owner = Screen(bed.origin, alice.ticket(shown))
    guest = Screen(bed.origin, alice.ticket(shown, "view"))
    first = owner.menu()
    guest.key(DOWN)
    # The owner's own key comes later and moves by one: the guest's did nothing.
    guest.picture()
    owner.key(DOWN)
    moved = owner.menu(beside=first)
    assert guest.menu(beside=first) == moved
    owner.key(UP)
    assert owner.menu(beside=moved) == first


def test_a_link_opens_a_screen_until_it_is_taken_back(bed, alice, shown):
    status, made = alice.call("POST", f"sessions/{shown}/shares", {"role": "view"})
    assert status == 201
    secret = made["url"].split("#")[1]
    guest = Api(bed, None)
    status, joined = guest.call("POST", "join", {"secret": secret})
    assert (status, joined["role"]) == (200, "view")
    screen = Screen(bed.origin, joined["ticket"])
    screen.picture()
    own = Screen(bed.origin, alice.ticket(shown))
    left_over = guest.call("POST", "join", {"secret": secret})[1]["ticket"]
    start = time.monotonic()
    assert alice.call("DELETE", f"sessions/{shown}/shares/{made['share']['id']}")[0] in (200, 204)
    assert screen.wait_closed() == 1008
    assert time.monotonic() - start < 5
    assert refusal(bed, ticket=left_over) == 403
    assert guest.call("POST", "join", {"secret": secret})[0] == 403
    own.picture()


def test_taking_back_reaches_a_display_that_the_launcher_does_not_know(bed, alice, shown):
    made = alice.call("POST", f"sessions/{shown}/shares", {"role": "control"})[1]
    joined = Api(bed, None).call("POST", "join", {"secret": made["url"].split("#")[1]})[1]
    screen = Screen(bed.origin, joined["ticket"])
    bed.run("systemctl", "restart", "qwd-launcher")
    screen.picture()
    assert alice.call("DELETE", f"sessions/{shown}/shares/{made['share']['id']}")[0] in (200, 204)
    assert screen.wait_closed() == 1008


def test_the_end_of_a_session_closes_its_screens(bed, alice, shown):
    screen = Screen(bed.origin, alice.ticket(shown))
    bed.ctl("stop", shown)
    assert screen.wait_closed() in (1000, 1001)


def test_every_program_may_be_restarted_under_an_open_screen(bed, alice, shown):
    screen = Screen(bed.origin, alice.ticket(shown))
    first = screen.menu()
    bed.run("systemctl", "restart", "qwd-launcher", "qwd-portal")
    screen.key(DOWN)
    moved = screen.menu(beside=first)
    # These two carry it: the screen closes, and is there again as it was.
    for service in ("qwd-display", "apache2"):
        bed.run("systemctl", "restart", service)
        screen.wait_closed()
        screen = Screen(bed.origin, alice.ticket(shown))
        assert screen.menu() == moved
    assert alice.call("GET", f"sessions/{shown}")[1]["state"] == "running"


def test_secrets_are_in_no_log_and_no_property(bed, alice, shown):
    ticket = alice.ticket(shown)
    secret = alice.call("POST", f"sessions/{shown}/shares", {"role": "view", "once": True})[1]["url"].split("#")[1]
    Screen(bed.origin, ticket)
    next_secret = Api(bed, None).call("POST", "join", {"secret": secret})[1]["secret"]
    seen = bed.run("journalctl -b -o export --no-pager; cat /var/log/apache2/*; systemctl show 'qwd-*'; "
                   "ps axeww; cat /run/qemu-web-desktop/records/*").stdout
    for canary in (ticket, secret, next_secret, alice.cookie.split("=")[1]):
        assert canary not in seen


def test_only_apache_listens(bed, shown):
    listening = bed.run("ss", "-Hltnp").stdout.splitlines()
    assert listening and all('"apache2"' in line for line in listening), listening


def test_a_client_from_elsewhere_is_told_what_to_configure(bed):
    address = tool("connect", bed.name)
    page = bed_page(address)
    assert "403" in page.splitlines()[0] and "config.toml" in page


def bed_page(address):
    return subprocess.run(["curl", "-si", "--noproxy", "*", "-H", "Host: localhost", f"http://{address}/qemu-web-desktop/"],
                          text=True, capture_output=True, check=True).stdout
