//! The hardware of a guest: what its section of `machines.conf` says, the configuration for the rest,
//! and what suits its kind of system; and what must be installed on the host for it.

use super::device::firmware::{self, FirmwareDevice};
use super::device::{Choice, Device, VirtualDevice};
use crate::config::{Architecture, Clock, Firmware, Guest, MachineHardware, Qemu, Word};
use std::path::{Path, PathBuf};

/// The board that carries all devices.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Board {
    /// The emulator: a program's name or absolute path.
    pub program: String,
    /// The kind of processor.
    pub architecture: Architecture,
    /// The chips of the board.
    pub chipset: Chipset,
    /// The guest is Windows: several devices have other defaults.
    pub windows: bool,
    /// The time zone of the guest's clock.
    pub clock: Clock,
}

/// The chips of a board, as QEMU's machine types name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chipset {
    /// An old PC.
    Pc,
    /// A newer PC, with system management mode.
    Q35,
    /// No PC.
    Virt,
}

/// Board and devices of a machine, every choice made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hardware {
    /// The board that carries all devices.
    pub board: Board,
    devices: Vec<Device>,
}

/// A file that must be on the host, and the package of Debian that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The file.
    pub path: PathBuf,
    /// The package's name.
    pub package: &'static str,
    /// Its purpose, as the end of a sentence.
    pub purpose: &'static str,
}

/// Return a need.
pub(super) fn need(path: impl Into<PathBuf>, package: &'static str, purpose: &'static str) -> Need {
    Need { path: path.into(), package, purpose }
}

impl Chipset {
    /// Return the chips of a machine where nothing is said.
    pub fn of(architecture: Architecture) -> Self {
        if architecture == Architecture::Arm { Self::Virt } else { Self::Pc }
    }

    /// Return QEMU's machine type.
    pub fn machine_type(self) -> &'static str {
        match self {
            Self::Pc => "pc",
            Self::Q35 => "q35",
            Self::Virt => "virt",
        }
    }
}

impl Board {
    fn choose(wish: &MachineHardware, qemu: &Qemu) -> Result<Self, String> {
        let (architecture, program) = emulator(wish, qemu)?;
        let windows = wish.guest == Some(Guest::Windows);
        let chipset = match firmware::chosen(wish.firmware, architecture) {
            Firmware::SecureUefi if architecture == Architecture::X86 => Chipset::Q35,
            _ => Chipset::of(architecture),
        };
        let clock = wish.clock.unwrap_or(if windows { Clock::Local } else { Clock::Utc });
        Ok(Self { program, architecture, chipset, windows, clock })
    }

    fn needs(&self) -> Option<Need> {
        // An emulator of the administrator's own brings its parts along; an unknown name has no package.
        if self.program.contains('/') || named(&self.program).is_none() {
            return None;
        }
        let arm = self.architecture == Architecture::Arm;
        let package = if arm { "qemu-system-arm" } else { "qemu-system-x86" };
        Some(need(format!("/usr/bin/{}", self.program), package, "the emulator"))
    }
}

impl Hardware {
    /// Make every choice, or return what does not fit together.
    pub fn of(wish: &MachineHardware, qemu: &Qemu) -> Result<Self, String> {
        let board = Board::choose(wish, qemu)?;
        let devices = Device::choose_all(&Choice { wish, qemu, board: &board })?;
        Ok(Self { board, devices })
    }

    /// Return the devices, in the order of QEMU's arguments.
    pub(super) fn devices(&self) -> impl Iterator<Item = &dyn VirtualDevice> {
        self.devices.iter().map(Device::as_virtual)
    }

    /// Return the firmware.
    pub fn firmware(&self) -> &FirmwareDevice {
        let firmware = self.devices.iter().find_map(|device| match device {
            Device::FirmwareDevice(firmware) => Some(firmware),
            _ => None,
        });
        firmware.expect("every machine has a firmware")
    }

    /// Return whether the guest has a trusted platform module.
    pub fn has_tpm(&self) -> bool {
        self.devices.iter().any(|device| matches!(device, Device::Tpm(_)))
    }

    /// Return what must be installed.
    pub fn needs(&self) -> Vec<Need> {
        let devices = self.devices().flat_map(|device| device.needs(&self.board));
        self.board.needs().into_iter().chain(devices).collect()
    }
}

/// Return the architecture and its emulator; either follows from the other.
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

/// Return the suffix of `qemu-system-…`.
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

/// Return the architecture in the program's name, if it is unsupported.
fn stranger(program: &str) -> Option<&str> {
    ending(program).filter(|_| named(program).is_none())
}

/// Return the host's architecture, which KVM can run.
pub fn host() -> Architecture {
    if std::env::consts::ARCH == "aarch64" { Architecture::Arm } else { Architecture::X86 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Card, DiskBus, Settings, Video};

    fn of(wish: MachineHardware) -> Result<Hardware, String> {
        Hardware::of(&wish, &Settings::default().qemu)
    }

    fn wish() -> MachineHardware {
        MachineHardware::default()
    }

    #[test]
    fn nothing_said_is_as_it_always_was() {
        let plain = of(wish()).unwrap();
        let board = &plain.board;
        assert_eq!((board.program.as_str(), board.architecture), ("qemu-system-x86_64", Architecture::X86));
        let said = MachineHardware {
            firmware: Some(Firmware::Bios),
            disk: Some(DiskBus::Ide),
            card: Some(Card::Virtio),
            clock: Some(Clock::Utc),
            balloon: Some(true),
            ..wish()
        };
        assert_eq!(of(said).unwrap(), plain);
        assert_eq!((plain.has_tpm(), board.windows), (false, false));
        assert!(plain.firmware().files().is_none());
    }

    #[test]
    fn windows_gets_what_it_knows_without_drivers_unless_something_else_is_said() {
        let windows = MachineHardware { guest: Some(Guest::Windows), ..wish() };
        let (disk, card, clock) = (Some(DiskBus::Sata), Some(Card::E1000e), Some(Clock::Local));
        let said = MachineHardware { disk, card, clock, ..windows.clone() };
        assert_eq!(of(windows.clone()).unwrap(), of(said).unwrap());
        let own = MachineHardware { disk: Some(DiskBus::Virtio), ..windows.clone() };
        assert_ne!(of(own).unwrap(), of(windows).unwrap());
    }

    #[test]
    fn architecture_and_emulator_follow_from_each_other() {
        let arm = of(MachineHardware { architecture: Some(Architecture::Arm), ..wish() }).unwrap();
        assert_eq!(arm.board.program, "qemu-system-aarch64");
        let said = MachineHardware {
            architecture: Some(Architecture::Arm),
            firmware: Some(Firmware::Uefi),
            video: Some(Video::Virtio),
            disk: Some(DiskBus::Virtio),
            ..wish()
        };
        assert_eq!(of(said).unwrap(), arm);
        let by_name = of(MachineHardware { program: Some("/opt/bin/qemu-system-aarch64".into()), ..wish() }).unwrap();
        assert_eq!(by_name.board.architecture, Architecture::Arm);
        let own = of(MachineHardware { program: Some("/opt/bin/qemu".into()), ..wish() }).unwrap();
        assert_eq!(own.board.architecture, host());
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
        assert_eq!(packages(all), ["qemu-system-x86", "ovmf", "qemu-system-modules-spice", "swtpm"]);
        let arm = MachineHardware { architecture: Some(Architecture::Arm), ..wish() };
        assert_eq!(packages(arm), ["qemu-system-arm", "qemu-efi-aarch64"]);
        assert_eq!(packages(MachineHardware { program: Some("/opt/qemu".into()), ..wish() }), [""; 0]);
    }
}
