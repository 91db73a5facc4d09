"""A session's way out, held by the kernel: to the world, and not to the machine that it runs on."""

import json

from world import HOST, LINK_LOCAL, NEIGHBOUR, PORT, WORLD

# Tries to connect to each of the addresses at once; prints which of them answered in time.
CONNECT = """
import concurrent.futures, json, socket, sys

def reached(target):
    host, port = target.rsplit(" ", 1)
    try:
        socket.create_connection((host, int(port)), timeout=float(sys.argv[1])).close()
        return True
    except OSError:
        return False

with concurrent.futures.ThreadPoolExecutor(len(sys.argv)) as pool:
    print(json.dumps(dict(zip(sys.argv[2:], pool.map(reached, sys.argv[2:])))))
"""
OUTSIDE = [f"{WORLD} {PORT}", f"{WORLD} 80"]
# sshd answers at all of the machine's addresses.
DENIED = ["127.0.0.1 22", "127.0.0.1 80", "127.1.2.3 22", "0.0.0.0 22", "::1 22", "10.0.2.15 22", f"{HOST} 22",
          f"{LINK_LOCAL} 80", f"{NEIGHBOUR} 80"]


def test_the_sessions_processes_reach_the_world_and_not_the_host(bed, session, outside):
    made = session()["id"]
    assert bed.json("show", made)["network"] == "user"
    targets = [*OUTSIDE, *DENIED]
    seen = json.loads(bed.run("python3", "-c", CONNECT, "20", *targets).stdout)
    assert seen == dict.fromkeys(targets, True), "everything listens"
    seen = json.loads(bed.inside(made, "python3", "-c", CONNECT, "20", *targets).stdout)
    assert seen == {**dict.fromkeys(OUTSIDE, True), **dict.fromkeys(DENIED, False)}
