"""What lies between a viewer and a screen, measured with well-formed RFB: bytes, round trips, greetings.

The ways there: 'service', by its own gateway; 'relay', a socat; 'relays', two of them in a row with a Unix
socket between, as Apache and the display are; 'direct', nothing. At the end of each is the same stand-in, as
a session's QEMU or on a port."""

import multiprocessing
import socket
import struct
import subprocess
import time
from pathlib import Path

import processes
from screen import WebSocket
from stand_in import ANSWER, ECHO, FLOOD, MIB, REQUEST, SWALLOW, UPDATE, cut_text, set_mode
from waiting import wait

DIRECT, RELAY, RELAYS = 7000, 7001, 7002
PORTS = {"direct": DIRECT, "relay": RELAY, "relays": RELAYS}
# Between the two.
MIDDLE = Path("/run/bench-relays.sock")
# As a browser would batch what is pasted.
FRAME = 64 << 10
PATIENCE = 120
BY_FORK = multiprocessing.get_context("fork")
# Whose CPU each way takes.
CARRIERS = {"service": ("qwd-display", "apache2", "websockify"), "relay": ("socat",), "relays": ("socat",),
            "direct": ()}


class Worker:
    WORK = ("begin", "end", "transfer", "round_trips", "greetings")

    def __init__(self, service):
        self.service, self.session, self.helpers = service, None, []

    def begin(self, session):
        """The service's way leads to this session; the others to a stand-in on a port."""
        self.session = session
        self.helpers = [
            subprocess.Popen(["/usr/local/bin/stand-in", "--listen", str(DIRECT)]),
            relay(listener(RELAY), f"TCP:127.0.0.1:{DIRECT},nodelay"),
            relay(listener(RELAYS), f"UNIX-CONNECT:{MIDDLE}"),
            relay(f"UNIX-LISTEN:{MIDDLE},unlink-early,fork,backlog=64", f"TCP:127.0.0.1:{DIRECT},nodelay"),
        ]
        wait(MIDDLE.exists)
        for port in PORTS.values():
            wait(lambda: answers(port))

    def end(self):
        for helper in self.helpers:
            helper.terminate()
            helper.wait()

    def knock(self, way):
        """All that comes before the connection; the result makes it."""
        if way == "service":
            return self.service.knock(self.session)
        return lambda: Direct(PORTS[way])

    def transfer(self, way, up, viewers, mib):
        """So many MiB through each viewer at once: MB/s of all together, CPU seconds per 10^9 bytes."""
        streams = [shake_hands(self.knock(way)()) for _ in range(viewers)]
        before = processes.cpu()
        gate, told = BY_FORK.Barrier(viewers), BY_FORK.Queue()
        workers = [BY_FORK.Process(target=carry, args=(stream, up, mib, gate, told)) for stream in streams]
        for worker in workers:
            worker.start()
        spans = [told.get(timeout=PATIENCE) for _ in workers]
        for worker, stream in zip(workers, streams):
            worker.join()
            stream.socket.close()
        if "socat" in CARRIERS[way] or "websockify" in before:
            wait(processes.childless)
        billion = viewers * mib * len(UPDATE) / 1e9
        carriers = [{name: told[name] for name in CARRIERS[way] if name in told} for told in (before, processes.cpu())]
        cpu = {name: seconds / billion for name, seconds in processes.grown(*carriers).items()}
        return {"rate": billion * 1000 / (max(end for _, end in spans) - min(begun for begun, _ in spans)), "cpu": cpu}

    def round_trips(self, way, count):
        """Microseconds for ten bytes there and ten back, each."""
        stream = shake_hands(self.knock(way)())
        stream.send(set_mode(ECHO, 0))
        request, wire = stream.packed(REQUEST), stream.socket
        expected = len(stream.header(len(ANSWER))) + len(ANSWER)
        times = []
        for _ in range(count):
            begun = time.perf_counter()
            wire.sendall(request)
            if len(wire.recv(expected, socket.MSG_WAITALL)) < expected:
                raise EOFError("the screen was closed")
            times.append((time.perf_counter() - begun) * 1e6)
        wire.close()
        return times

    def greetings(self, way, count):
        """Milliseconds from connecting to the greeting, each."""
        times = []
        for _ in range(count):
            connect = self.knock(way)
            begun = time.perf_counter()
            stream = connect()
            stream.read(12)
            times.append((time.perf_counter() - begun) * 1000)
            stream.close()
        return times


class Direct:
    """A viewer's connection without a WebSocket."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self, count):
        data = self.socket.recv(count, socket.MSG_WAITALL)
        if len(data) < count:
            raise EOFError("the screen was closed")
        return data

    def send(self, data):
        self.socket.sendall(data)

    def close(self):
        self.socket.close()

    @staticmethod
    def packed(data):
        return data

    @staticmethod
    def header(_):
        return b""

    @staticmethod
    def pieces(reader, total):
        """What comes, in one piece."""
        yield total


class Framed(WebSocket):
    """A viewer's WebSocket, whose frames are packed ahead and opened without a copy."""

    MASK = b"\x5a\xa5\x3c\xc3"

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @staticmethod
    def header(length):
        if length < 126:
            return bytes([0x82, length])
        return struct.pack("!BBH", 0x82, 126, length) if length < 65536 else struct.pack("!BBQ", 0x82, 127, length)

    def packed(self, data):
        """As a masked frame."""
        head = bytearray(self.header(len(data)))
        head[1] |= 0x80
        key = self.MASK * (len(data) // 4 + 1)
        return bytes(head) + self.MASK + bytes(a ^ b for a, b in zip(data, key))

    @staticmethod
    def pieces(reader, total):
        """The lengths of the frames that come, as each has begun."""
        while total > 0:
            first, length = reader.read(2)
            if length >= 126:
                length = int.from_bytes(reader.read(2 if length == 126 else 8), "big")
            if first & 15 == 2:
                total -= length
            yield length


def listener(port):
    return f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=64"


def relay(come, go):
    return subprocess.Popen(["socat", "-b", str(FRAME), come, go])


def answers(port):
    try:
        Direct(port).close()
        return True
    except OSError:
        return False


def shake_hands(stream):
    """Through the beginning of RFB, until the viewer may say what it wants."""
    stream.read(12)
    stream.send(b"RFB 003.008\n")
    stream.read(2)
    stream.send(b"\1")
    stream.read(4)
    stream.send(b"\1")
    stream.read(20)
    stream.read(struct.unpack("!I", stream.read(4))[0])
    return stream


def carry(stream, up, mib, gate, told):
    """One viewer's part, in a process of its own; tells when it began and ended."""
    if up:
        text = bytes(range(256)) * (MIB // 256)
        message = stream.packed(cut_text(MIB)) + b"".join(
            stream.packed(text[at:at + FRAME]) for at in range(0, MIB, FRAME))
    gate.wait()
    begun = time.monotonic()
    if up:
        stream.send(set_mode(SWALLOW, mib))
        for _ in range(mib):
            stream.socket.sendall(message)
        stream.read(1)
    else:
        stream.send(set_mode(FLOOD, mib))
        drain(stream, mib * len(UPDATE))
    told.put((begun, time.monotonic()))


def drain(stream, total):
    """Reads so many bytes and looks at none."""
    reader = stream.socket.makefile("rb", buffering=256 << 10)
    room = memoryview(bytearray(256 << 10))
    for length in stream.pieces(reader, total):
        while length:
            got = reader.readinto(room[:min(length, len(room))])
            if not got:
                raise EOFError("the screen was closed")
            length -= got
