"""A configuration that cannot be used: every program refuses alike, sessions go on, and the administrator is told."""

import json

import pytest

DIRECTORY = "/etc/qemu-web-desktop"
FIRST, LATER = f"{DIRECTORY}/config.toml", f"{DIRECTORY}/config.d/test.toml"
UNITS = ["qwd-portal.service", "qwd-display.service", "qwd-launcher.service"]
UPGRADE = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
           "-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "-H", "Origin: http://localhost",
           "-H", "Sec-WebSocket-Protocol: qwd.v1, qwd.ticket." + "A" * 43]


def status(bed, path, *options):
    return bed.run("curl", "-sm", "20", "-o", "/dev/null", "-w", "%{http_code}", *options,
                   f"http://localhost/qemu-web-desktop/{path}").stdout


@pytest.mark.parametrize("path, breaks, told", [
    (FIRST, f"chmod 600 {FIRST}", "'chmod a+r /etc/qemu-web-desktop/config.toml'"),
    (LATER, f"printf '\\n[limits]\\nservice_max_session_nb = \"five\"\\n' >{LATER}",
     "test.toml:3: limits.service_max_session_nb: expected a whole number, found \"five\""),
    (LATER, f"mkdir -p /home/x && mv {LATER} /home/x/ && ln -s /home/x/test.toml {LATER}", "put the file itself here"),
])
def test_programs_that_start_with_it_refuse_alike_until_it_is_corrected(bed, path, breaks, told):
    kept = bed.ctl("start", "menu.iso", "--json").stdout.split('"id": "')[1].split('"')[0]
    bed.run(f"cp -p {FIRST} /root/first; cp -p {LATER} /root/later")
    since = bed.run("date", "+%s").stdout.strip()
    try:
        bed.run(breaks)
        bed.run("systemctl", "restart", *UNITS)
        assert [status(bed, ""), status(bed, "api/v1/machines"), status(bed, "display", *UPGRADE)] == ["503"] * 3
        refused = bed.ctl("start", "menu.iso", check=False)
        assert refused.returncode == 1 and "qwdctl check" in refused.stderr, refused.stderr
        bed.run("systemctl", "start", "qwd-reaper.service")
        assert [s["id"] for s in bed.json("list") if s["state"] == "running"] == [kept]
        errors = bed.run("qwdctl check --json", check=False)
        assert errors.returncode == 1
        assert errors.stdout.count(told.replace('"', '\\"')) == 1, errors.stdout
        assert told in bed.ctl("status", check=False).stderr
        for unit in UNITS:
            lines = [line["MESSAGE"] for line in bed.journal(f"--since=@{since}", "-u", unit)]
            assert any(told in line and "started without good settings" in line for line in lines), (unit, lines)
            assert not any("last good" in line for line in lines)
    finally:
        bed.run(f"rm -f {LATER}; cp -p /root/first {FIRST}; cp -p /root/later {LATER}")
    assert status(bed, "") == "200"
    bed.ctl("stop", kept)


RELAY = """
import socket, ssl, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/root/tls.pem", "/root/tls.key")
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for end in (a, b):
        try: end.shutdown(socket.SHUT_RDWR)
        except OSError: pass
listener = socket.create_server(("127.0.0.1", 9443))
while True:
    client = listener.accept()[0]
    try: client = context.wrap_socket(client, server_side=True)
    except OSError: continue
    server = socket.create_connection(("127.0.0.1", 80))
    for pair in ((client, server), (server, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


@pytest.fixture
def tls(bed):
    """A proxy that speaks TLS at desk.test:9443, passes all on as plain http, and leaves no trace."""
    bed.write("/root/relay.py", RELAY)
    bed.run("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=desk.test -keyout /root/tls.key -out /root/tls.pem "
            "2>/dev/null && cp -p /etc/qemu-web-desktop/config.d/test.toml /root/later")
    bed.run("systemd-run -q --unit relay python3 /root/relay.py")
    text = bed.run("cat", "/root/later").stdout
    bed.write(LATER, 'public_url = "https://desk.test:9443"\n' + text + '\n[sign_in]\nmethods = ["pam"]\n')
    bed.wait("ss -ltn | grep -q :9443")
    yield
    bed.run(f"systemctl stop relay; cp -p /root/later {LATER}")


def test_plain_http_leads_to_public_url_and_a_tls_proxy_without_a_trace_makes_no_loop(bed, tls):
    names = ["--resolve", "desk.test:80:127.0.0.1", "--resolve", "desk.test:9443:127.0.0.1", "-k", "-sm", "20"]
    shown = ["-o", "/dev/null", "-w", "%{http_code} %{num_redirects} %{url_effective}"]
    first = bed.run("curl", *names, "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}",
                    "http://desk.test/qemu-web-desktop/help").stdout
    assert first == "307 https://desk.test:9443/qemu-web-desktop/help?from=http"
    at = "https://desk.test:9443/qemu-web-desktop/"
    followed = bed.run("curl", "-L", "--max-redirs", "4", *names, *shown, "http://desk.test/qemu-web-desktop/").stdout
    assert followed == f"200 1 {at}?from=http"
    # Nothing but what a browser sends tells this proxy from plain http.
    assert bed.run("curl", "-L", *names, *shown, at).stdout == f"200 1 {at}?from=http"
    assert bed.run("curl", "-H", "Sec-Fetch-Mode: navigate", *names, *shown, at).stdout == f"200 0 {at}"
    assert bed.run("curl", "-H", "X-Forwarded-Proto: https", *names, *shown, at).stdout == f"200 0 {at}"


def test_a_host_that_a_proxy_has_changed_is_named_with_the_one_expected(bed, tls):
    answer = bed.run("curl", "-sm", "20", "-H", "X-Forwarded-For: 192.0.2.9", "-H", "Host: desk.test", "-w", "%{http_code}",
                     "http://127.0.0.1/qemu-web-desktop/").stdout
    assert answer.endswith("421") and "https://desk.test:9443/qemu-web-desktop/" in answer, answer
    assert "came for &#34;desk.test&#34;" in answer, answer


def errors(bed):
    return json.loads(bed.run("qwdctl check --json", check=False).stdout)["errors"]


@pytest.mark.parametrize("breaks, mends, told", [
    # A front controller takes all addresses; the line that check names goes before its own.
    ("a2enmod -q rewrite && sed -i '/<VirtualHost/a RewriteEngine On\\nRewriteRule ^ /index.html [L]' $SITE",
     "sed -i '/RewriteEngine On/a RewriteRule ^/?qemu-web-desktop(/|$) - [END]' $SITE", "something else (status 200"),
    # What an older version left, and somebody has kept.
    ("cp $CONF /root/conf && echo 'Alias /old /old' >$CONF", "cp /root/conf $CONF", "something else (status 404"),
    ("systemctl stop qwd-portal.socket qwd-portal.service", "systemctl start qwd-portal.socket", "does not reach the portal"),
])
def test_check_says_what_answers_at_our_address(bed, breaks, mends, told):
    names = "SITE=/etc/apache2/sites-available/000-default.conf; CONF=/etc/apache2/conf-available/qemu-web-desktop.conf; "
    bed.run(names + "cp $SITE /root/site")
    try:
        bed.run(names + breaks)
        bed.run("systemctl", "reload", "apache2")
        assert [e for e in errors(bed) if told in e and "'" in e], errors(bed)
        bed.run(names + mends)
        bed.run("systemctl", "reload", "apache2")
        bed.wait("! qwdctl check | grep -q 'is answered by'")
    finally:
        bed.run(names + mends, check=False)
        bed.run(names + "cp /root/site $SITE; a2dismod -q -f rewrite; systemctl reload apache2")


def test_programs_of_the_old_version_are_named_with_the_command_that_ends_them(bed):
    bed.run("systemd-run", "-q", "--unit", "old-session", "--uid", "_qemu-web-desktop", "python3", "-m", "http.server", "6080")
    try:
        bed.wait("ss -ltn | grep -q :6080")
        [told] = [e for e in errors(bed) if "23.02" in e]
        pid = bed.run("systemctl show -P MainPID old-session").stdout.strip()
        command = f"kill {pid}"
        assert f"python3 ({pid})" in told and f"'{command}'" in told and "port 6080" in told, told
        assert told in bed.ctl("status").stderr
        configured = bed.run("dpkg-reconfigure", "qemu-web-desktop").stderr
        assert f"'{command}'" in configured, configured
        bed.run(command)
        bed.wait("! qwdctl check | grep -q 23.02")
        assert bed.json("status")["old_sessions"] == ""
    finally:
        bed.run("systemctl stop old-session; systemctl reset-failed old-session", check=False)


def test_check_names_emulators_and_images_that_the_launcher_cannot_see(bed):
    images = "/var/lib/qemu-web-desktop/machines"
    bed.run(f"cp -p {LATER} /root/later; cp -p {DIRECTORY}/machines.conf /root/machines; mkdir -p /opt/q /home/x && cp "
            f"/usr/bin/qemu-system-x86_64 /opt/q/ && cp {images}/menu.iso /home/x/far.iso && ln -s /home/x/far.iso {images}/far.iso")
    try:
        bed.run(f"printf '[far.iso]\\ndescription=Far\\nqemu_exec=/opt/q/qemu-system-x86_64\\n' >>{DIRECTORY}/machines.conf")
        told = errors(bed)
        assert any("qemu_exec of 'far.iso'" in e and "below /usr only" in e and "'editor +" in e for e in told), told
        assert any("image of 'far.iso' is below /home" in e and f"'mv /home/x/far.iso {images}/far.iso'" in e for e in told), told
    finally:
        bed.run(f"cp -p /root/machines {DIRECTORY}/machines.conf; rm -rf /opt/q /home/x {images}/far.iso")


def test_openssls_default_certificate_is_good_where_it_is_the_file_and_a_sentence_elsewhere(bed):
    bed.run("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout /root/self.key "
            "-out /etc/qemu-web-desktop/self.pem 2>/dev/null && cp -p /etc/qemu-web-desktop/config.d/test.toml /root/later")
    serve = "(echo '* OK ready'; exec sleep 600) | openssl s_server -quiet -accept 9993 -key /root/self.key -cert /etc/qemu-web-desktop/self.pem"
    bed.run("systemd-run", "-q", "--unit", "self-signed", "-p", "Restart=always", "-p", "RestartSec=100ms", "sh", "-c", serve)
    bed.run("cp /etc/qemu-web-desktop/self.pem /usr/local/share/ca-certificates/self.crt")
    later = bed.run("cat", "/root/later").stdout

    def told(ca_file):
        server = '[sign_in]\nmethods = ["imap"]\n[sign_in.imap]\nserver = "localhost"\nport = 9993\n'
        bed.write(LATER, f'{later}\n{server}ca_file = "{ca_file}"\n')
        bed.run("systemctl", "restart", "self-signed")
        bed.wait("ss -ltn | grep -q :9993")
        return [w for w in bed.json("check")["warnings"] if "localhost" in w and "certificate" in w]
    try:
        assert told("/etc/qemu-web-desktop/self.pem") == []
        bed.run("update-ca-certificates >/dev/null 2>&1")
        [sentence] = told("")
        assert "authority's own" in sentence and "'openssl s_client" in sentence and "Entity" not in sentence, sentence
    finally:
        bed.run(f"systemctl stop self-signed; cp -p /root/later {LATER}; rm -f /usr/local/share/ca-certificates/self.crt; "
                "update-ca-certificates >/dev/null 2>&1; rm -f /etc/qemu-web-desktop/self.pem")
