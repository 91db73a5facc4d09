//! The words of the product as types: names, amounts, roles, states, problems.
//!
//! Text from outside becomes one of these once, by `FromStr` or `TryFrom`, before it reaches a
//! unit name, an argument, a path or a file. Knows nothing but std and serde.

mod address;
mod amounts;
mod debian;
mod format;
mod id;
mod names;
mod network;
mod owner;
mod problem;
mod session;
mod state;

pub use address::MailAddress;
pub use amounts::{Bytes, Lifetime};
pub use debian::{AccountName, PackageName, Suite};
pub use format::Format;
pub use id::{Secret, SessionId};
pub use names::{MachineName, UserName};
pub use network::{BridgeName, CLIENT_STEPS, ClientNetworks, IpNetwork, network_of};
pub use owner::{Label, METHODS, Method, Owner, Proof};
pub use problem::{Problem, Word};
pub use session::{Acceleration, Pause, Role};
pub use state::{Event, ImpossibleEvent, State};

/// Makes a string-backed newtype serialise as its text and deserialise through its `FromStr`.
macro_rules! text_newtype {
    ($name:ty) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_newtype;
