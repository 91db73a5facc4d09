"""An owner is a name and how it was proven: what somebody who only types a name gets of others."""

import json

import pytest

from browser import Browser
from conftest import SETTINGS
from screen import Api, Screen

CONFIG = "/etc/qemu-web-desktop/config.d/test.toml"
PAM = SETTINGS + '[sign_in]\nmethods = ["pam"]\nadmins = ["boss"]\n'
NAMES = ["root", "local:root", "pam:root", "ROOT", "ada"]


@pytest.fixture(scope="module")
def accounts(bed):
    """Accounts of the host, of which boss is the administrator where accounts sign in."""
    names = "ada boss"
    bed.run(f'for n in {names}; do id $n || useradd --create-home $n; echo "$n:right of $n" | chpasswd; done')
    yield
    bed.run(f"for n in {names}; do userdel --force --remove $n; done", check=False)


@pytest.fixture
def started(bed):
    """Stops what a test has started."""
    yield
    bed.write(CONFIG, SETTINGS)
    bed.ctl("stop", "--all", check=False)


def signed_in(bed, name):
    api = Api(bed, name)
    status, answer = api.call("POST", "sign-in", {"name": name, "password": f"right of {name}"})
    assert status == 200, answer
    return api


def typed(bed, name):
    """A browser in which a name was typed."""
    api = Api(bed, name)
    assert api.call("POST", "sign-in", {"name": name})[0] == 200
    return api


def ids(api, all=""):
    return [s["id"] for s in api.call("GET", f"sessions{all}")[1]["sessions"]]


def reaches(api, session):
    """How a client fares with a session that is not theirs."""
    calls = [("GET", ""), ("DELETE", ""), ("GET", "/shares"), ("GET", "/viewers")]
    changes = [("/tickets", {"role": "view"}), ("/shares", {"role": "view"}), ("/extend", {"seconds": 60})]
    found = [api.call(method, f"sessions/{session}{path}")[0] for method, path in calls]
    return {*found, *(api.call("POST", f"sessions/{session}{path}", body)[0] for path, body in changes)}


def test_a_name_that_is_typed_is_never_root(bed, session):
    made = [session("--no-wait")["id"], session("--owner", "local:ada", "--no-wait")["id"]]
    for name in NAMES:
        mallory = typed(bed, name)
        assert ids(mallory, "?all=1") == [] and mallory.call("GET", "monitor")[0] == 403, name
        assert all(reaches(mallory, one) == {404} for one in made), name
        assert mallory.call("GET", "sign-in")[1]["method"] == "open"
    assert {s["id"]: s["owner"] for s in bed.json("list")} == {made[0]: "root", made[1]: "local:ada"}
    refused = bed.ctl("start", "menu.iso", "--owner", "ada", check=False)
    assert refused.returncode == 2 and "local:ada" in refused.stderr


def test_two_browsers_with_one_name_are_two_owners(bed, started):
    one, two = typed(bed, "ada"), typed(bed, "ada")
    mine = one.create()[1]["id"]
    assert (ids(one), ids(two), reaches(two, mine)) == ([mine], [], {404})
    # Whatever name is typed in it, a browser stays who it is.
    status, theirs = one.create(owner="Jürgen Ŝpäth")
    assert (status, theirs["owner"], theirs["proof"]) == (201, "Jürgen Ŝpäth", "open")
    assert set(ids(one)) == {mine, theirs["id"]}
    assert "Jürgen Ŝpäth (not verified)" in bed.ctl("list").stdout
    record = bed.run("cat", f"/run/qemu-web-desktop/records/{mine}.json").stdout
    assert one.cookie.split("=")[1] not in record and json.loads(record)["record"]["owner"].startswith("open:")


def test_a_viewer_cannot_look_like_an_account(bed, alice, shown):
    secret = alice.call("POST", f"sessions/{shown}/shares", {"role": "view"})[1]["url"].split("#")[1]
    ticket = typed(bed, "root").call("POST", "join", {"secret": secret})[1]["ticket"]
    screen = Screen(bed.origin, ticket)
    bed.wait(f"qwdctl show {shown} | grep -q 'root (not verified) (view)'")
    screen.close()


def test_sign_in_switched_on_and_off_makes_nobody_the_owner(bed, accounts, started):
    typed_ada = typed(bed, "ada")
    open_one = typed_ada.create()[1]["id"]
    bed.write(CONFIG, PAM)
    account = signed_in(bed, "ada")
    assert ids(account) == [] and reaches(account, open_one) == {404}
    assert typed_ada.call("GET", "sessions")[0] == 401
    status, own = account.create()
    assert (status, own["owner"], own["proof"]) == (201, "ada", "pam")
    boss = signed_in(bed, "boss")
    shown = {s["id"]: (s["owner"], s["proof"]) for s in boss.call("GET", "sessions?all=1")[1]["sessions"]}
    assert shown == {open_one: ("ada", "open"), own["id"]: ("ada", "pam")}
    assert boss.call("DELETE", f"sessions/{open_one}")[0] == 202
    bed.write(CONFIG, SETTINGS)
    # The sign-in is nobody any more, and the name alone opens nothing.
    assert account.call("GET", "sessions")[0] == 401
    assert reaches(typed(bed, "ada"), own["id"]) == {404} and reaches(typed_ada, own["id"]) == {404}


def test_a_browser_has_its_session_back_when_sign_in_is_off_again(bed, accounts, started):
    ada = typed(bed, "ada")
    made = ada.create()[1]["id"]
    bed.write(CONFIG, PAM)
    assert ada.call("GET", "sessions")[0] == 401
    bed.write(CONFIG, SETTINGS)
    assert ids(ada) == [made]


def test_a_record_without_a_proof_is_nobodys(bed, accounts, started, session):
    made = session("--no-wait")["id"]
    path = f"/run/qemu-web-desktop/records/{made}.json"
    bed.wait(f"qwdctl show {made} --json | grep -q running")
    bed.run("systemctl", "stop", "qwd-launcher")
    record = json.loads(bed.run("cat", path).stdout)
    record["record"].update(owner="unknown:ada", owner_name="ada")
    bed.write(path, json.dumps(record))
    assert reaches(typed(bed, "ada"), made) == {404}
    bed.write(CONFIG, PAM)
    assert reaches(signed_in(bed, "ada"), made) == {404}
    assert made in ids(signed_in(bed, "boss"), "?all=1")
    assert "ada (not verified)" in bed.ctl("list").stdout
    bed.ctl("stop", made)


def start(browser, bed):
    browser.open(bed.url)
    browser.type("#name", "Ada Lovelace")
    browser.click('input[name="machine"][value="menu.iso"]')
    browser.click('input[name="terms"]')
    browser.click('form[action$="/sessions"] button.primary')
    return browser.shown_session()


def test_a_closed_browser_loses_nothing_and_the_link_moves_the_session(bed, started):
    with Browser() as first:
        made = start(first, bed)
        kept = {c["name"]: c for c in first.cookies}
        held = kept["qwd-browser"]
        assert held["httpOnly"] and held["sameSite"] == "Strict" and held["expiry"]
        link = first.wait(lambda: first.find("#continue-link").prop("value"), what="the link")
        path, code = link.split("#")
        secret, owner = code.split(".")
        assert path.endswith(f"/sessions/{made}/continue") and (len(secret), len(owner)) == (43, 64)
    with Browser() as again:
        again.open(bed.url + "static/qwd.css")
        for cookie in kept.values():
            again.set_cookie(cookie["name"], cookie["value"], path=cookie["path"])
        again.open(f"{bed.url}sessions/{made}")
        again.wait(lambda: "Ada Lovelace" in again.text("#session"), what="the session's page")
        with Browser() as other:
            other.open(f"{bed.url}sessions/{made}")
            other.wait_for("#name")
            # Who opens links changes nothing, and an invented secret neither.
            other.open(f"{path}#{'A' * 43}.{owner}")
            other.click("form[action$='/continue'] button.primary")
            other.wait_for("#code-error")
            other.open(link)
            other.click("form[action$='/continue'] button.primary")
            assert other.shown_session() == made
        # The link is spent.
        again.open(link)
        again.click("form[action$='/continue'] button.primary")
        again.wait_for("#code-error")
        again.open(f"{bed.url}sessions/{made}")
        assert "Ada Lovelace" not in again.text("main")
    leaks = bed.run("sh", "-c", 'journalctl -b --no-pager | grep -cF -e "$1" -e "$2"; '
                    'grep -rlF -e "$1" -e "$2" /run/qemu-web-desktop /var/log/apache2',
                    "sh", secret, held["value"], check=False).stdout
    assert leaks == "0\n"
