//! The session's disk, what it is based on, and a CD beside it: an explicit graph of block nodes, and their devices.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::config::{Architecture, DiskBus, Word as _};
use crate::model::{Bytes, Format, Word};
use crate::unit::{DISK_PATH, IMAGE_PATH, Properties, bind};
use crate::vm::document::SetUpStep;
use crate::vm::exit::Failure;
use crate::vm::hardware::{Board, Chipset};
use crate::vm::{Backing, Vm};
use serde_json::{Value, json};

/// The overlay's file name, wherever its directory is.
pub const DISK_NAME: &str = "disk.qcow2";

/// No space for an overlay.
pub const NO_SPACE: Failure = Failure {
    code: 120,
    word: Word::NoSpace,
    message: "There is no room on the server for its disk. The administrator can make room.",
};
/// An overlay could not be made for another reason.
pub const NO_DISK: Failure = Failure {
    code: 121,
    word: Word::Failed,
    message: "Its disk could not be made on the server. The server's journal says why.",
};

/// The disk, and a CD if the machine's file is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Storage {
    bus: DiskBus,
}

impl ChooseDevice for Storage {
    const FAILURES: &'static [Failure] = &[NO_SPACE, NO_DISK];

    fn choose(choice: &Choice<'_>) -> Result<Option<Self>, String> {
        let Board { architecture, chipset, windows, .. } = *choice.board;
        let arm = architecture == Architecture::Arm;
        let default = match (arm, windows) {
            (true, _) => DiskBus::Virtio,
            (false, true) => DiskBus::Sata,
            (false, false) => DiskBus::Ide,
        };
        let bus = choice.wish.disk.unwrap_or(default);
        if arm && matches!(bus, DiskBus::Ide | DiskBus::Sata) {
            let word = bus.word();
            return Err(format!("disk = {word} is a PC's: a machine for aarch64 has disk = virtio, scsi or nvme"));
        }
        if bus == DiskBus::Ide && chipset == Chipset::Q35 {
            return Err("disk = ide is not there beside firmware = uefi-secure: take sata".to_owned());
        }
        Ok(Some(Self { bus }))
    }
}

/// Return the largest file that QEMU with these arguments may write, where its guest may write `disk_max` bytes.
///
/// QEMU's NVMe reports an error to its guest, which ruins the guest's file system. There the launcher pauses the guest
/// before the kernel refuses a write (`launcher/disks.rs`), and has more bytes for that than a guest writes meanwhile.
pub fn file_limit(disk_max: Bytes, argv: &[String]) -> Bytes {
    const NVME_MARGIN: u64 = 1 << 30;
    let has_nvme = argv.iter().any(|argument| argument.starts_with("nvme,"));
    Bytes(disk_max.0.saturating_add(if has_nvme { NVME_MARGIN } else { 0 }))
}

/// Return the node of a file that QEMU only reads.
pub(super) fn read_only(path: &str) -> Value {
    json!({"driver": "file", "filename": path, "read-only": true, "auto-read-only": false})
}

/// Append the node that the overlay is based on, or that of the CD; return the name of the overlay's base.
fn push_backing(backing: &Backing, arguments: &mut Arguments) -> Value {
    match backing {
        Backing::Image { format, .. } => {
            let mut image = json!({"driver": format.driver(), "node-name": "image", "read-only": true,
                "file": read_only(IMAGE_PATH)});
            if matches!(format, Format::Qcow2 | Format::Qed | Format::Vmdk) {
                // A file that the image's header names is not opened.
                image["backing"] = Value::Null;
            }
            arguments.node(&image);
            json!("image")
        }
        Backing::Own => Value::Null,
        Backing::Empty { .. } | Backing::Install { .. } => {
            let cd = json!({"driver": "raw", "node-name": "cd", "read-only": true, "file": read_only(IMAGE_PATH)});
            arguments.node(&cd);
            Value::Null
        }
    }
}

/// Return the SATA controller's bus: the board's own, or an added one.
fn sata(board: &Board) -> &'static str {
    if board.chipset == Chipset::Q35 { "ide" } else { "sata" }
}

/// Return whether the disk boots first: it is empty before an installation, and bootable after it.
fn boots_disk_first(backing: &Backing) -> bool {
    matches!(backing, Backing::Install { .. })
}

impl Storage {
    fn push_controllers(&self, board: &Board, has_cd: bool, arguments: &mut Arguments) {
        if self.bus == DiskBus::Sata && sata(board) == "sata" {
            arguments.device("ich9-ahci,id=sata");
        }
        // Where there is nothing of an old PC, a CD is a SCSI device.
        if self.bus == DiskBus::Scsi || has_cd && board.architecture == Architecture::Arm {
            arguments.device("virtio-scsi-pci,id=scsi");
        }
    }

    /// Return the disk's device. A disk that takes no more pauses the guest, which can go on later; an error would cost
    /// the guest its file system.
    fn disk_device(&self, vm: &Vm) -> String {
        match self.bus {
            // As the predecessor's machines were installed on: every guest can boot from it.
            DiskBus::Ide => "ide-hd,drive=disk,werror=stop,bus=ide.0,unit=0".to_owned(),
            DiskBus::Sata => format!("ide-hd,drive=disk,werror=stop,bus={}.0", sata(&vm.shape.hardware.board)),
            DiskBus::Virtio => "virtio-blk-pci,drive=disk,werror=stop".to_owned(),
            DiskBus::Scsi => "scsi-hd,drive=disk,werror=stop,bus=scsi.0".to_owned(),
            // The one that has no such property.
            DiskBus::Nvme => format!("nvme,drive=disk,serial={}", vm.identity.serial()),
        }
    }

    fn cd_device(&self, board: &Board) -> String {
        match (board.architecture, self.bus) {
            (Architecture::Arm, _) | (_, DiskBus::Scsi) => "scsi-cd,drive=cd,bus=scsi.0".to_owned(),
            (_, DiskBus::Sata) => format!("ide-cd,drive=cd,bus={}.1", sata(board)),
            _ if board.chipset == Chipset::Q35 => "ide-cd,drive=cd,bus=ide.1".to_owned(),
            _ => "ide-cd,drive=cd,bus=ide.1,unit=0".to_owned(),
        }
    }
}

impl VirtualDevice for Storage {
    fn arguments(&self, vm: &Vm, arguments: &mut Arguments) {
        let (backing, board) = (&vm.shape.backing, &vm.shape.hardware.board);
        let base = push_backing(backing, arguments);
        let overlay = json!({"driver": "file", "filename": DISK_PATH, "discard": "unmap"});
        arguments.node(&json!({"driver": "qcow2", "node-name": "disk", "file": overlay, "backing": base,
            "discard": "unmap", "detect-zeroes": "unmap"}));
        self.push_controllers(board, backing.has_cd(), arguments);
        let disk_first = boots_disk_first(backing);
        arguments.device(&format!("{},bootindex={}", self.disk_device(vm), u8::from(!disk_first)));
        if backing.has_cd() {
            arguments.device(&format!("{},bootindex={}", self.cd_device(board), u8::from(disk_first)));
        }
    }

    fn properties(&self, vm: &Vm) -> Properties {
        let image = vm.shape.backing.file().map(|image| ("BindReadOnlyPaths", bind(image, IMAGE_PATH)));
        let disk = vm.host.disk_file.as_deref().map(|file| ("BindPaths", bind(file, DISK_PATH)));
        image.into_iter().chain(disk).collect()
    }

    fn steps(&self, vm: &Vm) -> Vec<SetUpStep> {
        match vm.shape.backing {
            Backing::Own => Vec::new(),
            _ => vec![SetUpStep::WriteOverlay { path: DISK_PATH.into(), size: vm.shape.disk_size.0 }],
        }
    }
}
