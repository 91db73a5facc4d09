"""Signing in by accounts of this host and by an administrator's program, and the mails that are sent."""

import json
import re
import textwrap

import pytest

import postfix

CONFIG = "/etc/qemu-web-desktop/config.d/local.toml"
PAM = "auth-pam.sock"
COMMAND = "auth-command.sock"
MAIL = "mail.sock"

# Asks all questions at once, each on a connection of its own, as the portal does.
ASK = """
import concurrent.futures, json, socket, sys
path, questions = json.load(sys.stdin)
def ask(question):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(100)
        s.connect("/run/qemu-web-desktop/" + path)
        s.sendall(question.encode())
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while part := s.recv(65536):
            answer += part
        return answer.decode()
with concurrent.futures.ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(ask, questions))))
"""


def answers(bed, socket, questions):
    """What is answered to each question, as text."""
    texts = [json.dumps(question) for question in questions]
    return json.loads(bed.run("python3", "-c", ASK, input=json.dumps([socket, texts])).stdout)


def checked(bed, *pairs):
    """PAM's answers about names and passwords."""
    return [json.loads(text) for text in
            answers(bed, PAM, [{"method": "pam", "user": u, "password": p} for u, p in pairs])]


@pytest.fixture
def configured(bed):
    """Sets the methods of signing in and more; what was there before comes back."""
    def configure(text):
        bed.write(CONFIG, textwrap.dedent(text))

    yield configure
    bed.run("rm", "-f", CONFIG)


# This host's accounts

@pytest.fixture(scope="module")
def people(bed):
    """Accounts of every kind."""
    bed.run("""
        useradd --create-home --groups adm nina
        for name in locked expired stale; do useradd --create-home $name; done
        useradd --system --shell /bin/sh daemonic
        for name in nina locked expired stale daemonic root; do echo "$name:right of $name"; done | chpasswd
        usermod --lock locked
        usermod --expiredate 2020-01-01 expired
        chage --lastday 0 stale
    """)
    yield
    bed.run("for name in nina locked expired stale daemonic; do userdel --force --remove $name 2>/dev/null; done; "
            "usermod --password '*' root", check=False)


def test_an_account_signs_in_by_its_password(bed, people, configured):
    configured('[sign_in]\nmethods = ["pam"]\n')
    right, wrong, unknown, empty = checked(bed, ("nina", "right of nina"), ("nina", "wrong"), ("nobody-here", "wrong"),
                                           ("nina", ""))
    assert right["result"] == "accept" and {"nina", "adm"} <= set(right["groups"])
    # Whether there is such an account is told to nobody.
    assert wrong["result"] == "refuse" and wrong == unknown
    assert empty["result"] == "refuse"


def test_who_may_not_use_their_account_does_not_sign_in(bed, people, configured):
    configured('[sign_in]\nmethods = ["pam"]\n')
    names = ["locked", "expired", "stale", "daemonic", "root"]
    said = dict(zip(names, checked(bed, *((name, f"right of {name}") for name in names))))
    assert {answer["result"] for answer in said.values()} == {"refuse"}, said
    assert "expired" in said["expired"]["message"] and "changed elsewhere" in said["stale"]["message"]


def test_the_helper_asks_pam_only_where_it_is_a_method(bed, people, configured):
    configured("[sign_in]\nmethods = []\n")
    assert checked(bed, ("nina", "right of nina"))[0]["result"] == "unavailable"
    configured('[sign_in]\nmethods = ["pam"]\n[sign_in.pam]\nservice = "no-such"\n')
    answer, = checked(bed, ("nina", "right of nina"))
    assert answer["result"] == "unavailable" and "/etc/pam.d/no-such" in answer["message"]


def test_failures_are_counted_where_others_count_them(bed, people, configured):
    lines = ["auth required pam_faillock.so preauth nodelay deny=2", "auth [success=1] pam_unix.so nodelay",
             "auth [default=die] pam_faillock.so authfail nodelay deny=2", "auth sufficient pam_faillock.so authsucc",
             "account required pam_faillock.so", "account required pam_unix.so"]
    bed.write("/etc/pam.d/qwd-counting", "\n".join(lines) + "\n")
    configured('[sign_in]\nmethods = ["pam"]\n[sign_in.pam]\nservice = "qwd-counting"\n')
    try:
        results = [checked(bed, ("nina", password))[0]["result"]
                   for password in ("right of nina", "wrong", "wrong", "right of nina")]
        assert results == ["accept", "refuse", "refuse", "refuse"]
        assert bed.run("stat", "-c", "%U", "/run/faillock/nina").stdout.strip() == "nina"
        bed.run("faillock", "--user", "nina", "--reset")
        assert checked(bed, ("nina", "right of nina"))[0]["result"] == "accept"
    finally:
        bed.run("rm", "-rf", "/etc/pam.d/qwd-counting", "/run/faillock/nina")


# An administrator's program

PROGRAM = "/usr/local/lib/desktop-check"
QUESTION = {"user": "nina", "password": "s3cret \"ü\"",
            "previous": [{"method": "imap", "result": "refuse", "message": "no"}]}


@pytest.fixture
def program(bed, configured):
    """Makes a text the administrator's program and asks it; with a question, what it says to that."""
    configured(f'[sign_in]\nmethods = ["command"]\n[sign_in.command]\nprogram = "{PROGRAM}"\ntimeout = "5s"\n')

    def ask(text, mode="755"):
        bed.write(PROGRAM, textwrap.dedent(text))
        bed.run("chmod", mode, PROGRAM)
        return answers(bed, COMMAND, [QUESTION])[0]

    yield ask
    bed.run("rm", "-f", PROGRAM)


def test_a_program_reads_the_question_and_decides(bed, program):
    # A list in /etc, a server asked by HTTP, and what it was asked, as it arrived.
    bed.write("/etc/desktop-users", "nina\n")
    said = json.loads(program("""\
        #!/usr/bin/python3
        import json, sys, urllib.request
        asked = json.load(sys.stdin)
        known = asked["user"] in open("/etc/desktop-users").read().split()
        status = urllib.request.urlopen("http://localhost/qemu-web-desktop/").status
        print(json.dumps({"result": "accept" if known and status == 200 else "refuse", "message": json.dumps(asked)}))
        """))
    assert said["result"] == "accept"
    assert json.loads(said["message"]) == QUESTION


def test_a_program_can_do_little_else(program):
    said = json.loads(program("""\
        #!/usr/bin/python3
        import json, os, subprocess, sys
        def fails(f, *words):
            try:
                f(*words)
                return False
            except OSError:
                return True
        able = {
            "is root": os.getuid() == 0,
            "writes to /etc": not fails(open, "/etc/x", "w"),
            "writes to /var/tmp of all": os.path.exists("/var/tmp/seen-by-all"),
            "reads shadow": not fails(open, "/etc/shadow"),
            "sees homes": not fails(os.listdir, "/home"),
            "sees our sockets": not fails(os.listdir, "/run/qemu-web-desktop"),
            "may gain privileges": "NoNewPrivs:\\t1" not in open("/proc/self/status").read(),
            "has arguments": len(sys.argv) > 1,
            "knows of sockets": any(name.startswith("LISTEN_") for name in os.environ),
            "has more files": sorted(os.listdir("/proc/self/fd")) != ["0", "1", "2", "3"],
            "starts others": subprocess.run(["true"]).returncode == 0,
        }
        print(json.dumps({"result": "pass", "message": ",".join(what for what, can in able.items() if can)}))
        """))
    assert said == {"result": "pass", "message": "starts others"}


@pytest.mark.parametrize("text, mode, sentence", [
    (None, None, "does not exist"), ("#!/bin/sh\n", "777", "others than root can change"),
    ("#!/bin/sh\n", "700", "cannot be run by everybody"), ("no script\n", "755", "who runs it"),
    ("#!/no/such/interpreter\n", "755", "cannot be started")],
    ids=["missing", "writable", "private", "no script", "no interpreter"])
def test_what_cannot_be_run_is_said(bed, program, text, mode, sentence):
    said = json.loads(answers(bed, COMMAND, [QUESTION])[0] if text is None else program(text, mode))
    assert said["result"] == "unavailable" and sentence in said["message"] and PROGRAM in said["message"]


@pytest.mark.parametrize("text, printed", [
    ("exit 1", ""), ("echo garbage", "garbage\n"), ("head -c 1000000 /dev/zero | tr '\\0' x", "x" * 1000000)],
    ids=["nothing", "garbage", "a megabyte"])
def test_what_a_program_prints_is_the_whole_answer(program, text, printed):
    """That none of these lets anybody in is the portal's part."""
    assert program(f"#!/bin/sh\n{text}\n") == printed


def test_a_program_that_hangs_is_ended_and_leaves_nothing(bed, program):
    folder = "/run/systemd/system/qwd-auth-command@.service.d"
    bed.run(f"mkdir {folder} && printf '[Service]\\nRuntimeMaxSec=1\\n' >{folder}/soon.conf && systemctl daemon-reload")
    try:
        assert program("#!/bin/sh\nsleep 1000 & sleep 1000\n") == ""
        bed.wait("! systemctl list-units --all --plain --no-legend 'qwd-auth-command@*' | grep .")
        assert bed.run("pgrep", "-f", "sleep 1000", check=False).stdout == ""
    finally:
        bed.run(f"rm -r {folder} && systemctl daemon-reload")


# Mails

@pytest.fixture(scope="module")
def mail_server(bed, people):
    postfix.start(bed)
    yield
    postfix.stop(bed)


MAIL_SETTINGS = f"""\
[page]
title = "Schöne Desktops"
{postfix.SETTINGS}"""


def sign_in_link(to):
    return {"sign_in_link": {"to": to, "link": "https://desk.example/qemu-web-desktop/sign-in#s3cret", "code": "",
                             "minutes": 30}}


def sent(bed, letter):
    return json.loads(answers(bed, MAIL, [letter])[0])


def mailbox(bed, count):
    """Nina's mails, once there are so many."""
    return postfix.mailbox(bed, "nina", count)


@pytest.fixture
def empty_mailbox(bed, people):
    bed.run("rm", "-rf", "/home/nina/Maildir")


def test_a_letter_arrives_as_it_was_meant(bed, mail_server, empty_mailbox, configured):
    configured(MAIL_SETTINGS)
    assert sent(bed, sign_in_link("nina@localhost"))["result"] == "accept"
    letter, = mailbox(bed, 1)
    assert (letter["From"], letter["To"]) == ("desks@desk.example", "nina@localhost")
    assert letter["Subject"] == "Sign in to Schöne Desktops"
    assert letter["Auto-Submitted"] == "auto-generated" and letter["Date"] and letter["Message-ID"]
    # By Postfix: with TLS.
    assert "with ESMTPS" in letter["Received"]
    text = letter.get_content()
    assert "\nhttps://desk.example/qemu-web-desktop/sign-in#s3cret\n" in text and "Schöne" in text
    assert "s3cret" not in bed.run("journalctl", "-b", "--no-pager").stdout


@pytest.mark.parametrize("change, to, result, sentence", [
    ("", "no-such-person@localhost", "refuse", "no-such-person@localhost"),
    (("ca_file", "#ca_file"), "nina@localhost", "unavailable", "authority that is not trusted"),
    (("port = 2525", "port = 2526"), "nina@localhost", "unavailable", "refuses connections to port 2526"),
    (("port = 2525", "port = 2527"), "nina@localhost", "unavailable", "did not answer on port 2527 within 1 s"),
    (("[page]", 'public_url = "https://other.example"\n[page]'), "nina@localhost", "refuse", "public_url"),
    (("[mail]", '[mail]\nuser = "desks"\npassword_file = "/etc/no-such"'), "nina@localhost", "unavailable", "/etc/no-such"),
    (("[mail]", f'[mail]\nuser = "desks"\npassword_file = "{postfix.FOLDER}/password"'), "nina@localhost", "unavailable", "AUTH"),
    (("server =", "#server ="), "nina@localhost", "unavailable", "mail.server")],
    ids=["unknown", "untrusted", "down", "silent", "elsewhere", "no password", "no AUTH", "off"])
def test_why_a_letter_is_not_sent_is_said(bed, mail_server, configured, change, to, result, sentence):
    bed.run(f"umask 077; echo s3cret >{postfix.FOLDER}/password")
    text = MAIL_SETTINGS.replace(*change) if change else MAIL_SETTINGS
    if "2527" in text:
        bed.run("systemd-run", "--collect", "--unit=desk-silent", "socat", "TCP-LISTEN:2527,fork,reuseaddr", "EXEC:sleep 60")
        bed.wait("socat -u /dev/null TCP:127.0.0.1:2527")
        text = text.replace('"20s"', '"1s"')
    configured(text)
    try:
        said = sent(bed, sign_in_link(to))
    finally:
        bed.run("systemctl", "stop", "desk-silent", check=False)
    assert said["result"] == result and sentence in said["message"], said


def test_only_letters_of_ours_are_sent(bed, configured):
    configured(MAIL_SETTINGS)
    good = sign_in_link("nina@localhost")
    more = sign_in_link("nina@localhost, root@localhost")
    other = {"sign_in_link": {**good["sign_in_link"], "text": "Buy!"}}
    for text in answers(bed, MAIL, [more, other, {"free_text": good["sign_in_link"]}, "hello"]):
        assert json.loads(text)["result"] == "unavailable" and "agreed form" in text


def test_an_owner_is_told_once_before_each_end(bed, mail_server, empty_mailbox, configured, session):
    warned = MAIL_SETTINGS + 'warn_before_end = "45m"\ndomain = "localhost"\n[sign_in]\nmethods = ["pam"]\n'
    configured(warned.replace("port = 2525", "port = 2526"))
    made = session("--owner", "nina", "--lifetime", "30m")["id"]
    # As if it had begun two hours ago: the launcher finds it again.
    path = f"/run/qemu-web-desktop/records/{made}.json"
    bed.run("systemctl", "stop", "qwd-launcher")
    record = json.loads(bed.run("cat", path).stdout)
    record["record"]["created_at"] -= 7200
    bed.write(path, json.dumps(record))

    def sweep():
        bed.run("systemctl", "start", "qwd-reaper.service")
        return [line["MESSAGE"] for line in bed.journal(f"QWD_SESSION={made}") if "ends soon" in line["MESSAGE"]]

    # A server that is down is told, and asked again.
    assert "refuses connections to port 2526" in sweep()[-1]
    configured(warned)
    assert "was told by mail to nina@localhost" in sweep()[-1]
    assert len(sweep()) == len(sweep())
    letter, = mailbox(bed, 1)
    subject = re.compile(r"Your session of menu.iso ends in (\d+) minutes")
    minutes = int(subject.fullmatch(letter["Subject"])[1])
    assert 20 < minutes <= 30
    assert f"/qemu-web-desktop/sessions/{made}\n" in letter.get_content()
    bed.ctl("extend", made, "12m")
    sweep()
    assert int(subject.fullmatch(mailbox(bed, 2)[1]["Subject"])[1]) > minutes
    bed.ctl("stop", made)
    bed.wait(f"! ls /run/qemu-web-desktop/records | grep {made}")


# The units

@pytest.mark.parametrize("name, most", [("auth-pam", 4.0), ("auth-command", 2.0), ("mail", 2.0)])
def test_the_helpers_are_exposed_little(bed, name, most):
    told = bed.run("systemd-analyze", "security", "--no-pager", f"--threshold={round(most * 10)}",
                   f"qwd-{name}@0-0-0.service", check=False)
    assert told.returncode == 0, told.stdout.splitlines()[-1]


def test_one_program_alone_loads_libpam(bed):
    said = bed.run("for p in /usr/bin/qwdctl /usr/libexec/qemu-web-desktop/*; do ldd $p | grep -q libpam && echo $p; done; true")
    assert said.stdout.split() == ["/usr/libexec/qemu-web-desktop/qwd-auth-pam"]


def test_an_ordinary_user_reaches_none_of_them(bed):
    for name in (PAM, COMMAND, MAIL):
        done = bed.run("setpriv", "--reuid=nobody", "--clear-groups", "socat", "-u", "OPEN:/dev/null",
                       f"UNIX-CONNECT:/run/qemu-web-desktop/{name}", check=False)
        assert done.returncode != 0 and "Permission denied" in done.stderr, name
