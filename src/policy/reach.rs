//! What a guest in user mode must not reach, and who tells it names.
//!
//! A guest there is a process of this host's, so what the host reaches it would reach. Closed are:
//! - the *host*: its addresses, loopback, link-local (where clouds keep their secrets), multicast. Of
//!   these only what is named by itself is open: a network around it does not open it.
//! - what is *local*: the networks that the host is in, and those for private use. What the
//!   administrator allows is open.
//!
//! The list is computed, since systemd's rules cannot say it: what they allow wins over what they deny.

use crate::model::IpNetwork;
use std::net::{IpAddr, Ipv4Addr};

const HOST: [&str; 8] =
    // A connection to the unspecified address reaches the host itself.
    ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::/128", "::1/128", "fe80::/10", "ff00::/8"];
const PRIVATE: [&str; 6] = ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"];

/// The networks that are closed. `own` are the host's addresses, each with the length of its network;
/// `names` is the name server, which is open whole: rules of systemd know no ports.
pub fn closed(own: &[(IpAddr, u8)], allow: &[IpNetwork], names: Option<Ipv4Addr>) -> Vec<IpNetwork> {
    let open: Vec<IpNetwork> = allow.iter().copied().chain(names.map(|n| IpAddr::from(n).into())).collect();
    let local = own.iter().map(|(address, length)| IpNetwork::new(*address, *length)).chain(known(&PRIVATE));
    let local = local.flat_map(|network| network.without(&open));
    let host = host(own).into_iter().flat_map(|network| network.without(&named(&open, &network)));
    let mut all: Vec<IpNetwork> = local.chain(host).collect();
    all.sort();
    all.dedup();
    let whole = all.clone();
    all.retain(|part| !whole.iter().any(|other| other != part && other.covers(part)));
    all
}

/// The first of these that a guest can be given: none that is this host, unless it is allowed by name.
pub fn name_server(candidates: &[IpAddr], own: &[(IpAddr, u8)], allow: &[IpNetwork]) -> Option<Ipv4Addr> {
    let host = host(own);
    let usable = |address: &Ipv4Addr| {
        let address = IpAddr::from(*address);
        host.iter().filter(|network| network.has(address)).all(|n| named(allow, n).iter().any(|a| a.has(address)))
    };
    let v4 = candidates.iter().filter_map(|c| if let IpAddr::V4(v4) = c { Some(*v4) } else { None });
    v4.into_iter().find(usable)
}

fn host(own: &[(IpAddr, u8)]) -> Vec<IpNetwork> {
    known(&HOST).chain(own.iter().map(|(address, _)| (*address).into())).collect()
}

/// What is allowed of the network itself, and not of one around it.
fn named(open: &[IpNetwork], network: &IpNetwork) -> Vec<IpNetwork> {
    open.iter().filter(|allowed| network.covers(allowed)).copied().collect()
}

fn known(texts: &'static [&str]) -> impl Iterator<Item = IpNetwork> {
    texts.iter().map(|text| text.parse().expect("a network"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Vec<(IpAddr, u8)> {
        [("127.0.0.1", 8), ("203.0.113.7", 24), ("10.1.2.3", 16), ("2001:db8::7", 64)]
            .map(|(address, length)| (address.parse().unwrap(), length))
            .into()
    }

    fn nets(texts: &[&str]) -> Vec<IpNetwork> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn reaches(allow: &[&str], names: Option<&str>, address: &str) -> bool {
        let address = address.parse().unwrap();
        let closed = closed(&own(), &nets(allow), names.map(|n| n.parse().unwrap()));
        !closed.iter().any(|network| network.has(address))
    }

    #[test]
    fn the_world_is_open_and_all_that_is_local_is_not() {
        for open in ["198.51.100.7", "9.255.255.255", "203.0.112.1", "2001:db8:1::1"] {
            assert!(reaches(&[], None, open), "{open}");
        }
        for closed in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "::1",
            "::",
            "203.0.113.7",
            "203.0.113.1",
            "10.1.2.3",
            "10.200.0.1",
            "192.168.1.1",
            "172.31.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "224.0.0.251",
            "255.255.255.255",
            "fe80::1",
            "2001:db8::7",
            "2001:db8::1",
            "fd00::1",
            "ff02::1",
        ] {
            assert!(!reaches(&[], None, closed), "{closed}");
        }
    }

    #[test]
    fn an_allowed_network_is_open_and_the_host_in_it_is_not() {
        assert!(reaches(&["203.0.113.0/24"], None, "203.0.113.1") && reaches(&["10.0.0.0/8"], None, "10.1.2.4"));
        for allow in ["203.0.113.0/24", "0.0.0.0/0", "10.0.0.0/8"] {
            for host in ["203.0.113.7", "10.1.2.3", "127.0.0.1", "169.254.169.254", "0.0.0.0"] {
                assert!(!reaches(&[allow], None, host), "{allow} opens {host}");
            }
        }
        assert!(!reaches(&["10.1.0.0/16"], None, "10.2.0.1"));
        assert!(!reaches(&["::/0"], None, "2001:db8::7") && reaches(&["::/0"], None, "fd00::1"));
    }

    #[test]
    fn the_host_is_open_only_by_its_very_name() {
        assert!(reaches(&["127.0.0.1"], None, "127.0.0.1") && !reaches(&["127.0.0.1"], None, "127.0.0.2"));
        assert!(reaches(&["10.1.2.3"], None, "10.1.2.3") && !reaches(&["10.1.2.3"], None, "10.1.2.4"));
    }

    #[test]
    fn the_name_server_is_open_unless_it_is_the_host() {
        assert!(reaches(&[], Some("10.1.0.53"), "10.1.0.53") && !reaches(&[], Some("10.1.0.53"), "10.1.0.54"));
        let found = |candidates: &[&str], allow: &[&str]| {
            let candidates: Vec<IpAddr> = candidates.iter().map(|c| c.parse().unwrap()).collect();
            name_server(&candidates, &own(), &nets(allow)).map(|address| address.to_string())
        };
        assert_eq!(
            found(&["127.0.0.53", "2001:db8::53", "10.1.0.53", "198.51.100.53"], &[]).as_deref(),
            Some("10.1.0.53")
        );
        assert_eq!(found(&["127.0.0.1", "10.1.2.3", "203.0.113.7"], &["0.0.0.0/0"]), None);
        assert_eq!(found(&["127.0.0.53"], &["127.0.0.53"]).as_deref(), Some("127.0.0.53"));
        assert_eq!(found(&[], &[]), None);
    }

    #[test]
    fn nothing_stands_in_the_list_twice() {
        let closed = closed(&own(), &[], None);
        for part in &closed {
            assert_eq!(closed.iter().filter(|other| other.covers(part)).count(), 1, "{part}");
        }
    }
}
