//! The network card.

use super::{Arguments, Choice, ChooseDevice, VirtualDevice};
use crate::config::{Architecture, Card};
use crate::unit::{Properties, addresses, bind, everywhere, only_families};
use crate::vm::document::{Descriptor, DescriptorKind, FD};
use crate::vm::{Network, Vm};
use std::path::Path;

/// QEMU's helper, which makes a tap device and puts it on a bridge.
pub const BRIDGE_HELPER: &str = "/usr/lib/qemu/qemu-bridge-helper";
/// The program that isolates a device on a bridge from others.
pub const BRIDGE_TOOL: &str = "/usr/sbin/bridge";
/// Names the network to the card.
const NETDEV: &str = "net0";

/// A network card. A session without a network has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nic {
    model: Card,
}

impl ChooseDevice for Nic {
    fn choose(choice: &Choice<'_>) -> Result<Option<Self>, String> {
        let old_pc = choice.board.windows && choice.board.architecture == Architecture::X86;
        Ok(Some(Self { model: choice.wish.card.unwrap_or(if old_pc { Card::E1000e } else { Card::Virtio }) }))
    }
}

impl Nic {
    fn device(&self) -> &'static str {
        match self.model {
            Card::Virtio => "virtio-net-pci",
            Card::E1000e => "e1000e",
            Card::E1000 => "e1000",
        }
    }
}

impl VirtualDevice for Nic {
    fn arguments(&self, vm: &Vm, arguments: &mut Arguments) {
        let device = self.device();
        match vm.shape.network {
            Network::None => arguments.push(["-nic", "none"]),
            Network::User => {
                arguments.push(["-netdev", &format!("user,id={NETDEV},ipv6=off")]);
                arguments.device(&format!("{device},netdev={NETDEV},romfile="));
            }
            Network::Bridge => {
                arguments.device(&format!("{device},netdev={NETDEV},mac={},romfile=", vm.identity.mac()));
            }
        }
    }

    fn properties(&self, vm: &Vm) -> Properties {
        let Some(closed) = &vm.host.closed else {
            // A card on a bridge is a descriptor, which needs no network of the process.
            return vec![
                ("PrivateNetwork", true.into()),
                ("RestrictAddressFamilies", only_families(&["AF_UNIX"])),
                ("IPAddressDeny", everywhere()),
            ];
        };
        let resolv = vm.host.resolv_conf.as_deref();
        let resolv = resolv.map(|file| ("BindReadOnlyPaths", bind(file, Path::new("/etc/resolv.conf"))));
        let mut all: Properties = resolv.into_iter().collect();
        all.push(("RestrictAddressFamilies", only_families(&["AF_UNIX", "AF_INET", "AF_INET6"])));
        all.push(("IPAddressDeny", addresses(closed)));
        all
    }

    fn descriptors(&self, vm: &Vm) -> Vec<Descriptor> {
        if vm.shape.network != Network::Bridge {
            return Vec::new();
        }
        vec![Descriptor {
            kind: DescriptorKind::Tap,
            arguments: vec!["-netdev".to_owned(), format!("tap,id={NETDEV},fd={FD}")],
            file: None,
        }]
    }
}
