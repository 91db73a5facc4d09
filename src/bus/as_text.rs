//! How a model type crosses the bus in a record: as its text, in a variant of type `s`.

use serde::de::{Deserializer, Error};
use serde::ser::Serializer;
use std::fmt::Display;
use std::str::FromStr;
use zbus::zvariant::as_value;

/// Write the value's text.
pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    as_value::serialize(&value.to_string(), serializer)
}

/// Read the value from its text.
pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let text: String = as_value::deserialize(deserializer)?;
    text.parse().map_err(D::Error::custom)
}

/// The same for a value that may be absent: then its key is.
pub(super) mod optional {
    use super::{Deserializer, Display, FromStr, Serializer};

    /// Write the text of a value that is there; without one, serde leaves the key out.
    pub(in crate::bus) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => super::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Read a value whose key is there.
    pub(in crate::bus) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        super::deserialize(deserializer).map(Some)
    }
}
