"""The files of the package, read without installing them: units, bus policy, Apache, maintainer scripts."""

import configparser
import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[2]
UNITS = TREE / "units"
SERVICES = sorted(UNITS.glob("*.service"))
NAME = "org.qemuwebdesktop.Launcher1"
# Their peers are wherever the configuration says.
NETWORKED = {"qwd-auth-network@.service", "qwd-auth-command@.service", "qwd-mail@.service"}
# No session would end by them with /run full: systemd makes directories there for a mount namespace.
WITHOUT_NAMESPACE = {"qwd-expire@.service", "qwd-reaper.service"}
NAMESPACE = ("ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateNetwork", "ProtectKernelTunables", "ProtectKernelModules",
             "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "ReadWritePaths", "ReadOnlyPaths",
             "InaccessiblePaths", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "RootDirectory", "PrivateMounts",
             "NoExecPaths", "ExecPaths", "RuntimeDirectory", "StateDirectory", "LogNamespace", "PrivateIPC", "PrivateUsers")
# What root keeps, and what is needed to stop being root, where the unit says why.
CAPABILITIES = {"", "CAP_DAC_OVERRIDE"}
MORE_CAPABILITIES = {"qwd-auth-pam@.service": "CAP_CHOWN CAP_FOWNER",
                     "qwd-auth-network@.service": "CAP_SETUID CAP_SETGID",
                     "qwd-mail@.service": "CAP_SETUID CAP_SETGID"}


def lines(path, section):
    """The assignments of a unit's section, in order; comments left out."""
    found, current = [], None
    for line in path.read_text().splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif "=" in line and not line.startswith("#") and current == section:
            found.append(tuple(line.split("=", 1)))
    return found


@pytest.mark.parametrize("unit", SERVICES, ids=lambda p: p.name)
def test_every_service_is_exposed_to_less_than_two_of_ten(unit, tmp_path):
    copy = tmp_path / unit.name.replace("@.", "@instance.")
    copy.write_text(unit.read_text().replace("/usr/libexec/qemu-web-desktop/qwd-", "/bin/true #"))
    most = 30 if unit.name in WITHOUT_NAMESPACE else 20
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", f"--threshold={most}", "--no-pager", copy],
                          text=True, capture_output=True)
    assert done.returncode == 0, done.stdout.splitlines()[-1:] + done.stderr.splitlines()[-3:]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda p: p.name)
def test_every_service_is_shut_in(unit):
    service = lines(unit, "Service")
    said = dict(service)
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "ProtectKernelTunables", "ProtectControlGroups",
                "RestrictNamespaces", "RestrictSUIDSGID", "LockPersonality", "MemoryDenyWriteExecute"):
        if unit.name in WITHOUT_NAMESPACE and key in NAMESPACE:
            continue
        if (unit.name, key) == ("qwd-launcher.service", "PrivateTmp"):
            # It looks how large the sessions' disks are.
            assert said["ReadOnlyPaths"] == "/tmp /var/tmp"
            continue
        assert said.get(key) == "yes", key
    if unit.name in WITHOUT_NAMESPACE:
        assert not said.keys() & set(NAMESPACE)
        assert said["CapabilityBoundingSet"] == ""
    assert ("SystemCallFilter", "@system-service") in service
    if unit.name not in NETWORKED:
        assert said["IPAddressDeny"] == "any"
        assert "AF_INET" not in said["RestrictAddressFamilies"]
    assert said["CapabilityBoundingSet"] in CAPABILITIES | {MORE_CAPABILITIES.get(unit.name, "")}


def test_what_faces_the_network_is_not_root_and_starts_nothing():
    for name in ("portal", "display"):
        said = dict(lines(UNITS / f"qwd-{name}.service", "Service"))
        assert said["User"] in ("_qemu-web-desktop", "_qwd-display")
        assert said["NoExecPaths"] == "/"
        assert said["CapabilityBoundingSet"] == ""
        assert said["ProtectSystem"] == "strict"


@pytest.mark.parametrize("unit", SERVICES, ids=lambda p: p.name)
def test_no_unit_claims_the_common_directory(unit):
    assert ("RuntimeDirectory", "qemu-web-desktop") not in lines(unit, "Service")


def test_only_the_web_server_reaches_the_sockets():
    for name in ("portal", "display"):
        said = dict(lines(UNITS / f"qwd-{name}.socket", "Socket"))
        assert said["ListenStream"] == f"/run/qemu-web-desktop/{name}.sock"
        assert (said["SocketUser"], said["SocketGroup"], said["SocketMode"]) == ("root", "www-data", "0660")


@pytest.mark.parametrize("socket", sorted([*UNITS.glob("qwd-auth-*.socket"), *UNITS.glob("qwd-mail.socket")]),
                         ids=lambda p: p.name)
def test_only_the_portal_reaches_who_checks_and_mails(socket):
    said = dict(lines(socket, "Socket"))
    assert said["ListenStream"] == f"/run/qemu-web-desktop/{socket.stem.removeprefix('qwd-')}.sock"
    assert (said["SocketUser"], said["SocketGroup"], said["SocketMode"]) == ("root", "_qemu-web-desktop", "0660")
    assert (said["Accept"], said["TriggerLimitIntervalSec"]) == ("yes", "0")
    assert 0 < int(said["MaxConnections"]) <= 64
    service = dict(lines(socket.with_name(f"{socket.stem}@.service"), "Service"))
    assert (service["StandardInput"], service["LimitCORE"]) == ("socket", "0")
    assert int(service["RuntimeMaxSec"]) < 120


def test_every_socket_is_opened_by_the_package():
    rules = (TREE / "debian/rules").read_text()
    assert all(f" {socket.name} " in rules for socket in UNITS.glob("*.socket"))


def test_pam_lets_people_in_and_no_system_account():
    text = (TREE / "etc/pam.d/qemu-web-desktop").read_text()
    for kind in ("auth", "account"):
        guard = re.search(rf"^{kind} +required +pam_succeed_if.so quiet uid >= 1000$", text, re.M)
        assert guard and guard.start() < text.index(f"\n@include common-{kind}\n")


# The bus

def methods_in_source():
    text = (TREE / "src/bus/launcher.rs").read_text()
    snake = re.findall(r"^    fn (\w+)\(", text.replace("#[zbus(signal)]\n    fn", "#[signal]"), re.M)
    return {"".join(part.title() for part in name.split("_")) for name in snake}


def interface():
    root = ElementTree.parse(UNITS / f"dbus/{NAME}.xml").getroot()
    return root.find(f"./interface[@name='{NAME}']")


def policies():
    root = ElementTree.parse(UNITS / f"dbus/{NAME}.conf").getroot()
    return {tuple(sorted(p.attrib.items()))[0]: p for p in root.findall("policy")}


def members(policy):
    return {rule.get("send_member") for rule in policy.findall("allow") if rule.get("send_interface") == NAME}


def test_the_interface_file_names_the_methods_there_are():
    assert {m.get("name") for m in interface().findall("method")} == methods_in_source()


def test_the_policy_allows_each_user_just_their_methods():
    everything = methods_in_source()
    held_back = {"Redeem", "Report", "Agent", "Examine", "Resume", "Sweep", "Work"}
    allowed = policies()
    assert members(allowed["user", "_qemu-web-desktop"]) == everything - held_back
    # Joining is for guests of the page, and figures for machines; a local account has no use for them.
    assert members(allowed["group", "qwd-users"]) == everything - held_back - {
        "Claim", "Join", "JoinFrom", "Look", "Figures"}
    assert members(allowed["user", "_qwd-display"]) == {"Redeem", "Report", "Agent"}


def test_nobody_else_may_call_and_only_root_may_own():
    allowed = policies()
    assert [r.attrib for r in allowed["context", "default"]] == [{"send_destination": NAME}]
    assert allowed["context", "default"][0].tag == "deny"
    owners = [who for who, policy in allowed.items() if any(r.get("own") for r in policy)]
    assert owners == [("user", "root")]


def test_the_bus_starts_the_launcher_by_its_unit():
    file = configparser.ConfigParser()
    file.read(UNITS / f"dbus/{NAME}.service")
    assert file["D-BUS Service"]["Name"] == NAME
    assert file["D-BUS Service"]["SystemdService"] == "qwd-launcher.service"
    assert dict(lines(UNITS / "qwd-launcher.service", "Service"))["BusName"] == NAME


# Apache

def test_apache_takes_no_forwarding_header_from_a_client():
    text = (TREE / "apache/qemu-web-desktop.conf").read_text()
    for header in ("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Server", "Forwarded", "X-Remote-User",
                   "X-Remote-Groups", "X-Real-IP", "Via", "Remote-User"):
        assert re.search(rf"RequestHeader unset {header}$", text, re.M), header
    assert 'RequestHeader set X-Forwarded-Proto "expr=%{REQUEST_SCHEME}"' in text
    # "early" would take them from the other sites of this server as well.
    assert " early" not in text


def test_apache_always_sends_each_header_that_the_programs_believe():
    """One that is absent was lost on the way, and the request is refused."""
    text = (TREE / "apache/qemu-web-desktop.conf").read_text()
    source = (TREE / "src/proxy_headers.rs").read_text()
    of_apache = re.search(r'const REQUIRED: .*?=\s*\[(.*?)\]', source, re.S)[1]
    names = re.findall(r'"(x-[a-z-]+)"', of_apache) + re.findall(r'const (?:FORWARDED|CONNECTION): &str = "(.*)"', source)
    assert len(names) == 6
    # mod_proxy adds this one, after it has removed what Connection names.
    names.remove("x-forwarded-for")
    assert re.search("^    ProxyAddHeaders On$", text, re.M)
    for name in names:
        # Without a condition.
        assert re.search(rf'^ +RequestHeader set(ifempty)? {name} "[^"]*"$', text, re.M | re.I), name


def test_the_secret_of_apache_reaches_nobody_else():
    apache = (TREE / "apache/qemu-web-desktop.conf").read_text()
    file = re.search(r'pub const SECRET_FILE: &str = "(.*)"', (TREE / "src/proxy_headers.rs").read_text())[1]
    # A .htaccess can read a variable; and users who may not read the file test the configuration, too.
    assert "\nDefine" not in apache and f'<IfFile "{file}">' in apache and f'Include "{file}"' in apache
    # Before all sections: other sites, programs and error pages of this server do not get it.
    assert apache.index("RequestHeader unset X-Qwd-Secret") < apache.index("<Location")
    for name in ("portal", "display"):
        service = lines(UNITS / f"qwd-{name}.service", "Service")
        assert ("LoadCredential", f"proxy-secret:{file}") in service
        assert ("SetCredential", "proxy-secret:missing") in service, "a missing file must not fail the unit"
    assert "d /var/lib/qemu-web-desktop/proxy 0700 root root -" in (UNITS / "tmpfiles.d/qemu-web-desktop.conf").read_text()


def test_apaches_secret_is_made_once_by_the_package_and_removed_with_it(tmp_path):
    """The lines of the script themselves, in a directory of the test's own."""
    script = (TREE / "debian/qemu-web-desktop.postinst").read_text()
    made = script[script.index("        install -d -m 755"):script.index("        if ! grep -qF proxy/secret.conf")]
    made = made.replace("chown root:root", ":")

    def configure():
        subprocess.run(["sh", "-euc", f'proxy={tmp_path}/a/proxy\n{made}'], check=True)
        return (tmp_path / "a/proxy/secret.conf").read_text()

    first = configure()
    assert re.fullmatch(r"""RequestHeader set X-Qwd-Secret "[0-9a-f]{64}" "expr=%\{REQUEST_METHOD\} != 'TRACE'"\n""", first)
    file = tmp_path / "a/proxy/secret.conf"
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    file.chmod(0o644)
    assert configure() == first and file.stat().st_mode & 0o777 == 0o600
    file.write_text("")
    assert configure() != first
    assert [p.name for p in file.parent.iterdir()] == ["secret.conf"]
    assert "rm -rf /var/lib/qemu-web-desktop/proxy" in (TREE / "debian/qemu-web-desktop.postrm").read_text()


def test_apache_keeps_no_idle_connection_to_the_portal():
    text = (TREE / "apache/qemu-web-desktop.conf").read_text()
    assert all("disablereuse=on" in line for line in text.splitlines() if "ProxyPass " in line and "unix:" in line)


def test_apaches_process_model_is_not_touched():
    scripts = "".join(p.read_text() for p in (TREE / "debian").glob("qemu-web-desktop.p*"))
    assert not re.search(r"mpm|apache2_switch", scripts)


# The package

def test_versions_agree():
    crate = re.search(r'^version = "(.*)"', (TREE / "Cargo.toml").read_text(), re.M)[1]
    package = re.search(r"\((.*)\)", (TREE / "debian/changelog").read_text())[1]
    assert crate == package


def test_an_upgrade_stops_no_session():
    rules = (TREE / "debian/rules").read_text()
    for line in rules.splitlines():
        if "dh_installsystemd" in line and ".slice" in line:
            pytest.fail(line)
    prerm = (TREE / "debian/qemu-web-desktop.prerm").read_text()
    assert prerm.index('"$1" = remove') < prerm.index("qwd-sessions.slice")


def test_the_machines_file_is_not_a_conffile():
    """Every site has changed it: an upgrade would ask, and a removed comment is no reason to."""
    assert "/usr/share/qemu-web-desktop/" in (TREE / "debian/rules").read_text().split("machines.conf")[-1]


# The manual

def test_the_manual_has_every_setting():
    source = (TREE / "src/config/raw.rs").read_text()
    keys = set(re.findall(r"^        (\w+): [^=]+ = (?!\w+::default\(\))", source, re.M))
    manual = (TREE / "man/qemu-web-desktop-config.5").read_text()
    assert keys, "no settings found in the source"
    assert keys == set(re.findall(r"^\.TP\n\.B (\w+)$", manual, re.M))


def test_the_manual_has_every_method_and_error_word():
    manual = (TREE / "man/qwd-launcher.8").read_text()
    methods = set(re.findall(r'^\.BR (\w+) "?\((?:\\fI|\) )', manual, re.M))
    assert methods >= methods_in_source()
    words = re.findall(r'=> "([a-z_]+)"', (TREE / "src/model/problem.rs").read_text())
    assert words and all(f" {word} " in manual for word in words)


@pytest.mark.parametrize("unit", sorted(UNITS.glob("qwd*")), ids=lambda p: p.name)
def test_every_unit_names_a_page_that_exists(unit):
    page, section = re.fullmatch(r"man:(.*)\((\d)\)", dict(lines(unit, "Unit"))["Documentation"]).groups()
    assert (TREE / f"man/{page}.{section}").exists()
