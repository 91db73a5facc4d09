"""'make install' and 'make uninstall', into a folder."""

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


def test_a_second_installation_leaves_settings_alone(built, tmp_path):
    make("install", f"DESTDIR={tmp_path}")
    settings = tmp_path / "etc/qemu-web-desktop/config.toml"
    settings.write_text("# mine\n")
    make("install", f"DESTDIR={tmp_path}")
    assert settings.read_text() == "# mine\n"
