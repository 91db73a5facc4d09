//! The validated settings of the monitor: what administrators see, and who reads the metrics.

use super::raw;
use super::settings::Fault;
use crate::model::{IpNetwork, Problem};
use std::net::IpAddr;

/// What the monitor shows, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Small pictures of all screens.
    pub pictures: bool,
    /// Networks that may read the metrics.
    pub metrics_clients: Vec<IpNetwork>,
}

impl Monitor {
    /// Whether a client at this address may read the metrics: on this machine, or in one of the networks.
    pub fn is_reader(&self, client: IpAddr) -> bool {
        client.is_loopback() || self.metrics_clients.iter().any(|network| network.has(client))
    }
}

pub(super) fn monitor(raw: &raw::Monitor) -> Result<Monitor, Fault> {
    let network = |text: &String| text.parse().map_err(|p: Problem| ("monitor.metrics_clients", p.message));
    let metrics_clients = raw.metrics_clients.iter().map(network).collect::<Result<_, _>>()?;
    Ok(Monitor { pictures: raw.pictures, metrics_clients })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_for_this_machine_and_the_networks_listed() {
        let networks = ["192.0.2.0/25".to_owned(), "2001:db8::/32".to_owned(), "198.51.100.7".to_owned()];
        let monitor = monitor(&raw::Monitor { metrics_clients: networks.into(), pictures: false }).unwrap();
        let reads = |address: &str| monitor.is_reader(address.parse().unwrap());
        for reader in ["127.0.0.1", "127.9.9.9", "::1", "192.0.2.127", "2001:db8:ffff::1", "198.51.100.7"] {
            assert!(reads(reader), "{reader}");
        }
        for other in ["192.0.2.128", "192.0.3.1", "2001:db9::1", "198.51.100.6", "::", "0.0.0.0", "::192.0.2.1"] {
            assert!(!reads(other), "{other}");
        }
        let everywhere = Monitor { metrics_clients: vec!["0.0.0.0/0".parse().unwrap()], pictures: false };
        assert!(everywhere.is_reader("203.0.113.9".parse().unwrap()));
        assert!(!everywhere.is_reader("2001:db8::1".parse().unwrap()));
    }
}
