"""'make install' and 'make uninstall', into a folder."""

import os
import re
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]


def make(*words):
    done = subprocess.run(["make", "-s", "-C", TREE, "PROFILE=dev", *words], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def files(root):
    return {str(p.relative_to(root)) for p in root.rglob("*") if not p.is_dir()}


@pytest.fixture(scope="module")
def built():
    make("all")


def test_what_is_installed_can_be_removed_but_for_the_configuration(built, tmp_path):
    make("install", f"DESTDIR={tmp_path}")
    there = files(tmp_path)
    assert {"usr/bin/qwdctl", "usr/lib/systemd/system/qwd-portal.socket", "usr/share/man/man1/qwdctl.1",
            "usr/libexec/qemu-web-desktop/qwd-session", "etc/fail2ban/filter.d/qemu-web-desktop.conf",
            "etc/pam.d/qemu-web-desktop", "etc/qemu-web-desktop/config.toml"} <= there
    make("uninstall", f"DESTDIR={tmp_path}")
    assert files(tmp_path) == {"etc/qemu-web-desktop/config.toml", "etc/qemu-web-desktop/machines.conf"}


def test_every_program_that_a_unit_starts_is_installed(built, tmp_path):
    make("install", f"DESTDIR={tmp_path}")
    for unit in (TREE / "units").glob("*.service"):
        program = re.search(r"^ExecStart=!?(/\S+)", unit.read_text(), re.M)[1]
        assert program.startswith("/usr/libexec/qemu-web-desktop/qwd-")
        assert os.access(tmp_path / program[1:], os.X_OK), program
    # One file, which knows its programs by name.
    said = subprocess.run([tmp_path / "usr/bin/qwdctl", "--version"], text=True, capture_output=True)
    assert said.stdout.startswith("qwdctl "), said.stderr
    said = subprocess.run([tmp_path / "usr/libexec/qemu-web-desktop/qwd"], text=True, capture_output=True)
    assert said.returncode == 2 and "--list" in said.stderr


def test_a_second_installation_leaves_settings_alone(built, tmp_path):
    make("install", f"DESTDIR={tmp_path}")
    settings = tmp_path / "etc/qemu-web-desktop/config.toml"
    settings.write_text("# mine\n")
    make("install", f"DESTDIR={tmp_path}")
    assert settings.read_text() == "# mine\n"
