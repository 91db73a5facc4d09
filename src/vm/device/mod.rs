//! The devices of a virtual machine: one file for each, which says everything about it.
//!
//! To add a device: write its file, and add it to the list below, whose order is that of QEMU's arguments.

use super::document::{Descriptor, SetUpStep};
use super::exit::Failure;
use super::hardware::{Board, Need};
use super::{Arguments, Vm};
use crate::config::{MachineHardware, Qemu};
use crate::model::Bytes;
use crate::unit::Properties;

/// The input for choosing a device.
pub(super) struct Choice<'a> {
    /// The machine's section.
    pub wish: &'a MachineHardware,
    /// The `[qemu]` section.
    pub qemu: &'a Qemu,
    /// The board that the devices are on.
    pub board: &'a Board,
}

/// The choice of a device for a machine.
pub(super) trait ChooseDevice: Sized {
    /// The exit codes of its set-up.
    const FAILURES: &'static [Failure] = &[];

    /// Return the device, if the machine has it, or what does not fit together.
    fn choose(choice: &Choice<'_>) -> Result<Option<Self>, String>;
}

/// The part of a device in its virtual machine. Every method has a default: most devices add little.
pub(super) trait VirtualDevice {
    /// Return the options that the device adds to `-machine`.
    fn machine_options(&self) -> &'static [&'static str] {
        &[]
    }

    /// Append QEMU's arguments.
    fn arguments(&self, _vm: &Vm, _arguments: &mut Arguments) {}

    /// Return the unit's properties: what is bound into its view, devices of the host, credentials.
    fn properties(&self, _vm: &Vm) -> Properties {
        Vec::new()
    }

    /// Return what `qwd-session` does before QEMU starts.
    fn steps(&self, _vm: &Vm) -> Vec<SetUpStep> {
        Vec::new()
    }

    /// Return the descriptors that QEMU gets.
    fn descriptors(&self, _vm: &Vm) -> Vec<Descriptor> {
        Vec::new()
    }

    /// Return the host's memory that the device takes, in addition to the guest's.
    fn memory(&self, _vm: &Vm) -> Bytes {
        Bytes(0)
    }

    /// Return what must be installed on the host.
    fn needs(&self, _board: &Board) -> Vec<Need> {
        Vec::new()
    }
}

macro_rules! devices {
    ($($module:ident::$name:ident),+ $(,)?) => {
        $(pub mod $module;)+

        /// A device.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Device {
            $(#[doc = concat!("See `", stringify!($module), ".rs`.")] $name($module::$name)),+
        }

        impl Device {
            /// Choose all devices of a machine, or return what does not fit together.
            pub(super) fn choose_all(choice: &Choice<'_>) -> Result<Vec<Self>, String> {
                let all = [$(<$module::$name as ChooseDevice>::choose(choice)?.map(Self::$name)),+];
                Ok(all.into_iter().flatten().collect())
            }

            pub(super) fn as_virtual(&self) -> &dyn VirtualDevice {
                match self {
                    $(Self::$name(device) => device),+
                }
            }
        }

        /// The exit codes of all devices' set-up.
        pub(super) const DEVICE_FAILURES: &[&[Failure]] = &[$(<$module::$name as ChooseDevice>::FAILURES),+];
    };
}

devices![
    firmware::FirmwareDevice,
    storage::Storage,
    monitors::Monitors,
    video::VideoCard,
    input::Input,
    tpm::Tpm,
    rng::Rng,
    balloon::Balloon,
    serial_controller::SerialController,
    clipboard::Clipboard,
    agent::Agent,
    generation_id::GenerationId,
    nic::Nic,
];
