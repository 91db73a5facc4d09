"""Who may do what: every method of the bus by everybody, and what limits of people and groups let through."""

import json
import xml.etree.ElementTree as ElementTree
from contextlib import contextmanager

import pytest

from conftest import SETTINGS, TREE
from screen import Api

XML = TREE / "units/dbus/org.qemuwebdesktop.Launcher1.xml"
SIGN_IN = '[sign_in]\nmethods = ["pam"]\nadmins = ["boss"]\nadmin_groups = ["desktop-admins"]\n'
PORTAL, DISPLAY = "_qemu-web-desktop", "_qwd-display"

# Who calls: the account, and the owner that it claims to ask for.
CALLERS = {
    "stranger": ("dave", "pam:alice"),
    "other member": ("carol", "pam:alice"),
    "portal for other": (PORTAL, "pam:bob"),
    "portal for owner": (PORTAL, "pam:alice"),
    "portal for administrator": (PORTAL, "pam:boss"),
    "display": (DISPLAY, "pam:alice"),
    "owner as member": ("alice", "pam:boss"),
    "root": ("root", "local:root"),
}
# Who may, by kind of method, in the order of CALLERS: "ok" may, "bus" is refused by the bus already.
KINDS = {
    "own": ["bus", "no_such_session", "no_such_session", "ok", "ok", "bus", "ok", "ok"],
    "self": ["bus", "ok", "ok", "ok", "ok", "bus", "ok", "ok"],
    "admin": ["bus", "not_allowed", "not_allowed", "not_allowed", "ok", "bus", "not_allowed", "ok"],
    "portal": ["bus", "bus", "ok", "ok", "ok", "bus", "bus", "ok"],
    "display": ["bus", "bus", "bus", "bus", "bus", "ok", "bus", "ok"],
    "root": ["bus", "bus", "bus", "bus", "bus", "bus", "bus", "ok"],
}
SECRET = "A" * 43
# Each method's kind, its arguments after the asker, and how it ends for those who may.
METHODS = {
    "Create": ("self", [{"machine": "nothing.iso"}], "no_such_machine"),
    "Work": ("root", [{"machine": "menu.iso"}], "wrong_state"),
    "List": ("self", [True], "ok"),
    "Sessions": ("self", [True], "ok"),
    "Get": ("own", ["ID"], "ok"),
    "Wait": ("own", ["ID", "stopping", 0], "ok"),
    "WaitList": ("self", [True, "", 0], "ok"),
    "Extend": ("own", ["ID", 60], "ok"),
    "Share": ("own", ["ID", {"role": "view"}], "ok"),
    "Shares": ("own", ["ID"], "ok"),
    "Unshare": ("own", ["ID", "nothing"], "bad_request"),
    "Viewers": ("own", ["ID"], "ok"),
    "Ticket": ("own", ["ID", "view"], "ok"),
    "Claim": ("portal", ["aaaaaaaaaa"], "no_such_session"),
    "Join": ("portal", [SECRET], "bad_ticket"),
    "JoinFrom": ("portal", [SECRET, "192.0.2.7"], "bad_ticket"),
    "Look": ("portal", [SECRET], "bad_ticket"),
    "Redeem": ("display", [SECRET], "bad_ticket"),
    "Report": ("display", [[]], "ok"),
    "Agent": ("display", ["aaaaaaaaaa"], "no_such_session"),
    "Offer": ("self", [], "ok"),
    "Front": ("self", [], "ok"),
    "Machines": ("self", [], "ok"),
    "Examine": ("root", ["menu.iso"], "ok"),
    "Status": ("self", [], "ok"),
    "Monitor": ("admin", [], "ok"),
    "Figures": ("portal", [], "ok"),
    "Picture": ("own", ["ID"], "ok"),
    "Resume": ("root", ["ID", 0], "wrong_state"),
    "Sweep": ("root", [], "ok"),
    "Stop": ("own", ["ID"], "ok"),
    "Kill": ("own", ["VICTIM"], "ok"),
    "StopAll": ("admin", [], "ok"),
}
# These leave nothing to try the others on.
ENDING = {"Stop", "Kill", "StopAll"}


def interface():
    """Every method of the introspection XML: whether it takes an asker, and its signature."""
    methods = {}
    for method in ElementTree.parse(XML).iter("method"):
        arguments = [a for a in method.iter("arg") if a.get("direction") == "in"]
        signature = "".join(a.get("type") for a in arguments)
        methods[method.get("name")] = (any(a.get("name") == "asker" for a in arguments), signature)
    return methods


def test_every_method_of_the_interface_is_listed():
    assert set(interface()) == set(METHODS)


@pytest.fixture(scope="module")
def people(bed):
    """Local accounts, and a way to call as one of them."""
    bed.put(TREE / "tests/e2e/bus_calls.py", "/root/bus_calls.py")
    bed.run("cp /root/bus_calls.py /usr/local/lib/bus_calls.py; getent group desktop-admins || groupadd desktop-admins; "
            "for n in alice carol dora; do id $n || useradd -M $n; usermod -aG qwd-users $n; done; id dave || useradd -M dave; "
            "usermod -aG desktop-admins dora; id erin || useradd -M erin; echo 'erin:right of erin' | chpasswd")

    def run(account, *words, check=True, input=None):
        return bed.run("setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups", "--", *words,
                       check=check, input=input)
    return run


@pytest.fixture
def nobody_left(bed, settings):
    """Leaves no session behind."""
    yield
    settings(SETTINGS)
    kill = [["Kill", "a{sv}s", [{}, s["id"]]] for s in bed.json("list")]
    bed.run("python3", "/usr/local/lib/bus_calls.py", input=json.dumps(kill))
    bed.wait("test -z \"$(ls /run/qemu-web-desktop/records/*.json 2>/dev/null)\"")


def calls(people, account, wanted):
    return json.loads(people(account, "python3", "/usr/local/lib/bus_calls.py", input=json.dumps(wanted)).stdout)


def cells(may):
    """The callers, each with the methods that they may call, or those that they may not."""
    for column, caller in enumerate(CALLERS):
        yield caller, [name for name, (kind, _, _) in METHODS.items() if (KINDS[kind][column] == "ok") is may]


def attempt(people, caller, names, ids):
    """What became of these methods, called by this caller."""
    account, claimed = CALLERS[caller]
    wanted = []
    for name in names:
        has_asker, signature = interface()[name]
        arguments = [ids.get(a, a) if isinstance(a, str) else a for a in METHODS[name][1]]
        wanted.append([name, signature, [{"owner": claimed}, *arguments] if has_asker else arguments])
    return dict(zip(names, calls(people, account, wanted)))


def refusals(people, owned, bus):
    """What is wrong with how those fare who may not; `bus` is what a refusal by the bus is to look like."""
    wrong = {}
    for column, (caller, names) in enumerate(cells(may=False)):
        for name, (word, text) in attempt(people, caller, names, {"ID": owned, "VICTIM": owned}).items():
            expected = KINDS[METHODS[name][0]][column]
            if word != (bus if expected == "bus" else expected):
                wrong[caller, name] = (word, text)
    return wrong


def start(bed, owner):
    return json.loads(bed.ctl("start", "menu.iso", "--owner", owner, "--no-wait", "--json").stdout)["id"]


def test_every_method_by_everybody(bed, people, settings, nobody_left):
    # Its guest does not listen to the power button, so that a session that is stopped is still there for the next.
    settings(SETTINGS.replace('stop_grace = "1s"', 'stop_grace = "60s"') + SIGN_IN + "[monitor]\npictures = true\n")
    owned = bed.json("start", "menu.iso", "--owner", "alice")["id"]
    victims = {c: start(bed, "alice") for c, word in zip(CALLERS, KINDS["own"]) if word == "ok"}
    foreign = start(bed, "zoe")
    # Those who may not come first: what they were refused must still be there for those who may.
    assert refusals(people, owned, bus="bus") == {}
    with open_policy(bed):
        assert refusals(people, owned, bus="not_allowed") == {}, "the launcher refuses again"
    outcomes = {}
    for ends in (False, True):
        for caller, names in cells(may=True):
            names = [name for name in names if (name in ENDING) is ends]
            ids = {"ID": owned, "VICTIM": victims.get(caller, owned)}
            outcomes |= {(caller, n): o for n, o in attempt(people, caller, names, ids).items()}
    assert {key: o for key, o in outcomes.items() if o[0] != METHODS[key[1]][2]} == {}
    alices = {owned, *victims.values()}
    for method, sessions in {"List": lambda r: r, "Sessions": lambda r: r[0], "Front": lambda r: r[2]}.items():
        seen = {c: {s["id"] for s in sessions(outcomes[c, method][1])} for c in CALLERS if (c, method) in outcomes}
        everybodys = alices | {foreign} if method != "Front" else set()
        assert seen == {"other member": set(), "portal for other": set(), "portal for owner": alices,
                        "portal for administrator": everybodys, "owner as member": alices, "root": everybodys}


@contextmanager
def open_policy(bed):
    """With the bus's own policy wide open, only the launcher itself stands there."""
    path = "/etc/dbus-1/system.d/zz-test.conf"
    allow = '<allow send_destination="org.qemuwebdesktop.Launcher1"/>'
    contexts = "".join(f"<policy {who}>{allow}</policy>" for who in (
        'context="default"', 'group="qwd-users"', f'user="{PORTAL}"', f'user="{DISPLAY}"'))
    bed.write(path, f"<busconfig>{contexts}</busconfig>")
    bed.run("systemctl", "reload", "dbus")
    try:
        yield
    finally:
        bed.run("rm", path)
        bed.run("systemctl", "reload", "dbus")


def test_a_guest_gets_what_their_link_says_and_nothing_else(bed, people, session):
    owned = session("--owner", "local:alice")["id"]
    for role in ("view", "control"):
        [[_, (_, secret)]] = calls(people, "root", [["Share", "a{sv}sa{sv}", [{"owner": "local:alice"}, owned, {"role": role}]]])
        [joined, looked, other] = calls(people, PORTAL, [
            ["Join", "a{sv}s", [{}, secret]], ["Look", "s", [secret]], ["Get", "a{sv}s", [{}, owned]]])
        assert joined[0] == looked[0] == "ok" and looked[1]["id"] == joined[1]["session"]["id"] == owned
        assert joined[1]["role"] == role and other[0] == "bad_request", "a guest has no name to ask by"
        [[word, result]] = calls(people, DISPLAY, [["Redeem", "s", [joined[1]["ticket"]]]])
        assert (word, result[1]["session"], result[1]["role"]) == ("ok", owned, role)
        [[again, _]] = calls(people, DISPLAY, [["Redeem", "s", [joined[1]["ticket"]]]])
        assert again == "bad_ticket"


def test_a_request_that_says_what_the_launcher_does_not_know_is_refused(bed, people):
    wish = {"machine": "nothing.iso"}
    for asker, wanted, told in [
            ({}, {**wish, "boot_script": "x"}, "unknown field `boot_script`"),
            ({"proof": "pam"}, wish, "unknown field `proof`"),
            ({}, {**wish, "force": "yes"}, "")]:
        for account in ("carol", "root"):
            [[word, text]] = calls(people, account, [["Create", "a{sv}a{sv}", [asker, wanted]]])
            assert word == "bad_request" and told in text, (account, word, text)
    [[word, _]] = calls(people, "root", [["Create", "a{sv}a{sv}", [{}, wish]]])
    assert word == "no_such_machine"


def started(people, account):
    return json.loads(people(account, "qwdctl", "start", "menu.iso", "--no-wait", "--json").stdout)


def listed(people, account, *options):
    return [s["owner"] for s in json.loads(people(account, "qwdctl", "list", "--json", *options).stdout)]


def test_an_account_is_its_own_name_only_where_accounts_sign_in(bed, people, settings, nobody_left):
    settings(SETTINGS)
    assert started(people, "alice")["owner"] == "local:alice"
    # Of the group of administrators, which means nothing while accounts do not sign in.
    assert started(people, "dora")["owner"] == "local:dora"
    assert listed(people, "dora", "--all") == ["local:dora"]
    assert people("dora", "qwdctl", "stop", "--all", check=False).returncode == 1
    settings(SETTINGS + SIGN_IN)
    assert listed(people, "alice") == [], "what was made under another name is not inherited"
    own = started(people, "alice")
    assert own["owner"] == "alice" and listed(people, "alice", "--all") == ["alice"]
    assert people("carol", "qwdctl", "show", own["id"], check=False).returncode == 4
    assert listed(people, "dora") == [] and sorted(listed(people, "dora", "--all")) == ["alice", "local:alice", "local:dora"]
    assert json.loads(people("dora", "qwdctl", "show", own["id"], "--json").stdout)["owner"] == "alice"
    people("dora", "qwdctl", "stop", "--all")


LIMITS = """
[limits.user.erin]
sessions = 2
memory = "256M"
lifetime = "2h"
machines = ["menu.iso"]
[limits.group.desktop-admins]
sessions = 0
[limits.user."local:alice"]
machines = ["other.iso"]
"""


def test_limits_of_people_and_groups_hold_and_are_told_before(bed, people, settings, nobody_left):
    settings(SETTINGS + LIMITS + SIGN_IN)
    erin = Api(bed, "erin")
    assert erin.call("POST", "sign-in", {"name": "erin", "password": "right of erin"})[0] == 200
    status, made = erin.create(memory="128M")
    assert status == 201 and made["extendable_until"] - made["created_at"] == 7200
    assert made["expires_at"] == made["extendable_until"], "what is not asked for is no more than is allowed"
    offer = erin.call("GET", "machines")[1]["offer"]
    assert {k: offer[k] for k in ("sessions", "memory_bytes", "lifetime_seconds", "reason")} == {
        "sessions": 1, "memory_bytes": 128 << 20, "lifetime_seconds": 7200, "reason": ""}
    for wanted, says in [({"memory": "129M"}, "(limits.user.erin.memory): you have 128 MiB of memory and asked for 129 MiB"),
                         ({"lifetime": "3h"}, "(limits.user.erin.lifetime): you asked for 3 h; 2 h would fit.")]:
        status, refused = erin.create(**wanted)
        assert (status, refused["error"]) == (409, "limit_reached") and says in refused["message"], refused
    status, refused = erin.call("POST", f"sessions/{made['id']}/extend", {"seconds": 60})
    assert status == 409 and "limits.user.erin.lifetime" in refused["message"]
    assert erin.create(memory="128M")[0] == 201
    offer = erin.call("GET", "status")[1]["offer"]
    assert offer["sessions"] == offer["memory_bytes"] == 0 and "(limits.user.erin.sessions)" in offer["reason"]
    page = bed.run("curl", "-s", "-H", f"Cookie: {erin.cookie}", "http://localhost/qemu-web-desktop/").stdout
    assert "(limits.user.erin.sessions)" in page and "<select" not in page
    refused = bed.ctl("start", "menu.iso", "--owner", "erin", check=False)
    assert refused.returncode == 3 and "limits.user.erin.sessions" in refused.stderr
    assert bed.json("start", "menu.iso", "--owner", "erin", "--force", "--lifetime", "3h", "--no-wait")["owner"] == "erin"


def test_limits_reach_local_accounts_by_their_name_and_their_groups(bed, people, settings, nobody_left):
    settings(SETTINGS + LIMITS)
    refused = people("dora", "qwdctl", "start", "menu.iso", check=False)
    assert refused.returncode == 3 and "limits.group.desktop-admins.sessions is 0" in refused.stderr
    assert json.loads(people("alice", "qwdctl", "machines", "--json").stdout) == []
    refused = people("alice", "qwdctl", "start", "menu.iso", check=False)
    assert refused.returncode == 3 and "other.iso" in refused.stderr
    assert [m["name"] for m in bed.json("machines")] == ["menu.iso"], "root sees everything"
