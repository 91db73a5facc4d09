"""Passwords checked against real servers: dovecot, postfix and slapd, asked through the socket as the portal asks."""

import itertools
import json

import pytest

import guesses
import peers

METHODS = ("imap", "smtp", "ldap")
CONFIG = "/etc/qemu-web-desktop/config.d/sign-in-servers.toml"
SECRET = "/etc/qemu-web-desktop/ldap.password"
BASE = "dc=example,dc=org"
TEMPLATE = {"bind_dn": f"uid={{user}},ou=people,{BASE}"}
SEARCH = {"search_base": BASE, "search_dn": f"cn=searcher,{BASE}", "search_password_file": SECRET}
# Never anybody's password: it must be found nowhere.
CANARY = "c4nary-of-the-c0al-mine"

# Writes the configuration, asks all questions at once, and prints the answers in their order.
ASK = r"""
import json, socket, sys, time
from concurrent.futures import ThreadPoolExecutor

def ask(question):
    start = time.monotonic()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect("/run/qemu-web-desktop/auth-network.sock")
        line.sendall(json.dumps(question).encode())
        line.shutdown(socket.SHUT_WR)
        text = b"".join(iter(lambda: line.recv(65536), b""))
    return {**json.loads(text), "seconds": time.monotonic() - start}

asked = json.load(sys.stdin)
with open(asked["file"], "w") as file:
    file.write(asked["config"])
with ThreadPoolExecutor(6) as pool:
    print(json.dumps(list(pool.map(ask, asked["questions"]))))
"""


@pytest.fixture(scope="module")
def servers(bed):
    """All servers, and the password to search with, as root alone may read it."""
    bed.run(f"umask 077; echo find3r >{SECRET}; stat -c '%U %a' {SECRET} | grep -qx 'root 600'")
    try:
        peers.start(bed)
        yield bed
    finally:
        peers.stop(bed)
        bed.run("rm", "-f", CONFIG, SECRET)


def settings(host, encryption, methods=METHODS, timeout="20s", ports=None, ldap=TEMPLATE):
    text = f"[sign_in]\nmethods = {json.dumps(methods)}\n"
    for method in methods:
        keys = {"server": host, "encryption": encryption, "ca_file": peers.CA, "timeout": timeout,
                "port": (ports or {}).get(method, 0), **(ldap if method == "ldap" else {})}
        text += f"[sign_in.{method}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return text


def ask(bed, config, *questions):
    """The answers to (method, user, password), in order."""
    asked = [dict(zip(("method", "user", "password"), question)) for question in questions]
    text = json.dumps({"file": CONFIG, "config": config, "questions": asked})
    return json.loads(bed.run("python3", "-c", ASK, input=text).stdout)


def results(bed, config, *questions):
    return [answer["result"] for answer in ask(bed, config, *questions)]


def everywhere(user, password, methods=METHODS):
    return [(method, user, password) for method in methods]


@pytest.mark.parametrize("encryption, host, methods",
                         [("tls", "mail.example.org", METHODS), ("starttls", "mail.example.org", METHODS),
                          ("plain", "localhost", ("imap", "ldap"))], ids=lambda p: p if isinstance(p, str) else "")
def test_the_right_password_and_no_other(servers, encryption, host, methods):
    config = settings(host, encryption, methods)
    asked = [*everywhere("alice", "s3cret", methods), *everywhere("alice", CANARY, methods),
             *everywhere("nobody", "s3cret", methods), *everywhere("alice", "", methods)]
    answers = ask(servers, config, *asked)
    right, other = answers[:len(methods)], answers[len(methods):]
    assert [a["result"] for a in right] == ["accept"] * len(methods), right
    assert [a["result"] for a in other] == ["refuse"] * len(other), other


def test_a_directory_that_lets_in_without_a_password_lets_nobody_in(servers):
    """The server does accept such a bind; so it is ours to refuse it."""
    servers.run("ldapwhoami", "-x", "-H", "ldap://127.0.0.1", "-D", f"uid=alice,ou=people,{BASE}", "-w", "")
    for ldap in (TEMPLATE, SEARCH):
        config = settings("mail.example.org", "tls", ["ldap"], ldap=ldap)
        assert results(servers, config, ("ldap", "alice", ""), ("ldap", "alice", "s3cret")) == ["refuse", "accept"]


NAMES = ["*", "al*", "*)(uid=*", "alice)(|(uid=*", "alice)(objectClass=*", r"alice\2a", "alice,ou=people",
         f"alice,ou=people,{BASE}", "alice+sn=Able", '"alice"', 'alice" {3}', "alice\\", "alice\r\na2 LOGOUT",
         "alice\r\nAUTH PLAIN", "alice\n", "alice\0", "\u2028alice", "a" * 300]


@pytest.mark.parametrize("ldap", [TEMPLATE, SEARCH], ids=["template", "search"])
def test_no_name_is_more_than_a_name(servers, ldap):
    methods = METHODS if ldap is TEMPLATE else ("ldap",)
    asked = [question for name in NAMES for question in everywhere(name, "s3cret", methods)]
    answers = ask(servers, settings("mail.example.org", "tls", ldap=ldap), *asked)
    odd = [(q, a) for q, a in zip(asked, answers) if a["result"] != "refuse"]
    assert not odd


def test_a_server_that_is_down_is_no_wrong_password(servers):
    config = settings("mail.example.org", "tls", ports=dict.fromkeys(METHODS, 1))
    for answer in ask(servers, config, *everywhere("alice", "s3cret")):
        assert answer["result"] == "unavailable"
        assert "mail.example.org refuses connections to port 1" in answer["message"]
    config = settings("nowhere.example.org", "tls")
    for answer in ask(servers, config, *everywhere("alice", "s3cret")):
        assert answer["result"] == "unavailable" and "nowhere.example.org has no address" in answer["message"]


def test_a_server_that_hangs_is_waited_for_in_a_closed_sandbox_and_not_longer_than_configured(servers):
    units = ["peer-dovecot", "peer-postfix", "peer-slapd"]
    config = settings("mail.example.org", "tls", timeout="4s")
    watch = r"""
        end=$(($(date +%s) + 20))
        while [ $(date +%s) -lt $end ]; do
            for pid in $(systemctl show -P MainPID 'qwd-auth-network@*' | grep -v '^0*$'); do
                [ "$(stat -c %U /proc/$pid)" != _qwd-check ] || { grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/$pid/status && exit; }
            done
        done
        exit 1
    """
    servers.run("systemctl", "kill", "-s", "STOP", *units)
    try:
        servers.run("sh", "-c", f'({watch}) >/run/watched 2>&1 &')
        answers = ask(servers, config, *everywhere("alice", "s3cret"))
    finally:
        servers.run("systemctl", "kill", "-s", "CONT", *units)
    for answer in answers:
        assert answer["result"] == "unavailable" and "did not answer" in answer["message"], answer
        # A busy machine may take its time to start a process.
        assert 3 < answer["seconds"] < 4 + 6, answer
    status = dict(line.split(":\t") for line in servers.run("cat", "/run/watched").stdout.strip().splitlines())
    user, group = servers.run("id", "-u", "_qwd-check").stdout.strip(), servers.run("id", "-g", "_qwd-check").stdout.strip()
    assert status["Uid"].split() == [user] * 4 and status["Gid"].split() == [group] * 4
    assert status["Groups"].split() in ([], [group])
    assert {status[key] for key in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert results(servers, config, *everywhere("alice", "s3cret")) == ["accept"] * 3


@pytest.mark.parametrize("host, why", [
    ("other", "is for other names (mail.example.org)"), ("stranger", "is not trusted here"), ("expired", "has expired"),
    ("old", "old.example.org offers TLS 1.0 only, and TLS 1.2 is the least this service accepts")])
def test_a_server_that_cannot_be_trusted_gets_no_password(servers, host, why):
    config = settings(f"{host}.example.org", "tls")
    for answer in ask(servers, config, *everywhere("alice", "s3cret")):
        assert answer["result"] == "unavailable" and why in answer["message"], answer


def test_without_a_file_of_authorities_the_systems_own_count(servers):
    config = settings("mail.example.org", "tls").replace(json.dumps(peers.CA), '""')
    for answer in ask(servers, config, *everywhere("alice", "s3cret")):
        assert answer["result"] == "unavailable" and "is not trusted here" in answer["message"], answer


def test_a_server_without_starttls_gets_no_password(servers):
    for answer in ask(servers, settings("bare.example.org", "starttls"), *everywhere("alice", "s3cret")):
        assert answer["result"] == "unavailable" and "does not offer STARTTLS" in answer["message"], answer


LISTENS = "bash -c 'for p in {}; do (exec 3<>/dev/tcp/127.0.0.1/$p) || exit 1; done 2>/dev/null'"

# Somebody in between: passes everything on, and says a few words of their own just before TLS begins.
BETWEEN = r"""
import socket, sys, threading
WORDS = {
    1143: (143, b"STARTTLS", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nc1 OK\r\n+ \r\na1 OK welcome\r\n"),
    1587: (587, b"STARTTLS", b"250-hello\r\n250 AUTH PLAIN\r\n235 2.7.0 welcome\r\n"),
    1389: (389, b"1.3.6.1.4.1.1466.20037", bytes.fromhex("300c020102610 70a0100 0400 0400".replace(" ", ""))),
}

def carry(source, target, when=None, state=None, extra=b""):
    while data := source.recv(65536):
        if when and when in data.upper():
            state.append(True)
        elif state and not when:
            data, extra = data + extra, b""
            state.clear()
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)

def serve(port, to, when, extra):
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        client = listener.accept()[0]
        server, state = socket.create_connection(("127.0.0.1", to)), []
        threading.Thread(target=carry, args=(client, server, when, state)).start()
        threading.Thread(target=carry, args=(server, client, None, state, extra)).start()

for port, (to, when, extra) in WORDS.items():
    threading.Thread(target=serve, args=(port, to, when, extra)).start()
"""


def test_what_is_slipped_in_before_tls_opens_no_door(servers):
    servers.write("/srv/peers/between.py", BETWEEN)
    servers.run("systemd-run", "--quiet", "--unit=peer-between", "python3", "/srv/peers/between.py")
    servers.wait(LISTENS.format("1143 1587 1389"))
    config = settings("mail.example.org", "starttls", timeout="5s", ports={"imap": 1143, "smtp": 1587, "ldap": 1389})
    answers = ask(servers, config, *everywhere("alice", CANARY))
    assert all(answer["result"] in ("refuse", "unavailable") for answer in answers), answers


# Answers no client expects: an empty bind response, and a tag that nobody has given.
ODD = r"""
import contextlib, socket, threading
def serve(port, *answers):
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        with listener.accept()[0] as client, contextlib.suppress(OSError):
            for answer in answers:
                client.sendall(answer)
                client.recv(4096)
threading.Thread(target=serve, args=(2389, b"", bytes.fromhex("30050201016100"))).start()
threading.Thread(target=serve, args=(2143, b"* OK\r\n", b"c1 OK\r\n", b"a9 OK welcome\r\n")).start()
"""


def test_a_server_that_confuses_the_program_opens_no_door(servers):
    servers.write("/srv/peers/odd.py", ODD)
    servers.run("systemd-run", "--quiet", "--unit=peer-odd", "python3", "/srv/peers/odd.py")
    servers.wait(LISTENS.format("2389 2143"))
    config = settings("localhost", "plain", ("imap", "ldap"), ports={"imap": 2143, "ldap": 2389})
    for answer in ask(servers, config, *everywhere("alice", CANARY, ("imap", "ldap"))):
        assert answer["result"] == "unavailable" and "mistake of this program" in answer["message"], answer


def test_who_is_searched_may_bind_by_another_name(servers):
    config = settings("mail.example.org", "tls", ["ldap"], ldap={**SEARCH, "search_filter": "(mail={user})"})
    assert results(servers, config, ("ldap", "alice@example.org", "s3cret"), ("ldap", "alice", "s3cret"),
                   ("ldap", "alice@example.org", CANARY)) == ["accept", "refuse", "refuse"]


def test_more_than_one_entry_is_nobody(servers):
    config = settings("mail.example.org", "tls", ["ldap"], ldap={**SEARCH, "search_filter": "(|(uid={user})(sn=*))"})
    [answer] = ask(servers, config, ("ldap", "alice", "s3cret"))
    assert answer["result"] == "refuse" and "more than one entry" in answer["message"]


def test_the_entry_must_match_and_gives_name_and_groups(servers):
    ldap = {**SEARCH, "require": "(employeeType=staff)", "name_attribute": "mail", "group_base": BASE}
    alice, bob = ask(servers, settings("mail.example.org", "tls", ["ldap"], ldap=ldap),
                     ("ldap", "alice", "s3cret"), ("ldap", "bob", "s3cret"))
    assert (alice["result"], alice["user"], alice["groups"]) == ("accept", "alice@example.org", ["physics", "staff"])
    assert bob["result"] == "refuse" and "does not match" in bob["message"]
    # Whoever binds by a template sees their own entry themselves.
    ldap = {**TEMPLATE, "require": "(employeeType=staff)"}
    config = settings("mail.example.org", "starttls", ["ldap"], ldap=ldap)
    assert results(servers, config, ("ldap", "alice", "s3cret"), ("ldap", "bob", "s3cret")) == ["accept", "refuse"]
    # Two names are no name.
    ldap = {**SEARCH, "name_attribute": "mail"}
    [carol] = ask(servers, settings("mail.example.org", "tls", ["ldap"], ldap=ldap), ("ldap", "carol", "s3cret"))
    assert carol["result"] == "unavailable" and "not just one" in carol["message"]


def test_a_directory_that_cannot_be_searched_is_no_wrong_password(servers):
    wrong = [({"search_base": BASE}, "insufficientAccessRights"), ({**SEARCH, "search_base": "dc=nowhere"}, "noSuchObject"),
             ({**SEARCH, "search_dn": f"cn=nobody,{BASE}"}, "search_dn"), ({**SEARCH, "search_filter": "((uid={user}"}, "no filter"),
             ({**SEARCH, "search_password_file": "/etc/nowhere"}, "cannot be read"), ({**TEMPLATE, "group_base": BASE}, "group_base")]
    for ldap, why in wrong:
        [answer] = ask(servers, settings("mail.example.org", "tls", ["ldap"], ldap=ldap), ("ldap", "alice", "s3cret"))
        assert answer["result"] == "unavailable" and why in answer["message"], answer


def test_a_broken_configuration_lets_nobody_in(servers):
    config = settings("mail.example.org", "tls").replace("[sign_in.imap]", "[sign_in.imapp]")
    assert results(servers, config, *everywhere("alice", "s3cret")) == ["unavailable"] * 3
    assert results(servers, "", *everywhere("alice", "s3cret")) == ["unavailable"] * 3


def test_qwdctl_check_finds_the_server_that_would_not_be_asked(servers):
    servers.write(CONFIG, settings("mail.example.org", "starttls"))
    assert not [w for w in servers.json("check")["warnings"] if "example.org" in w]
    servers.write(CONFIG, settings("expired.example.org", "tls", ldap={**SEARCH, "search_password_file": "/etc/passwd"}))
    warnings = servers.json("check")["warnings"]
    assert sum("certificate of expired.example.org has expired" in w for w in warnings) == 3
    assert any("Others than root may read /etc/passwd" in w for w in warnings)


@pytest.mark.parametrize("method", METHODS)
def test_a_person_of_the_server_signs_in_and_starts_a_session(servers, browser, method):
    ldap = {**SEARCH, "group_base": BASE}
    config = settings("mail.example.org", "tls", [method], ldap=ldap)
    servers.write(CONFIG, config.replace("[sign_in]", '[sign_in]\nadmin_groups = ["physics"]'))
    servers.run("systemctl", "stop", "qwd-portal.service")
    try:
        browser.open(servers.url)
        # Servers take her in any case; she is one person all the same.
        browser.type("#name", "Alice")
        browser.type("#password", "s3cret")
        browser.click("form[action$='/sign-in'] button.primary")
        browser.wait_for('input[name="machine"][value="menu.iso"]').click()
        assert browser.text(".who .name") == "alice"
        # The directory's group makes her an administrator.
        assert bool(browser.find_all('a[href$="/monitor"]')) == (method == "ldap")
        browser.click('input[name="terms"]')
        browser.click('form[action$="/sessions"] button.primary')
        session = browser.shown_session()
        assert servers.json("show", session)["owner"] == "alice"
        servers.ctl("stop", session)
    finally:
        servers.run(f"rm -f {CONFIG}; systemctl stop qwd-portal.service")


def test_spellings_are_one_person_with_one_throttle(servers):
    servers.write(CONFIG, settings("localhost", "plain", ["ldap"], ldap={**SEARCH, "name_attribute": "uid"}))
    servers.run(guesses.FORGET)
    people = [("192.0.2.1", name, "s3cret") for name in ("alice", "ALICE", "ａlice", "ⓐlice", "𝐚lice", "alice+1")]
    assert [answer[0::2] for answer in guesses.ask(servers, *people)] == [[200, "alice"]] * len(people)
    # OpenLDAP leaves these out of a name; nobody asks it.
    hidden = ["alice\u00ad", "al\u200bice", "alice\u2060", "*", "al*"]
    assert set(guesses.statuses(guesses.ask(servers, *[("192.0.2.2", name, "s3cret") for name in hidden]))) <= {401, 429}
    letters = [[letter, letter.upper(), chr(0xFF41 + ord(letter) - 97), chr(0x24D0 + ord(letter) - 97)] for letter in "alic"]
    spellings = ["".join(letters) + "e" for letters in itertools.product(*letters)][:240]
    made = guesses.statuses(guesses.ask(servers, *[("192.0.2.3", name, "guess") for name in spellings], workers=48))
    assert 3 <= made.count(401) <= 6 and set(made) <= {401, 429, 503}, made
    servers.run(f"rm -f {CONFIG}; {guesses.FORGET}")


CONNECT = 'import socket; socket.socket(socket.AF_UNIX).connect("/run/qemu-web-desktop/auth-network.sock")'


def test_the_portal_alone_may_ask(servers):
    for user, allowed in (("_qemu-web-desktop", True), ("_qwd-display", False), ("www-data", False), ("nobody", False)):
        done = servers.run("setpriv", f"--reuid={user}", f"--regid={user if allowed else 'nogroup'}", "--init-groups", "--",
                           "python3", "-c", CONNECT, check=False)
        assert (done.returncode == 0) == allowed, (user, done.stderr)
        assert allowed or "PermissionError" in done.stderr


def test_it_is_exposed_little_and_leaves_nothing_behind(servers):
    servers.run("systemd-analyze", "security", "--threshold=20", "qwd-auth-network@instance.service")
    servers.wait("! systemctl list-units --all --plain --no-legend 'qwd-auth-network@*' | grep .")
    assert servers.run("journalctl", "-b", "-o", "export", "--grep", CANARY, check=False).stdout == ""
    # Its own words are for its own mistakes.
    words = servers.run("journalctl", "-b", "-o", "cat", "_COMM=qwd-auth-network").stdout.splitlines()
    assert all(line.startswith("The check ended by a mistake of this program, at ") for line in words), words
