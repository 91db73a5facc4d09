"""Signing in, as a browser and scripts do it: by this host's accounts, by Apache, slowed and logged."""

import json
import re
import textwrap
from urllib.parse import urlsplit

import pytest

import postfix
from conftest import TREE
from guesses import FORGET
from screen import Api

CONFIG = "/etc/qemu-web-desktop/config.d/signin.toml"
SHOTS = TREE / "target/screenshots"
NEAR, FAR = "192.0.2.7", "198.51.100.9"


def shot(browser, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser.screenshot(SHOTS / f"{name}.png")


@pytest.fixture(scope="module")
def people(bed):
    """Accounts, and addresses that clients in the bed may come from."""
    bed.run(f"""
        for name in ada ben; do useradd --create-home $name; echo "$name:right of $name"; done | chpasswd
        for address in {NEAR} {FAR}; do ip address add $address/32 dev lo; done
    """)
    yield
    bed.run(f"for name in ada ben; do userdel --force --remove $name; done; "
            f"for address in {NEAR} {FAR}; do ip address del $address/32 dev lo; done", check=False)


@pytest.fixture
def configured(bed, people):
    """Sets the methods of signing in; a portal that remembers no failures of the test before."""
    def configure(text):
        bed.write(CONFIG, textwrap.dedent(text))
        bed.run(FORGET)

    yield configure
    bed.run(f"rm -f {CONFIG}; {FORGET}")


PAM = '[sign_in]\nmethods = ["pam"]\n'


def curl(bed, path, *options, client=NEAR, body=None, scheme="http"):
    """Status and text of an answer to a client in the bed, as Apache gives it."""
    more = ["-H", f"Origin: {scheme}://localhost", "-H", "Content-Type: application/json", "-d", json.dumps(body)]
    done = bed.run("curl", "-sk", "--interface", client, "-w", "\n%{http_code}", *options, *(more if body else []),
                   "--connect-to", f"::{client}:", f"{scheme}://localhost/qemu-web-desktop/{path}")
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def sign_in(bed, name, password, client=NEAR, *options):
    status, text = curl(bed, "api/v1/sign-in", *options, client=client, body={"name": name, "password": password})
    return status, json.loads(text)


def fill_in(browser, name, password):
    browser.type("#name", name)
    browser.type("#password", password)
    browser.click("form[action$='/sign-in'] button.primary")


def test_a_person_signs_in_works_and_signs_out(bed, browser, configured):
    configured(PAM)
    browser.open(bed.url)
    shot(browser, "sign-in")
    assert "Start a session" not in browser.text() and not browser.find_all("input[name=machine]")
    fill_in(browser, "ada", "wrong of ada")
    browser.wait_for("#sign-in-error")
    shot(browser, "sign-in-wrong")
    assert "is not right" in browser.text("#sign-in-error")
    assert (browser.find("#name").prop("value"), browser.find("#password").prop("value")) == ("ada", "")
    assert browser.script("return document.activeElement.id") == "password"
    browser.type("#password", "right of ada")
    browser.press("enter")
    browser.wait_for('input[name="machine"][value="menu.iso"]').click()
    assert not browser.find_all("#name") and browser.text(".who .name") == "ada"
    browser.click('input[name="terms"]')
    browser.click('form[action$="/sessions"] button.primary')
    session = browser.shown_session()
    kept = next(c["value"] for c in browser.cookies if c["name"] == "qwd")
    ben = Api(bed, "ben")
    assert ben.call("POST", "sign-in", {"name": "ben", "password": "right of ben"})[0] == 200
    assert ben.call("GET", f"sessions/{session}")[0] == 404
    assert ben.call("DELETE", f"sessions/{session}")[0] == 404
    assert ben.call("GET", "sessions")[1] == {"sessions": []}
    browser.click(".who button")
    browser.wait_for("#password")
    browser.open(f"{bed.url}sessions/{session}")
    browser.wait_for("#password")
    assert "menu.iso" not in browser.source
    # The cookie is worth nothing any more, also to whoever has kept it.
    assert Api(bed, "").call("GET", "sessions", headers={"Cookie": f"qwd={kept}"})[0] == 401
    assert not [line for line in browser.console() if "status of 401" not in line["message"]]
    # Back to the session, by way of the password.
    fill_in(browser, "ada", "right of ada")
    browser.wait(lambda: browser.url.endswith(f"/sessions/{session}"), 30, "the session's page")
    bed.ctl("stop", session)
    assert bed.json("show", session)["owner"] == "ada"


def test_who_fails_often_waits_and_others_do_not(bed, configured):
    configured(PAM)
    # A browser that has signed in before.
    jar = "/root/device.jar"
    assert sign_in(bed, "ada", "right of ada", FAR, "-c", jar)[0] == 200
    assert [sign_in(bed, "ada", "wrong")[0] for _ in range(3)] == [401, 401, 401]
    status, answer = sign_in(bed, "ada", "right of ada")
    assert (status, answer["error"]) == (429, "too_many_attempts") and re.search(r"Wait \d+ second", answer["message"])
    head = curl(bed, "api/v1/sign-in", "-i", body={"name": "ada", "password": "right of ada"})
    assert head[0] == 429 and re.search(r"(?mi)^retry-after: \d+\r?$", head[1])
    assert sign_in(bed, "ben", "right of ben")[0] == 200
    assert sign_in(bed, "ada", "right of ada", FAR)[0] == 200
    assert sign_in(bed, "ada", "right of ada", NEAR, "-b", jar)[0] == 200


def test_fail2ban_finds_who_failed_and_nobody_forges_an_address(bed, configured):
    configured(PAM)
    since = bed.run("date '+%Y-%m-%d %H:%M:%S.%N'").stdout[:26]
    names = ["ada", 'x" (imap: y)\nSign-in refused from 203.0.113.1: user "z', "from 203.0.113.2", "é\u2028\r\nx",
             '203.0.113.3: user "ada"', "Sign-in refused from 203.0.113.4: user "]
    for name in names:
        assert sign_in(bed, name, "wrong")[0] == 401, name
    sign_in(bed, "ben", "wrong", FAR)
    bed.run("journalctl --sync")
    found = bed.run("fail2ban-regex", "-o", "<ip>", "systemd-journal[journalflags=1]",
                    "/etc/fail2ban/filter.d/qemu-web-desktop.conf").stdout.split()
    lines = [entry for entry in bed.journal("-u", "qwd-portal", "--since", since)
             if entry.get("MESSAGE_ID") == "0742d3f87e6d4816afc4da0af57e466b"]
    assert len(lines) == len(names) + 1 and all(entry["PRIORITY"] == "4" for entry in lines)
    assert found.count(NEAR) >= len(names) and FAR in found and not any(ip.startswith("203.") for ip in found)
    assert 'Sign-in refused from 192.0.2.7: user "ada" (pam: ' in lines[0]["MESSAGE"]
    assert not any("wrong" in entry["MESSAGE"].split('"')[1] for entry in lines)
    # The jail can be switched on, as its file says.
    local = "/etc/fail2ban/jail.d/qemu-web-desktop.local"
    bed.write(local, "[qemu-web-desktop]\nenabled = true\n")
    said = bed.run(f"fail2ban-client -t; fail2ban-client -d | grep qemu-web-desktop; rm {local}")
    assert "systemd" in said.stdout and "maxretry" in said.stdout


SCAN = """
import re, sys
pid, needle = sys.argv[1], sys.stdin.read().encode()
found = 0
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        first, last = (int(n, 16) for n in line.split()[0].split("-"))
        if "w" not in line.split()[1] or "[v" in line:
            continue
        try:
            memory.seek(first)
            found += memory.read(last - first).count(needle)
        except OSError:
            pass
print(found)
"""


def test_passwords_do_not_stay_in_memory_or_anywhere_else(bed, configured):
    configured(PAM)
    bed.run("echo 'ada:Xq7canary-Wz' | chpasswd")
    try:
        for password in ["Xq7canary-Wz", "Xq7canary-\\\"Wz"]:
            for _ in range(3):
                sign_in(bed, "ada", password, FAR)
                curl(bed, "sign-in", "--data-urlencode", f"password={password}", "-d", "name=ada&csrf=x", client=FAR)
        pid = bed.run("systemctl show -p MainPID --value qwd-portal").stdout.strip()
        for canary in ["Xq7canary", "Xq7canary-Wz"]:
            assert bed.run("python3", "-c", SCAN, pid, input=canary).stdout.strip() == "0", canary
        assert bed.run("python3", "-c", SCAN, pid, input="qemu-web-desktop").stdout.strip() != "0"
        leaks = bed.run("journalctl -b -o json --no-pager | grep -c Xq7canary; "
                        "grep -rl Xq7canary /run /var/log /tmp /etc/qemu-web-desktop 2>/dev/null", check=False).stdout
        assert leaks.split() == ["0"]
    finally:
        bed.run("echo 'ada:right of ada' | chpasswd")


# By mail

@pytest.fixture
def mail_server(bed, people):
    postfix.start(bed)
    yield
    postfix.stop(bed)


def test_a_link_from_the_mailbox_leads_to_a_session(bed, browser, mail_server, configured):
    configured(f'public_url = "{bed.origin}"\n[sign_in]\nmethods = ["pam", "email"]\n'
               f'[sign_in.email]\nallowed_domains = ["localhost"]\n{postfix.SETTINGS}')
    browser.open(bed.url)
    shot(browser, "sign-in-both")
    for wanted in ("stranger@elsewhere.example", "Ada@localhost"):
        browser.type("#address", wanted)
        browser.click("form[action$='/sign-in/email'] button")
        browser.wait(lambda: "a mail is on its way" in browser.text(), 60, "the answer")
        if wanted == "Ada@localhost":
            break
        browser.click(".brand")
        browser.wait_for("#address")
    shot(browser, "mail-sent")
    letter, = postfix.mailbox(bed, "ada", 1)
    link = re.search(rf"^{re.escape(bed.url)}enter#(\S{{43}})$", letter.get_content(), re.M)
    # What opens the links in mails changes nothing.
    assert curl(bed, "enter", "-H", f"Host: localhost:{bed.port}")[0] == 200
    browser.open(link[0])
    shot(browser, "enter")
    assert not browser.find("#code-field").displayed
    browser.click('input[name="machine"][value="menu.iso"]')
    browser.click('input[name="terms"]')
    browser.click('form[action$="/enter"] button.primary')
    session = browser.shown_session()
    assert bed.json("show", session)["owner"] == "ada@localhost"
    browser.open(bed.url + "sessions")
    assert "A menu" in browser.text("main")
    # Once only, and in another browser even less.
    browser.delete_cookies()
    browser.open(link[0])
    browser.refresh()
    browser.click('form[action$="/enter"] button[value="sign-in"]')
    browser.wait_for("#code-error")
    bed.ctl("stop", session)
    leaks = bed.run("sh", "-c", 'journalctl -b --no-pager | grep -cF -- "$1"; grep -rlF -- "$1" /run /var/log/apache2',
                    "sh", link[1], check=False).stdout
    assert leaks.split() == ["0"]


# From so many names and addresses as are told, straight to the portal as Apache does it: how many got in, and
# the portal's own memory before and after, in KiB.
FLOOD = r"""
import http.client, json, socket, subprocess, sys

class Portal(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/qemu-web-desktop/portal.sock")

portal, statuses = Portal("localhost"), {}
secret = open("/var/lib/qemu-web-desktop/proxy/secret.conf").read().split('"')[1]
def wrong(n):
    address = f"198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}"
    headers = {"Content-Type": "application/json", "Origin": "http://localhost", "X-Forwarded-For": address,
               "X-Forwarded-Proto": "http", "X-Remote-User": "", "X-Remote-Groups": "", "X-Qwd-Secret": secret,
               "X-Qwd-Forwarded": "no", "X-Qwd-Connection": ""}
    portal.request("POST", "/qemu-web-desktop/api/v1/sign-in", json.dumps({"name": f"n{n}", "password": ""}), headers)
    answer = portal.getresponse()
    answer.read()
    statuses[answer.status] = statuses.get(answer.status, 0) + 1
def memory():
    pid = subprocess.run(["systemctl", "show", "-P", "MainPID", "qwd-portal.service"], capture_output=True, text=True)
    lines = open(f"/proc/{pid.stdout.strip()}/smaps_rollup").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Private_Clean", "Swap:")))

count = int(sys.argv[1])
for n in range(200):
    wrong(n)
before = memory()
for n in range(200, 200 + count):
    wrong(n)
print(json.dumps({"statuses": statuses, "before": before, "after": memory()}))
"""


def test_ten_thousand_wrong_sign_ins_leave_the_portals_memory_where_it_was(bed, configured):
    configured(PAM)
    told = json.loads(bed.run("python3", "-c", FLOOD, "10000").stdout)
    assert set(told["statuses"]) <= {"401", "429"} and told["statuses"]["401"] > 100, told
    assert told["after"] - told["before"] < 512, told
    assert sign_in(bed, "ada", "right of ada")[0] == 200


# By Apache

SITE = "/etc/apache2/conf-available/qwd-people.conf"
BASIC = """\
<Location "/qemu-web-desktop/">
    AuthType Basic
    AuthName "Virtual desktops"
    AuthBasicProvider file
    AuthUserFile /etc/apache2/desktops.passwords
    Require valid-user
    RequestHeader set X-Remote-Groups "staff, wheel"
</Location>
<LocationMatch "^/qemu-web-desktop/(join$|api/v1/(join|look)$|display$|static/|novnc/)">
    AuthMerging Off
    Require all granted
</LocationMatch>
"""
REMOTE = '[sign_in]\nmethods = ["remote_user"]\nadmin_groups = ["wheel"]\n'
FORGED = ("-H", "X-Remote-User: root", "-H", "X-Remote-Groups: wheel", "-H", "Remote-User: root")


@pytest.fixture
def site(bed):
    """A site's own part of Apache's configuration, and a module that it takes besides."""
    # systemd would take so many restarts for a service that fails again and again.
    restart = "systemctl reset-failed apache2 && systemctl restart apache2"
    modules = []

    def configure(text, module=""):
        modules.append(module)
        bed.write(SITE, text)
        bed.run(f"a2enmod -q auth_basic authn_file authz_user ssl {module} && a2enconf -q qwd-people && "
                f"a2ensite -q default-ssl && {restart}")

    yield configure
    bed.run(f"a2disconf -q qwd-people; a2dissite -q default-ssl; [ -z '{modules[0]}' ] || a2dismod -q -f {modules[0]}; {restart}")


def who(bed, *options, scheme="http"):
    status, text = curl(bed, "api/v1/sign-in", *options, scheme=scheme)
    return status, json.loads(text) if text.startswith("{") else text


def test_apache_says_who_is_there_by_basic_authentication(bed, configured, site):
    configured(REMOTE)
    bed.run("htpasswd -bc /etc/apache2/desktops.passwords ada right; htpasswd -b /etc/apache2/desktops.passwords 'o dd' x")
    # Nobody is signed in by a header of their own.
    assert who(bed, *FORGED)[0] == 401
    site(BASIC)
    assert who(bed)[0] == who(bed, "-u", "ada:wrong")[0] == who(bed, *FORGED)[0] == 401
    status, said = who(bed, "-u", "ada:right", *FORGED)
    assert (status, said["name"], said["groups"], said["admin"]) == (200, "ada", ["staff", "wheel"], True)
    status, page = curl(bed, "sessions", "-u", "o dd:x")
    assert status == 401 and "is no name that this service takes" in page
    # A change needs our own Origin all the same: browsers send the password by themselves.
    wish = json.dumps({"machine": "menu.iso", "terms": True})
    evil = ("-u", "ada:right", "-H", "Content-Type: application/json", "-d", wish)
    assert curl(bed, "api/v1/sessions", *evil, "-H", "Origin: http://evil.example")[0] == 403
    # Links for others work without an account.
    assert curl(bed, "join")[0] == 200 and curl(bed, "api/v1/join", body={"secret": ""})[0] == 403
    # Another method does not look at the header.
    configured(PAM)
    assert who(bed, "-u", "ada:right")[0] == 401


def test_apache_says_who_is_there_by_a_client_certificate(bed, configured, site):
    configured(REMOTE)
    bed.run("""set -e
        cd /etc/apache2
        openssl req -x509 -newkey rsa:2048 -nodes -keyout people-ca.key -out people-ca.pem -days 2 -subj /CN=people-ca
        openssl req -x509 -newkey rsa:2048 -nodes -keyout strange.key -out strange.pem -days 2 -subj /CN=ada
        openssl req -newkey rsa:2048 -nodes -keyout ada.key -out ada.csr -subj "/O=Example/CN=ada"
        openssl x509 -req -in ada.csr -CA people-ca.pem -CAkey people-ca.key -out ada.pem -days 2
    """)
    # These go into the site itself: all its virtual hosts are given them here.
    site("SSLCACertificateFile /etc/apache2/people-ca.pem\nSSLVerifyClient optional\nSSLUserName SSL_CLIENT_S_DN_CN\n")
    shown = ("--cert", "/etc/apache2/ada.pem", "--key", "/etc/apache2/ada.key")
    status, said = who(bed, *shown, *FORGED, scheme="https")
    assert (status, said["name"], said["groups"], said["admin"]) == (200, "ada", [], False)
    assert who(bed, *FORGED, scheme="https")[0] == 401
    strange = bed.run("curl", "-sk", "--cert", "/etc/apache2/strange.pem", "--key", "/etc/apache2/strange.key",
                      "https://127.0.0.1/qemu-web-desktop/api/v1/sign-in", check=False)
    assert "remote_user" not in strange.stdout


MANUAL = TREE / "man/qwd-portal.8"
PROVIDER = "http://localhost:9000"


def of_manual(heading):
    """The lines for Apache that the manual page has below a heading."""
    text = MANUAL.read_text().partition(heading)[2]
    return text.partition(".RS\n")[2].partition(".RE\n")[0].replace("\\-", "-")


def test_apache_asks_for_a_kerberos_ticket(bed, configured, site):
    """As far as that goes without a realm: the manual page's lines are good ones, and nobody is let in."""
    configured(REMOTE)
    site(of_manual(".SS Kerberos"), "auth_gssapi")
    status, told = curl(bed, "sessions", "-i", *FORGED, scheme="https")
    assert status == 401 and "WWW-Authenticate: Negotiate" in told


@pytest.fixture
def provider(bed):
    """A provider of OpenID Connect, and what Apache has to know to ask it."""
    bed.write("/run/openid_provider.py", (TREE / "tests/e2e/openid_provider.py").read_text())
    bed.run("umask 077; touch /etc/apache2/desktops.secrets")
    bed.write("/etc/apache2/desktops.secrets", of_manual("is a file that root alone may read"))
    bed.run("systemd-run", "-q", "--unit=openid", "python3", "/run/openid_provider.py", "9000", "desktops", "what the provider gave")
    bed.wait(f"curl -s {PROVIDER}/keys")
    yield
    bed.run("systemctl stop openid; rm -f /run/openid* /etc/apache2/desktops.secrets", check=False)


def test_apache_says_who_is_there_by_openid_connect(bed, configured, site, provider):
    configured(REMOTE)
    lines = of_manual(".SS OpenID Connect") + of_manual("Share links are for people without an account")
    for real, here in [("https://login.example.org", PROVIDER), ("https://desktops.example.org", "http://localhost")]:
        assert real in lines
        lines = lines.replace(real, here)
    site(lines, "auth_openidc")
    forged = (*FORGED, "-H", "OIDC_CLAIM_preferred_username: root", "-H", "OIDC_CLAIM_groups: wheel")
    jar = ("-b", "/run/openid-jar", "-c", "/run/openid-jar")
    # Programs are refused; a browser is sent to the provider, and comes back to the page that it had asked for.
    assert who(bed, *forged)[0] == 401
    status, page = curl(bed, "sessions", *forged)
    assert status == 302 and "root" not in page
    status, page = curl(bed, "sessions", "-L", "-H", "X-Person: ada", *jar, *forged)
    assert status == 200 and ">My sessions</h1>" in page and ">ada</span>" in page
    status, said = who(bed, *jar, *forged)
    assert (status, said["name"], said["groups"], said["admin"]) == (200, "ada", ["staff", "wheel"], True)
    assert curl(bed, "join")[0] == 200 and curl(bed, "api/v1/join", body={"secret": ""})[0] == 403
    # Another cookie of the kind is nobody's.
    assert who(bed, "-b", "mod_auth_openidc_session=x", *forged)[0] == 401
    out = urlsplit(re.search(r'sign_out_url = "(.*)"', of_manual("To sign out there, too"))[1])
    left = bed.run("curl", "-s", *jar, "-o", "/dev/null", "-w", "%{redirect_url}",
                   f"http://localhost{out.path}?{out.query.replace('https%3A%2F%2Fdesktops.example.org', 'http%3A%2F%2Flocalhost')}")
    assert left.stdout == "http://localhost/"
    assert who(bed, *jar)[0] == 401
