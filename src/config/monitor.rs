//! The validated settings of the monitor: what administrators see, and who reads the metrics.

use super::raw;
use super::settings::Fault;
use std::net::IpAddr;

/// What the monitor shows, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Small pictures of all screens.
    pub pictures: bool,
    /// Networks, as address and length of the prefix, that may read the metrics.
    pub metrics_clients: Vec<(IpAddr, u8)>,
}

impl Monitor {
    /// Whether a client at this address may read the metrics: on this machine, or in one of the networks.
    pub fn is_reader(&self, client: IpAddr) -> bool {
        client.is_loopback() || self.metrics_clients.iter().any(|(network, length)| within(client, *network, *length))
    }
}

/// Whether the first so many bits are the same.
fn within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= length.into(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= length.into(),
        _ => false,
    }
}

pub(super) fn monitor(raw: &raw::Monitor) -> Result<Monitor, Fault> {
    let network = |text: &String| {
        network(text).ok_or_else(|| {
            (("monitor.metrics_clients"), format!("\"{text}\" is no address such as 192.0.2.7 or 192.0.2.0/24"))
        })
    };
    let metrics_clients = raw.metrics_clients.iter().map(network).collect::<Result<_, _>>()?;
    Ok(Monitor { pictures: raw.pictures, metrics_clients })
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(most), |l| l.parse().ok())?;
    (length <= most).then_some((address, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_addresses_with_an_optional_length() {
        assert_eq!(network("192.0.2.0/24"), Some(("192.0.2.0".parse().unwrap(), 24)));
        assert_eq!(network("2001:db8::1"), Some(("2001:db8::1".parse().unwrap(), 128)));
        for wrong in ["", "example.org", "192.0.2.0/33", "192.0.2.0/", "192.0.2/24"] {
            assert_eq!(network(wrong), None, "{wrong}");
        }
    }

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
        let everywhere = Monitor { metrics_clients: vec![("0.0.0.0".parse().unwrap(), 0)], pictures: false };
        assert!(everywhere.is_reader("203.0.113.9".parse().unwrap()));
        assert!(!everywhere.is_reader("2001:db8::1".parse().unwrap()));
    }
}
