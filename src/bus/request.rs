//! A record that a caller sends, before it has been read.

use crate::model::Problem;
use serde::de::{DeserializeOwned, Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use zbus::zvariant::serialized::Context;
use zbus::zvariant::{LE, Signature, Type, Value, to_bytes};

/// Maximum number of keys of a record.
const KEYS_MAX: usize = 64;
/// Maximum size of a text, or of a list of texts, in bytes.
const TEXT_MAX: usize = 64 << 10;
/// Maximum number of texts in a list.
const TEXTS_MAX: usize = 4096;

/// The dictionary of a record `T`. The bus takes any dictionary; [`Request::read`] refuses a bad one with our own
/// error, where zbus would answer with one of its own.
///
/// It is decoded before it is known who calls, so only the types that records have are kept, and little of each: a
/// `Value` of zvariant takes some fifty bytes for each one that was sent.
#[derive(Debug, Deserialize, Serialize, Type)]
#[serde(transparent, bound = "")]
#[zvariant(signature = "a{sv}")]
pub struct Request<T> {
    #[serde(deserialize_with = "read_fields")]
    fields: BTreeMap<String, Field>,
    #[serde(skip)]
    record: PhantomData<T>,
}

/// A value of a record.
#[derive(Debug)]
enum Field {
    Text(String),
    Texts(Vec<String>),
    Flag(bool),
    Number32(u32),
    Number64(u64),
    /// A value of another type, whose signature this is.
    Other(String),
}

impl<T: DeserializeOwned + Type> Request<T> {
    /// Return the record; an error names an unknown key, or says what is wrong with a value.
    pub fn read(&self) -> Result<T, Problem> {
        for (key, field) in &self.fields {
            if let Field::Other(signature) = field {
                let text = format!("The request cannot be read: {key} has a value of type '{signature}'.");
                return Err(Problem::bad_request(text));
            }
        }
        let bytes = to_bytes(Context::new_dbus(LE, 0), &self.fields).map_err(refuse)?;
        bytes.deserialize().map(|(record, _)| record).map_err(refuse)
    }
}

fn refuse(error: zbus::zvariant::Error) -> Problem {
    Problem::bad_request(format!("The request cannot be read: {error}."))
}

fn read_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Field>, D::Error> {
    struct Fields;

    impl<'de> Visitor<'de> for Fields {
        type Value = BTreeMap<String, Field>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a record")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = BTreeMap::new();
            while let Some(key) = map.next_key::<&str>()? {
                if fields.len() == KEYS_MAX || key.len() > TEXT_MAX {
                    return Err(A::Error::custom("the record is too large"));
                }
                fields.insert(key.to_owned(), map.next_value()?);
            }
            Ok(fields)
        }
    }

    deserializer.deserialize_map(Fields)
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Variant;

        impl<'de> Visitor<'de> for Variant {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a variant")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Field, A::Error> {
                let signature: Signature = next(&mut seq)?;
                Ok(match signature.to_string_no_parens().as_str() {
                    "s" => Field::Text(short(next(&mut seq)?)?),
                    "as" => Field::Texts(next::<Texts, A>(&mut seq)?.0),
                    "b" => Field::Flag(next(&mut seq)?),
                    "u" => Field::Number32(next(&mut seq)?),
                    "t" => Field::Number64(next(&mut seq)?),
                    other => {
                        next::<IgnoredAny, A>(&mut seq)?;
                        Field::Other(other.chars().take(32).collect())
                    }
                })
            }
        }

        deserializer.deserialize_struct("Variant", &["signature", "value"], Variant)
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(seq: &mut A) -> Result<T, A::Error> {
    seq.next_element()?.ok_or_else(|| A::Error::custom("the record is cut off"))
}

fn short<E: Error>(text: &str) -> Result<String, E> {
    if text.len() > TEXT_MAX { Err(E::custom("a text of the record is too long")) } else { Ok(text.to_owned()) }
}

/// A list of texts within bounds.
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Texts, A::Error> {
                let (mut texts, mut size) = (Vec::new(), 0);
                while let Some(text) = seq.next_element::<&str>()? {
                    size += text.len();
                    if texts.len() == TEXTS_MAX || size > TEXT_MAX {
                        return Err(A::Error::custom("a list of the record is too long"));
                    }
                    texts.push(text.to_owned());
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => Value::from(text.as_str()).serialize(serializer),
            Self::Texts(texts) => Value::from(texts.as_slice()).serialize(serializer),
            Self::Flag(flag) => Value::from(*flag).serialize(serializer),
            Self::Number32(number) => Value::from(*number).serialize(serializer),
            Self::Number64(number) => Value::from(*number).serialize(serializer),
            Self::Other(signature) => Value::from(signature.as_str()).serialize(serializer),
        }
    }
}

impl Type for Field {
    const SIGNATURE: &'static Signature = &Signature::Variant;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Asker, NewSession};
    use zbus::zvariant::serialized::Data;

    fn encoded(fields: &[(&str, Value<'_>)]) -> Data<'static, 'static> {
        let fields: BTreeMap<&str, &Value<'_>> = fields.iter().map(|(key, value)| (*key, value)).collect();
        to_bytes(Context::new_dbus(LE, 0), &fields).unwrap()
    }

    fn read<T: DeserializeOwned + Type>(fields: &[(&str, Value<'_>)]) -> Result<T, String> {
        let bytes = encoded(fields);
        let (request, _) = bytes.deserialize::<Request<T>>().map_err(|e| e.to_string())?;
        request.read().map_err(|problem| problem.message)
    }

    #[test]
    fn every_type_of_a_request_arrives() {
        let groups = Value::from(vec!["a", "b"]);
        let asker: Asker = read(&[("owner", "pam:ada".into()), ("groups", groups)]).unwrap();
        assert_eq!((asker.owner.as_str(), asker.groups.len()), ("pam:ada", 2));
        let wanted: NewSession =
            read(&[("cpus", 2_u32.into()), ("memory_bytes", 5_u64.into()), ("force", true.into())]).unwrap();
        assert_eq!((wanted.cpus, wanted.memory_bytes, wanted.force), (2, 5, true));
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_name_whatever_its_size() {
        for (value, signature) in [
            (Value::from(vec![0_u8; 8 << 20]), "ay"),
            (Value::from(vec![vec!["a"]]), "aas"),
            (Value::from(1.5), "d"),
            (Value::new(Value::from(1_u8)), "v"),
        ] {
            let refused = read::<Asker>(&[("name", "ada".into()), ("x", value)]).unwrap_err();
            assert!(refused.contains(&format!("x has a value of type '{signature}'")), "{refused}");
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_not_decoded() {
        let long = "x".repeat(TEXT_MAX + 1);
        assert!(read::<Asker>(&[("name", long.as_str().into())]).unwrap_err().contains("too long"));
        let many = vec![""; TEXTS_MAX + 1];
        assert!(read::<Asker>(&[("groups", many.into())]).unwrap_err().contains("too long"));
        let keys: Vec<String> = (0..=KEYS_MAX).map(|n| n.to_string()).collect();
        let fields: Vec<(&str, Value<'_>)> = keys.iter().map(|key| (key.as_str(), Value::from(1_u32))).collect();
        assert!(read::<Asker>(&fields).unwrap_err().contains("too large"));
    }
}
