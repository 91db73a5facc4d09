"""What an administrator types: systemctl, qwdctl and a shell's Tab."""

import pytest

from screen import Api
from test_units import gone, prop

TARGET = "qemu-web-desktop.target"
COMPLETION = "/usr/share/bash-completion/completions/qwdctl"


@pytest.fixture
def closed(bed):
    """The service is closed by its target; afterwards it is open again."""
    bed.run("systemctl", "stop", TARGET)
    yield
    bed.run("systemctl", "start", TARGET)


def offered(bed, *words):
    """What bash offers for the last word."""
    script = (f'. {COMPLETION}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9; '
              '_clap_complete_qwdctl qwdctl "${COMP_WORDS[COMP_CWORD]}" ""; printf "%s\\n" "${COMPREPLY[@]}"')
    return bed.run("bash", "-c", script, "bash", *words).stdout.split()


def test_one_target_shows_closes_and_opens_the_service(bed, session, closed):
    made = session()["id"]
    sockets = ("qwd-portal.socket", "qwd-display.socket", "qwd-auth-pam.socket", "qwd-reaper.timer")
    states = lambda: set(bed.run("systemctl", "is-active", *sockets, check=False).stdout.split())
    assert states() == {"inactive"}
    assert Api(bed, "alice").call("GET", "machines")[0] == 503
    assert bed.json("show", made)["state"] == "running"
    bed.run("systemctl", "start", TARGET)
    assert states() == {"active"}
    listed = bed.run("systemctl", "list-dependencies", "--plain", TARGET).stdout.split()
    assert set(sockets) <= set(listed)
    assert Api(bed, "alice").call("GET", "machines")[0] == 200


def test_the_unit_of_a_session_claims_no_other_end_than_its_timer(bed, session):
    made = session("--lifetime", "2h")
    assert prop(bed, made["id"], "RuntimeMaxUSec") == "infinity"
    timers = bed.run("systemctl", "list-timers", "--plain", "--no-legend", f"qwd-expire@{made['id']}*").stdout
    assert f"qwd-expire@{made['id']}.{made['expires_at']}.timer" in timers


def test_the_timer_does_not_call_a_launcher_back_that_has_nothing_to_do(bed, session):
    is_active = lambda: bed.run("systemctl", "is-active", "qwd-launcher", check=False).stdout.strip()
    bed.run("systemctl", "stop", "qwd-launcher")
    bed.run("systemctl", "start", "qwd-reaper.service")
    assert is_active() == "inactive"
    made = session()["id"]
    bed.run("systemctl", "stop", "qwd-launcher")
    bed.run("systemctl", "start", "qwd-reaper.service")
    assert is_active() == "active"
    bed.ctl("stop", "--kill", made)
    gone(bed, made)


def test_all_sessions_can_be_ended_at_once(bed, session):
    made = [session("--owner", f"local:{name}")["id"] for name in ("alice", "bob")]
    done = bed.ctl("stop", "--all", "--kill")
    assert all(f"{one} has ended." in done.stdout for one in made)
    for one in made:
        gone(bed, one)


def test_a_shell_offers_commands_machines_and_sessions(bed, session):
    made = session()["id"]
    assert {"start", "stop", "machines"} <= set(offered(bed, "qwdctl", ""))
    assert "menu.iso" in offered(bed, "qwdctl", "start", "")
    assert offered(bed, "qwdctl", "start", "men") == ["menu.iso"]
    for verb in ("show", "stop", "share", "extend", "resume"):
        assert made in offered(bed, "qwdctl", verb, ""), verb
    assert offered(bed, "qwdctl", "show", made[:4]) == [made]


def test_only_our_own_pages_have_our_names(bed):
    for name in ("config.toml", "machines.conf"):
        assert bed.run("man", "-w", name, check=False).returncode != 0, name


def test_examples_are_shipped(bed):
    shown = bed.run("ls", "/usr/share/doc/qemu-web-desktop/examples").stdout.split()
    assert {"sign-in-pam.toml", "sign-in-ldap.toml", "limits.toml"} <= set(shown)
