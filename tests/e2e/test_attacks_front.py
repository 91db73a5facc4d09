"""Clients that are slow, many or odd, at Apache and at the portal's own socket: pages go on meanwhile."""

import json
import socket
import time

import pytest

from conftest import SETTINGS, tool

HELP = "/qemu-web-desktop/help"
REMOTE_USER = SETTINGS + '[sign_in]\nmethods = ["remote_user"]\n'

# Runs inside, with the portal's socket at hand. Prints one JSON object.
INSIDE = r"""
import json, resource, socket, time

resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
PORTAL = "/run/qemu-web-desktop/portal.sock"
SECRET = open("/var/lib/qemu-web-desktop/proxy/secret.conf").read().split('"')[1]
# As Apache sends it.
ANONYMOUS = (f"Host: localhost\r\nX-Qwd-Secret: {SECRET}\r\nX-Qwd-Forwarded: no\r\nX-Qwd-Connection: \r\n"
             "X-Forwarded-Proto: http\r\nX-Remote-Groups: \r\nX-Forwarded-For: %s\r\n")
HEAD = ANONYMOUS + "X-Remote-User: \r\n"

def connect(path=PORTAL):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(60)
    return s

def answer(s):
    text = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                break
            text += more
    except ConnectionError:
        pass
    return text.decode("latin-1")

def ask(request):
    s = connect()
    s.sendall(request.encode("latin-1") if isinstance(request, str) else request)
    return answer(s)

def status(text):
    return int(text.split(" ")[1]) if text.startswith("HTTP/1.1 ") else 0

def page(client="127.0.0.1"):
    begun = time.monotonic()
    said = status(ask("GET /qemu-web-desktop/help HTTP/1.1\r\n" + HEAD % client + "\r\n"))
    return [said, time.monotonic() - begun]

def slow(client, path="/qemu-web-desktop/api/v1/join", framing="Content-Length: 65000", first=20000):
    s = connect()
    s.sendall((f"POST {path} HTTP/1.1\r\n" + HEAD % client + "Content-Type: application/json\r\n"
               f"Origin: http://localhost\r\n{framing}\r\n\r\n").encode() + b" " * first)
    return s
"""


def inside(bed, script):
    return json.loads(bed.run("python3", "-", input=INSIDE + script, timeout=120).stdout)


def portal(bed):
    """The portal's process; a new one is another number."""
    return bed.run("systemctl", "show", "-P", "MainPID", "qwd-portal").stdout.strip()


@pytest.fixture
def same_portal(bed):
    """The portal that runs at the beginning runs at the end."""
    bed.run("curl", "-sf", "-o", "/dev/null", f"http://localhost{HELP}")
    before = portal(bed)
    assert before != "0"
    yield
    assert portal(bed) == before
    assert bed.run("systemctl", "show", "-P", "NRestarts", "qwd-portal").stdout.strip() == "0"


def page(address, port, host):
    """Status of a page by a new connection, and the seconds it took."""
    begun = time.monotonic()
    with socket.create_connection((address, port), timeout=60) as s:
        s.sendall(f"GET {HELP} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        text = b"".join(iter(lambda: s.recv(65536), b""))
    return int(text.split(b" ")[1]), time.monotonic() - begun


@pytest.mark.parametrize("framing", ["Content-Length: 65000", "Transfer-Encoding: chunked"])
def test_slow_bodies_by_apache_keep_no_page_waiting(bed, same_portal, framing):
    """Sixteen from a client that open mode refuses, and sixteen from one that it serves."""
    assert "buffer_module" in bed.run("apache2ctl", "-M").stdout, "both layers are there, and either is enough"
    address = tool("connect", bed.name)
    local = ("127.0.0.1", bed.port, f"localhost:{bed.port}")
    refused = (address, 80, "localhost")
    first = b" " * 20_000 if "Length" in framing else b"4e20\r\n" + b" " * 20_000 + b"\r\n1000\r\n"
    senders = []
    try:
        for number in range(32):
            where = (local, refused)[number % 2]
            path = ("/qemu-web-desktop/anything", "/qemu-web-desktop/api/v1/join", HELP)[number % 3]
            s = socket.create_connection(where[:2], timeout=60)
            senders.append(s)
            s.sendall(f"POST {path} HTTP/1.1\r\nHost: {where[2]}\r\nContent-Type: application/json\r\n"
                      f"{framing}\r\n\r\n".encode() + first)
        until = time.monotonic() + 3
        pages = []
        while time.monotonic() < until:
            for s in senders:
                try:
                    s.send(b" ")
                except OSError:
                    pass
            pages.append(page(*local))
            pages.append(page(*refused))
        assert {status for status, _ in pages[0::2]} == {200}, pages
        assert {status for status, _ in pages[1::2]} == {403}, pages
        assert max(seconds for _, seconds in pages) < 3, pages
    finally:
        for s in senders:
            s.close()


def test_slow_bodies_at_the_socket_keep_no_page_waiting_and_end(bed, same_portal):
    """The portal by itself, as where Apache does not buffer."""
    found = inside(bed, """
slow_ones = [slow(client) for client in ["127.0.0.1"] * 16 + [f"127.0.0.{n}" for n in range(2, 60)]]
refused = [status(answer(slow(client, path))) for client, path in [
    ("192.0.2.7", "/qemu-web-desktop/api/v1/join"), ("127.0.0.1", "/qemu-web-desktop/nothing"),
    ("127.0.0.1", "/qemu-web-desktop/help")]]
pages = [page() for _ in range(50)]
posted = status(ask("POST /qemu-web-desktop/api/v1/join HTTP/1.1\\r\\n" + HEAD % "127.0.0.1" +
                    "Origin: http://localhost\\r\\nContent-Type: application/json\\r\\nContent-Length: 13\\r\\n\\r\\n{\\"secret\\":\\"\\"}"))
over = [status(answer(s)) for s in slow_ones[:8]]
short = slow("127.0.0.1", framing="Content-Length: 100", first=10)
begun = time.monotonic()
short = [status(answer(short)), time.monotonic() - begun]
print(json.dumps([refused, pages, posted, over, short]))
""")
    refused, pages, posted, over, short = found
    assert refused == [403, 404, 405]
    assert {status for status, _ in pages} == {200} and max(seconds for _, seconds in pages) < 3, pages
    assert posted == 403
    # Of one client the oldest made room for the newest.
    assert over == [429] * 8
    assert short[0] == 408 and short[1] < 10, short


def test_any_number_of_connections_is_survived(bed, same_portal):
    """As many as ever, half of a head by some, and clients that do not read what they asked for."""
    found = inside(bed, """
pages, held = [], []
for round in range(4):
    for n in range(150):
        s = connect()
        s.sendall(b"GET /qemu-web-desktop/help HTTP/1.1\\r\\nHost: "[:n % 40])
        held.append(s)
    pages += [page() for _ in range(10)]
for n in range(100):
    s = connect()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    s.sendall(("GET /qemu-web-desktop/ HTTP/1.1\\r\\n" + HEAD % "127.0.0.1" + "\\r\\n").encode())
    held.append(s)
pages += [page() for _ in range(10)]
print(json.dumps(pages))
""")
    assert {status for status, _ in found} == {200} and max(seconds for _, seconds in found) < 3, found
    tasks = int(bed.run("systemctl", "show", "-P", "TasksCurrent", "qwd-portal").stdout)
    assert tasks < 40, "a connection starts no thread"


ODD = [b"Cookie: other=gr\xc3\xb6\xc3\x9fe", b"Cookie: other=gr\xf6\xdfe", b"X-Nobody-Knows: \xff\x80", b"Referer: http://b\xfccher.example/",
       b"User-Agent: \xe2\x98\x83", b"Accept-Language: \xfc", b"X-Forwarded-For: \xfc", b"X-Forwarded-Proto: \xfc"]


@pytest.mark.parametrize("header", ODD)
def test_a_byte_beyond_ascii_in_a_header_harms_nobody(bed, header):
    with socket.create_connection(("127.0.0.1", bed.port), timeout=60) as s:
        s.sendall(f"GET {HELP} HTTP/1.1\r\nHost: localhost:{bed.port}\r\nConnection: close\r\n".encode() + header + b"\r\n\r\n")
        # While the service is open, a trace of another proxy is refused, but not by an accident.
        status = b"403" if header.startswith(b"X-Forwarded") else b"200"
        assert s.recv(65536).startswith(b"HTTP/1.1 " + status), header


def asked_for_screen(bed, headers=b""):
    """Status of a request for a screen whose ticket was never given."""
    with socket.create_connection(("127.0.0.1", bed.port), timeout=60) as s:
        s.sendall(f"GET /qemu-web-desktop/display HTTP/1.1\r\nHost: localhost:{bed.port}\r\nOrigin: {bed.origin}\r\n"
                  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  f"Sec-WebSocket-Protocol: qwd.v1, qwd.ticket.{'A' * 43}\r\n".encode() + headers + b"\r\n")
        return int(s.recv(65536).split(b" ")[1])


def test_a_screen_is_asked_for_past_odd_headers(bed):
    assert [asked_for_screen(bed, header + b"\r\n") for header in ODD] == [403] * len(ODD)
    large = [b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(60)]
    assert asked_for_screen(bed, b"".join(large[:6])) == 403
    assert asked_for_screen(bed, b"".join(large)) == 431


def test_any_number_of_connections_to_the_screens_is_survived(bed):
    asked_for_screen(bed)
    before = bed.run("systemctl", "show", "-P", "MainPID", "qwd-display").stdout
    found = inside(bed, """
PATH = "/run/qemu-web-desktop/display.sock"
held = []
for n in range(1300):
    s = connect(PATH)
    s.sendall(b"GET /qemu-web-desktop/display HTTP/1.1\\r\\nHost: "[:n % 44])
    held.append(s)
s = connect(PATH)
s.sendall(b"GET /elsewhere HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
print(json.dumps(status(answer(s))))
""")
    assert found in (403, 404)
    assert bed.run("systemctl", "show", "-P", "MainPID", "qwd-display").stdout == before


def test_a_user_whose_name_is_no_name_reads_why(bed, settings):
    settings(REMOTE_USER)
    found = inside(bed, """
def asked(name):
    return ask(b"GET /qemu-web-desktop/ HTTP/1.1\\r\\n" + (ANONYMOUS % "127.0.0.1").encode() + b"X-Remote-User: " + name + b"\\r\\n\\r\\n")
names = [b"Alice Smith", "J\\u00fcrgen M\\u00fcller".encode(), b"J\\xfcrgen M\\xfcller"]
print(json.dumps([asked(name) for name in names]))
""")
    for text, name in zip(found, ["Alice Smith", "Jürgen Müller", "Jürgen Müller"]):
        text = text.encode("latin-1").decode()
        assert text.startswith("HTTP/1.1 200 ") and "which is no name that this service takes" in text
        assert name in text, text


def test_what_is_too_long_is_told_so_and_not_that_the_portal_is_gone(bed, same_portal):
    def ask(head, host=f"localhost:{bed.port}"):
        with socket.create_connection(("127.0.0.1", bed.port), timeout=60) as s:
            s.sendall(f"GET {head}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            return int(s.recv(65536).split(b" ")[1])
    big = "\r\n".join(f"X-{n}: {'x' * 8000}" for n in range(60))
    many = "\r\n".join(f"X-{n}: x" for n in range(95))
    assert ask(f"{HELP} HTTP/1.1\r\n{big}") == 431
    assert ask(f"{HELP} HTTP/1.1\r\n{many}") == 200
    assert ask(f"{HELP}?{'x' * 8000} HTTP/1.1") == 200
    assert ask(f"{HELP}?{'x' * 9000} HTTP/1.1") == 414


def test_a_body_is_taken_however_it_is_sent(bed):
    """In chunks, after an invitation, both, and to a page that takes none."""
    join = "http://localhost/qemu-web-desktop/api/v1/join"
    curl = "curl -s -o /dev/null -w '%{http_code} ' --max-time 20 -H 'Origin: http://localhost' -H 'Content-Type: application/json'"
    body = "--data-binary '{\"secret\":\"\"}'"
    lines = [f"{curl} {options} {body} {join}" for options in
             ["", "-H 'Transfer-Encoding: chunked'", "-H 'Expect: 100-continue'",
              "-H 'Transfer-Encoding: chunked' -H 'Expect: 100-continue'", "--http1.0"]]
    lines += [f"{curl} -X GET --data-binary x http://localhost{HELP}", f"{curl} -I http://localhost{HELP}",
              f"{curl} -X DELETE --data-binary x http://localhost{HELP}"]
    assert bed.run("; ".join(lines)).stdout.split() == ["403"] * 5 + ["200", "200", "405"]
