"""Attempts to sign in, many at once, straight at the portal as Apache makes them."""

import json

COUNTS = "/run/qemu-web-desktop/portal/counts"
# The portal starts again with the next request, and remembers no failure.
FORGET = f"systemctl stop qwd-portal.service; rm -rf {COUNTS}"

# Asks the portal as Apache does, each (client, name, password) on a connection of its own and all at once:
# status and seconds of each, in order.
ASK = r"""
import concurrent.futures, http.client, json, os, socket, sys, time

# By which the portal knows Apache.
SECRET, proof = "/var/lib/qemu-web-desktop/proxy/secret.conf", {}
if os.path.exists(SECRET):
    proof = {"X-Qwd-Secret": open(SECRET).read().split('"')[1], "X-Remote-User": "", "X-Remote-Groups": "",
             "X-Qwd-Forwarded": "no", "X-Qwd-Connection": ""}

class Portal(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/qemu-web-desktop/portal.sock")

def ask(asked):
    client, name, password = asked
    headers = {"Content-Type": "application/json", "Origin": "http://localhost", "X-Forwarded-For": client,
               "X-Forwarded-Proto": "http", **proof}
    begun, portal = time.monotonic(), Portal("localhost", timeout=60)
    portal.request("POST", "/qemu-web-desktop/api/v1/sign-in", json.dumps({"name": name, "password": password}), headers)
    answer = portal.getresponse()
    text = json.loads(answer.read())
    portal.close()
    return answer.status, time.monotonic() - begun, text.get("name")

given = json.load(sys.stdin)
end = time.monotonic() + given["seconds"]
with concurrent.futures.ThreadPoolExecutor(given["workers"]) as pool:
    rounds = []
    while not rounds or time.monotonic() < end:
        rounds += pool.map(ask, given["asked"])
print(json.dumps(rounds))
"""


def ask(bed, *asked, workers=1):
    """What became of attempts, of which so many are made at once."""
    return json.loads(bed.run("python3", "-c", ASK, input=json.dumps({"asked": asked, "seconds": 0, "workers": workers})).stdout)


def statuses(answers):
    return [status for status, _, _ in answers]
