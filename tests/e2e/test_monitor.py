"""The monitor, as administrators and programs see it: on the page, in qwdctl, as metrics."""

import http.client
import re
import subprocess
import time
import urllib.parse
from html import unescape

import pytest
from prometheus_client.parser import text_string_to_metric_families

from conftest import TREE, tool
from screen import Api, Screen

SHOTS = TREE / "target/screenshots"
CONFIG = "/etc/qemu-web-desktop/config.d/monitor.toml"
PAM = '[sign_in]\nmethods = ["pam"]\nadmins = ["boss"]\n'
PICTURES = PAM + "[monitor]\npictures = true\n"

# What the kernel has counted for a session's unit: microseconds of CPU, bytes, tasks, and the limit of bytes.
COUNTED = r"""
    group=$(systemctl show -P ControlGroup "qwd-session-$1.service")
    of() { for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do cat "$tree$group/$1" 2>/dev/null && return; done; }
    for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do sed -n 's/^usage_usec //p' "$tree$group/cpu.stat" 2>/dev/null; done
    of memory.current || of memory.usage_in_bytes
    of pids.current
    of memory.max || of memory.limit_in_bytes
"""


class Client(Api):
    """Somebody with a browser that runs no scripts."""

    def sign_in(self, password):
        status, answer = self.call("POST", "sign-in", {"name": self.name, "password": password})
        assert status in (200, 201), answer
        return self

    def page(self, path, **form):
        """Status, text and the place that is led on to. With fields, a form is sent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.bed.port, timeout=60)
        headers = {"Host": f"localhost:{self.bed.port}", "Origin": self.bed.origin, "Cookie": self.cookie or ""}
        if form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        body = urllib.parse.urlencode(form) if form else None
        connection.request("POST" if form else "GET", f"/qemu-web-desktop/{path}", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.getheader("Location")

    def text(self, path):
        status, body, _ = self.page(path)
        assert status == 200, body
        return body.decode()

    def monitor(self):
        status, answer = self.call("GET", "monitor")
        assert status == 200, answer
        return {session["id"]: session for session in answer["sessions"]}


@pytest.fixture(scope="module")
def people(bed):
    """The administrator and somebody else, signed in."""
    bed.run('for name in boss ada; do useradd --create-home $name; echo "$name:right of $name"; done | chpasswd')
    bed.write(CONFIG, PAM)
    try:
        yield {name: Client(bed, name).sign_in(f"right of {name}") for name in ("boss", "ada")}
    finally:
        bed.run(f"rm -f {CONFIG}; for name in boss ada; do userdel --force --remove $name; done")


@pytest.fixture
def boss(people):
    return people["boss"]


@pytest.fixture
def ada(people):
    return people["ada"]


@pytest.fixture(scope="module")
def two(bed, people):
    """A session of each of two people."""
    made = [bed.json("start", "menu.iso", "--owner", owner)["id"] for owner in ("ada", "ben")]
    yield made
    bed.ctl("stop", *made, check=False)


@pytest.fixture
def pictures(bed, people):
    bed.write(CONFIG, PICTURES)
    yield
    bed.write(CONFIG, PAM)


def counted(bed, session):
    return [int(line) for line in bed.run("sh", "-c", COUNTED, "sh", session).stdout.split()]


def shot(browser, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    browser.screenshot(SHOTS / f"{name}.png")


def test_only_administrators_see_it(bed, boss, ada, two):
    nobody = Client(bed, None)
    status, page, _ = nobody.page("monitor")
    assert status == 401 and b'name="back" value="/monitor"' in page and two[0].encode() not in page
    assert nobody.call("GET", "monitor")[0] == 401
    status, page, _ = ada.page("monitor")
    assert status == 403 and b"for administrators of the service" in page and two[0].encode() not in page
    status, answer = ada.call("GET", "monitor")
    assert (status, answer["error"]) == (403, "not_allowed") and "qwdctl monitor" in answer["message"]
    assert "/monitor" not in ada.text("") and 'href="/qemu-web-desktop/monitor"' in boss.text("")
    assert set(two) <= set(boss.monitor())
    refused = bed.run("setpriv", "--reuid=ada", "--regid=ada", "--clear-groups", "qwdctl", "monitor", "--once", check=False)
    assert refused.returncode == 1 and not refused.stdout


def within(figures, before, after):
    """The figures lie between what the kernel had counted before and what it has counted now."""
    assert before[0] - 1 <= figures["cpu_seconds"] * 1e6 <= after[0] + 1, (before, figures, after)
    # Memory is given back as well: a little beyond either is no other figure.
    low, high = sorted((before[1], after[1]))
    assert low * 0.9 <= figures["memory_used_bytes"] <= high * 1.1, (before, figures, after)
    low, high = sorted((before[2], after[2]))
    assert low - 2 <= figures["tasks"] <= high + 2, (before, figures, after)
    assert figures["memory_limit_bytes"] == after[3]


def test_figures_are_those_of_the_control_group(bed, boss, session):
    # Nobody has looked at this one before, so the first rate is that between the first two looks.
    made = session("--owner", "ada")["id"]
    before = counted(bed, made)
    begun = time.monotonic()
    first = boss.monitor()[made]
    first_at = time.monotonic()
    within(first, before, counted(bed, made))
    assert first["cpus_busy"] is None
    while True:
        asked = time.monotonic()
        second = boss.monitor()[made]
        now = time.monotonic()
        if second["cpus_busy"] is not None:
            break
        time.sleep(0.1)
    used = second["cpu_seconds"] - first["cpu_seconds"]
    assert used / (now - begun) * 0.99 <= second["cpus_busy"] <= used / (asked - first_at) * 1.01
    assert second["viewers"] == 0
    screen = Screen(bed.origin, boss.ticket(made))
    while boss.monitor()[made]["viewers"] != 1:
        assert time.monotonic() < now + 30
        time.sleep(0.05)
    screen.close()


def test_qwdctl_has_the_same_figures(bed, two):
    before = [counted(bed, made) for made in two]
    answer = bed.json("monitor", "--once")
    after = [counted(bed, made) for made in two]
    shown = {session["id"]: session for session in answer["sessions"]}
    for made, low, high in zip(two, before, after):
        within(shown[made], low, high)
        assert 0 <= shown[made]["cpus_busy"] <= 2
    assert {shown[made]["owner"] for made in two} == {"ada", "ben"}
    bed.ctl("monitor", "--once", "--html", "/root/monitor.html")
    page = bed.run("cat", "/root/monitor.html").stdout
    limit = f"of {after[0][3] >> 20} MiB"
    for made, owner in zip(two, ("ada", "ben")):
        row = re.search(rf'<tr role="row">(?:(?!</tr>).)*{made}(?:(?!</tr>).)*</tr>', page, re.S)[0]
        assert owner in row and limit in row and re.search(r"\d\.\d\d of 1", row), row
        shown_megabytes = int(re.search(r"(\d+) MiB of", row)[1])
        assert after[0][1] * 0.5 <= shown_megabytes << 20 <= after[0][3], row
    assert "<script" not in page and "http-equiv=\"refresh\"" not in page
    table = bed.ctl("monitor").stdout
    assert "\x1b" not in table and all(made in table for made in two)


def test_the_terminal_is_left_as_it_was(bed, two):
    bed.put(TREE / "tests/e2e/monitor_keys.py", "/root/monitor_keys.py")
    done = bed.run("python3", "/root/monitor_keys.py", check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_the_page_works_without_scripts(bed, boss, session):
    made = session("--owner", "ada")["id"]
    page = boss.text("monitor")
    assert '<noscript><meta http-equiv="refresh" content="30"></noscript>' in page
    assert 'http-equiv="refresh"' not in boss.text("monitor?still=1")
    row = re.search(rf'<tr role="row" id="row-{made}">.*?</tr>', page, re.S)[0]
    assert re.search(r"\d+ MiB of \d+ MiB", row) and "ada" in row
    csrf = unescape(re.search(r'name="csrf" value="([^"]+)"', page)[1])
    assert boss.page(f"sessions/{made}/stop", csrf="x", back="monitor")[0] == 403
    status, _, place = boss.page(f"sessions/{made}/stop", csrf=csrf, back="monitor")
    assert (status, place) == (303, "/qemu-web-desktop/monitor")
    bed.wait(f"test ! -e /run/qemu-web-desktop/records/{made}.json")
    assert made not in boss.text("monitor")


def test_pictures_are_off_until_somebody_wants_them(bed, boss, ada, two):
    assert boss.page(f"monitor/{two[0]}/picture")[0] == 403
    assert "/picture" not in boss.text("monitor")
    assert "small picture of this screen" not in ada.text(f"sessions/{two[0]}")


def test_where_pictures_are_on_their_owners_are_told(bed, boss, ada, two, pictures):
    assert "Administrators of this service can see a small picture of this screen." in ada.text(f"sessions/{two[0]}")
    status, picture, _ = boss.page(f"monitor/{two[0]}/picture")
    assert status == 200 and picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert ada.page(f"monitor/{two[0]}/picture")[0] == 403
    assert Client(bed, None).page(f"monitor/{two[0]}/picture")[0] == 401


def metrics(text):
    """Read by Prometheus's own parser, which refuses what is not in its format."""
    families = list(text_string_to_metric_families(text))
    assert all(family.documentation and family.type in ("gauge", "counter") for family in families), families
    return {(sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples}


def scrape(address, *options):
    done = subprocess.run(["curl", "-s", "--noproxy", "*", "-H", "Host: localhost", "-w", "\n%{http_code}", *options,
                           f"http://{address}/qemu-web-desktop/metrics"], text=True, capture_output=True, check=True)
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def test_metrics_are_for_programs_here_and_for_those_configured(bed, people, two):
    status, text = scrape(f"127.0.0.1:{bed.port}")
    assert status == 200, text
    first = metrics(text)
    assert first["qwd_up",] == 1 and first["qwd_config_good",] == 1
    assert first["qwd_sessions", ("state", "running")] == len(bed.json("list"))
    used = sum(counted(bed, made)[1] for made in two)
    assert used * 0.5 <= first["qwd_sessions_memory_used_bytes",] <= used * 2
    assert "ada" not in text and two[0] not in text
    second = metrics(scrape(f"127.0.0.1:{bed.port}")[1])
    assert second["qwd_sessions_cpu_seconds_total",] >= first["qwd_sessions_cpu_seconds_total",] > 0
    assert second["qwd_http_requests_total", ("status", "2xx")] > first["qwd_http_requests_total", ("status", "2xx")]
    # From elsewhere, whatever that says about where it is.
    address = tool("connect", bed.name)
    refused, text = scrape(address, "-H", "X-Forwarded-For: 127.0.0.1")
    assert refused == 403 and "metrics_clients" in text and "qwd_up" not in text
    network = re.sub(r"\.\d+$", ".0/24", address)
    bed.write(CONFIG, PAM + f'[monitor]\nmetrics_clients = ["{network}"]\n')
    try:
        assert metrics(scrape(address)[1])["qwd_up",] == 1
    finally:
        bed.write(CONFIG, PAM)


# In the browser


def cell(browser, made, column):
    return browser.script(f"return document.querySelector('#row-{made} td:nth-of-type({column}) .words').textContent")


def test_an_administrator_watches_and_stops_all(bed, browser, two, pictures):
    browser.open(f"{bed.url}monitor")
    browser.type("#name", "boss")
    browser.type("#password", "right of boss")
    browser.click("form[action$='/sign-in'] button.primary")
    # Back at the page that was asked for.
    browser.wait(lambda: browser.url.endswith("/monitor") and browser.find(f"#row-{two[0]}"))
    browser.wait(lambda: all(img.prop("naturalWidth") for img in browser.find_all("img.shot")), what="pictures")
    assert len(browser.find_all("img.shot")) == 2
    # The page brings itself up to date, node by node: a confirmation that was opened stays, and is the same node.
    browser.click(f"#stop-{two[0]} summary")
    browser.script("window.kept = [...document.querySelectorAll('#monitor *:not(img)')]")
    browser.wait(lambda: re.match(r"\d\.\d\d of 1", cell(browser, two[0], 1)), what="a rate")
    seen = cell(browser, two[0], 1), cell(browser, two[1], 1)
    browser.wait(lambda: (cell(browser, two[0], 1), cell(browser, two[1], 1)) != seen, what="another rate")
    assert browser.script("return kept.filter((node) => !node.isConnected).length") == 0
    assert browser.find(f"#stop-{two[0]}").prop("open")
    browser.script("document.querySelector('#all').scrollIntoView()")
    shot(browser, "monitor-confirmation")
    browser.click(f"#stop-{two[0]} summary")
    shot(browser, "monitor-pictures")
    within = "return document.querySelector('table.monitor').scrollWidth <= document.querySelector('#all').clientWidth"
    assert browser.script(within), "the table is as wide as its panel"
    browser.resize(420, 900)
    assert browser.script("return document.documentElement.scrollWidth <= innerWidth")
    shot(browser, "monitor-narrow")
    browser.resize(1280, 900)
    assert not browser.find("#stop-all button.danger").displayed
    browser.click("#stop-all summary")
    browser.click("#stop-all button.danger")
    browser.wait_for("#none", 60)
    assert "Nothing is running." in browser.text() and browser.url.endswith("/monitor")
    shot(browser, "monitor-idle")
    assert bed.json("list") == []
    # The sign-in page had an answer of its own.
    assert [line["message"] for line in browser.console() if "401 (Unauthorized)" not in line["message"]] == []
