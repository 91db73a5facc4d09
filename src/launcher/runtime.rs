//! What a session gets on this host at this moment: network and accelerator.

use super::core::Core;
use super::ready::Ready;
use super::{bridge, kvm, machine_type};
use crate::config::{Network, NetworkMode, Reach, Word};
use crate::model::{BridgeName, IpNetwork, Problem};
use crate::vm::{self, Accel};
use crate::{config::Settings, host, policy, whole};
use std::fs::DirBuilder;
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A file for each name server that guests have been given.
const NAME_SERVERS: &str = "/run/qemu-web-desktop/resolv";

/// The decisions that depend on the host.
pub(super) struct Runtime {
    pub accel: Accel,
    /// The versioned machine type.
    pub machine_type: String,
    pub card: Card,
    /// Sentences for the owner.
    pub notes: Vec<String>,
}

/// The guest's network card.
pub(super) enum Card {
    None,
    /// By QEMU's user mode.
    User {
        closed: Vec<IpNetwork>,
        /// The file that names the guest's name server, if it has one.
        resolv_conf: Option<PathBuf>,
    },
    /// On a bridge.
    Bridge {
        name: BridgeName,
        isolated: bool,
    },
}

impl Card {
    /// The word shown to people.
    pub(super) fn as_str(&self) -> &'static str {
        let mode = match self {
            Self::None => NetworkMode::None,
            Self::User { .. } => NetworkMode::User,
            Self::Bridge { .. } => NetworkMode::Bridge,
        };
        mode.word()
    }

    /// The same for QEMU.
    pub(super) fn kind(&self) -> vm::Network {
        match self {
            Self::None => vm::Network::None,
            Self::User { .. } => vm::Network::User,
            Self::Bridge { .. } => vm::Network::Bridge,
        }
    }
}

impl Runtime {
    pub(super) fn decide(core: &Core, settings: &Settings, ready: &Ready) -> Result<Self, Problem> {
        let architecture = ready.hardware.board.architecture;
        let (accel, why_not) = kvm::choose(core, settings, architecture)?;
        let mut notes = Vec::new();
        if architecture != vm::host() {
            notes.extend(why_not.map(|why| format!("This machine runs in software, and slowly: {why}.")));
        }
        let card = card(&settings.network, &ready.reach, &mut notes)?;
        let machine_type = machine_type::versioned(core, &ready.hardware.board);
        Ok(Self { accel, machine_type, card, notes })
    }
}

fn card(network: &Network, reach: &Reach, notes: &mut Vec<String>) -> Result<Card, Problem> {
    match reach {
        Reach::Nothing => Ok(Card::None),
        Reach::Bridge { name, isolated } => {
            bridge::usable(name, *isolated)?;
            Ok(Card::Bridge { name: name.clone(), isolated: *isolated })
        }
        Reach::Out(allow) => {
            if let Some(why) = unbounded() {
                notes.push(format!("This machine has no network: {why}."));
                return Ok(Card::None);
            }
            let own = host::interfaces();
            let server = policy::name_server(&host::name_servers(network.dns), &own, allow);
            if server.is_none() {
                notes.push("This machine finds no names in its network: the server's only name server is the server itself, which guests do not reach.".to_owned());
            }
            let resolv_conf = server.map(resolv_conf).transpose()?;
            Ok(Card::User { closed: policy::closed(&own, allow, server), resolv_conf })
        }
    }
}

/// Why guests cannot have user mode, where they cannot.
fn unbounded() -> Option<String> {
    let why = "on this server nothing could keep it from reaching the server itself (that takes cgroup v2)";
    (!host::firewalls_units()).then(|| why.to_owned())
}

/// The word for what a machine gets whose section says nothing, and why that is not what is configured.
pub(super) fn usual(network: &Network) -> (&'static str, Option<String>) {
    match network.mode {
        NetworkMode::User => unbounded().map_or((NetworkMode::User.word(), None), |why| ("none", Some(why))),
        other => (other.word(), None),
    }
}

/// A file with one name server, for QEMU. It never changes, since sessions have it open.
fn resolv_conf(server: Ipv4Addr) -> Result<PathBuf, Problem> {
    let path = Path::new(NAME_SERVERS).join(server.to_string());
    if path.exists() {
        return Ok(path);
    }
    let text = format!("nameserver {server}\n");
    let made = DirBuilder::new().mode(0o755).recursive(true).create(NAME_SERVERS);
    made.and_then(|()| whole::write(&path, text.as_bytes(), whole::PUBLIC))
        .map_err(|e| Problem::failed(format!("{} cannot be written: {e}.", path.display())))?;
    Ok(path)
}
