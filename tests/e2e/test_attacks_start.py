"""Attempts to have a session run that nobody knows of, by killing what starts and ends it."""

import pytest

from conftest import SETTINGS
from test_attacks_timers import timers, without_our_programs
from test_units import gone

RECORDS = "/run/qemu-web-desktop/records"
LAUNCHER = "qwd-launcher.service"
SLOW = "/usr/local/bin/slow-qemu"


def sweep(bed):
    bed.run("systemctl", "start", "qwd-reaper.service")


def units(bed):
    """The ids of the sessions that systemd runs."""
    lines = bed.run("systemctl", "list-units", "--plain", "--no-legend", "qwd-session-*.service").stdout.splitlines()
    return {line.split()[0].removeprefix("qwd-session-").removesuffix(".service") for line in lines}


def listed(bed):
    return {made["id"] for made in bed.json("list", "--all") if made["state"] in ("starting", "running", "stopping")}


def kill_launcher(bed):
    bed.run("systemctl", "kill", "-s", "KILL", LAUNCHER)


@pytest.fixture
def slow(bed, settings):
    """QEMU takes three seconds before it greets; its unit is up long before."""
    bed.write(SLOW, "#!/bin/sh\nsleep 3\nexec qemu-system-x86_64 \"$@\"\n")
    bed.run("chmod", "755", SLOW)
    settings(SETTINGS.replace("[qemu]", f'[qemu]\nqemu_exec = "{SLOW}"'))
    yield
    bed.run("rm", SLOW)


def begin(bed, *options):
    """Starts a session in the background; its id once its unit is up."""
    before = units(bed)
    bed.run("sh", "-c", 'systemd-run -q --collect --unit=begin-$$ qwdctl start menu.iso "$@"', "sh", *options)
    bed.wait("systemctl list-units --plain --no-legend --state=running 'qwd-session-*.service' | grep -q .", 20)
    [made] = units(bed) - before
    return made


def test_a_session_whose_launcher_is_killed_at_its_start_ends_on_time_without_any(bed, slow):
    made = begin(bed, "--lifetime", "6s")
    kill_launcher(bed)
    with without_our_programs(bed):
        assert len(timers(bed, made)) == 1
        bed.wait(f"! systemctl is-active -q qwd-session-{made}", 15)
    # The bus has been waiting for one since the call that was cut off.
    bed.run("systemctl", "start", LAUNCHER)
    gone(bed, made)


def test_a_launcher_that_begins_anew_follows_what_was_starting(bed, slow):
    made = begin(bed, "--lifetime", "1h")
    bed.run("systemctl", "stop", f"qwd-expire@{made}.*.timer")
    kill_launcher(bed)
    assert bed.json("show", made)["state"] == "starting"
    bed.wait(f"qwdctl show {made} --json | grep -q running", 20)
    end = bed.json("show", made)["expires_at"]
    bed.wait(f"systemctl is-active -q qwd-expire@{made}.{end}.timer", 10)
    bed.ctl("stop", made)


def test_a_launcher_that_begins_anew_forgets_what_never_came_up(bed, session):
    made = session()["id"]
    record = bed.run("cat", f"{RECORDS}/{made}.json").stdout.replace(made, "bbbbbbbbbb").replace("running", "starting")
    kill_launcher(bed)
    bed.write(f"{RECORDS}/bbbbbbbbbb.json", record)
    bed.run("systemctl", "restart", LAUNCHER)
    bed.wait(f"! test -e {RECORDS}/bbbbbbbbbb.json", 10)
    assert bed.json("show", "bbbbbbbbbb")["state"] == "failed"


def test_a_bus_that_is_restarted_at_a_start_leaves_no_session_that_is_not_listed(bed):
    started = set()
    # From before the unit is asked for until its session runs, however fast the machine is.
    for pause in ("0.03", "0.08", "2"):
        bed.run(f"qwdctl start menu.iso & sleep {pause}; systemctl restart dbus; wait $!", check=False)
        bed.wait("busctl status org.freedesktop.systemd1 >/dev/null 2>&1")
        sweep(bed)
        running = units(bed)
        assert running <= listed(bed)
        started |= running
    assert started, "no start came as far as its unit"
    bed.ctl("stop", "--all")


def test_a_unit_without_a_record_is_ended_and_a_timer_without_a_session(bed, session):
    made = session()["id"]
    stray = "qwd-session-cccccccccc.service"
    bed.run("systemd-run", "-q", f"--unit={stray}", "sleep", "infinity")
    alone = "qwd-expire@dddddddddd.5.timer"
    bed.write(f"/run/systemd/system/{alone}", "[Timer]\nOnActiveSec=1h\n")
    bed.run("systemctl", "start", alone)
    bed.run("rm", f"/run/systemd/system/{alone}")
    sweep(bed)
    bed.wait(f"! systemctl is-active -q {stray}", 10)
    assert timers(bed, "dddddddddd") == {}
    bed.run("rm", f"{RECORDS}/{made}.json")
    sweep(bed)
    gone(bed, made)


@pytest.mark.parametrize("damage", ["", "noise", '{"session": {"id'])
def test_a_session_with_a_damaged_record_is_listed_and_can_be_stopped(bed, session, damage):
    made = session("--lifetime", "1h")["id"]
    bed.write(f"{RECORDS}/{made}.json", damage)
    kill_launcher(bed)
    bed.run("systemctl", "restart", LAUNCHER)
    sweep(bed)
    [seen] = [one for one in bed.json("list", "--all") if one["id"] == made]
    assert (seen["state"], seen["machine"]) == ("running", "menu.iso") and "damaged" in seen["message"]
    bed.ctl("stop", made)
    gone(bed, made)


def fill(bed, what):
    """Leaves no room in /run, without taking the host's memory for it."""
    used = int(bed.run(f"df --block-size=1 --output={what} /run | tail -1").stdout)
    size = f"size={used + 65536}" if what == "used" else f"nr_inodes={used + 8}"
    bed.run(f"""mount -o remount,{size} /run; mkdir /run/fill; i=0
                while echo >/run/fill/$i; do i=$((i+1)); done 2>/dev/null || true""")
    assert bed.run("sh", "-c", "echo >/run/fill/x", check=False).returncode != 0


@pytest.fixture
def run_without_room(bed):
    before = bed.run("findmnt", "-no", "OPTIONS", "/run").stdout.strip()
    kept = [option for option in before.split(",") if option.startswith(("size=", "nr_inodes="))]
    yield lambda what: fill(bed, what)
    whole = ",".join({"size=50%", "nr_inodes=800k"} if not kept else kept)
    bed.run(f"rm -rf /run/fill; mount -o remount,{whole} /run")


@pytest.mark.parametrize("what", ["used", "iused"])
def test_with_run_full_a_session_ends_on_time(bed, session, run_without_room, what):
    made = session("--lifetime", "5s")["id"]
    end = bed.json("show", made)["expires_at"]
    run_without_room(what)
    bed.wait(f"! systemctl is-active -q qwd-session-{made}", 20)
    assert bed.journal(f"UNIT=qwd-expire@{made}.{end}.service", "EXIT_STATUS=226") == []


def test_a_stop_that_was_not_passed_on_is_passed_on(bed, session):
    made = session()["id"]
    bed.write(f"{RECORDS}/{made}.asked", "person local:root root")
    bed.wait(f"qwdctl show {made} --json | grep -q stopping", 10)
    sweep(bed)
    bed.wait(f"qwdctl show {made} --json | grep -q ended", 20)
    gone(bed, made)


def test_what_is_wrong_with_timers_is_put_right(bed, session):
    made = session("--lifetime", "1h")["id"]
    end = bed.json("show", made)["expires_at"]
    right = f"qwd-expire@{made}.{end}.timer"
    bed.run("systemctl", "stop", right)
    bed.run("systemctl", "restart", LAUNCHER)
    bed.wait(f"systemctl is-active -q {right}", 10)
    bed.run("systemctl", "stop", right)
    sweep(bed)
    assert timers(bed, made) == {right: "waiting"}


def test_a_second_launcher_changes_nothing_and_says_why(bed, session):
    session()
    before = bed.run("systemctl", "show", "-P", "MainPID", LAUNCHER).stdout
    second = bed.run("systemd-run", "-q", "--wait", "--collect", "--unit=second-launcher", "/usr/libexec/qemu-web-desktop/qwd-launcher",
                     check=False)
    assert second.returncode != 0
    # By its name: journald may not learn the unit of a process that is gone when it reads the line.
    assert any("Another launcher runs already" in line["MESSAGE"] for line in bed.journal("-t", "qwd-launcher"))
    assert bed.run("systemctl", "show", "-P", "MainPID", LAUNCHER).stdout == before


def test_nobody_but_root_can_hold_what_the_launcher_locks(bed):
    kill_launcher(bed)
    hold = "setpriv --reuid=65534 --clear-groups timeout 20 flock -n $d sleep 20 >/dev/null 2>&1 &"
    bed.run(f"for d in /run/qemu-web-desktop /run/qemu-web-desktop/*/; do {hold} done; sleep 0.3; qwdctl list")


def test_a_killed_qemu_is_not_blamed_on_memory_alone(bed, session):
    made = session()["id"]
    bed.run("systemctl", "kill", "-s", "KILL", f"qwd-session-{made}")
    bed.wait(f"qwdctl show {made} --json | grep -q failed", 10)
    message = bed.json("show", made)["message"]
    assert "killed on the server" in message and "most likely" not in message


def test_a_killed_reaper_does_not_hide_why_a_session_ended(bed, session):
    folder = "/run/systemd/system/qwd-ended@.service.d"
    bed.run("mkdir", "-p", folder)
    bed.write(f"{folder}/slow.conf", "[Service]\nExecStartPre=/bin/sleep 2\nRestartSec=0\n")
    bed.run("systemctl", "daemon-reload")
    try:
        made = session()["id"]
        bed.qmp(made, "quit")
        bed.wait(f"systemctl show -P ActiveState qwd-ended@{made} | grep -q activating", 10)
        bed.run("systemctl", "kill", "-s", "KILL", f"qwd-ended@{made}")
        bed.wait(f"test ! -e {RECORDS}/{made}.json", 20)
        assert bed.json("show", made)["message"] == "It was shut down by its guest, or on the server."
    finally:
        bed.run("rm", "-r", folder)
        bed.run("systemctl", "daemon-reload")


def test_without_descriptors_a_machine_is_not_missing_and_no_session_ends(bed, session):
    made = session("--lifetime", "1h")["id"]
    pid = bed.run("systemctl", "show", "-P", "MainPID", LAUNCHER).stdout.strip()
    limit = bed.run("sh", "-c", "ls -v /proc/$1/fd | tail -1", "sh", pid).stdout.strip()
    bed.run("prlimit", f"--pid={pid}", f"--nofile={int(limit) + 1}:8192")
    try:
        refused = bed.ctl("start", "menu.iso", check=False)
        assert refused.returncode != 0 and "There is no machine" not in refused.stderr, refused.stderr
        bed.run("systemctl", "start", "qwd-reaper.service", check=False)
        bed.run("systemctl", "is-active", "-q", f"qwd-session-{made}")
    finally:
        bed.run("prlimit", f"--pid={pid}", "--nofile=8192:8192")
    sweep(bed)
    assert bed.json("show", made)["state"] == "running"
