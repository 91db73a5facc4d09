//! How an amount crosses the bus in a record: as its number, in a variant of type `t`.

use serde::de::Deserializer;
use serde::ser::Serializer;
use zbus::zvariant::as_value;

/// Write the amount's number.
pub(super) fn serialize<T, S>(amount: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + Into<u64>,
    S: Serializer,
{
    as_value::serialize(&(*amount).into(), serializer)
}

/// Read the amount from its number.
pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: From<u64>,
    D: Deserializer<'de>,
{
    as_value::deserialize::<u64, D>(deserializer).map(T::from)
}

/// The same for an amount that may be absent: then its key is.
pub(super) mod optional {
    use super::{Deserializer, Serializer};

    /// Write the number of an amount that is there; without one, serde leaves the key out.
    pub(in crate::bus) fn serialize<T, S>(amount: &Option<T>, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Copy + Into<u64>,
        S: Serializer,
    {
        match amount {
            Some(amount) => super::serialize(amount, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Read an amount whose key is there.
    pub(in crate::bus) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: From<u64>,
        D: Deserializer<'de>,
    {
        super::deserialize(deserializer).map(Some)
    }
}
