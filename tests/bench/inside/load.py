"""Requests from many clients at once, with wrk; each on a connection of its own."""

import json
import subprocess
from pathlib import Path

WORK = ("load", "static")
SCRIPT = Path("/tmp/bench.lua")
# Only that a page is good is looked at while it runs: wrk counts what is neither 2xx nor 3xx.
LUA = """\
done = function(summary, latency)
    local e = summary.errors
    io.write(string.format('{"requests": %d, "us": %d, "failed": %d, "p99_us": %d}\\n', summary.requests,
        summary.duration, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(99)))
end
"""
WEB = Path("/var/www/html/bench")


def load(url, clients, seconds, cookie=None):
    """Requests per second, and milliseconds in which 99 of 100 are answered."""
    SCRIPT.write_text(LUA)
    words = ["wrk", "--latency", f"-t{min(2, clients)}", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s",
             "-s", str(SCRIPT), "-H", "Connection: close"]
    if cookie:
        words += ["-H", f"Cookie: {cookie}"]
    done = subprocess.run([*words, url], text=True, stdout=subprocess.PIPE, check=True, timeout=seconds + 120)
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    if told["failed"] or not told["requests"]:
        raise RuntimeError(f"{url}: {told['failed']} of {told['requests']} requests failed")
    return {"rate": told["requests"] / told["us"] * 1e6, "p99": told["p99_us"] / 1000}


def static(name, url, cookie=None):
    """A file of exactly the size of a page, served by the same Apache; its address."""
    words = ["curl", "-sSf", url, *(["-H", f"Cookie: {cookie}"] if cookie else [])]
    page = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
    WEB.mkdir(exist_ok=True)
    (WEB / f"{name}.html").write_bytes(b"x" * len(page))
    return f"http://localhost:8080/bench/{name}.html", len(page)
