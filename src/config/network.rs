//! What guests reach: `[network]`, and what a machine's section says instead.

use super::hardware::{NetworkMode, Word};
use super::raw;
use super::settings::{Fault, choice, fault, optional};
use crate::model::{BridgeName, IpNetwork, Problem};
use std::net::Ipv4Addr;

/// What guests reach where their machine says nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The kind of network.
    pub mode: NetworkMode,
    /// User mode: networks that are open although they are local.
    pub allow: Vec<IpNetwork>,
    /// The bridge of machines on one that name no other.
    pub bridge: Option<BridgeName>,
    /// Whether sessions on a bridge are kept from each other.
    pub isolated: bool,
    /// User mode: the guests' name server, if not the host's.
    pub dns: Option<Ipv4Addr>,
}

/// What a section of `machines.conf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineNetwork {
    /// The kind of network.
    pub mode: Option<NetworkMode>,
    /// Networks that are open, in place of all that the configuration opens.
    pub allow: Option<Vec<IpNetwork>>,
    /// The bridge.
    pub bridge: Option<BridgeName>,
    /// Whether its sessions are kept from others on the bridge.
    pub isolated: Option<bool>,
}

/// What the sessions of one machine reach, every choice made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: there is no network card.
    Nothing,
    /// Out into the world by user mode, and of what is local these.
    Out(Vec<IpNetwork>),
    /// Whatever is on the bridge.
    Bridge {
        /// The bridge.
        name: BridgeName,
        /// Not other sessions on it.
        isolated: bool,
    },
}

impl Network {
    /// What a machine's sessions reach, or what in its section says nothing.
    pub fn of(&self, wish: &MachineNetwork) -> Result<Reach, String> {
        let mode = wish.mode.unwrap_or(self.mode);
        let idle = |key: &str, takes: NetworkMode| {
            Err(format!("{key} says nothing beside network = {}: it takes network = {}", mode.word(), takes.word()))
        };
        match mode {
            NetworkMode::Bridge if wish.allow.is_some() => idle("network_allow", NetworkMode::User),
            NetworkMode::None if wish.allow.is_some() => idle("network_allow", NetworkMode::User),
            NetworkMode::User | NetworkMode::None if wish.bridge.is_some() => idle("bridge", NetworkMode::Bridge),
            NetworkMode::User | NetworkMode::None if wish.isolated.is_some() => {
                idle("bridge_isolated", NetworkMode::Bridge)
            }
            NetworkMode::None => Ok(Reach::Nothing),
            NetworkMode::User => Ok(Reach::Out(wish.allow.as_ref().unwrap_or(&self.allow).clone())),
            NetworkMode::Bridge => {
                let name = wish.bridge.as_ref().or(self.bridge.as_ref());
                let name = name.ok_or("network = bridge takes the name of one: bridge = br0")?.clone();
                Ok(Reach::Bridge { name, isolated: wish.isolated.unwrap_or(self.isolated) })
            }
        }
    }
}

pub(super) fn network(raw: &raw::Network) -> Result<Network, Fault> {
    let mode = choice("network.mode", &raw.mode, NetworkMode::WORDS)?;
    let allowed = |text: &String| text.parse().map_err(|p: Problem| ("network.allow", p.message));
    let name = |text: &str| text.parse().map_err(|p: Problem| ("network.bridge", p.message));
    // QEMU's user mode has IPv4 only, by our will.
    let address =
        |text: &str| text.parse().map_err(|_| fault("network.dns", "an IPv4 address such as 192.0.2.53, or nothing"));
    let bridge = optional(&raw.bridge).map(name).transpose()?;
    if mode == NetworkMode::Bridge && bridge.is_none() {
        return Err(fault("network.bridge", "the name of a bridge such as br0, since network.mode is \"bridge\""));
    }
    Ok(Network {
        mode,
        allow: raw.allow.iter().map(allowed).collect::<Result<_, _>>()?,
        bridge,
        isolated: raw.bridge_isolated,
        dns: optional(&raw.dns).map(address).transpose()?,
    })
}

/// A list in `machines.conf`; the word `none` is an empty one.
pub(super) fn allow(text: &str) -> Result<Vec<IpNetwork>, String> {
    if text == "none" {
        return Ok(Vec::new());
    }
    let told = |p: Problem| format!("{}; 'none' opens nothing", p.message);
    text.split(',').map(|part| part.trim().parse().map_err(told)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Catalogue;

    fn of(network: &Network, keys: &str) -> Result<Reach, String> {
        let catalogue = Catalogue::parse(&format!("[m.img]\n{keys}\n"));
        match catalogue.faults.first() {
            Some(fault) => Err(fault.message.clone()),
            None => network.of(&catalogue.machines[0].network),
        }
    }

    fn read(change: impl FnOnce(&mut raw::Network)) -> Result<Network, Fault> {
        let mut raw = raw::Network::default();
        change(&mut raw);
        network(&raw)
    }

    #[test]
    fn nothing_said_is_closed_user_mode() {
        assert_eq!(of(&read(|_| {}).unwrap(), ""), Ok(Reach::Out(vec![])));
    }

    #[test]
    fn a_machine_overrides_what_holds_for_all() {
        let lab = "192.0.2.0/24".parse().unwrap();
        let open = read(|raw| raw.allow = vec!["192.0.2.0/24".into()]).unwrap();
        assert_eq!(of(&open, ""), Ok(Reach::Out(vec![lab])));
        assert_eq!(of(&open, "network_allow=none"), Ok(Reach::Out(vec![])));
        assert_eq!(of(&open, "network=none"), Ok(Reach::Nothing));
        let two = vec!["127.0.0.1".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        assert_eq!(of(&open, "network_allow=127.0.0.1, 10.0.0.0/8"), Ok(Reach::Out(two)));
        let bridged = read(|raw| (raw.mode, raw.bridge) = ("bridge".into(), "br0".into())).unwrap();
        let on = |name: &str, isolated| Ok(Reach::Bridge { name: name.parse().unwrap(), isolated });
        assert_eq!(of(&bridged, ""), on("br0", true));
        assert_eq!(of(&bridged, "bridge=br1\nbridge_isolated=no"), on("br1", false));
        assert_eq!(of(&bridged, "network=user"), Ok(Reach::Out(vec![])));
        assert_eq!(of(&open, "network=bridge\nbridge=lab"), on("lab", true));
    }

    #[test]
    fn what_says_nothing_or_too_little_is_told() {
        let plain = read(|_| {}).unwrap();
        for (keys, word) in [
            ("bridge=br0", "takes network = bridge"),
            ("bridge_isolated=no", "takes network = bridge"),
            ("network=none\nnetwork_allow=10.0.0.0/8", "takes network = user"),
            ("network=bridge\nbridge=br0\nnetwork_allow=none", "takes network = user"),
            ("network=bridge", "takes the name of one"),
            ("network=nat", "'nat' is none of user, none, bridge"),
            ("network_allow=example.org", "'example.org' is no network"),
            ("network_allow=10.0.0.0/8,", "'' is no network"),
            ("network=bridge\nbridge=../br0", "1 to 15 letters"),
        ] {
            let told = of(&plain, keys).unwrap_err();
            assert!(told.contains(word), "{keys}: {told}");
        }
    }

    #[test]
    fn wrong_settings_are_told_by_their_key() {
        let told = |change: fn(&mut raw::Network)| read(change).unwrap_err().0;
        assert_eq!(told(|raw| raw.mode = "nat".into()), "network.mode");
        assert_eq!(told(|raw| raw.mode = "bridge".into()), "network.bridge");
        assert_eq!(told(|raw| raw.bridge = "a bridge".into()), "network.bridge");
        assert_eq!(told(|raw| raw.allow = vec!["10.0.0.0/40".into()]), "network.allow");
        assert_eq!(told(|raw| raw.dns = "2001:db8::53".into()), "network.dns");
    }
}
