"""How each machine is run: firmware, processor, disk, graphics, who may use it and with how much."""

import json
import time

import pytest

import boot_disk
from conftest import MACHINES
from screen import Api, Screen
from test_images import settled
from test_units import gone, prop

IMAGES = "/var/lib/qemu-web-desktop/machines"
CATALOGUE = "/etc/qemu-web-desktop/machines.conf"
# Everything that a guest without drivers of its own can show, each at least once.
BOOTS = {
    "hard-virtio.img": "disk=virtio\nvideo=qxl",
    "hard-scsi.img": "disk=scsi\nvideo=virtio\nballoon=no",
    "hard-nvme.img": "disk=nvme\nvideo=vmware\nclock=localtime",
    "hard-windows.img": "os=windows",
}
FIRMWARE = {
    "hard-uefi.img": "firmware=uefi\ntpm=yes",
    "hard-secure.img": "os=windows\nfirmware=uefi-secure\ntpm=yes",
    "hard-arm.img": "architecture=aarch64\nmemory=256M",
}


def catalogue(bed, sections):
    text = "".join(f"[{name}]\ndescription=For a test\n{keys}\n" for name, keys in sections.items())
    bed.write(CATALOGUE, MACHINES + text)


@pytest.fixture(scope="module")
def machines(bed, tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk") / "disk.img"
    disk.write_bytes(boot_disk.disk())
    bed.put(disk, f"{IMAGES}/hard-master")
    for name in [*BOOTS, *FIRMWARE]:
        bed.run("ln", "-s", "hard-master", f"{IMAGES}/{name}")
    catalogue(bed, {**BOOTS, **FIRMWARE})
    yield
    bed.ctl("stop", "--all", check=False)
    bed.write(CATALOGUE, MACHINES)
    bed.run(f"rm -f {IMAGES}/hard-*")


@pytest.fixture
def alice(bed, machines):
    catalogue(bed, {**BOOTS, **FIRMWARE})
    yield Api(bed, "alice")
    bed.ctl("stop", "--all", check=False)


def started(alice, name):
    status, made = alice.create(machine=name)
    assert status == 201, (name, made)
    return made


def painted(screen, seconds=240):
    """Waits until the firmware has drawn something. Before it does, QEMU shows a line of its own, on 640 x 480."""
    end = time.monotonic() + seconds
    while True:
        data = screen.picture()
        colours = {data[at:at + 3] for at in range(0, len(data), 4)}
        if (screen.width, screen.height) != (640, 480) and len(colours) > 1:
            return
        assert time.monotonic() < end, "the firmware shows nothing"
        time.sleep(0.5)


def test_a_disk_is_booted_from_on_every_bus_and_shown_by_every_card(bed, alice):
    made = {name: started(alice, name)["id"] for name in BOOTS}
    pictures = [settled(Screen(bed.origin, alice.ticket(session))) for session in made.values()]
    assert all(picture == pictures[0] for picture in pictures)


def test_uefi_and_another_processor_show_their_firmware(bed, alice):
    made = {name: started(alice, name) for name in FIRMWARE}
    for name, session in made.items():
        painted(Screen(bed.origin, alice.ticket(session["id"])))
        folder = f"/var/tmp/systemd-private-*-qwd-session-{session['id']}.service-*/tmp"
        # The firmware has written its variables on a layer of the session's own.
        bed.wait(f'test "$(stat -c %s {folder}/variables.qcow2)" -gt 262144')
        if "tpm" in FIRMWARE[name]:
            # The firmware has talked with the module, whose program is in the session's unit, as its user.
            bed.wait(f"test -s {folder}/tpm/tpm2-00.permall")
            assert bed.qmp(session["id"], "query-tpm")[0]["id"] == "tpm0"
            pids = bed.run("sh", "-c", 'cat "/sys/fs/cgroup/systemd$1/cgroup.procs" "/sys/fs/cgroup$1/cgroup.procs" 2>/dev/null; true',
                           "sh", prop(bed, session["id"], "ControlGroup")).stdout.split()
            owners = {bed.run("ps", "-o", "comm=,user=", "-p", pid).stdout.strip() for pid in pids}
            assert len({owner.split()[-1] for owner in owners}) == 1 and any(o.startswith("swtpm") for o in owners), owners
    assert "another kind" in " ".join(made["hard-arm.img"]["notes"])
    assert bed.qmp(made["hard-arm.img"]["id"], "query-target")["arch"] == "aarch64"
    for session in made.values():
        # Those of other tests have reason to complain.
        own = bed.journal("-t", "qwd-session", "-u", f"qwd-session-{session['id']}.service")
        assert not any("qwd-session:" in line["MESSAGE"] for line in own)
        assert bed.run("systemd-analyze", "security", "--threshold=20", f"qwd-session-{session['id']}.service", check=False).returncode == 0
    bed.ctl("stop", *(session["id"] for session in made.values()))
    for session in made.values():
        gone(bed, session["id"])
    assert bed.run("pgrep", "swtpm", check=False).stdout == ""


def test_what_is_not_installed_is_told_with_the_package_that_has_it(bed, alice):
    for path, machine, package in [
        ("/usr/bin/swtpm", "hard-uefi.img", "swtpm"),
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "hard-uefi.img", "ovmf"),
        ("/usr/share/AAVMF/AAVMF_CODE.fd", "hard-arm.img", "qemu-efi-aarch64"),
        ("/usr/bin/qemu-system-aarch64", "hard-arm.img", "qemu-system-arm"),
    ]:
        bed.run("mv", path, f"{path}.away")
        try:
            status, answer = alice.create(machine=machine)
            listed = next(m for m in bed.json("machines") if m["name"] == machine)
        finally:
            bed.run("mv", f"{path}.away", path)
        assert (status, answer["error"]) == (409, "machine_unusable"), answer
        assert f"'apt install {package}'" in answer["message"] and listed["problem"] == answer["message"]


def test_a_machine_has_its_amounts_and_its_people(bed, alice):
    catalogue(bed, {"hard-uefi.img": "cpus_min=2\ncpus_max=3\nmemory=192M\nmemory_max=256M",
                    "hard-arm.img": "groups=staff",
                    "hard-nvme.img": "video=cga"})
    made = started(alice, "hard-uefi.img")
    assert (made["cpus"], made["memory_bytes"]) == (2, 192 << 20)
    for wanted, sentence in [({"cpus": 1}, "takes 2 to 3 CPUs"), ({"memory_bytes": 1 << 30}, "256M at most")]:
        status, answer = alice.create(machine="hard-uefi.img", **wanted)
        assert (status, answer["error"]) == (400, "bad_request") and sentence in answer["message"], answer
    status, answer = alice.create(machine="hard-arm.img")
    assert (status, answer["error"]) == (403, "not_allowed") and "staff" in answer["message"], answer
    names = [machine["name"] for machine in alice.call("GET", "machines")[1]["machines"]]
    assert "hard-uefi.img" in names and "hard-arm.img" not in names
    # A mistake in one section leaves the others alone.
    status, answer = alice.create(machine="hard-nvme.img")
    assert (status, answer["error"]) == (409, "machine_unusable")
    line = bed.run("grep", "-n", "cga", CATALOGUE).stdout.split(":")[0]
    assert f"machines.conf:{line}: video: 'cga' is none of" in answer["message"], answer
    assert f"machines.conf:{line}" in bed.ctl("check", check=False).stdout


def arguments(bed, session):
    pid = bed.run("systemctl", "show", "--value", "-p", "MainPID", f"qwd-session-{session}").stdout.strip()
    return bed.run(f"tr '\\0' '\\n' </proc/{pid}/cmdline").stdout.splitlines()


def test_a_machine_type_is_a_version_and_each_session_a_machine_of_its_own(bed, session):
    one, other = (session()["id"] for _ in range(2))
    found = []
    for made in (one, other):
        given = arguments(bed, made)
        machine = given[given.index("-machine") + 1].split(",")[0]
        assert machine.startswith("pc-i440fx-") and machine != "pc", machine
        record = json.loads(bed.run("cat", f"/run/qemu-web-desktop/records/{made}.json").stdout)["record"]
        assert record["run"]["machine_type"] == machine
        found.append([argument for argument in given if argument.startswith("vmgenid,guid=")])
        assert "virtserialport,chardev=agent,name=org.qemu.guest_agent.0" in given
        # No agent answers here, so that nothing is known of its guest.
        assert bed.json("show", made)["booted"] is False
    assert len(found[0]) == 1 and found[0] != found[1]
    # It is asked once a boot, however often the launcher starts.
    asked = "journalctl -b --no-pager -o cat | grep -c '^Starting qwd-machine-'"
    before = bed.run(asked, check=False).stdout
    bed.run("systemctl", "stop", "qwd-launcher")
    session()
    assert bed.run(asked, check=False).stdout == before
