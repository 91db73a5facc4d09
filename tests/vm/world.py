"""The world outside: a listener on this host, which tells guests what to do.

Inside the virtual machine it has an address in a network namespace: reached by routing, and in no network
of the machine that runs the sessions. Between them is a local network with two neighbours.
"""

import socket
import time

WORLD, LINK_LOCAL = "203.0.113.2", "169.254.169.254"
HOST, ROUTER, NEIGHBOUR, LOCAL = "198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.0/24"
PORT = 7000

# The world's listener passes all on to us. The other one, a web server, has a link-local address
# too, as that which clouds keep their secrets at.
SETUP = f"""
set -e
ip netns add world
ip link add world0 type veth peer name world1 netns world
ip address add {HOST}/24 dev world0
ip link set world0 up
ip -n world link set lo up
ip -n world address add {ROUTER}/24 dev world1
ip -n world address add {NEIGHBOUR}/24 dev world1
ip -n world address add {WORLD}/32 dev lo
ip -n world address add {LINK_LOCAL}/16 dev world1
ip -n world link set world1 up
ip -n world route add default via {HOST}
ip route add {LINK_LOCAL} dev world0
ip route add {WORLD} via {ROUTER}
mkdir -p /srv/world && echo world >/srv/world/index.html
systemd-run -q --unit=world-out socat UNIX-LISTEN:/run/world.sock,fork TCP:10.0.2.100:{PORT}
systemd-run -q --unit=world-in -p NetworkNamespacePath=/run/netns/world \
    socat TCP-LISTEN:{PORT},fork,reuseaddr UNIX-CONNECT:/run/world.sock
systemd-run -q --unit=world-www -p NetworkNamespacePath=/run/netns/world \
    busybox httpd -f -p 80 -h /srv/world
"""


class World:
    """The listener: an HTTP server whose answers are scripts of iPXE."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def asked(self, seconds=300):
        """Waits for a guest's request: the path, and the connection to answer. Who says nothing is let go."""
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(0.1, end - time.monotonic()))
            try:
                connection = self.socket.accept()[0]
            except TimeoutError:
                raise AssertionError(f"no guest asked within {seconds} s") from None
            connection.settimeout(60)
            try:
                words = connection.makefile("rb").readline().split()
            except OSError:
                words = []
            if words[:1] == [b"GET"]:
                return words[1].decode(), connection
            connection.close()

    def tell(self, connection, *lines):
        """Answers with a script."""
        script = "\n".join(["#!ipxe", *lines, ""]).encode()
        head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(script)}\r\nConnection: close\r\n\r\n".encode()
        with connection:
            connection.sendall(head + script)


def probes(targets, path="/seen"):
    """A script that fetches from each of the addresses, and asks for a path that says which did answer."""
    lines = [f"set r {path}"]
    for number, target in enumerate(targets):
        lines += [f"imgfetch --timeout 10000 --name probe http://{target}/ && set r ${{r}}/{number} || echo no {target}",
                  "imgfree probe ||"]
    return [*lines, f"chain http://{WORLD}:{PORT}${{r}}"]
