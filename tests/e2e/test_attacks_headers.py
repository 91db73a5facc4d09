"""What Apache says of a request: nobody can take a part of it away, nobody else can say it, and while the service
is open nobody reaches it through another proxy."""

import base64
import json
import re

import pytest

from conftest import SETTINGS
from screen import Api, Refused, Screen, WebSocket

CONFIG = "/etc/qemu-web-desktop/config.d/test.toml"
SECRET = "/var/lib/qemu-web-desktop/proxy/secret.conf"
REMOTE = SETTINGS + """\
[sign_in]
methods = ["remote_user"]
admin_groups = ["wheel"]
[limits.group.barred]
sessions = 0
"""
SITE = "/etc/apache2/conf-available/qwd-attacks.conf"
# Ada is a member of a group that may not start sessions. PHP and CGI may have their own .htaccess.
APACHE = """\
<Location "/qemu-web-desktop/">
    AuthType Basic
    AuthName "Virtual desktops"
    AuthBasicProvider file
    AuthUserFile /etc/apache2/desktops.passwords
    Require valid-user
    RequestHeader set X-Remote-Groups "barred"
</Location>
<Directory "/var/www/html/attack">
    AllowOverride All
</Directory>
TraceEnable On
ErrorDocument 413 /cgi-bin/attack
"""
# As a .htaccess of somebody who may write one: to the portal past our part of the configuration.
HTACCESS = """\
RequestHeader set X-Remote-User "boss"
RequestHeader set X-Remote-Groups "wheel"
RewriteEngine On
RewriteRule ^portal/(.*)$ unix:/run/qemu-web-desktop/portal.sock|http://localhost/qemu-web-desktop/$1 [P]
"""
CGI = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; env\n"
# From a program of Apache's user straight to both sockets: with what Apache would say, but for the secret.
DIRECT = r"""
import json, socket, sys
said = {"Host": "localhost", "Origin": "http://localhost", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "localhost", "X-Remote-User": "boss", "X-Remote-Groups": "wheel", "X-Qwd-Forwarded": "no",
        "X-Qwd-Connection": ""}
upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "qwd.v1, qwd.ticket." + "a" * 43}
def ask(name, path, headers):
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(20)
        stream.connect(f"/run/qemu-web-desktop/{name}.sock")
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        stream.sendall(f"GET /qemu-web-desktop/{path} HTTP/1.1\r\n{lines}\r\n".encode())
        return int(stream.recv(4096).split()[1])
found = []
for secret in ({}, {"X-Qwd-Secret": ""}, {"X-Qwd-Secret": "missing"}, {"X-Qwd-Secret": "0" * 64}):
    found.append(ask("portal", "api/v1/sign-in", {**said, **secret, "Connection": "close"}))
    found.append(ask("display", "display", {**said, **upgrade, **secret}))
print(json.dumps(found))
"""


@pytest.fixture
def remote(bed):
    """Apache signs ada and boss in, where ada's group may not have sessions."""
    bed.run("htpasswd -bc /etc/apache2/desktops.passwords ada right; htpasswd -b /etc/apache2/desktops.passwords boss right;"
            "mkdir -p /var/www/html/attack")
    bed.write("/var/www/html/attack/.htaccess", HTACCESS)
    bed.write("/usr/lib/cgi-bin/attack", CGI)
    bed.write(SITE, APACHE)
    bed.write(CONFIG, REMOTE)
    restart = "systemctl reset-failed apache2; systemctl restart apache2"
    bed.run(f"chmod 755 /usr/lib/cgi-bin/attack; a2enmod -q auth_basic authn_file authz_user rewrite cgid;"
            f"a2disconf -q security; a2enconf -q qwd-attacks; {restart}")
    yield
    bed.write(CONFIG, SETTINGS)
    bed.run(f"rm -rf /var/www/html/attack /usr/lib/cgi-bin/attack; a2disconf -q qwd-attacks; a2enconf -q security;"
            f"a2dismod -q cgid; {restart}; qwdctl stop --all", check=False)


class Client(Api):
    """One whom Apache asks for a password, and who may be answered by Apache itself, in HTML."""

    def call(self, method, path, body=None, headers=None):
        word = base64.b64encode(f"{self.name}:right".encode()).decode()
        try:
            return super().call(method, path, body, {"Authorization": f"Basic {word}", **(headers or {})})
        except json.JSONDecodeError:
            return 400, {}


LOST = ["X-Remote-Groups", "x-remote-groups", "close, X-Remote-Groups", "X-Remote-User", "X-Forwarded-For", "X-Forwarded-Proto",
        "X-Qwd-Secret", "X-Qwd-Forwarded", "X-Qwd-Connection, X-Remote-Groups", "X-Qwd-Connection", "Host", "Cookie",
        "keep-alive, X-Remote-Groups,X-Remote-User"]


def test_no_header_that_apache_adds_can_be_taken_away(bed, remote):
    ada, begun = Client(bed, "ada"), float(bed.run("date +%s.%N").stdout)
    wish = {"machine": "menu.iso", "terms": True}
    assert ada.call("GET", "sign-in")[1]["groups"] == ["barred"]
    refused = ada.call("POST", "sessions", wish)
    assert refused[0] in (403, 409) and bed.json("list") == [], refused
    for lost in LOST:
        for method, path, body in (("GET", "sign-in", None), ("POST", "sessions", wish)):
            status, answer = ada.call(method, path, body, {"Connection": lost})
            assert status in (400, 403) and "groups" not in answer, (lost, answer)
        with pytest.raises(Refused) as refusal:
            WebSocket(bed.origin, "a" * 43, headers={"Connection": f"Upgrade, {lost}", "Authorization": "Basic YWRhOnJpZ2h0"})
        assert refusal.value.status in (400, 403), lost
    assert bed.json("list") == []
    # Other spellings, other hop-by-hop headers, and what a client says itself.
    others = [{"X-Remote-Groups": "wheel"}, {"X_Remote_Groups": "wheel"}, {"X-Remote-Groups ": "wheel"}, {"TE": "X-Remote-Groups"},
              {"Trailer": "X-Remote-Groups"}, {"Keep-Alive": "X-Remote-Groups"}, {"Proxy-Connection": "X-Remote-Groups"},
              {"X-Remote-User": "boss", "X-Qwd-Secret": "0" * 64}, {"Connection": "TE, close", "TE": "trailers"}]
    for more in others:
        status, answer = ada.call("GET", "sign-in", headers=more)
        assert status == 400 or (status == 200 and answer["name"] == "ada" and answer["groups"] == ["barred"]), (more, answer)
    # One line a minute, however many there are.
    lines = [line for line in bed.journal("SYSLOG_IDENTIFIER=qwd-portal") if "since the last such line" in line["MESSAGE"]]
    assert lines and sum(int(line["__REALTIME_TIMESTAMP"]) >= begun * 1e6 for line in lines) <= 2, lines


def test_a_program_of_apaches_user_cannot_speak_for_apache(bed, remote):
    done = bed.run("setpriv", "--reuid=www-data", "--regid=www-data", "--init-groups", "python3", "-c", DIRECT)
    assert json.loads(done.stdout) == [403] * 8
    answer = bed.run("curl", "-s", "-w", "\n%{http_code}", "http://localhost/attack/portal/api/v1/sign-in").stdout
    assert answer.endswith("\n403") and "boss" not in answer
    # Neither does it get to know the secret: not from the file, a header, an error page, or by TRACE.
    secret = re.search(r'"([0-9a-f]{64})"', bed.run("cat", SECRET).stdout)[1]
    assert bed.run("stat", "-c", "%U %a", SECRET).stdout == "root 600\n"
    shown = bed.run(
        f"setpriv --reuid=www-data --regid=www-data --init-groups cat {SECRET};"
        "echo 'Header set X-Told \"${QWD_SECRET}\"' >>/var/www/html/attack/.htaccess; curl -si http://localhost/attack/;"
        "curl -s http://localhost/cgi-bin/attack;"
        "curl -si -u ada:right -X TRACE -H 'Max-Forwards: 0' http://localhost/qemu-web-desktop/;"
        "head -c 100000 /dev/zero | curl -si -u ada:right --data-binary @- http://localhost/qemu-web-desktop/api/v1/sessions",
        check=False)
    assert "HTTP/1.1 413" in shown.stdout and "TRACE /qemu-web-desktop/" in shown.stdout and "GATEWAY_INTERFACE" in shown.stdout
    assert secret not in shown.stdout + shown.stderr and "X-Qwd-Secret" not in shown.stdout and "HTTP_X_QWD" not in shown.stdout
    told = bed.run("grep -rlF -- \"$1\" /run /var/log /etc 2>/dev/null; journalctl -b --no-pager | grep -cF -- \"$1\"".replace("$1", secret),
                   check=False).stdout.split()
    # systemd's own copies for the two programs.
    assert told[-1] == "0" and all(path.startswith("/run/credentials/qwd-") for path in told[:-1]), told
    # A user who may not read it can test the configuration all the same.
    assert bed.run("setpriv", "--reuid=nobody", "--clear-groups", "apache2ctl", "configtest").returncode == 0


TRACES = [{"Forwarded": "for=127.0.0.1"}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-Host": "localhost"},
          {"X-Forwarded-Proto": "http"}, {"X-Forwarded-Port": "80"}, {"X-Forwarded-Server": "x"}, {"X-Forwarded-Ssl": "on"},
          {"X-Forwarded-Prefix": "/"}, {"X-Real-IP": "127.0.0.1"}, {"Via": "1.1 relay"},
          {"Via": "1.1 relay", "Connection": "Via"}, {"X-Forwarded-Ssl": "on", "Connection": "close, X-Forwarded-Ssl"},
          {"X-Real-IP": "1", "Connection": "X-Real-IP, X-Qwd-Forwarded"}, {"X-Forwarded-For": "1", "X-Qwd-Forwarded": "no"},
          {"Host": "192.0.2.7"}, {"Host": "desk.example.org"}, {"Host": "localhost.example"},
          {"Origin": "null"}, {"Origin": "http://desk.example.org"}, {"Origin": "http://127.0.0.1"}, {"Origin": ""}]


def test_an_open_service_is_closed_to_what_came_through_a_proxy(bed, shown, alice):
    name = bed.run("hostname").stdout.strip()
    for trace in [*TRACES, {"Host": name}]:
        status, answer = alice.call("GET", f"sessions/{shown}", headers=trace)
        assert status in (400, 403, 421) and "owner" not in answer, (trace, status, answer)
        status, answer = alice.call("POST", "sessions", {"machine": "menu.iso", "terms": True}, headers=trace)
        assert status in (400, 403, 421), (trace, status, answer)
        ticket = alice.ticket(shown)
        with pytest.raises(Refused) as refusal:
            headers = dict(trace)
            if "Connection" in headers:
                headers["Connection"] = "Upgrade, " + headers["Connection"]
            Screen(bed.origin, ticket, headers=headers)
        assert refusal.value.status in (400, 403, 421), trace
    assert len(bed.json("list")) == 1
    plain = {"-0": [], "": []}
    for option in plain:
        done = bed.run("curl", "-s", *filter(None, [option]), "-o", "/dev/null", "-w", "%{http_code}", "http://localhost/qemu-web-desktop/")
        plain[option] = done.stdout
    assert plain == {"-0": "403", "": "200"}, "a browser does not speak HTTP/1.0"
    for host in ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "127.1.2.3:8080", "[::1]"]:
        assert alice.call("GET", "machines", headers={"Host": host, "Origin": None})[0] == 200, host
    # It says so, and what it cannot notice.
    warnings = "\n".join(json.loads(bed.ctl("check", "--json").stdout)["warnings"])
    assert "raw relay" in warnings and "nobody on the network" not in warnings


def test_without_its_secret_the_service_says_what_to_do(bed):
    bed.run(f"mv {SECRET} /root/kept; systemctl restart qwd-portal.service")
    try:
        page = bed.run("curl", "-s", "-w", "\n%{http_code}", "http://localhost/qemu-web-desktop/").stdout
        assert page.endswith("\n503") and "dpkg-reconfigure qemu-web-desktop" in page
        found = bed.ctl("check", check=False)
        assert found.returncode == 1 and "dpkg-reconfigure qemu-web-desktop" in found.stdout
        bed.run("dpkg-reconfigure qemu-web-desktop")
        bed.wait("curl -sf http://localhost/qemu-web-desktop/")
        assert bed.ctl("check").returncode == 0
        assert bed.run("cmp", SECRET, "/root/kept", check=False).returncode == 1
    finally:
        bed.run(f"[ -e {SECRET} ] || mv /root/kept {SECRET}; rm -f /root/kept", check=False)
