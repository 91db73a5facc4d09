//! What a guest really finds: what its section of `machines.conf` says, the configuration for the rest,
//! and what suits its kind of system; and what must be installed on the host for it.

use crate::config::{Architecture, Card, Clock, DiskBus, Firmware, Guest, MachineHardware, Qemu, Video, Word};
use crate::model::Bytes;
use std::path::{Path, PathBuf};

/// The hardware of one machine, every choice made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// The emulator: a program's name or absolute path.
    pub program: String,
    /// The kind of processor.
    pub architecture: Architecture,
    /// Defaults that suit Windows.
    pub windows: bool,
    /// What starts the guest.
    pub firmware: Firmware,
    /// A trusted platform module.
    pub tpm: bool,
    /// Graphics card.
    pub video: Video,
    /// How the disk is attached.
    pub disk: DiskBus,
    /// Network card.
    pub card: Card,
    /// What the guest's clock shows.
    pub clock: Clock,
    /// Memory that the guest frees goes back to the host.
    pub balloon: bool,
}

/// A file that must be on the host, and the package of Debian that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The places where it may be; one is enough.
    pub paths: Vec<PathBuf>,
    /// The package's name.
    pub package: &'static str,
    /// What it is for, as the end of a sentence.
    pub purpose: &'static str,
}

/// The firmware's code, and the empty variables that go with it.
pub struct FirmwareFiles {
    /// Never written.
    pub code: &'static str,
    /// What a session's own variables begin as.
    pub variables: &'static str,
}

impl Hardware {
    /// Makes every choice, or says what does not go together.
    pub fn of(wish: &MachineHardware, qemu: &Qemu) -> Result<Self, String> {
        let (architecture, program) = emulator(wish, qemu)?;
        let arm = architecture == Architecture::Arm;
        let windows = wish.guest == Some(Guest::Windows);
        let or = |suits_windows: bool, windows_has: DiskBus| if suits_windows { windows_has } else { DiskBus::Ide };
        let hardware = Self {
            program,
            architecture,
            windows,
            firmware: wish.firmware.unwrap_or(if arm { Firmware::Uefi } else { Firmware::Bios }),
            tpm: wish.tpm,
            video: wish.video.unwrap_or(if arm { Video::Virtio } else { qemu.video }),
            disk: wish.disk.unwrap_or(if arm { DiskBus::Virtio } else { or(windows, DiskBus::Sata) }),
            card: wish.card.unwrap_or(if windows && !arm { Card::E1000e } else { Card::Virtio }),
            clock: wish.clock.unwrap_or(if windows { Clock::Local } else { Clock::Utc }),
            balloon: wish.balloon.unwrap_or(true),
        };
        hardware.goes_together().map(|()| hardware)
    }

    fn goes_together(&self) -> Result<(), String> {
        let arm = self.architecture == Architecture::Arm;
        let wrong = |key: &str, word: &str, why: &str| Err(format!("{key} = {word} {why}"));
        if arm && self.firmware != Firmware::Uefi {
            return wrong("firmware", self.firmware.word(), "is a PC's: a machine for aarch64 has firmware = uefi");
        }
        if arm && !matches!(self.video, Video::Std | Video::Virtio) {
            return wrong("video", self.video.word(), "is a PC's: a machine for aarch64 has video = virtio or std");
        }
        if arm && matches!(self.disk, DiskBus::Ide | DiskBus::Sata) {
            return wrong("disk", self.disk.word(), "is a PC's: a machine for aarch64 has disk = virtio, scsi or nvme");
        }
        if self.disk == DiskBus::Ide && self.firmware == Firmware::SecureUefi {
            return wrong("disk", "ide", "is not there beside firmware = uefi-secure: take sata");
        }
        Ok(())
    }

    /// Memory of the graphics card, and of a BIOS.
    pub fn video_memory(&self) -> Bytes {
        Bytes(if self.video == Video::Qxl { 160 << 20 } else { 64 << 20 })
    }

    /// The firmware's files, where there are any to be named.
    pub fn firmware_files(&self) -> Option<FirmwareFiles> {
        let (code, variables) = match (self.architecture, self.firmware) {
            (Architecture::Arm, _) => ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
            (_, Firmware::Bios) => return None,
            (_, Firmware::Uefi) => ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            (_, Firmware::SecureUefi) => ("/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
        };
        Some(FirmwareFiles { code, variables })
    }

    /// What must be installed. An emulator of the administrator's own brings its parts along.
    pub fn needs(&self) -> Vec<Need> {
        let arm = self.architecture == Architecture::Arm;
        let need = |paths: &[&str], package, purpose| Need {
            paths: paths.iter().map(PathBuf::from).collect(),
            package,
            purpose,
        };
        let mut all = Vec::new();
        // Of a name that Debian does not have, no package can be told.
        if !self.program.contains('/') && named(&self.program).is_some() {
            let path = format!("/usr/bin/{}", self.program);
            let package = if arm { "qemu-system-arm" } else { "qemu-system-x86" };
            all.push(need(&[path.as_str()], package, "the emulator"));
        }
        if let Some(files) = self.firmware_files() {
            let package = if arm { "qemu-efi-aarch64" } else { "ovmf" };
            all.push(need(&[files.code], package, "the UEFI firmware"));
        }
        if self.tpm {
            all.push(need(&[SWTPM], "swtpm", "the trusted platform module (tpm)"));
        }
        if self.video == Video::Qxl && !self.program.contains('/') {
            let module = format!("/usr/lib/{}-linux-gnu/qemu/hw-display-qxl.so", std::env::consts::ARCH);
            all.push(need(&[module.as_str()], "qemu-system-modules-spice", "the graphics card qxl"));
        }
        all
    }
}

/// The program that plays the trusted platform module.
pub const SWTPM: &str = "/usr/bin/swtpm";

/// The kind of processor and the emulator for it: either follows from the other.
fn emulator(wish: &MachineHardware, qemu: &Qemu) -> Result<(Architecture, String), String> {
    let program = match (&wish.program, wish.architecture) {
        (Some(program), _) => program.clone(),
        (None, Some(architecture)) if named(&qemu.program) != Some(architecture) => {
            format!("qemu-system-{}", architecture.word())
        }
        (None, _) => qemu.program.clone(),
    };
    if let (Some(wanted), Some(other)) = (wish.architecture, named(&program).filter(|n| wish.architecture != Some(*n)))
    {
        return Err(format!(
            "architecture = {} does not go with qemu_exec, which is for {}",
            wanted.word(),
            other.word()
        ));
    }
    let named_here = wish.program.as_deref().filter(|_| wish.architecture.is_none());
    if let Some(other) = named_here.and_then(stranger) {
        return Err(format!("qemu_exec is for {other}, and only machines for x86_64 and aarch64 can be run"));
    }
    let architecture = wish.architecture.or(named(&program)).unwrap_or(host());
    Ok((architecture, program))
}

/// The ending of `qemu-system-…`, where the program is called like that.
fn ending(program: &str) -> Option<&str> {
    Path::new(program).file_name()?.to_str()?.strip_prefix("qemu-system-")
}

fn named(program: &str) -> Option<Architecture> {
    match ending(program)? {
        "x86_64" | "amd64" | "i386" => Some(Architecture::X86),
        "aarch64" | "arm64" => Some(Architecture::Arm),
        _ => None,
    }
}

/// Another architecture by the program's name.
fn stranger(program: &str) -> Option<&str> {
    ending(program).filter(|_| named(program).is_none())
}

/// The host's own architecture: what KVM can run.
pub fn host() -> Architecture {
    if std::env::consts::ARCH == "aarch64" { Architecture::Arm } else { Architecture::X86 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn of(wish: MachineHardware) -> Result<Hardware, String> {
        Hardware::of(&wish, &Settings::default().qemu)
    }

    fn wish() -> MachineHardware {
        MachineHardware::default()
    }

    #[test]
    fn nothing_said_is_as_it_always_was() {
        let plain = of(wish()).unwrap();
        assert_eq!((plain.program.as_str(), plain.architecture), ("qemu-system-x86_64", Architecture::X86));
        assert_eq!((plain.firmware, plain.disk, plain.card), (Firmware::Bios, DiskBus::Ide, Card::Virtio));
        assert_eq!((plain.clock, plain.balloon, plain.tpm, plain.windows), (Clock::Utc, true, false, false));
        assert!(plain.firmware_files().is_none());
    }

    #[test]
    fn windows_gets_what_it_knows_without_drivers_unless_something_else_is_said() {
        let usual = of(MachineHardware { guest: Some(Guest::Windows), ..wish() }).unwrap();
        assert_eq!((usual.disk, usual.card, usual.clock), (DiskBus::Sata, Card::E1000e, Clock::Local));
        let own = MachineHardware { guest: Some(Guest::Windows), disk: Some(DiskBus::Virtio), ..wish() };
        assert_eq!(of(own).unwrap().disk, DiskBus::Virtio);
    }

    #[test]
    fn architecture_and_emulator_follow_from_each_other() {
        let arm = of(MachineHardware { architecture: Some(Architecture::Arm), ..wish() }).unwrap();
        assert_eq!(arm.program, "qemu-system-aarch64");
        assert_eq!((arm.firmware, arm.video, arm.disk), (Firmware::Uefi, Video::Virtio, DiskBus::Virtio));
        let by_name = of(MachineHardware { program: Some("/opt/bin/qemu-system-aarch64".into()), ..wish() }).unwrap();
        assert_eq!(by_name.architecture, Architecture::Arm);
        let own = of(MachineHardware { program: Some("/opt/bin/qemu".into()), ..wish() }).unwrap();
        assert_eq!(own.architecture, host());
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let arm = Some(Architecture::Arm);
        for (wish, word) in [
            (MachineHardware { architecture: arm, firmware: Some(Firmware::Bios), ..wish() }, "firmware = bios"),
            (MachineHardware { architecture: arm, video: Some(Video::Qxl), ..wish() }, "video = qxl"),
            (MachineHardware { architecture: arm, disk: Some(DiskBus::Ide), ..wish() }, "disk = ide"),
            (MachineHardware { firmware: Some(Firmware::SecureUefi), ..wish() }, "take sata"),
            (MachineHardware { architecture: arm, program: Some("qemu-system-i386".into()), ..wish() }, "x86_64"),
            (MachineHardware { program: Some("qemu-system-riscv64".into()), ..wish() }, "riscv64"),
        ] {
            let told = of(wish).unwrap_err();
            assert!(told.contains(word), "{told}");
        }
    }

    #[test]
    fn every_part_that_may_be_missing_names_its_package() {
        let packages = |wish| of(wish).unwrap().needs().iter().map(|n| n.package).collect::<Vec<_>>();
        assert_eq!(packages(wish()), ["qemu-system-x86"]);
        let all = MachineHardware { firmware: Some(Firmware::Uefi), tpm: true, video: Some(Video::Qxl), ..wish() };
        assert_eq!(packages(all), ["qemu-system-x86", "ovmf", "swtpm", "qemu-system-modules-spice"]);
        let arm = MachineHardware { architecture: Some(Architecture::Arm), ..wish() };
        assert_eq!(packages(arm), ["qemu-system-arm", "qemu-efi-aarch64"]);
        assert_eq!(packages(MachineHardware { program: Some("/opt/qemu".into()), ..wish() }), [""; 0]);
    }
}
