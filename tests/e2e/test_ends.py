"""How sessions end: on time, at once, tidily, whoever is down."""

import json
import time

import pytest

from conftest import SETTINGS
from screen import Api, Screen
from test_units import gone


def test_a_lifetime_ends_within_five_seconds_of_its_time(bed, session):
    made = session("--lifetime", "5s")
    end = bed.json("show", made["id"])["expires_at"]
    bed.wait(f"qwdctl show {made['id']} --json | grep -q ended")
    told = bed.journal(f"QWD_SESSION={made['id']}")
    asked = next(line for line in told if "lifetime" in line["MESSAGE"] and "asked to shut down" in line["MESSAGE"])
    assert -2 <= int(asked["__REALTIME_TIMESTAMP"]) / 1e6 - end <= 5
    assert bed.json("show", made["id"])["message"] == "Its lifetime was over."
    gone(bed, made["id"])


def test_an_extended_session_ends_at_its_new_time_with_all_our_programs_stopped(bed, session):
    made = session("--lifetime", "6s")["id"]
    bed.ctl("extend", made, "6s")
    end = bed.json("show", made)["expires_at"]
    # Not only stopped: none of them can be started either.
    programs = ["qwd-launcher.service", "qwd-portal.service", "qwd-display.service", "qwd-reaper.service", "qwd-reaper.timer"]
    bed.run("systemctl", "mask", "--runtime", "--now", "qwd-portal.socket", "qwd-display.socket", *programs)
    try:
        bed.wait(f"! systemctl is-active -q qwd-session-{made}")
        now = float(bed.run("date", "+%s.%N").stdout)
        assert -2 <= now - end <= 5 + 1
        gone(bed, made)
    finally:
        bed.run("systemctl", "unmask", "--runtime", "qwd-portal.socket", "qwd-display.socket", *programs)
        bed.run("systemctl", "start", "qwd-portal.socket", "qwd-display.socket", "qwd-reaper.timer")
    assert bed.json("show", made)["message"] == "Its lifetime was over."


def test_extending_has_its_bound_and_says_it(bed, session):
    made = session("--lifetime", "1h")["id"]
    before = bed.json("show", made)
    assert bed.json("extend", made, "1h")["expires_at"] == before["expires_at"] + 3600
    refused = bed.ctl("extend", made, "30d", check=False)
    assert refused.returncode == 3 and "snapshot_lifetime" in refused.stderr
    timers = bed.run("systemctl", "list-units", "--plain", "--no-legend", f"qwd-expire@{made}*.timer").stdout.split("\n")
    assert len([t for t in timers if t]) == 1


def test_a_guest_that_ends_takes_its_session_along_within_two_seconds(bed, session):
    made = session()["id"]
    start = time.monotonic()
    bed.qmp(made, "quit")
    bed.wait(f"qwdctl show {made} --json | grep -q ended", 10)
    gone(bed, made)
    assert time.monotonic() - start < 2 + 2, "with the time that the test's own commands take"


def test_a_killed_qemu_is_noticed_and_told(bed, session):
    made = session()["id"]
    bed.run("systemctl", "kill", "-s", "SEGV", f"qwd-session-{made}")
    bed.wait(f"qwdctl show {made} --json | grep -q failed", 20)
    assert "crashed" in bed.json("show", made)["message"]
    gone(bed, made)


def test_a_sweep_leaves_an_end_that_is_being_cleared_up_alone(bed, session):
    made = session()["id"]
    drop_in, go = "/run/systemd/system/qwd-ended@.service.d", "/run/test-go"
    bed.run("mkdir", "-p", drop_in)
    bed.write(f"{drop_in}/wait.conf", f"[Service]\nExecStartPre=sh -c 'until test -e {go}; do sleep 0.1; done'\n")
    bed.run("systemctl", "daemon-reload")
    try:
        bed.run("systemctl", "stop", f"qwd-session-{made}")
        bed.wait(f"test \"$(systemctl is-active qwd-ended@{made})\" = activating")
        bed.run("systemctl", "start", "qwd-reaper")
        bed.run("test", "-e", f"/run/qemu-web-desktop/records/{made}.json")
    finally:
        bed.run("touch", go)
        bed.wait(f"! systemctl list-units --plain --no-legend 'qwd-ended@{made}*' | grep -q .")
        bed.run(f"rm -r {drop_in} {go}; systemctl daemon-reload")
    assert bed.json("show", made)["state"] == "ended"
    gone(bed, made)


def test_stop_twice_is_fine_and_a_stranger_is_no_session(bed, session):
    made = session()["id"]
    assert bed.ctl("stop", made).returncode == 0
    assert bed.ctl("stop", made, check=False).returncode in (0, 4)
    assert bed.ctl("stop", "abcdefghij", check=False).returncode == 4
    assert bed.ctl("show", "../../etc", check=False).returncode == 4


def test_switching_off_leaves_no_failed_unit_and_a_stuck_qemu_is_switched_off_too(bed, session):
    made, stuck = session()["id"], session()["id"]
    bed.ctl("stop", "--kill", made)
    assert bed.json("show", made)["state"] == "ended"
    gone(bed, made)
    systemd = [line["MESSAGE"] for line in bed.journal(f"UNIT=qwd-session-{made}.service")]
    assert any("Deactivated successfully" in line for line in systemd), systemd
    assert not any("Failed with result" in line for line in systemd), systemd
    bed.run("systemctl", "kill", "-s", "STOP", f"qwd-session-{stuck}")
    start = time.monotonic()
    bed.ctl("stop", "--kill", stuck)
    assert time.monotonic() - start < 10 and bed.json("show", stuck)["state"] == "ended"
    gone(bed, stuck)


def test_stop_all_stops_all(bed, session):
    made = [session("--owner", owner)["id"] for owner in ("local:alice", "local:bob")]
    bed.ctl("stop", "--all")
    assert bed.json("list", "--all") in ([], {"sessions": []})
    for one in made:
        gone(bed, one)


def test_the_sweep_removes_what_escaped_everybody_else(bed, session):
    made = session()["id"]
    disks = "/var/lib/qemu-web-desktop/disks-test"
    bed.run("mkdir", "-p", f"{disks}/bbbbbbbbbb", f"{disks}/not-a-session")
    bed.write("/etc/qemu-web-desktop/config.d/zz.toml", f'[paths]\ndir_snapshots = "{disks}"\n')
    record = json.loads(bed.run("cat", f"/run/qemu-web-desktop/records/{made}.json").stdout)
    record["record"]["id"] = "cccccccccc"
    bed.write("/run/qemu-web-desktop/records/cccccccccc.json", json.dumps(record))
    bed.write("/run/qemu-web-desktop/records/dddddddddd.json", "{")
    try:
        bed.run("systemctl", "start", "qwd-reaper.service")
        assert bed.run("ls", disks).stdout.split() == ["not-a-session"]
        assert bed.run("ls", "/run/qemu-web-desktop/records").stdout.split() == [f"{made}.json"]
        assert bed.json("show", made)["state"] == "running"
    finally:
        bed.run("rm", "-rf", disks, "/etc/qemu-web-desktop/config.d/zz.toml")


def test_a_record_of_a_newer_version_is_kept_and_its_session_runs_on(bed, session):
    made = session()["id"]
    path = f"/run/qemu-web-desktop/records/{made}.json"
    good = bed.run("cat", path).stdout
    newer = json.dumps({"version": 2, "record": {"id": made, "seals": 7}})
    bed.run("systemctl", "stop", "qwd-launcher")
    bed.write(path, newer)
    try:
        for _ in range(2):
            bed.run("systemctl", "start", "qwd-reaper.service")
        assert bed.run("systemctl", "is-active", f"qwd-session-{made}").stdout.strip() == "active"
        assert bed.run("cat", path).stdout == newer
        warning = f"Session {made} cannot be managed: a newer version of qemu-web-desktop wrote its record."
        assert any(text.startswith(warning) for text in bed.json("status")["warnings"])
        assert sum(warning in line["MESSAGE"] for line in bed.journal(f"QWD_SESSION={made}")) == 1
        assert "newer version" in bed.json("show", made)["message"]
        # Whatever ends the session, the record stays.
        bed.run("systemctl", "stop", f"qwd-session-{made}")
        bed.wait(f"! systemctl is-active -q qwd-ended@{made}")
        bed.run("systemctl", "start", "qwd-reaper.service")
        assert bed.run("cat", path).stdout == newer
    finally:
        bed.run("systemctl", "stop", "qwd-launcher")
        bed.write(path, good)
        bed.run("systemctl", "start", "qwd-reaper.service")
    assert bed.run("ls", "/run/qemu-web-desktop/records").stdout == ""


def test_a_session_that_ends_without_its_record_leaves_nothing(bed, session):
    made = session()["id"]
    bed.run("rm", f"/run/qemu-web-desktop/records/{made}.json")
    bed.run("systemctl", "stop", f"qwd-session-{made}")
    gone(bed, made)


def test_the_sweep_removes_what_a_session_without_its_record_left(bed, session):
    made = session()["id"]
    bed.run("rm", f"/run/qemu-web-desktop/records/{made}.json")
    bed.run("systemctl", "mask", "--runtime", "-q", f"qwd-ended@{made}.service")
    try:
        bed.run("systemctl", "stop", f"qwd-session-{made}")
        bed.run("systemctl", "start", "qwd-reaper.service")
    finally:
        bed.run("systemctl", "unmask", "--runtime", "-q", f"qwd-ended@{made}.service")
    gone(bed, made)


def test_a_disk_outside_the_unit_goes_with_its_session(bed, session):
    disks = "/srv/disks-test"
    bed.run("mkdir", "-p", disks)
    bed.write("/etc/qemu-web-desktop/config.d/zz.toml", f'[paths]\ndir_snapshots = "{disks}"\n')
    try:
        made = session()["id"]
        held = f"{disks}/{made}"
        assert bed.run("stat", "-c", "%a", held).stdout.strip() == "700"
        assert bed.run("setpriv", "--reuid=65534", "--clear-groups", "cat", f"{held}/disk.qcow2", check=False).returncode != 0
        bed.run("systemctl", "kill", "-s", "KILL", f"qwd-session-{made}")
        bed.wait(f"test ! -e {held}")
    finally:
        bed.run("rm", "-rf", disks, "/etc/qemu-web-desktop/config.d/zz.toml")


def test_the_journal_finds_a_cleaner_s_lines_by_unit_however_late_it_reads_them(bed):
    folder = "/var/lib/qemu-web-desktop/disks-late"
    bed.write("/etc/qemu-web-desktop/config.d/zz.toml", f'[paths]\ndir_snapshots = "{folder}"\n')
    bed.run("mkdir", "-p", f"{folder}/abcdefghij")
    # It reads nothing until the program is gone, as on a busy machine.
    bed.run("""journal=$(systemctl show -P MainPID systemd-journald); kill -STOP $journal
               systemctl restart qwd-cleanup.service; ended=$?; kill -CONT $journal; exit $ended""")
    bed.run("rm", "-r", "/etc/qemu-web-desktop/config.d/zz.toml", folder)
    removed = [line["MESSAGE"] for line in bed.journal("-u", "qwd-cleanup.service")]
    assert f"{folder}/abcdefghij belonged to no session and was removed." in removed


def test_a_session_without_end_has_no_timer(bed, session):
    bed.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS.replace("[session]", '[session]\nsnapshot_lifetime = "0"\nlifetime = "0"'))
    try:
        made = session()["id"]
        assert bed.json("show", made)["expires_at"] == 0
        assert bed.run("systemctl", "list-units", "--plain", "--no-legend", f"qwd-expire@{made}*").stdout == ""
        assert bed.run("systemctl", "show", "-P", "RuntimeMaxUSec", f"qwd-session-{made}").stdout.strip() == "infinity"
    finally:
        bed.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS)
