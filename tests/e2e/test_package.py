"""The package's life: installed, upgraded, removed, purged; and from the Perl version."""

import json
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from conftest import ROOM, SETTINGS, TREE, bring_up, furnish, tool
from screen import DOWN, Api, Screen

IMAGES = "/var/lib/qemu-web-desktop/machines"
LAUNCHER = "org.qemuwebdesktop.Launcher1"


def status_of(bed, path="/qemu-web-desktop/", *options):
    words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *options, f"http://localhost{path}"]
    return bed.run(*words).stdout


def failed_units(bed):
    return bed.run("systemctl", "--failed", "--plain", "--no-legend").stdout


def newer(deb, folder):
    """The same package with a higher version."""
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^(Version: .*)$", r"\1+newer", control.read_text(), flags=re.M))
    result = folder / "newer.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, result], check=True, stdout=subprocess.DEVNULL)
    return result


def start(bed):
    return bed.json("start", "menu.iso")["id"]


def main_pid(bed, unit):
    return bed.run("systemctl", "show", "-P", "MainPID", unit).stdout.strip()


# The installed package

def test_nothing_fails_after_an_installation(bed):
    assert failed_units(bed) == ""
    assert bed.run("systemctl", "is-active", "qwd-portal.socket", "qwd-display.socket", "qwd-reaper.timer").returncode == 0


def test_the_first_page_is_there_at_once(bed):
    assert status_of(bed) == "200"


@pytest.mark.parametrize("old", ["/cgi-bin/qemu-web-desktop.pl", "/qemu-web-desktop"])
def test_old_addresses_lead_to_the_new_one(bed, old):
    told = bed.run("curl", "-sI", f"http://localhost{old}").stdout
    assert re.search(r"^HTTP/1.1 301", told)
    assert re.search(r"^Location: http://localhost/qemu-web-desktop/\r?$", told, re.M)


def test_the_old_address_leads_on_with_cgi_switched_on_too(bed):
    bed.run("a2enmod -q cgi && systemctl restart apache2")
    try:
        assert status_of(bed, "/cgi-bin/qemu-web-desktop.pl") == "301"
    finally:
        bed.run("a2dismod -q cgi && systemctl restart apache2")


def test_apaches_process_model_is_left_alone(bed):
    assert bed.run("a2query", "-M").stdout.strip() == "event"


def test_scripts_have_the_type_that_browsers_demand(bed):
    told = bed.run("curl", "-sI", "http://localhost/qemu-web-desktop/novnc/core/rfb.js").stdout
    assert re.search(r"^Content-Type: text/javascript", told, re.M)
    assert re.search(r"^X-Content-Type-Options: nosniff", told, re.M)


def test_only_the_library_part_of_novnc_is_served(bed):
    assert status_of(bed, "/qemu-web-desktop/novnc/vnc.html") == "404"


def test_a_client_cannot_say_that_it_is_local(bed):
    address = tool("connect", bed.name)
    said = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    headers = [word for name, value in said.items() for word in ("-H", f"{name}: {value}")]
    done = subprocess.run(["curl", "-s", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "-H",
                           "Host: localhost", *headers, f"http://{address}/qemu-web-desktop/"],
                          text=True, capture_output=True)
    assert done.stdout == "403"
    assert status_of(bed) == "200"


def test_long_bodies_are_refused_before_the_portal_sees_them(bed):
    told = bed.run("head -c 100000 /dev/zero | curl -s -o /dev/null -w '%{http_code}' --data-binary @- "
                   "-H 'Content-Type: application/json' http://localhost/qemu-web-desktop/api/v1/sessions").stdout
    assert told == "413"


def test_while_the_portal_is_down_people_and_programs_are_told(bed):
    bed.run("systemctl", "stop", "qwd-portal.socket", "qwd-portal.service")
    try:
        page = bed.run("curl", "-si", "http://localhost/qemu-web-desktop/").stdout
        assert page.startswith("HTTP/1.1 503") and "Service unavailable" in page and "Retry-After: 5" in page
        answer = bed.run("curl", "-s", "http://localhost/qemu-web-desktop/api/v1/status").stdout
        assert json.loads(answer)["error"] == "unavailable"
    finally:
        bed.run("systemctl", "start", "qwd-portal.socket")
    assert status_of(bed) == "200"


def test_the_bus_denies_everybody_else(bed):
    call = f"busctl call {LAUNCHER} /org/qemuwebdesktop/Launcher1 {LAUNCHER} Sweep"
    for user in ("nobody", "www-data", "_qemu-web-desktop", "_qwd-display"):
        done = bed.run("setpriv", f"--reuid={user}", "--clear-groups", "--", *call.split(), check=False)
        assert done.returncode != 0 and "denied" in (done.stderr + done.stdout).lower(), user


def test_the_bus_has_the_interface_of_the_shipped_file(bed):
    told = bed.run("busctl", "introspect", "--xml-interface", LAUNCHER, "/org/qemuwebdesktop/Launcher1").stdout

    def shape(text):
        found = ElementTree.fromstring(text[text.index("<node"):]).find(f"./interface[@name='{LAUNCHER}']")
        return {(m.tag, m.get("name")): [(a.get("direction", "out"), a.get("type")) for a in m.findall("arg")]
                for m in found if m.tag in ("method", "signal")}

    assert shape(told) == shape((TREE / f"units/dbus/{LAUNCHER}.xml").read_text())


def test_the_services_are_exposed_little_where_they_run(bed):
    for service in ("qwd-portal", "qwd-display", "qwd-launcher", "qwd-reaper", "qwd-cleanup", "qwd-expire@x.1",
                    "qwd-ended@x", "qwd-failed@x"):
        # They end sessions also where there is no room for a mount namespace.
        most = 30 if service in ("qwd-expire@x.1", "qwd-reaper") else 20
        done = bed.run("systemd-analyze", "security", f"--threshold={most}", f"{service}.service", check=False)
        assert done.returncode == 0, service


def test_the_tests_for_debian_pass(bed):
    bed.run("rm -rf /root/tree && mkdir /root/tree")
    bed.put(TREE / "debian", "/root/tree/")
    before = bed.run("cat", "/etc/qemu-web-desktop/machines.conf").stdout
    done = bed.run("cd /root && autopkgtest --no-built-binaries /root/tree -- null 2>&1", check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-4000:]
    assert bed.run("cat", "/etc/qemu-web-desktop/machines.conf").stdout == before


# Its life, in a bed of its own; one test after the other

@pytest.fixture(scope="module")
def life(deb):
    with bring_up(deb, "life") as bed:
        done = bed.install()
        bed.installed = done.stdout + done.stderr
        furnish(bed)
        yield bed


def test_an_installation_has_no_complaints_about_its_users(life):
    complaints = [line for line in life.installed.splitlines() if line.startswith(("useradd", "usermod", "adduser", "warn"))]
    assert complaints == []
    assert "/nonexistent" in life.run("getent", "passwd", "_qwd-display").stdout


def test_an_upgrade_ends_no_session_and_asks_nothing(life, tmp_path):
    life.write("/etc/qemu-web-desktop/config.d/mine.toml", '[page]\ntitle = "Mine"\n' + ROOM)
    assert status_of(life) == "200"
    alice = Api(life, "alice")
    made = alice.create()[1]["id"]
    session = f"qwd-session-{made}.service"
    screen = Screen(life.origin, alice.ticket(made))
    first = screen.menu()
    screen.key(DOWN)
    shown = screen.menu(beside=first)
    before = {unit: main_pid(life, unit) for unit in (session, "qwd-portal.service", "qwd-launcher.service")}
    assert "0" not in before.values()
    life.install(newer(life.deb, tmp_path))
    assert "+newer" in life.run("dpkg-query", "-W", "qemu-web-desktop").stdout
    assert main_pid(life, session) == before[session]
    assert main_pid(life, "qwd-portal.service") != before["qwd-portal.service"]
    assert life.json("list")[0]["state"] == "running"
    # The open screen was closed with its program, and is there again as it was, for who was signed in.
    screen.wait_closed()
    assert Screen(life.origin, alice.ticket(made)).menu() == shown
    assert "Mine" in life.run("cat", "/etc/qemu-web-desktop/config.d/mine.toml").stdout
    assert failed_units(life) == ""


def test_a_removal_ends_the_sessions_and_keeps_what_is_the_administrators(life):
    life.run("apt-get", "remove", "-y", "qemu-web-desktop")
    assert life.run("pgrep -x qemu-system-x86 || true").stdout == ""
    assert life.run("systemctl", "list-units", "--state=active,failed", "--plain", "--no-legend", "qwd*").stdout == ""
    assert not life.run("test -e /run/qemu-web-desktop", check=False).returncode == 0
    life.run(f"test -e {IMAGES}/menu.iso && test -e /etc/qemu-web-desktop/machines.conf")
    life.run("apachectl -t && systemctl is-active apache2")
    assert status_of(life) == "404"
    assert failed_units(life) == ""


def test_it_comes_back_as_it_was(life):
    life.install()
    assert status_of(life) == "200"
    assert life.ctl("stop", start(life)).returncode == 0


def test_a_purge_takes_all_but_the_images(life):
    # Also settings in files of the site's own, such as this bed has.
    done = life.run("apt-get", "purge", "-y", "qemu-web-desktop")
    assert "images stay. 'rm -r /var/lib/qemu-web-desktop' removes them" in done.stdout
    assert life.run("ls /etc/qemu-web-desktop", check=False).returncode != 0
    left = life.run("find / -xdev \\( -name '*qemu-web-desktop*' -o -name 'qwd*' \\) -not -path '/proc/*' "
                    "-not -path '/root/*' -not -path '/var/lib/qemu-web-desktop*' -not -path '/var/log/*'").stdout
    # Apache's record that the snippet was switched off by a package goes with it, too.
    assert left.split() == []
    life.run(f"test -e {IMAGES}/menu.iso")
    assert life.run("getent group qwd-users", check=False).returncode != 0
    assert failed_units(life) == ""


# From the Perl version

@pytest.fixture(scope="module")
def old(deb):
    """A bed with the Perl version in use: settings of the site's own, an image, a link to another."""
    with bring_up(deb, "old", "--flavour", "peer") as bed:
        there = bed.run("ls /var/cache/qwd-testbed/qemu-web-desktop_*.deb", check=False).stdout.split()
        if not there:
            pytest.skip("this archive has no Perl version of the package")
        bed.write("/root/machines.conf", "; ours\n[menu.iso]\ndescription=A menu\n\n[other.iso]\ndescription=Another\n")
        bed.run(f"mkdir -p {IMAGES}/downloads/other.iso /etc/qemu-web-desktop && "
                "cp /root/machines.conf /etc/qemu-web-desktop/ && cd /usr/lib/grub-rescue && "
                f"cp grub-rescue-cdrom.iso {IMAGES}/menu.iso && cp grub-rescue-cdrom.iso {IMAGES}/downloads/other.iso/a.iso && "
                f"ln -s {IMAGES}/downloads/other.iso/a.iso {IMAGES}/other.iso")
        bed.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold", "-i", there[0])
        bed.run("echo '# ours' >>/etc/qemu-web-desktop/config.pl")
        yield bed


def test_an_upgrade_from_the_perl_version_keeps_what_the_site_has(old):
    kept = ["/etc/qemu-web-desktop/config.pl", "/etc/qemu-web-desktop/machines.conf", f"{IMAGES}/menu.iso"]
    before = old.run("sha256sum", *kept).stdout
    # Nothing to type on: a question would fail.
    old.put(old.deb, "/root/")
    old.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", f"/root/{old.deb.name}", input="",
            timeout=600)
    assert old.run("sha256sum", *kept).stdout == before
    assert old.run("stat", "-c", "%U %a", "/var/lib/qemu-web-desktop", IMAGES).stdout == "root 755\nroot 755\n"
    old.run("apachectl -t && systemctl is-active apache2")
    assert status_of(old) == "200"
    assert status_of(old, "/cgi-bin/qemu-web-desktop.pl") == "301"


def test_its_machines_run_after_the_upgrade(old):
    old.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS + ROOM)
    names = {m["name"] for m in old.json("machines") if not m["problem"]}
    assert names == {"menu.iso", "other.iso"}
    assert old.json("start", "other.iso")["state"] == "running"
    old.ctl("stop", "--all")
