//! From a plan to an argument list. A golden test holds what comes out.

use super::IMAGE_PATH;
use crate::config::Video;
use crate::images::Format;
use crate::model::{Bytes, MachineName, SessionId};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The accelerator a session really gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The kernel's virtualisation.
    Kvm,
    /// Emulation, with a buffer of translated code of that size.
    Tcg(Bytes),
}

impl Accel {
    /// The word shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg(_) => "tcg",
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
}

/// Everything the argument list depends on.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names the guest.
    pub id: SessionId,
    /// For people who read the process list.
    pub machine: MachineName,
    /// The emulator.
    pub program: String,
    /// Kernel or software.
    pub accel: Accel,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
    /// Graphics card.
    pub video: Video,
    /// What the disk stands on.
    pub disk: Disk,
    /// Where the overlay is, inside the unit.
    pub overlay: PathBuf,
    /// User-mode network, or no network card at all.
    pub network: bool,
}

/// The command line of a session, program first. The monitors are added by `qwd-session`, which
/// opens their sockets.
pub fn argv(plan: &Plan) -> Vec<String> {
    let mut args = vec![plan.program.clone()];
    base(plan, &mut args);
    drives(plan, &mut args);
    devices(plan, &mut args);
    network(plan, &mut args);
    args
}

fn push<const N: usize>(args: &mut Vec<String>, more: [&str; N]) {
    args.extend(more.map(String::from));
}

fn base(plan: &Plan, args: &mut Vec<String>) {
    // The machine's name cannot contain a comma: MachineName sees to that.
    push(args, ["-name", &format!("guest=qwd-{},process=qwd-{}", plan.id, plan.id)]);
    push(args, ["-nodefaults", "-no-user-config", "-msg", "timestamp=off"]);
    push(args, ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]);
    push(args, ["-machine", "pc"]);
    match plan.accel {
        Accel::Kvm => push(args, ["-accel", "kvm", "-cpu", "host"]),
        Accel::Tcg(buffer) => {
            push(args, ["-accel", &format!("tcg,thread=multi,tb-size={}", buffer.0 >> 20), "-cpu", "max"]);
        }
    }
    push(args, ["-smp", &plan.cpus.to_string()]);
    push(args, ["-m", &format!("size={}k", plan.memory.0 >> 10)]);
    push(args, ["-display", "none", "-vnc", "none"]);
}

fn node(value: &Value) -> [String; 2] {
    ["-blockdev".to_owned(), value.to_string()]
}

fn image_file() -> Value {
    json!({"driver": "file", "filename": IMAGE_PATH, "read-only": true, "auto-read-only": false})
}

fn drives(plan: &Plan, args: &mut Vec<String>) {
    let overlay = json!({"driver": "file", "filename": plan.overlay, "discard": "unmap"});
    let mut disk = json!({"driver": "qcow2", "node-name": "disk", "file": overlay, "backing": null,
        "discard": "unmap", "detect-zeroes": "unmap"});
    match &plan.disk {
        Disk::Image { format, .. } => {
            let mut image =
                json!({"driver": format.driver(), "node-name": "image", "read-only": true, "file": image_file()});
            if matches!(format, Format::Qcow2 | Format::Qed | Format::Vmdk) {
                // Whatever the image's header names is not opened.
                image["backing"] = Value::Null;
            }
            args.extend(node(&image));
            disk["backing"] = json!("image");
        }
        Disk::Empty { .. } => {
            args.extend(node(&json!({"driver": "raw", "node-name": "cd", "read-only": true, "file": image_file()})));
        }
    }
    args.extend(node(&disk));
    // IDE, as the predecessor's machines were installed on: every guest can boot from it.
    push(args, ["-device", "ide-hd,drive=disk,bus=ide.0,unit=0,bootindex=1"]);
    if matches!(plan.disk, Disk::Empty { .. }) {
        push(args, ["-device", "ide-cd,drive=cd,bus=ide.1,unit=0,bootindex=0"]);
    }
}

fn devices(plan: &Plan, args: &mut Vec<String>) {
    let video = match plan.video {
        Video::Std => "VGA,vgamem_mb=32",
        Video::Virtio => "virtio-vga",
        Video::Qxl => "qxl-vga",
        Video::Vmware => "vmware-svga,vgamem_mb=32",
    };
    push(args, ["-device", video]);
    // An absolute pointer follows the browser's; xHCI does not wake an idle guest as UHCI would.
    push(args, ["-device", "qemu-xhci", "-device", "usb-tablet"]);
    push(args, ["-device", "virtio-rng-pci", "-device", "virtio-balloon-pci,free-page-reporting=on"]);
    push(args, ["-device", "virtio-serial-pci"]);
    push(args, ["-chardev", "qemu-vdagent,id=vdagent,name=vdagent,clipboard=on,mouse=off"]);
    push(args, ["-device", "virtserialport,chardev=vdagent,name=com.redhat.spice.0"]);
}

fn network(plan: &Plan, args: &mut Vec<String>) {
    if plan.network {
        push(args, ["-netdev", "user,id=net0,ipv6=off", "-device", "virtio-net-pci,netdev=net0,romfile="]);
    } else {
        push(args, ["-nic", "none"]);
    }
}
