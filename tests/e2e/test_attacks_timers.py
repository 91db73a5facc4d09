"""Attempts to have a session run longer than its time, or start once more."""

from collections import Counter
from contextlib import contextmanager

from conftest import SETTINGS
from test_units import gone

# systemd's message "a unit has been started".
STARTED = "MESSAGE_ID=39f53479d3a045ac8e11786248231fbf"


def timers(bed, made):
    """The session's timers: each name with its state, once systemd has done what it was asked."""
    bed.wait(f"! systemctl list-jobs --no-legend | grep -q 'qwd-expire@{made}'")
    units = bed.run("systemctl", "list-units", "--all", "--plain", "--no-legend", f"qwd-expire@{made}.*.timer").stdout
    return {line.split()[0]: line.split()[3] for line in units.splitlines()}


def invocation(bed, made):
    """The id that systemd gives a unit anew at each start, and how the unit is."""
    unit = f"qwd-session-{made}.service"
    return [bed.run("systemctl", "show", "-P", key, unit).stdout.strip() for key in ("InvocationID", "ActiveState")]


@contextmanager
def dead_but_loaded(bed, made):
    """The session's QEMU is killed; the unit stays loaded and the record stays written."""
    unit, failed, holder = f"qwd-session-{made}.service", f"qwd-failed@{made}.service", f"hold-{made}.service"
    bed.run("systemd-run", "-q", f"--unit={holder}", "-p", f"After={unit}", "sleep", "infinity")
    bed.run("systemctl", "mask", "--runtime", "-q", failed)
    try:
        bed.run("systemctl", "kill", "-s", "KILL", unit)
        bed.wait(f"systemctl is-failed -q {unit}")
        yield
    finally:
        bed.run("systemctl", "unmask", "--runtime", "-q", failed)
        bed.run("systemctl", "stop", holder)
        bed.run("systemctl", "start", "qwd-reaper.service")


def test_an_extension_starts_no_session_that_has_just_ended(bed, session):
    made = session()["id"]
    before, _ = invocation(bed, made)
    with dead_but_loaded(bed, made):
        bed.ctl("extend", made, "1h", check=False)
        assert invocation(bed, made) == [before, "failed"]
        assert timers(bed, made) == {}
        # systemd 252 forgets on a reload how often it has started a unit.
        bed.run("systemctl", "daemon-reload")
        for verb in ("start", "restart", "reload-or-restart"):
            assert bed.run("systemctl", verb, f"qwd-session-{made}.service", check=False).returncode != 0
            assert invocation(bed, made) == [before, "failed"]
    gone(bed, made)


def test_a_session_that_is_restarted_ends_and_is_not_started_again(bed, session):
    for verb, reload in (("restart", "daemon-reload"), ("try-restart", "daemon-reexec")):
        made = session()["id"]
        bed.run("systemctl", reload)
        assert bed.run("systemctl", verb, f"qwd-session-{made}.service", check=False).returncode != 0
        bed.wait(f"qwdctl show {made} --json | grep -q ended")
        gone(bed, made)
        assert starts(bed)[f"qwd-session-{made}.service"] == 1


def starts(bed):
    """How often systemd has started each session's unit since boot."""
    return Counter(line["UNIT"] for line in bed.journal(STARTED) if line["UNIT"].startswith("qwd-session-"))


def test_a_session_whose_qemu_ends_at_once_is_started_once(bed, settings):
    before = starts(bed)
    settings(SETTINGS.replace("[qemu]", '[qemu]\nqemu_exec = "/bin/false"'))
    for _ in range(3):
        assert bed.ctl("start", "menu.iso", check=False).returncode != 0
    assert list((starts(bed) - before).values()) == [1, 1, 1]


def test_extensions_at_once_all_count_and_leave_one_timer(bed, session):
    made = session("--lifetime", "1h")["id"]
    end = bed.json("show", made)["expires_at"]
    bed.run(f"""for n in 1 2 3 4 5 6; do qwdctl extend {made} 1m & all="$all $!"; done
                for one in $all; do wait $one || exit 1; done""")
    assert bed.json("show", made)["expires_at"] == end + 360
    assert timers(bed, made) == {f"qwd-expire@{made}.{end + 360}.timer": "waiting"}


def arm(bed, made, end, seconds):
    """Has systemd fire a timer for that end in so many seconds, as if the server's clock had been set back since."""
    name = f"qwd-expire@{made}.{end}.timer"
    bed.run("busctl", "call", "--", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
            "StartTransientUnit", "ssa(sv)a(sa(sv))", name, "ignore-requirements", 5,
            "BindsTo", "as", 1, f"qwd-session-{made}.service", "TimersMonotonic", "a(st)", 1, "OnActiveSec", seconds * 1_000_000,
            "TimersCalendar", "a(ss)", 1, "OnCalendar", f"@{end}", "AccuracyUSec", "t", 1, "RemainAfterElapse", "b", "false", 0)
    return name


@contextmanager
def without_our_programs(bed):
    """None of our programs that stay runs, or can be started."""
    programs = ["qwd-launcher.service", "qwd-reaper.service", "qwd-reaper.timer"]
    bed.run("systemctl", "mask", "--runtime", "-q", "--now", *programs)
    try:
        yield
    finally:
        bed.run("systemctl", "unmask", "--runtime", "-q", *programs)
        bed.run("systemctl", "start", "qwd-reaper.timer")


def written(bed, made, end):
    """Writes another end of the session down, as a launcher does that is killed before it arms the timer."""
    bed.run("sed", "-i", f's/"expires_at":[0-9]*/"expires_at":{end}/', f"/run/qemu-web-desktop/records/{made}.json")


def test_a_timer_that_fires_before_the_end_on_record_arms_another(bed, session):
    made = session("--lifetime", "3s")["id"]
    end = bed.json("show", made)["expires_at"] + 4
    with without_our_programs(bed):
        written(bed, made, end)
        bed.wait(f"systemctl is-active -q qwd-expire@{made}.{end}.timer", 15)
        bed.run("systemctl", "is-active", "-q", f"qwd-session-{made}")
        bed.wait(f"! systemctl is-active -q qwd-session-{made}", 15)
        assert -2 <= float(bed.run("date", "+%s.%N").stdout) - end <= 5 + 1
    gone(bed, made)


def test_a_timer_that_fires_early_waits_for_the_date(bed, session):
    made = session("--lifetime", "1h")["id"]
    end = bed.json("show", made)["expires_at"]
    timer = f"qwd-expire@{made}.{end}.timer"
    bed.run("systemctl", "stop", timer)
    assert arm(bed, made, end, 1) == timer
    bed.wait(f"systemctl show -P LastTriggerUSec {timer} | grep -q .")
    bed.wait(f"test \"$(systemctl show -P SubState {timer})\" = waiting")
    assert timers(bed, made) == {timer: "waiting"}
    bed.run("systemctl", "is-active", "-q", f"qwd-session-{made}")


def test_an_expiry_that_is_not_due_arms_the_timer_that_is_missing(bed, session):
    made = session("--lifetime", "1h")["id"]
    end = bed.json("show", made)["expires_at"]
    timer = f"qwd-expire@{made}.{end}.timer"
    for fired in ("0", "17", str(end)):
        bed.run("systemctl", "stop", timer)
        bed.run("systemctl", "start", f"qwd-expire@{made}.{fired}.service")
        assert timers(bed, made) == {timer: "waiting"}


def test_the_timer_has_the_date_of_the_end_also_after_an_extension(bed, session):
    made = session("--lifetime", "1h")["id"]
    bed.ctl("extend", made, "1h")
    end = bed.json("show", made)["expires_at"]
    date = bed.run("systemctl", "show", "-P", "TimersCalendar", f"qwd-expire@{made}.{end}.timer").stdout
    assert f"OnCalendar=@{end} " in date or bed.run("date", "-d", f"@{end}", "+%F %T").stdout.strip() in date


def test_a_session_whose_record_is_noise_ends_by_its_last_timer(bed, session):
    made = session("--lifetime", "1h")["id"]
    end = bed.json("show", made)["expires_at"]
    bed.run("systemctl", "stop", f"qwd-expire@{made}.*.timer")
    bed.write(f"/run/qemu-web-desktop/records/{made}.json", "noise")
    other = arm(bed, made, end, 3600)
    bed.run("systemctl", "start", f"qwd-expire@{made}.1.service")
    bed.run("systemctl", "is-active", "-q", f"qwd-session-{made}")
    bed.run("systemctl", "stop", other)
    bed.run("systemctl", "start", f"qwd-expire@{made}.1.service")
    bed.wait(f"! systemctl is-active -q qwd-session-{made}")
