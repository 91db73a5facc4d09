"""What a session may use, held by the kernel: memory, processor time, devices."""

from conftest import SETTINGS, group
from screen import Api
# `flooded` is a fixture.
from test_attacks_disk import MACHINE, flooded, length, longer, paused
from test_units import prop

MEMTEST = "memtest.iso"


def test_who_outgrows_the_memory_is_killed_alone_and_told(bed, session):
    neighbour = session("--owner", "local:bob")["id"]
    alice = Api(bed, "alice")
    status, made = alice.create(machine=MEMTEST, memory="512M")
    assert status in (200, 201), made
    unit, hungry = f"qwd-session-{made['id']}.service", made["id"]
    now = int(prop(bed, hungry, "MemoryCurrent"))
    bed.run("systemctl", "set-property", "--runtime", unit, f"MemoryMax={now + (16 << 20)}")
    bed.wait(f"test ! -e /run/qemu-web-desktop/records/{hungry}.json", 240)
    # In the words of systemd: not just any signal.
    assert any("oom-kill" in line["MESSAGE"] for line in bed.journal("-u", unit))
    told = bed.json("show", hungry)
    assert told["state"] == "failed" and "more memory than it may have" in told["message"]
    status, seen = alice.call("GET", f"sessions/{hungry}")
    assert (status, seen["state"], seen["message"]) == (200, "failed", told["message"])
    page = bed.run("curl", "-s", "-H", f"Cookie: {alice.cookie}", f"http://localhost/qemu-web-desktop/sessions/{hungry}").stdout
    assert told["message"] in page
    assert bed.json("show", neighbour)["state"] == "running"


def test_a_session_that_has_written_what_it_may_goes_on_with_more(bed, flooded):
    flooded('disk_max = "16M"')
    made = bed.json("start", MACHINE)["id"]
    paused(bed, made, "disk_limit")
    assert length(bed, made) <= 16 << 20
    bed.ctl("resume", made, "--disk-max", "28M")
    longer(bed, made, 20 << 20)
    paused(bed, made, "disk_limit")
    assert length(bed, made) <= 28 << 20


# CPU time of a control group over a hundred periods in which it was held back, as thousandths of a
# processor. Time is what the group's own periods took: a clock is read at another moment than the group's
# figures, on a busy host much later.
MEASURE = r"""
    group=/sys/fs/cgroup$1 end=$(($(date +%s) + 240))
    read -r quota period <"$group/cpu.max"
    look() { set -- $(cat "$group/cpu.stat"); while [ "$#" -gt 1 ]; do eval "$1=$2"; shift 2; done; }
    after() { until look; [ "$(($1))" -ge "$2" ]; do [ "$(date +%s)" -lt "$end" ] || exit 1; sleep 0.5; done; }
    look; after nr_throttled "$((nr_throttled + 10))"
    used=$usage_usec periods=$nr_periods; after nr_periods "$((nr_periods + 100))"
    echo "$(((usage_usec - used) * 1000 / ((nr_periods - periods) * period)))"
"""


def test_two_cpus_under_a_quota_of_a_quarter_each_use_a_half(bed, session):
    # One of them is busy from the start, and alone would use a whole one.
    bed.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS.replace("[qemu]", "[qemu]\ncpu_quota = 25"))
    try:
        made = session("--cpus", "2", "--memory", "256M", machine=MEMTEST)["id"]
    finally:
        bed.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS)
    used = int(bed.run("sh", "-c", MEASURE, "sh", group(bed, made)).stdout)
    assert used <= 525, f"{used / 1000} CPU seconds a second"


# Opens a device; the exit status is the error's number.
OPEN = """
import os, sys
try:
    os.open(sys.argv[1], os.O_RDWR if "kmsg" not in sys.argv[1] else os.O_WRONLY)
except OSError as error:
    sys.exit(error.errno)
"""
EPERM = 1


def test_other_devices_cannot_be_opened(bed, session):
    made = session()["id"]
    bed.run("modprobe tun; mknod -m 600 /root/loop-control c 10 237; modprobe loop")
    for path in ("/dev/kmsg", "/dev/mem", "/dev/vda", "/dev/net/tun", "/root/loop-control"):
        # Root may open it, outside the session's group and not in it.
        assert bed.run("python3", "-c", OPEN, path, check=False).returncode != EPERM, path
        assert bed.inside(made, "python3", "-c", OPEN, path).returncode == EPERM, path
    assert bed.inside(made, "python3", "-c", OPEN, "/dev/null").returncode == 0
