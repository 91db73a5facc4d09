"""The launcher: who may call it, what it admits, what it remembers."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import SETTINGS
from screen import Api, Screen

DEFAULTS = '[qemu]\naccel = "tcg"\n[session]\nstop_grace = "1s"\n'


@pytest.fixture
def carol(bed):
    """A local account in the group of users."""
    bed.run("id carol >/dev/null 2>&1 || useradd -M -G qwd-users carol; id dave >/dev/null 2>&1 || useradd -M dave")

    def run(*words, account="carol", check=True):
        return bed.run("setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups", "--", *words, check=check)
    yield run
    bed.ctl("stop", "--all", check=False)


def test_a_member_of_the_group_has_sessions_of_their_own_and_no_others(bed, session, carol):
    foreign = session("--owner", "local:alice")["id"]
    import json

    own = json.loads(carol("qwdctl", "start", "menu.iso", "--json").stdout)
    assert own["owner"] == "local:carol"
    listed = json.loads(carol("qwdctl", "list", "--json").stdout)
    assert [s["id"] for s in (listed if isinstance(listed, list) else listed["sessions"])] == [own["id"]]
    for verb in (["show"], ["stop"], ["share"]):
        assert carol("qwdctl", *verb, foreign, check=False).returncode == 4
    assert carol("qwdctl", "stop", "--all", check=False).returncode != 0
    assert carol("qwdctl", "start", "menu.iso", "--force", check=False).returncode == 1
    assert carol("qwdctl", "start", "menu.iso", "--owner", "local:alice", "--json", check=False).stdout.find('"alice"') == -1
    assert carol("qwdctl", "stop", own["id"]).returncode == 0


def test_everybody_else_is_refused(bed, carol):
    done = carol("qwdctl", "list", account="dave", check=False)
    assert done.returncode == 1 and "qwd-users" in done.stderr


def test_three_places_and_twenty_requests_at_once_start_three(bed, settings):
    settings(SETTINGS.replace("service_max_session_nb = 40", "service_max_session_nb = 3"))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: Api(bed, f"user{n}").create(), range(20)))
    try:
        assert sorted(status for status, _ in answers) == [201] * 3 + [409] * 17
        assert {a["error"] for status, a in answers if status == 409} == {"limit_reached"}
        running = bed.run("systemctl list-units --plain --no-legend 'qwd-session-*.service' | wc -l").stdout.strip()
        assert running == "3"
    finally:
        bed.ctl("stop", "--all")


def test_eight_at_once_all_work_and_each_link_leads_to_its_own_machine(bed):
    people = [Api(bed, f"user{n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda p: p.create(), people))
    try:
        assert [status for status, _ in answers] == [201] * 8, answers
        ids = [made["id"] for _, made in answers]
        assert len(set(ids)) == 8
        for person, made in zip(people, ids):
            screen = Screen(bed.origin, person.ticket(made))
            assert made in screen.name
    finally:
        bed.ctl("stop", "--all")


def test_the_shipped_limits_let_a_first_session_in_and_refuse_as_documented(bed, settings):
    settings(DEFAULTS + "[limits]\nservice_max_load = 1000.0\n")
    cpus = int(bed.run("nproc").stdout)
    first = bed.ctl("start", "menu.iso", "--owner", "local:alice", "--memory", "128M", "--json")
    assert first.returncode == 0
    try:
        if cpus == 2:
            second = bed.ctl("start", "menu.iso", "--owner", "local:alice", "--memory", "128M", check=False)
            assert second.returncode == 3 and "service_max_cpu_fraction_nb_per_user" in second.stderr
        many = bed.ctl("start", "menu.iso", "--owner", "local:bob", "--cpus", "200", check=False)
        assert many.returncode == 3
        huge = bed.ctl("start", "menu.iso", "--owner", "local:bob", "--memory", "1T", check=False)
        assert huge.returncode == 3 and "service_max_mem_fraction_nb_per_user" in huge.stderr
        forced = bed.ctl("start", "menu.iso", "--owner", "local:alice", "--memory", "128M", "--force")
        assert forced.returncode == 0
    finally:
        bed.ctl("stop", "--all")


def test_running_sessions_are_taken_on_after_a_restart(bed, session):
    made = session("--owner", "local:alice")["id"]
    bed.run("systemctl", "kill", "-s", "KILL", "qwd-launcher.service")
    assert bed.json("show", made)["state"] == "running"
    bed.ctl("extend", made, "1h")
    bed.ctl("stop", made)
    assert bed.json("show", made)["state"] == "ended"


def test_an_ended_session_is_not_taken_on(bed, session):
    made = session()["id"]
    bed.run("systemctl", "stop", "qwd-launcher.service")
    bed.run("systemctl", "stop", f"qwd-session-{made}.service")
    bed.wait(f"test ! -e /run/qemu-web-desktop/records/{made}.json")
    assert bed.json("show", made)["state"] == "ended"
    assert made not in bed.ctl("list", "--all").stdout


def test_a_call_that_starts_the_launcher_is_answered_on_a_busy_machine(bed, alice, shown):
    # The bus passes the call on as soon as the launcher has its name, which may be before anything listens for calls.
    hogs = [f"hog-{n}" for n in range(4)]
    for hog in hogs:
        bed.run("systemd-run", "-q", "--collect", f"--unit={hog}", "timeout", "300", "sh", "-c", "while :; do :; done")
    try:
        for _ in range(20):
            bed.run("systemctl", "stop", "qwd-launcher")
            assert alice.call("GET", f"sessions/{shown}")[0] == 200
    finally:
        bed.run("systemctl", "stop", *hogs)
