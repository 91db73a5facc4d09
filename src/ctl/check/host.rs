//! The server itself: programs, units, acceleration, network.

use super::{Findings, web};
use crate::bus::Status;
use crate::config::{Accel, NetworkMode, Settings};
use crate::host;
use std::collections::BTreeMap;
use std::path::Path;

/// Where programs are looked for.
const PATH: [&str; 4] = ["usr/bin", "usr/sbin", "usr/local/bin", "bin"];

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

/// Whether guests get a network, and find names in it.
pub(super) fn network(found: &mut Findings, settings: &Settings, running: Option<&Status>) {
    if settings.network == NetworkMode::None || running.is_some_and(|status| status.network == "none") {
        return;
    }
    if running.is_none() && !host::firewalls_units() {
        found.warn(
            "This server runs cgroup v1, under which guests cannot be kept from the server itself, so they get no \
             network: boot with 'systemd.unified_cgroup_hierarchy=1' on the kernel's command line (in GRUB_CMDLINE_LINUX \
             of /etc/default/grub, then 'update-grub').",
        );
    }
    let names = std::fs::read_to_string(host::resolv_conf()).unwrap_or_default();
    if settings.dns.is_none() && host::only_loopback(&names) {
        found.warn(
            "The only name server of this server is on loopback, which guests may not reach: write dns = \"ADDRESS\" below \
             [network] in /etc/qemu-web-desktop/config.toml.",
        );
    }
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
