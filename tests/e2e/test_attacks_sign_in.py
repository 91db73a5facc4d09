"""Guesses at passwords: under many names, from two addresses, before and after a crash. Spellings: test_sign_in_servers.py."""

import json
import time

import pytest

from conftest import SETTINGS
from guesses import ASK, COUNTS, FORGET, ask, statuses

CONFIG = "/etc/qemu-web-desktop/config.d/attacks.toml"
# Refuses at once, where PAM takes seconds.
REFUSES = """#!/bin/sh
cat >/dev/null
echo '{"result": "refuse", "message": "nobody"}'
"""
COMMAND = SETTINGS + '[sign_in]\nmethods = ["command"]\n[sign_in.command]\nprogram = "/usr/local/bin/refuses"\n'
PAM = SETTINGS + '[sign_in]\nmethods = ["pam"]\n'


@pytest.fixture
def configured(bed):
    """Sets the methods of signing in, without failures of the test before."""
    def configure(text):
        bed.write(CONFIG, text)
        bed.run(FORGET)

    yield configure
    bed.run(f"rm -f {CONFIG}; {FORGET}")


@pytest.fixture(scope="module")
def accounts(bed):
    bed.run('for n in vera otto; do id $n || useradd --create-home $n; echo "$n:right of $n" | chpasswd; done')
    yield
    bed.run("for n in vera otto; do userdel --force --remove $n; done", check=False)


def test_two_addresses_keep_nobody_out_and_many_names_are_a_handful(bed, accounts, configured):
    configured(PAM)
    crowd = [(f"198.51.100.{n % 2}", f"name{n}", "guess") for n in range(400)]
    bed.write("/run/ask.py", ASK)
    bed.write("/run/crowd.json", json.dumps({"asked": crowd, "seconds": 6, "workers": 48}))
    bed.run("systemd-run", "-q", "--collect", "--unit=crowd", "sh", "-c", "python3 /run/ask.py </run/crowd.json >/run/crowd.out")
    end = time.monotonic() + 60
    bed.wait("journalctl -u qwd-portal --since -20s | grep -q 'refused from 198.51.100'")
    taken = []
    while bed.run("systemctl", "is-active", "crowd", check=False).stdout.strip() == "active":
        assert time.monotonic() < end
        [(status, seconds, name)] = ask(bed, ("192.0.2.7", "vera", "right of vera"))
        assert (status, name) == (200, "vera") and seconds < 5, (status, seconds)
        taken.append(seconds)
    assert taken
    made = statuses(json.loads(bed.run("cat", "/run/crowd.out").stdout))
    assert made.count(401) <= 2 * (10 + 1) and len(made) >= 400 and set(made) <= {401, 429, 503}


def test_a_crash_forgets_no_failure_and_a_damaged_file_forgives_none(bed, accounts, configured):
    bed.write("/usr/local/bin/refuses", REFUSES)
    bed.run("chmod 755 /usr/local/bin/refuses")
    configured(COMMAND)
    assert statuses(ask(bed, *[("192.0.2.9", f"name{n}", "guess") for n in range(10)])) == [401] * 10
    for end in ("systemctl kill -s KILL qwd-portal.service", "systemctl restart qwd-portal.service"):
        bed.run(end)
        assert statuses(ask(bed, ("192.0.2.9", "otto", "right of otto"))) == [429], end
    assert bed.run(f"stat -c %a {COUNTS}/* | sort -u").stdout.split() == ["600"]
    size = bed.run(f"du -sb {COUNTS}").stdout
    # Names and addresses are not in it.
    assert bed.run(f"grep -rl otto {COUNTS}", check=False).stdout == ""
    bed.run(f"systemctl stop qwd-portal.service; for f in {COUNTS}/*; do echo noise >$f; done")
    assert statuses(ask(bed, ("192.0.2.10", "vera", "guess"))) == [429]
    assert any("counts/pairs.damaged" in warning for warning in bed.json("check")["warnings"])
    assert bed.run(f"rm {COUNTS}/*.damaged; du -sb {COUNTS}").stdout == size
