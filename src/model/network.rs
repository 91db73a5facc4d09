//! Networks by address, and the names of bridges.

use super::Problem;
use std::net::IpAddr;
use std::{fmt, str::FromStr};

/// Return what one client can easily come from: an IPv4 address, or the 64 bits of an IPv6 network.
pub fn network_of(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

/// The sizes of network that may be one client's, see [`ClientNetworks`].
pub const CLIENT_STEPS: usize = 3;

/// The networks that may be a client's own, the smallest first: an IPv4 address; or 64, 56 and 48 bits of an IPv6
/// address, which are what homes and institutes are given. Equal in the first where [`network_of`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientNetworks([Option<u64>; CLIENT_STEPS]);

impl ClientNetworks {
    /// Return those of a client; all whose address is unknown are one client.
    pub fn of(client: Option<IpAddr>) -> Self {
        let larger = client.is_some_and(|address| address.to_canonical().is_ipv6());
        let bits = client.map(network_of);
        let step = |by: u32| bits.filter(|_| larger).map(|bits| bits >> by);
        Self([bits, step(8), step(16)])
    }

    /// Return the larger ones: the step, beginning with 1, and the number of the network.
    pub fn larger(&self) -> impl Iterator<Item = (usize, u64)> + use<> {
        self.0.into_iter().enumerate().skip(1).filter_map(|(step, bits)| Some((step, bits?)))
    }

    /// Return whether both are one client at this step.
    pub fn shares(&self, other: &Self, step: usize) -> bool {
        self.0[step] == other.0[step] && (step == 0 || self.0[step].is_some())
    }

    /// Return whether one more of this client may be among these, of which one client may have so many. A larger
    /// network may have one more for each step, but never all that there can be.
    pub fn has_room(&self, taken: &[Self], most_of_one: usize, most: usize) -> bool {
        (0..CLIENT_STEPS).all(|step| {
            let limit = (most_of_one + step).min(most.saturating_sub(1)).max(most_of_one);
            taken.iter().filter(|other| self.shares(other, step)).count() < limit
        })
    }
}

/// A network: an address and how many of its first bits count. The others are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpNetwork {
    address: IpAddr,
    length: u8,
}

impl IpNetwork {
    /// The network that the address is in; `length` is cut to what the address has.
    pub fn new(address: IpAddr, length: u8) -> Self {
        let length = length.min(bits(address));
        let address = match address {
            IpAddr::V4(a) => IpAddr::V4((a.to_bits() & mask(length, 32) as u32).into()),
            IpAddr::V6(a) => IpAddr::V6((a.to_bits() & mask(length, 128)).into()),
        };
        Self { address, length }
    }

    /// Its first address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits count.
    pub fn length(&self) -> u8 {
        self.length
    }

    /// Whether the address is in it.
    pub fn has(&self, address: IpAddr) -> bool {
        self.covers(&address.into())
    }

    /// Whether all of the other is in it.
    pub fn covers(&self, other: &Self) -> bool {
        let same_kind = self.address.is_ipv4() == other.address.is_ipv4();
        same_kind && self.length <= other.length && Self::new(other.address, self.length) == *self
    }

    /// What is left of it without the others.
    pub fn without(&self, others: &[Self]) -> Vec<Self> {
        if others.iter().any(|other| other.covers(self)) {
            return Vec::new();
        }
        if !others.iter().any(|other| self.covers(other)) {
            return vec![*self];
        }
        // Something of it goes, and not all: so it has two halves.
        self.halves().iter().flat_map(|half| half.without(others)).collect()
    }

    fn halves(&self) -> [Self; 2] {
        let length = self.length + 1;
        let upper = match self.address {
            IpAddr::V4(a) => IpAddr::V4((a.to_bits() | 1 << (32 - length)).into()),
            IpAddr::V6(a) => IpAddr::V6((a.to_bits() | 1 << (128 - length)).into()),
        };
        [Self::new(self.address, length), Self::new(upper, length)]
    }
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// So many ones, then zeros, `width` bits in all.
fn mask(length: u8, width: u8) -> u128 {
    let zeros = u32::from(width - length);
    u128::MAX.checked_shl(zeros).unwrap_or(0)
}

/// An address alone.
impl From<IpAddr> for IpNetwork {
    fn from(address: IpAddr) -> Self {
        Self::new(address, bits(address))
    }
}

impl FromStr for IpNetwork {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let wrong = || {
            let shown: String = text.chars().take(60).collect();
            let shown = shown.escape_debug();
            Problem::bad_request(format!(
                "'{shown}' is no network such as 192.0.2.0/24, and no address such as 192.0.2.7"
            ))
        };
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let digits = |l: &str| l.parse().ok().filter(|n| *n <= bits(address) && !l.starts_with('+'));
        let length = length.map_or(Some(bits(address)), digits).ok_or_else(wrong)?;
        Ok(Self::new(address, length))
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The name of a bridge, as the kernel takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeName(String);

impl BridgeName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BridgeName {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if begins && text.len() <= 15 && text.chars().all(plain) {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::bad_request(
            "a bridge has a name such as br0: 1 to 15 letters, digits, . _ or -, the first a letter or digit",
        ))
    }
}

impl fmt::Display for BridgeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_may_have_a_home_or_an_institute_for_itself() {
        let of = |address: &str| ClientNetworks::of(address.parse().ok());
        let shared = |one: &str, other: &str| [0, 1, 2].map(|step| of(one).shares(&of(other), step));
        assert_eq!(shared("2001:db8:1:200::1", "2001:db8:1:200:ffff::9"), [true, true, true]);
        assert_eq!(shared("2001:db8:1:200::1", "2001:db8:1:2ff::1"), [false, true, true]);
        assert_eq!(shared("2001:db8:1:200::1", "2001:db8:1:300::1"), [false, false, true]);
        assert_eq!(shared("2001:db8:1:200::1", "2001:db8:2:200::1"), [false, false, false]);
        assert_eq!(shared("192.0.2.7", "::ffff:192.0.2.7"), [true, false, false]);
        assert_eq!(shared("192.0.2.7", "192.0.2.8"), [false, false, false]);
        assert_eq!(shared("", ""), [true, false, false]);
        let mut taken = Vec::new();
        for n in 0..0x1_0000_u32 {
            let client = of(&format!("2001:db8:1:{n:x}::1"));
            if client.has_room(&taken, 2, 8) {
                taken.push(client);
            }
        }
        assert_eq!(taken.len(), 4);
        assert!(of("2001:db8:2::1").has_room(&taken, 2, 8) && of("192.0.2.7").has_room(&taken, 2, 8));
    }

    #[test]
    fn a_network_is_an_address_with_an_optional_length() {
        assert_eq!(net("192.0.2.77/24").to_string(), "192.0.2.0/24");
        assert_eq!(net("2001:db8::1").to_string(), "2001:db8::1/128");
        assert_eq!(net("255.255.255.255/0").to_string(), "0.0.0.0/0");
        for wrong in ["", "example.org", "192.0.2.0/33", "192.0.2.0/", "192.0.2/24", "192.0.2.0/-1", "::/129", "::/+1"]
        {
            assert!(wrong.parse::<IpNetwork>().is_err(), "{wrong}");
        }
        assert!("a\u{1b}[2J/8".parse::<IpNetwork>().unwrap_err().message.contains("\\u{1b}"));
    }

    #[test]
    fn a_network_covers_its_parts_and_no_other_kind() {
        assert!(net("10.0.0.0/8").covers(&net("10.1.0.0/16")) && net("0.0.0.0/0").has("203.0.113.9".parse().unwrap()));
        assert!(
            !net("10.1.0.0/16").covers(&net("10.0.0.0/8")) && !net("192.0.2.0/25").has("192.0.2.128".parse().unwrap())
        );
        assert!(
            !net("0.0.0.0/0").has("2001:db8::1".parse().unwrap()) && !net("::/0").has("192.0.2.1".parse().unwrap())
        );
    }

    #[test]
    fn what_is_left_has_nothing_of_what_was_taken_and_all_else() {
        let left = net("192.0.2.0/24").without(&[net("192.0.2.64/26"), net("192.0.2.1"), net("198.51.100.0/24")]);
        for last in 0..=255 {
            let address: IpAddr = [192, 0, 2, last].into();
            let kept = left.iter().filter(|part| part.has(address)).count();
            assert_eq!(kept, usize::from(last != 1 && !(64..128).contains(&last)), "{address}");
        }
        assert_eq!(net("192.0.2.0/24").without(&[net("192.0.0.0/16")]), []);
        assert_eq!(net("fc00::/7").without(&[net("fd00::1")]).len(), 121);
    }

    #[test]
    fn a_bridges_name_is_one_that_cannot_be_anything_else() {
        for good in ["br0", "virbr0", "br-lan.7_a", "123456789012345"] {
            assert_eq!(good.parse::<BridgeName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "-br0", "br/0", "br 0", "br0,script=x", "br0\n", "1234567890123456", "brü"] {
            assert!(bad.parse::<BridgeName>().is_err(), "{bad}");
        }
    }
}
