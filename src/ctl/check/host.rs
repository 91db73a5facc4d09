//! The server itself: programs, units, acceleration, network.

use super::{Findings, web};
use crate::bus::Status;
use crate::config::{Accel, Catalogue, MachineNetwork, NetworkMode, Reach, Settings};
use crate::model::BridgeName;
use crate::{host, policy};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where programs are looked for.
const PATH: [&str; 4] = ["usr/bin", "usr/sbin", "usr/local/bin", "bin"];

const CONFIG: &str = super::CONFIG;
const MACHINES: &str = "/etc/qemu-web-desktop/machines.conf";

/// QEMU and its tool for images.
pub(super) fn programs(found: &mut Findings, root: &Path, settings: &Settings) {
    let emulator = &settings.qemu.program;
    if !is_there(root, emulator) {
        let package = if emulator.ends_with("qemu-system-x86_64") { "qemu-system-x86" } else { "qemu-system" };
        found.warn(format!("QEMU ({emulator}) is missing, so no session can start: 'apt install {package}'."));
    }
    if !is_there(root, "qemu-img") {
        found.warn(
            "qemu-img is missing, so images other than ISO and raw cannot be examined: 'apt install qemu-utils'.",
        );
    }
}

/// Emulators of the administrator's own that a session does not see: of the server's files, it has /usr alone.
pub(super) fn emulators(found: &mut Findings, root: &Path, settings: &Settings, catalogue: &Catalogue) {
    let of_all = [("qemu.qemu_exec".to_owned(), &settings.qemu.program, CONFIG.to_owned())];
    let of_one = catalogue.machines.iter().filter_map(|entry| {
        let program = entry.hardware.program.as_ref()?;
        Some((format!("qemu_exec of '{}'", entry.name), program, format!("+{} {MACHINES}", entry.line)))
    });
    for (key, program, place) in of_all.into_iter().chain(of_one) {
        let Some(target) = find_program(root, program) else { continue };
        if !target.starts_with("/usr") {
            found.error(format!(
                "{key} is {program}, which is {} and can never start: a session sees programs below /usr only. Install it \
                 there, such as below /usr/local, and 'editor {place}'.",
                target.display()
            ));
        }
    }
}

/// Where a program is in the end, as the server has it.
fn find_program(root: &Path, program: &str) -> Option<PathBuf> {
    let path = match program.strip_prefix('/') {
        Some(absolute) => root.join(absolute),
        None => PATH.iter().map(|folder| root.join(folder).join(program)).find(|path| path.exists())?,
    };
    let target = path.canonicalize().unwrap_or(path);
    Some(Path::new("/").join(target.strip_prefix(root).unwrap_or(&target)))
}

fn is_there(root: &Path, program: &str) -> bool {
    match program.strip_prefix('/') {
        Some(absolute) => root.join(absolute).exists(),
        None => PATH.iter().any(|folder| root.join(folder).join(program).exists()),
    }
}

/// Units that must be up, and units that must not have failed.
pub(super) fn units(found: &mut Findings, states: &BTreeMap<String, String>) {
    if states.is_empty() {
        return found
            .warn("systemd does not answer, so the state of the services is not known: 'systemctl status' tells why.");
    }
    for (unit, state) in states {
        let is_waiting = unit.ends_with(".service") && unit != web::UNIT;
        match state.as_str() {
            "active" | "activating" | "reloading" => {}
            // Services are started by the first request.
            "inactive" if is_waiting => {}
            // That it is missing is told by its files.
            "not-found" if unit == web::UNIT => {}
            "not-found" => found.warn(format!("{unit} is not installed: 'apt install --reinstall qemu-web-desktop'.")),
            "masked" => found.warn(format!("{unit} is masked: 'systemctl unmask {unit}' gives it back.")),
            "failed" => found.warn(format!(
                "{unit} has failed: 'journalctl -eu {unit}' tells why, 'systemctl restart {unit}' tries again."
            )),
            other => found.warn(format!("{unit} is {other}: 'systemctl enable --now {unit}' starts it.")),
        }
    }
}

/// Whether sessions run on KVM. The launcher has really tried; else only the device can be looked at.
pub(super) fn acceleration(found: &mut Findings, settings: &Settings, running: Option<&Status>) {
    let has_device = Path::new("/dev/kvm").exists();
    if settings.qemu.accel == Accel::Tcg || has_device {
        return;
    }
    const REMEDY: &str = "switch virtualisation on in the firmware (or nested virtualisation in the host of this \
                          virtual machine), then 'modprobe kvm_intel' or 'modprobe kvm_amd'";
    if settings.qemu.accel == Accel::Kvm {
        found.warn(format!("qemu.accel is \"kvm\", but there is no /dev/kvm, so no session can start: {REMEDY}."));
    } else if running.is_none() {
        found.warn(format!("There is no /dev/kvm, so guests are emulated (tcg), which is slow: {REMEDY}."));
    } else {
        found.warn(format!("To have KVM, {REMEDY}."));
    }
}

/// Whether guests get the networks that are configured, for all and for single machines, and find names.
pub(super) fn network(found: &mut Findings, settings: &Settings, catalogue: &Catalogue, running: Option<&Status>) {
    let reaches: Vec<Reach> = reaches(found, settings, catalogue);
    for (name, isolated) in bridges(&reaches) {
        if let Err(why) = host::bridge(name, isolated) {
            found.error(format!("{why}."));
        }
    }
    let Some(allow) = reaches.iter().find_map(|r| if let Reach::Out(allow) = r { Some(allow) } else { None }) else {
        return;
    };
    if !host::firewalls_units() {
        if running.is_none() || settings.network.mode != NetworkMode::User {
            found.warn(CGROUP_V1);
        }
        return;
    }
    let servers = host::name_servers(settings.network.dns);
    if policy::name_server(&servers, &host::interfaces(), allow).is_none() {
        found.warn(
            "The only name server of this server is this server itself, which guests in user mode do not reach, so \
             they find no names: 'editor /etc/qemu-web-desktop/config.toml', and write dns = \"ADDRESS\" below [network].",
        );
    }
}

const CGROUP_V1: &str = "This server runs cgroup v1, under which guests in user mode cannot be kept from the server \
    itself, so they get no network: boot with 'systemd.unified_cgroup_hierarchy=1' on the kernel's command line (in \
    GRUB_CMDLINE_LINUX of /etc/default/grub, then 'update-grub').";

/// What is configured for all, and for each machine that is in order.
fn reaches(found: &mut Findings, settings: &Settings, catalogue: &Catalogue) -> Vec<Reach> {
    let mut all: Vec<Reach> = settings.network.of(&MachineNetwork::default()).ok().into_iter().collect();
    for entry in &catalogue.machines {
        match settings.network.of(&entry.network) {
            Ok(reach) => all.push(reach),
            Err(why) => found.error(format!(
                "{MACHINES}: [{}]: {why}. 'editor +{} {MACHINES}' opens its section.",
                entry.name, entry.line
            )),
        }
    }
    all
}

/// Each bridge once, isolated if anybody is on it.
fn bridges(reaches: &[Reach]) -> Vec<(&BridgeName, bool)> {
    let mut all: Vec<(&BridgeName, bool)> = Vec::new();
    for reach in reaches {
        let Reach::Bridge { name, isolated } = reach else { continue };
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, any)) => *any |= isolated,
            None => all.push((name, *isolated)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(states: &[(&str, &str)]) -> Vec<String> {
        let mut found = Findings::default();
        units(&mut found, &states.iter().map(|(u, s)| ((*u).to_owned(), (*s).to_owned())).collect());
        found.warnings
    }

    #[test]
    fn an_emulator_outside_usr_is_told() {
        let root = std::env::temp_dir().join(format!("qwd-emulator-{}", std::process::id()));
        for directory in ["usr/bin", "usr/local/bin", "opt"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        for file in ["usr/bin/qemu-a", "usr/local/bin/qemu-b", "opt/qemu-c"] {
            std::fs::write(root.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(root.join("opt/qemu-c"), root.join("usr/bin/qemu-d")).unwrap();
        let errors = |program: &str| {
            let mut settings = Settings::default();
            settings.qemu.program = program.to_owned();
            let mut found = Findings::default();
            emulators(&mut found, &root, &settings, &Catalogue::default());
            found.errors
        };
        for good in ["qemu-a", "/usr/bin/qemu-a", "qemu-b", "/usr/local/bin/qemu-b", "nowhere"] {
            assert!(errors(good).is_empty(), "{good}: {:?}", errors(good));
        }
        for bad in ["/opt/qemu-c", "qemu-d", "/usr/bin/qemu-d", "/home/x/qemu"] {
            let all = errors(bad);
            assert!(all.len() == 1 && all[0].contains("below /usr only") && all[0].contains("'editor "), "{all:?}");
        }
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn services_may_sleep_but_sockets_and_timers_may_not() {
        assert!(warnings(&[("a.service", "inactive"), ("a.socket", "active"), ("a.timer", "active")]).is_empty());
        let all = warnings(&[("a.service", "failed"), ("a.socket", "inactive"), ("b.socket", "not-found")]);
        assert!(all[0].contains("journalctl -eu a.service"), "{all:?}");
        assert!(all[1].contains("systemctl enable --now a.socket"), "{all:?}");
        assert!(all[2].contains("--reinstall"), "{all:?}");
        assert!(warnings(&[("apache2.service", "inactive")])[0].contains("systemctl enable --now apache2.service"));
        assert!(warnings(&[])[0].contains("systemd does not answer"));
    }
}
