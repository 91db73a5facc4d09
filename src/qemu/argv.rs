//! From a plan to an argument list. A golden test holds what comes out.

use super::drives::{drives, firmware};
use super::hardware::Hardware;
use crate::config::{Architecture, Card, Clock, Firmware, Video};
use crate::images::Format;
use crate::model::{Acceleration, Bytes, MachineName, SessionId};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The accelerator a session really gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The kernel's virtualisation.
    Kvm,
    /// Emulation, with a buffer of translated code of that size.
    Tcg(Bytes),
}

impl Accel {
    /// Return which it is, without its amounts.
    pub fn kind(self) -> Acceleration {
        match self {
            Self::Kvm => Acceleration::Kvm,
            Self::Tcg(_) => Acceleration::Tcg,
        }
    }
}

/// What stands below the session's own overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disk {
    /// A machine's disk image, read-only.
    Image { path: PathBuf, format: Format },
    /// Nothing: an empty disk beside a CD.
    Empty { cd: PathBuf },
    /// Nothing: an empty disk beside a CD that is booted from only as long as the disk cannot be.
    Install { cd: PathBuf },
    /// Nothing: the disk is an image that is written to.
    Own,
}

impl Disk {
    /// The file that is bound into the unit, read-only.
    pub fn image(&self) -> Option<&Path> {
        match self {
            Self::Image { path, .. } | Self::Empty { cd: path } | Self::Install { cd: path } => Some(path),
            Self::Own => None,
        }
    }

    /// Whether there is a CD.
    pub(super) fn has_cd(&self) -> bool {
        matches!(self, Self::Empty { .. } | Self::Install { .. })
    }
}

/// What the firmware and a trusted platform module remember from before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nvram {
    /// The firmware's variables; `None`: it begins with those of its package.
    pub variables: Option<PathBuf>,
    /// The module's state, or the folder of it if the session writes to it; `None`: it begins anew.
    pub tpm: Option<PathBuf>,
    /// The session writes to both, and they are kept. Else what it writes goes with it.
    pub own: bool,
}

/// Everything the argument list depends on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names the guest.
    pub id: SessionId,
    /// For people who read the process list.
    pub machine: MachineName,
    /// What the guest finds.
    pub hardware: Hardware,
    /// Kernel or software.
    pub accel: Accel,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
    /// What the disk stands on.
    pub disk: Disk,
    /// What the firmware remembers.
    pub nvram: Nvram,
    /// Where the overlay is, inside the unit.
    pub overlay: PathBuf,
    /// The kind of network.
    pub network: Network,
}

/// The network that the guest's card is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// There is no card.
    None,
    /// QEMU's own.
    User,
    /// A bridge: `qwd-session` adds the descriptor.
    Bridge,
}

/// Names the network to the card.
pub const NETDEV: &str = "net0";

/// The command line of a session, program first. The monitors are added by `qwd-session`, which
/// opens their sockets.
pub fn argv(plan: &Plan) -> Vec<String> {
    let mut args = vec![plan.hardware.program.clone()];
    base(plan, &mut args);
    firmware(plan, &mut args);
    drives(plan, &mut args);
    devices(plan, &mut args);
    network(plan, &mut args);
    args
}

pub(super) fn push<const N: usize>(args: &mut Vec<String>, more: [&str; N]) {
    args.extend(more.map(String::from));
}

fn base(plan: &Plan, args: &mut Vec<String>) {
    // The machine's name cannot contain a comma: MachineName sees to that.
    push(args, ["-name", &format!("guest=qwd-{},process=qwd-{}", plan.id, plan.id)]);
    push(args, ["-nodefaults", "-no-user-config", "-msg", "timestamp=off"]);
    push(args, ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]);
    push(args, ["-machine", &machine(&plan.hardware)]);
    match plan.accel {
        Accel::Kvm => push(args, ["-accel", "kvm"]),
        Accel::Tcg(buffer) => push(args, ["-accel", &format!("tcg,thread=multi,tb-size={}", buffer.0 >> 20)]),
    }
    push(args, ["-cpu", &cpu(plan)]);
    push(args, ["-smp", &plan.cpus.to_string()]);
    push(args, ["-m", &format!("size={}k", plan.memory.0 >> 10)]);
    match (plan.hardware.clock, plan.hardware.windows) {
        (Clock::Utc, _) => {}
        (Clock::Local, false) => push(args, ["-rtc", "base=localtime"]),
        // Windows counts its clock's ticks: those it missed are made up for.
        (Clock::Local, true) => push(args, ["-rtc", "base=localtime,driftfix=slew"]),
    }
    push(args, ["-display", "none", "-vnc", "none"]);
}

/// The board that guests of that kind find.
pub fn board(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86 => "pc",
        Architecture::Arm => "virt",
    }
}

/// The board, and the flash memory that holds its firmware.
fn machine(hardware: &Hardware) -> String {
    let mut machine = match (hardware.architecture, hardware.firmware) {
        (Architecture::X86, Firmware::SecureUefi) => "q35,smm=on".to_owned(),
        (other, _) => board(other).to_owned(),
    };
    if hardware.windows && hardware.architecture == Architecture::X86 {
        // Windows polls this timer where it finds it.
        machine += ",hpet=off";
    }
    if hardware.firmware_files().is_some() {
        machine += ",pflash0=code,pflash1=variables";
    }
    machine
}

/// What Windows asks a hypervisor for, so that it need not measure and wait.
const ENLIGHTENED: &str = "hv-relaxed=on,hv-vapic=on,hv-spinlocks=0x1fff,hv-vpindex=on,hv-runtime=on,hv-time=on,\
                           hv-synic=on,hv-stimer=on,hv-reset=on,hv-frequencies=on,hv-tlbflush=on,hv-ipi=on";

fn cpu(plan: &Plan) -> String {
    match (plan.accel, plan.hardware.architecture) {
        (Accel::Kvm, Architecture::X86) if plan.hardware.windows => format!("host,{ENLIGHTENED}"),
        (Accel::Kvm, _) => "host".to_owned(),
        (Accel::Tcg(_), Architecture::X86) => "max".to_owned(),
        // Signed pointers by the book cost half of the time.
        (Accel::Tcg(_), Architecture::Arm) => "max,pauth-impdef=on".to_owned(),
    }
}

fn devices(plan: &Plan, args: &mut Vec<String>) {
    let video = match (plan.hardware.video, plan.hardware.architecture) {
        (Video::Std, Architecture::Arm) => "ramfb",
        (_, Architecture::Arm) => "virtio-gpu-pci",
        (Video::Std, _) => "VGA,vgamem_mb=32",
        (Video::Virtio, _) => "virtio-vga",
        (Video::Qxl, _) => "qxl-vga",
        (Video::Vmware, _) => "vmware-svga,vgamem_mb=32",
    };
    push(args, ["-device", video]);
    // An absolute pointer follows the browser's; xHCI does not wake an idle guest as UHCI would.
    push(args, ["-device", "qemu-xhci", "-device", "usb-tablet"]);
    if plan.hardware.architecture == Architecture::Arm {
        push(args, ["-device", "usb-kbd"]);
    }
    if plan.hardware.tpm {
        let device = if plan.hardware.architecture == Architecture::Arm { "tpm-tis-device" } else { "tpm-crb" };
        // Its other end is a socket that `qwd-session` adds.
        push(args, ["-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", &format!("{device},tpmdev=tpm0")]);
    }
    push(args, ["-device", "virtio-rng-pci"]);
    if plan.hardware.balloon {
        push(args, ["-device", "virtio-balloon-pci,free-page-reporting=on"]);
    }
    push(args, ["-device", "virtio-serial-pci"]);
    push(args, ["-chardev", "qemu-vdagent,id=vdagent,name=vdagent,clipboard=on,mouse=off"]);
    push(args, ["-device", "virtserialport,chardev=vdagent,name=com.redhat.spice.0"]);
}

fn network(plan: &Plan, args: &mut Vec<String>) {
    let card = match plan.hardware.card {
        Card::Virtio => "virtio-net-pci",
        Card::E1000e => "e1000e",
        Card::E1000 => "e1000",
    };
    match plan.network {
        Network::None => push(args, ["-nic", "none"]),
        Network::User => {
            push(args, ["-netdev", &format!("user,id={NETDEV},ipv6=off")]);
            push(args, ["-device", &format!("{card},netdev={NETDEV},romfile=")]);
        }
        Network::Bridge => {
            push(args, ["-device", &format!("{card},netdev={NETDEV},mac={},romfile=", mac(&plan.id))]);
        }
    }
}

/// An address for the guest's card: the session's own as long as it lives, and nobody else's on the bridge.
fn mac(id: &SessionId) -> String {
    let digest = Sha256::digest(id.as_str());
    // Of a single card (the lowest bit is off), given locally (the next one is on).
    let first = digest[0] & 0xfc | 0x02;
    let others = digest[1..6].iter().map(|byte| format!(":{byte:02x}"));
    format!("{first:02x}{}", others.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_has_an_address_of_its_own() {
        let of = |id: &str| mac(&id.parse().unwrap());
        assert_eq!(of("abcdefghij"), of("abcdefghij"));
        assert_ne!(of("abcdefghij"), of("abcdefghik"));
        for id in ["abcdefghij", "zzzzzzzzzz", "2345678923"] {
            let first = u8::from_str_radix(&of(id)[..2], 16).unwrap();
            assert_eq!((of(id).len(), first & 3), (17, 2), "{}", of(id));
        }
    }
}
