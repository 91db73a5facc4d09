"""A screen without a browser: WebSocket and RFB by hand, so that a test can say what no browser would."""

import base64
import http.client
import json
import os
import socket
import struct
import time
from urllib.parse import urlsplit


class Refused(Exception):
    """The upgrade was answered with this HTTP status."""

    def __init__(self, status, text):
        super().__init__(f"HTTP {status}: {text}")
        self.status = status


class Api:
    """A client of the JSON API who signs in by typing a name, as a browser does."""

    def __init__(self, bed, name):
        # The cookie that says who this is, and the label beside it while no sign-in method is configured.
        self.bed, self.name, self.cookie, self.label = bed, name, None, None

    def call(self, method, path, body=None, headers=None):
        """Status and decoded answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.bed.port, timeout=60)
        sent = {"Host": f"localhost:{self.bed.port}", "Origin": self.bed.origin}
        data = None
        if body is not None:
            data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        if method != "GET":
            sent["Content-Type"] = "application/json"
        if self.cookie:
            sent["Cookie"] = "; ".join(filter(None, [self.cookie, self.label]))
        sent.update(headers or {})
        connection.request(method, f"/qemu-web-desktop/api/v1/{path}", data, {k: v for k, v in sent.items() if v is not None})
        answer = connection.getresponse()
        text = answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie" and value.startswith(("qwd=", "qwd-browser=")):
                self.cookie = value.split(";")[0]
            elif name.lower() == "set-cookie" and value.startswith("qwd-label="):
                self.label = value.split(";")[0]
        connection.close()
        return answer.status, json.loads(text) if text else None

    def create(self, **wanted):
        """Asks for a session; the first time with the name, later with the cookie."""
        body = {"machine": "menu.iso", "terms": True, **wanted}
        if not self.cookie:
            body.setdefault("owner", self.name)
        return self.call("POST", "sessions", body)

    def ticket(self, session, role="control"):
        status, answer = self.call("POST", f"sessions/{session}/tickets", {"role": role})
        assert status == 200, answer
        return answer["ticket"]


class WebSocket:
    """The client's side of one WebSocket."""

    def __init__(self, origin, ticket=None, path="/qemu-web-desktop/display", protocols=None, headers=None, tls=None):
        parts = urlsplit(origin)
        self.socket = socket.create_connection(("127.0.0.1", parts.port), timeout=60)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=parts.hostname)
        if protocols is None:
            protocols = ["qwd.v1", f"qwd.ticket.{ticket}"] if ticket else ["qwd.v1"]
        sent = {
            "Host": parts.netloc, "Upgrade": "websocket", "Connection": "Upgrade", "Origin": origin,
            "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Protocol": ", ".join(protocols), **(headers or {}),
        }
        lines = [f"GET {path} HTTP/1.1", *(f"{k}: {v}" for k, v in sent.items() if v is not None), "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.buffer = b""
        self.closed = None
        head = self.until(b"\r\n\r\n").decode("latin-1")
        status = int(head.split()[1])
        if status != 101:
            raise Refused(status, head + self.buffer.decode("latin-1"))
        self.head = head
        self.stream = b""

    def until(self, mark):
        while mark not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the connection was closed")
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def frame(self):
        """One frame from the server: opcode and payload. Pings are answered."""
        first, second = self.take(2)
        length = second & 127
        if length == 126:
            length = struct.unpack("!H", self.take(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self.take(8))[0]
        return first & 15, self.take(length)

    def send(self, data, opcode=2):
        mask = os.urandom(4)
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        elif len(data) < 65536:
            head += bytes([0x80 | 126]) + struct.pack("!H", len(data))
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", len(data))
        self.socket.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def read(self, count):
        """So many bytes of the stream within the frames."""
        while len(self.stream) < count:
            opcode, payload = self.frame()
            if opcode == 8:
                self.closed = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1005
                raise EOFError(f"closed with {self.closed}")
            if opcode == 9:
                self.send(payload, 10)
            elif opcode in (0, 2):
                self.stream += payload
        taken, self.stream = self.stream[:count], self.stream[count:]
        return taken

    def wait_closed(self, seconds=30):
        """Reads on until the other side closes; the WebSocket's close code, or None without one."""
        self.socket.settimeout(seconds)
        try:
            while True:
                self.read(1)
        except (EOFError, ConnectionError):
            return self.closed

    def close(self):
        self.socket.close()


class Screen(WebSocket):
    """A viewer: RFB 3.8 with raw pixels of four bytes."""

    def __init__(self, origin, ticket, **more):
        super().__init__(origin, ticket, **more)
        self.greeting = self.read(12)
        self.send(b"RFB 003.008\n")
        self.read(self.read(1)[0])
        self.send(b"\x01")
        assert self.read(4) == b"\0\0\0\0"
        # Not shared, as a rude client says: it must throw nobody out.
        self.send(b"\0")
        self.width, self.height = struct.unpack("!HH", self.read(4))
        self.read(16)
        self.name = self.read(struct.unpack("!I", self.read(4))[0]).decode()
        self.send(struct.pack("!BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.send(struct.pack("!BxHii", 2, 2, 0, -223))
        self.pixels = bytearray()

    def ask(self, incremental=True):
        self.send(struct.pack("!BBHHHH", 3, int(incremental), 0, 0, self.width, self.height))

    def update(self):
        """Takes one message; true if it brought pixels."""
        kind = self.read(1)[0]
        if kind == 2:
            return False
        if kind == 3:
            self.read(3)
            self.read(struct.unpack("!I", self.read(4))[0])
            return False
        assert kind == 0, f"message {kind}"
        count = struct.unpack("!xH", self.read(3))[0]
        for _ in range(count):
            x, y, w, h, encoding = struct.unpack("!HHHHi", self.read(12))
            if encoding == -223:
                self.width, self.height, self.pixels = w, h, bytearray(w * h * 4)
            else:
                self.paint(x, y, w, h, self.read(w * h * 4))
        return True

    def paint(self, x, y, w, h, data):
        if len(self.pixels) != self.width * self.height * 4:
            self.pixels = bytearray(self.width * self.height * 4)
        for row in range(h):
            start = ((y + row) * self.width + x) * 4
            self.pixels[start:start + w * 4] = data[row * w * 4:(row + 1) * w * 4]

    def picture(self):
        """The whole screen as it is now."""
        self.ask(incremental=False)
        while not self.update():
            pass
        return bytes(self.pixels)

    def highlight(self):
        """Where the menu's highlight is: the first of ten rows that are nearly all bright; -1 if none is."""
        data, run = self.picture(), 0
        for y in range(self.height):
            row = data[y * self.width * 4 + 1:(y + 1) * self.width * 4:4]
            run = run + 1 if sum(green > 100 for green in row) > self.width * 0.7 else 0
            if run == 10:
                return y - 9
        return -1

    def menu(self, beside=-1, seconds=90):
        """Waits for the menu with its highlight somewhere, but not at `beside`, and not while it is being drawn."""
        end = time.monotonic() + seconds
        while (at := self.highlight()) in (-1, beside) or self.highlight() != at:
            assert time.monotonic() < end, "no menu on the screen"
        return at

    def click(self, x, y):
        for buttons in (0, 1, 0):
            self.send(struct.pack("!BBHH", 5, buttons, x, y))

    def press(self, keysym, down):
        self.send(struct.pack("!BBxxI", 4, int(down), keysym))

    def key(self, keysym):
        self.press(keysym, True)
        self.press(keysym, False)


DOWN, UP, RETURN, ESCAPE = 0xFF54, 0xFF52, 0xFF0D, 0xFF1B
