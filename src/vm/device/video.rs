//! The graphics card.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::config::{Architecture, Video, Word as _};
use crate::model::Bytes;
use crate::vm::Vm;
use crate::vm::hardware::{Board, Need, need};

/// A graphics card.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VideoCard {
    kind: Video,
}

impl ChooseDevice for VideoCard {
    fn choose(choice: &Choice<'_>) -> Result<Option<Self>, String> {
        let arm = choice.board.architecture == Architecture::Arm;
        let kind = choice.wish.video.unwrap_or(if arm { Video::Virtio } else { choice.qemu.video });
        if arm && !matches!(kind, Video::Std | Video::Virtio) {
            let word = kind.word();
            return Err(format!("video = {word} is a PC's: a machine for aarch64 has video = virtio or std"));
        }
        Ok(Some(Self { kind }))
    }
}

impl VirtualDevice for VideoCard {
    fn arguments(&self, vm: &Vm, arguments: &mut Arguments) {
        arguments.device(match (self.kind, vm.shape.hardware.board.architecture) {
            (Video::Std, Architecture::Arm) => "ramfb",
            (_, Architecture::Arm) => "virtio-gpu-pci",
            (Video::Std, _) => "VGA,vgamem_mb=32",
            (Video::Virtio, _) => "virtio-vga",
            (Video::Qxl, _) => "qxl-vga",
            (Video::Vmware, _) => "vmware-svga,vgamem_mb=32",
        });
    }

    fn memory(&self, _: &Vm) -> Bytes {
        // Of the card, and of a BIOS.
        Bytes(if self.kind == Video::Qxl { 160 << 20 } else { 64 << 20 })
    }

    fn needs(&self, board: &Board) -> Vec<Need> {
        if self.kind != Video::Qxl || board.program.contains('/') {
            return Vec::new();
        }
        let module = format!("/usr/lib/{}-linux-gnu/qemu/hw-display-qxl.so", std::env::consts::ARCH);
        vec![need(module, "qemu-system-modules-spice", "the graphics card qxl")]
    }
}
