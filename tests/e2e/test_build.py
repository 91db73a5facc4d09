"""`qwdctl build`: Debian's packages become a machine, by the installed package, in the unit that is shut in."""

import subprocess
import time

import pytest

import boot_disk
from conftest import BED, SETTINGS
from screen import Api, Screen
from test_desktop import type_line, wait_for

IMAGES = "/var/lib/qemu-web-desktop/machines"
CATALOGUE = "/etc/qemu-web-desktop/machines.conf"
NAME = "build.qcow2"
# What an administrator may write as well as qwdctl: the smallest that is built.
SECTION = f"[{NAME}]\ndescription=Old\nbuild_suite=bookworm\nbuild_desktop=none\nbuild_size=3G\n"


@pytest.fixture(scope="module")
def site(empty_bed, tmp_path_factory):
    """A server that reaches the archive, with an image that is going to be replaced, and without mmdebstrap."""
    bed = empty_bed
    bed.install()
    bed.write("/etc/qemu-web-desktop/config.d/test.toml", SETTINGS)
    disk = tmp_path_factory.mktemp("disk") / "disk.raw"
    disk.write_bytes(boot_disk.disk())
    bed.put(disk, "/srv/disk.raw")
    bed.ctl("import", "/srv/disk.raw", NAME)
    bed.write(CATALOGUE, SECTION)
    bed.forward()
    subprocess.run([BED, "net", bed.name, "on"], check=True)
    yield bed
    bed.run("systemctl", "kill", "-s", "KILL", "run-at-work", check=False)
    bed.ctl("stop", "--all", "--kill", check=False)


@pytest.fixture(scope="module")
def builder(site):
    """The same with mmdebstrap, from the archive."""
    refused(site, "The program mmdebstrap is missing: 'apt install mmdebstrap' installs it.")
    site.run("apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends mmdebstrap e2fsprogs",
             timeout=600)
    return site


def checksum(bed):
    return bed.run("sha256sum", f"{IMAGES}/{NAME}").stdout


def refused(bed, words, *more):
    done = bed.run("qwdctl", "build", NAME, "--refresh", *more, check=False, timeout=600)
    assert done.returncode == 1 and words in done.stderr, done
    nothing_half_made(bed)


def nothing_half_made(bed):
    assert bed.run(f"ls -A {IMAGES}").stdout == f"{NAME}\n"
    assert bed.run("systemctl", "list-units", "--plain", "--no-legend", "qwd-build-*").stdout == ""
    assert bed.run("systemctl", "--failed", "--plain", "--no-legend").stdout == ""


def unit(bed):
    """The unit in which it is built, once packages are being installed."""
    bed.wait(f"test -e {IMAGES}/.{NAME}.work/parts/root/usr/bin/dpkg", 300)
    return bed.run("systemctl", "list-units", "--plain", "--no-legend", "qwd-build-*").stdout.split()[0]


def test_nothing_is_built_under_a_session(builder):
    made = builder.json("start", NAME)
    refused(builder, f"'qwdctl stop {made['id']}' ends it first")
    builder.ctl("stop", "--kill", made["id"])


def test_what_the_archive_does_not_have_is_told_in_apts_words_and_the_old_image_stays(builder):
    before = checksum(builder)
    refused(builder, "banana Release' does not have a Release file", "--suite", "banana")
    # As the recipe says that stands in the catalogue.
    builder.write(CATALOGUE, SECTION + "build_packages=no-such-package\n")
    refused(builder, "apt says: Unable to locate package no-such-package.")
    builder.write(CATALOGUE, SECTION)
    assert checksum(builder) == before


@pytest.mark.parametrize("signal", ["INT", "KILL"])
def test_an_interruption_leaves_the_old_image_and_nothing_else(builder, signal):
    before = checksum(builder)
    builder.run("systemd-run", "-qG", "--unit=run-at-work", "qwdctl", "build", NAME, "--refresh")
    name = unit(builder)
    refusal = builder.ctl("start", NAME, check=False)
    assert "is being built at this moment" in refusal.stderr
    # It has to be root and to mount, and nothing beyond.
    rated = builder.run("systemd-analyze", "security", "--threshold=50", name, check=False)
    assert rated.returncode == 0, rated.stdout
    builder.run("systemctl", "kill", "-s", signal, "run-at-work")
    builder.wait("! systemctl is-active -q run-at-work")
    if signal == "KILL":
        # Nobody waits for it: it ends by itself, and what it left goes with the sweep.
        builder.wait("! systemctl list-units --plain --no-legend 'qwd-build-*' | grep -q .")
        builder.run("systemctl", "start", "qwd-reaper")
    nothing_half_made(builder)
    assert checksum(builder) == before


def test_a_machine_is_built_in_the_place_of_the_old_one_and_its_user_is_signed_in(builder):
    done = builder.run("qwdctl", "build", NAME, "--refresh", "--packages", "tree", "--description", "A Debian",
                       timeout=1500)
    assert f"qwdctl build {NAME} --refresh" in done.stdout
    nothing_half_made(builder)
    section = builder.run("cat", CATALOGUE).stdout
    for line in ("description=A Debian", "build_suite=bookworm", "build_desktop=none", "build_packages=tree", "build_user=user"):
        assert f"\n{line}\n" in section, section
    assert builder.run("stat", "-c", "%U %a", f"{IMAGES}/{NAME}").stdout == "root 644\n"
    alice = Api(builder, "alice")
    status, made = alice.create(machine=NAME, memory_bytes=512 << 20)
    assert status == 201, made
    screen = Screen(builder.origin, alice.ticket(made["id"]))
    ended = f"! test -e /run/qemu-web-desktop/records/{made['id']}.json"

    def went_down():
        # A prompt that is not there yet reads it later; what is installed besides decides.
        try:
            type_line(screen, "tree --version && sudo -n poweroff")
        except (EOFError, OSError):
            # In the middle of what is typed again the screen is gone.
            pass
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if builder.run(ended, check=False).returncode == 0:
                return True
            time.sleep(1)
        return False

    # The kernel's own mode: the loader has found the file system, and the kernel the disk.
    wait_for(lambda: screen.picture() and screen.width >= 1024, "kernel's console")
    wait_for(went_down, "end by the guest")
    assert "shut down" in builder.json("show", made["id"])["message"]
