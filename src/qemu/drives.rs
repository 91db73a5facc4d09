//! The disk, the CD and the firmware of a guest: an explicit graph of block nodes, and what shows them.

use super::argv::{Disk, Plan, push};
use super::{IMAGE_PATH, KEPT_VARIABLES_PATH, OWN_VARIABLES_PATH, VARIABLES_PATH};
use crate::config::{Architecture, DiskBus, Firmware};
use crate::images::Format;
use crate::model::Bytes;
use serde_json::{Value, json};

fn node(value: &Value) -> [String; 2] {
    ["-blockdev".to_owned(), value.to_string()]
}

fn read_only(path: &str) -> Value {
    json!({"driver": "file", "filename": path, "read-only": true, "auto-read-only": false})
}

/// The firmware's code, and its variables: on a layer of the session's own, or those that are kept.
pub(super) fn firmware(plan: &Plan, args: &mut Vec<String>) {
    let Some(files) = plan.hardware.firmware_files() else { return };
    let code = json!({"driver": "raw", "node-name": "code", "read-only": true, "file": read_only(files.code)});
    args.extend(node(&code));
    if plan.nvram.own {
        let file = json!({"driver": "file", "filename": OWN_VARIABLES_PATH});
        args.extend(node(&json!({"driver": "raw", "node-name": "variables", "file": file})));
    } else {
        let before = plan.nvram.variables.as_ref().map_or(files.variables, |_| KEPT_VARIABLES_PATH);
        let fresh = json!({"driver": "raw", "node-name": "fresh", "read-only": true, "file": read_only(before)});
        let variables = json!({"driver": "qcow2", "node-name": "variables", "backing": "fresh",
            "file": {"driver": "file", "filename": VARIABLES_PATH}});
        args.extend(node(&fresh).into_iter().chain(node(&variables)));
    }
    if plan.hardware.firmware == Firmware::SecureUefi {
        // Only code in system management mode, which is the firmware's own, may change the variables.
        push(args, ["-global", "driver=cfi.pflash01,property=secure,value=on"]);
    }
}

/// Return the largest file that QEMU with these arguments may write, where its guest may write `disk_max` bytes.
///
/// QEMU's NVMe tells its guest of an error, which ruins the guest's file system. There the launcher pauses the guest
/// before the kernel refuses a write (`launcher/disks.rs`), and has more bytes for that than a guest writes meanwhile.
pub fn file_limit(disk_max: Bytes, argv: &[String]) -> Bytes {
    const NVME_MARGIN: u64 = 1 << 30;
    let has_nvme = argv.iter().any(|argument| argument.starts_with("nvme,"));
    Bytes(disk_max.0.saturating_add(if has_nvme { NVME_MARGIN } else { 0 }))
}

/// The session's disk, what it stands on, and a CD beside it.
pub(super) fn drives(plan: &Plan, args: &mut Vec<String>) {
    let overlay = json!({"driver": "file", "filename": plan.overlay, "discard": "unmap"});
    let mut disk = json!({"driver": "qcow2", "node-name": "disk", "file": overlay, "backing": null,
        "discard": "unmap", "detect-zeroes": "unmap"});
    match &plan.disk {
        Disk::Image { format, .. } => {
            let mut image = json!({"driver": format.driver(), "node-name": "image", "read-only": true,
                "file": read_only(IMAGE_PATH)});
            if matches!(format, Format::Qcow2 | Format::Qed | Format::Vmdk) {
                // Whatever the image's header names is not opened.
                image["backing"] = Value::Null;
            }
            args.extend(node(&image));
            disk["backing"] = json!("image");
        }
        Disk::Own => {}
        Disk::Empty { .. } | Disk::Install { .. } => {
            let cd = json!({"driver": "raw", "node-name": "cd", "read-only": true, "file": read_only(IMAGE_PATH)});
            args.extend(node(&cd));
        }
    }
    args.extend(node(&disk));
    let has_cd = plan.disk.has_cd();
    controllers(plan, has_cd, args);
    disk_device(plan, args);
    if has_cd {
        cd_device(plan, args);
    }
}

/// The bus of the SATA controller: the one that a newer PC has, or one that is added.
fn sata(plan: &Plan) -> &'static str {
    if plan.hardware.firmware == Firmware::SecureUefi { "ide" } else { "sata" }
}

fn controllers(plan: &Plan, has_cd: bool, args: &mut Vec<String>) {
    let hardware = &plan.hardware;
    if hardware.disk == DiskBus::Sata && sata(plan) == "sata" {
        push(args, ["-device", "ich9-ahci,id=sata"]);
    }
    // Where there is nothing of an old PC, a CD is a SCSI device.
    if hardware.disk == DiskBus::Scsi || has_cd && hardware.architecture == Architecture::Arm {
        push(args, ["-device", "virtio-scsi-pci,id=scsi"]);
    }
}

/// After an installation the guest starts anew, from its disk; before it, there is nothing on that.
fn disk_first(plan: &Plan) -> bool {
    matches!(plan.disk, Disk::Install { .. })
}

/// A disk that takes no more pauses the guest, which can go on later: told of the error, it would lose its file system.
fn disk_device(plan: &Plan, args: &mut Vec<String>) {
    let device = match plan.hardware.disk {
        // As the predecessor's machines were installed on: every guest can boot from it.
        DiskBus::Ide => "ide-hd,drive=disk,werror=stop,bus=ide.0,unit=0".to_owned(),
        DiskBus::Sata => format!("ide-hd,drive=disk,werror=stop,bus={}.0", sata(plan)),
        DiskBus::Virtio => "virtio-blk-pci,drive=disk,werror=stop".to_owned(),
        DiskBus::Scsi => "scsi-hd,drive=disk,werror=stop,bus=scsi.0".to_owned(),
        // The one that has no such property.
        DiskBus::Nvme => format!("nvme,drive=disk,serial={}", plan.id),
    };
    push(args, ["-device", &format!("{device},bootindex={}", u8::from(!disk_first(plan)))]);
}

fn cd_device(plan: &Plan, args: &mut Vec<String>) {
    let device = match (plan.hardware.architecture, plan.hardware.disk) {
        (Architecture::Arm, _) | (_, DiskBus::Scsi) => "scsi-cd,drive=cd,bus=scsi.0".to_owned(),
        (_, DiskBus::Sata) => format!("ide-cd,drive=cd,bus={}.1", sata(plan)),
        _ if plan.hardware.firmware == Firmware::SecureUefi => "ide-cd,drive=cd,bus=ide.1".to_owned(),
        _ => "ide-cd,drive=cd,bus=ide.1,unit=0".to_owned(),
    };
    push(args, ["-device", &format!("{device},bootindex={}", u8::from(disk_first(plan)))]);
}
