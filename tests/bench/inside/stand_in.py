#!/usr/bin/python3 -IS
"""A stand-in for QEMU, without a machine in it: it opens its sockets and speaks as much QMP and RFB as
it takes to start, show and end a session. So what is measured is what lies around a QEMU.

    stand-in … id=monitorN,fd=N …       as our sessions start their QEMU
    stand-in … -vnc 127.0.0.1:N …       as the predecessor starts it, without monitors
    stand-in --listen PORT              a screen alone

A viewer chooses what its screen does by the first number of SetEncodings; the second is an amount."""

import json
import os
import socket
import struct
import sys
import threading

# What a viewer can ask for: updates of a MiB each, a place for clipboard texts of a MiB each,
# ten bytes for each ten bytes. Numbers that no encoding has.
FLOOD, SWALLOW, ECHO = 0x71770001, 0x71770002, 0x71770003
SIDE = 512
MIB = 1 << 20
# One raw rectangle, the whole screen.
UPDATE = struct.pack("!BxHHHHHi", 0, 1, 0, 0, SIDE, SIDE, 0) + bytes(SIDE * SIDE * 4)
# A clipboard text of two letters, and what a viewer sends to get it: both have ten bytes.
ANSWER = struct.pack("!BxxxI", 3, 2) + b"ok"
REQUEST = struct.pack("!BBHHHH", 3, 1, 0, 0, SIDE, SIDE)
PIXELS = struct.pack("!BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)


def set_mode(mode, amount):
    """The message by which a viewer chooses."""
    return struct.pack("!BxHii", 2, 2, mode, amount)


def cut_text(length):
    """The head of a clipboard text."""
    return struct.pack("!BxxxI", 6, length)


class Screen:
    """The server's side of one viewer."""

    def __init__(self, stream, name):
        self.stream, self.name = stream, name.encode()
        if stream.family == socket.AF_INET:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.modes = {FLOOD: self.flood, SWALLOW: self.swallow, ECHO: self.echo}
        self.answer = UPDATE

    def show(self):
        try:
            self.greet()
            while True:
                self.message()
        except (EOFError, OSError):
            self.stream.close()

    def take(self, count):
        data = self.stream.recv(count, socket.MSG_WAITALL)
        if len(data) < count:
            raise EOFError
        return data

    def greet(self):
        self.stream.sendall(b"RFB 003.008\n")
        self.take(12)
        self.stream.sendall(b"\1\1")
        self.take(1)
        self.stream.sendall(bytes(4))
        self.take(1)
        self.stream.sendall(struct.pack("!HH", SIDE, SIDE) + PIXELS + struct.pack("!I", len(self.name)) + self.name)

    def message(self):
        kind = self.take(1)[0]
        if kind == 2:
            numbers = self.take(3)
            numbers = struct.unpack(f"!{struct.unpack('!xH', numbers)[0]}i", self.take(4 * struct.unpack("!xH", numbers)[0]))
            if numbers and numbers[0] in self.modes:
                self.modes[numbers[0]](numbers[1])
        elif kind == 3:
            self.take(9)
            self.stream.sendall(self.answer)
        elif kind == 6:
            self.drop(struct.unpack("!I", self.take(7)[3:])[0])
        else:
            self.take({0: 19, 4: 7, 5: 5}[kind])

    def flood(self, count):
        for _ in range(count):
            self.stream.sendall(UPDATE)

    def swallow(self, count):
        self.drop(count * (8 + MIB))
        # A bell: all has arrived.
        self.stream.sendall(b"\2")

    def echo(self, _):
        self.answer = ANSWER

    def drop(self, count):
        buffer = memoryview(bytearray(min(count, MIB)))
        while count:
            got = self.stream.recv_into(buffer[:min(count, MIB)])
            if not got:
                raise EOFError
            count -= got


class Monitor:
    """One QMP socket, which serves one client after the other."""

    def __init__(self, listener, name):
        self.listener, self.name = listener, name
        self.fds = {}

    def serve(self):
        while True:
            client, _ = self.listener.accept()
            with client:
                try:
                    self.attend(client)
                except OSError:
                    pass

    def attend(self, client):
        client.sendall(b'{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}, "capabilities": []}}\r\n')
        text = b""
        while True:
            data, fds, _, _ = socket.recv_fds(client, 4096, 1)
            if not data:
                return
            text += data
            while b"\n" in text:
                line, text = text.split(b"\n", 1)
                order = json.loads(line)
                answer = self.obey(order["execute"], order.get("arguments", {}), fds)
                client.sendall(json.dumps(answer).encode() + b"\r\n")
                if order["execute"] in ("system_powerdown", "quit"):
                    # Nothing is kept that would have to be put away.
                    os._exit(0)

    def obey(self, command, arguments, fds):
        if command == "getfd":
            self.fds[arguments["fdname"]] = fds.pop()
        elif command == "add_client":
            begin(Screen(socket.socket(fileno=self.fds.pop(arguments["fdname"])), self.name).show)
        elif command not in ("qmp_capabilities", "system_powerdown", "quit"):
            return {"error": {"class": "CommandNotFound", "desc": f"the stand-in does not know {command}"}}
        return {"return": {}}


def begin(work):
    threading.Thread(target=work, daemon=True).start()


def listen(port, name):
    """Screens on a port of this machine, for ever."""
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        while True:
            begin(Screen(listener.accept()[0], name).show)


def main(words):
    after = lambda word: words[words.index(word) + 1]
    if "--listen" in words:
        listen(int(after("--listen")), "stand-in")
    guest = after("-name").removeprefix("guest=").split(",")[0]
    fds = [int(word.split(",fd=")[1].split(",")[0]) for word in words if word.startswith("socket,id=monitor")]
    if not fds:
        listen(5900 + int(after("-vnc").split(":")[1]), f"QEMU ({guest})")
    for fd in fds:
        begin(Monitor(socket.socket(fileno=fd), f"QEMU ({guest})").serve)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
