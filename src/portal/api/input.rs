//! What the API takes: closed records, in which an unknown or a repeated key is refused.

use crate::auth::Password;
use crate::bus::{NewSession, NewShare};
use crate::model::{Bytes, Lifetime, MachineName, Problem, Role, Secret};
use crate::portal::refusal::Refusal;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Of `POST sessions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    machine: MachineName,
    cpus: Option<u32>,
    memory_bytes: Option<u64>,
    memory: Option<Bytes>,
    lifetime_seconds: Option<u64>,
    lifetime: Option<Lifetime>,
    #[serde(default)]
    pub(super) terms: bool,
    pub(super) owner: Option<String>,
}

/// Of `POST sign-in`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    pub(super) name: String,
    pub(super) password: Option<Password>,
}

/// Of `POST sessions/ID/extend`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extend {
    pub(super) seconds: u64,
}

/// Of `POST sessions/ID/shares`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Share {
    role: Role,
    #[serde(default)]
    seconds: u64,
    /// Good for one browser.
    #[serde(default)]
    once: bool,
}

/// Of `POST sessions/ID/tickets`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ticket {
    pub(super) role: Role,
}

/// Of `POST join` and `POST look`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    secret: String,
}

impl Create {
    /// As the launcher takes it; what is not said is left to the configuration.
    pub(super) fn wanted(&self) -> Result<NewSession, Refusal> {
        let memory = one_of("memory", self.memory_bytes, "memory_bytes", self.memory.map(|m| m.0))?;
        let lifetime = one_of("lifetime", self.lifetime_seconds, "lifetime_seconds", self.lifetime.map(|t| t.0))?;
        Ok(NewSession {
            machine: self.machine.to_string(),
            cpus: given("cpus", self.cpus)?.unwrap_or_default(),
            memory_bytes: given("memory", memory)?.unwrap_or_default(),
            lifetime_seconds: given("lifetime", lifetime)?.unwrap_or_default(),
            force: false,
        })
    }
}

impl Share {
    /// As the launcher takes it.
    pub(super) fn wanted(&self) -> NewShare {
        NewShare { role: self.role.to_string(), seconds: self.seconds, once: self.once }
    }
}

impl Join {
    pub(super) fn secret(&self) -> Result<Secret, Problem> {
        self.secret.parse()
    }
}

fn one_of(a_name: &str, a: Option<u64>, b_name: &str, b: Option<u64>) -> Result<Option<u64>, Refusal> {
    if a.is_some() && b.is_some() {
        return Err(Refusal::bad_request(format!("Give {a_name} or {b_name}, not both.")));
    }
    Ok(a.or(b))
}

/// Zero stands for "the default" on the bus, so whoever writes it must not get that by accident.
fn given<T: Default + PartialEq>(name: &str, value: Option<T>) -> Result<Option<T>, Refusal> {
    if value.as_ref().is_some_and(|v| *v == T::default()) {
        return Err(Refusal::bad_request(format!("The field {name} is 1 or more; leave it out for the default.")));
    }
    Ok(value)
}

/// The body as one of these records.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|e| Refusal::bad_request(format!("The JSON of the request is not what this address takes: {e}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_as_numbers_or_as_text() {
        let parsed: Create = parse(br#"{"machine":"slax.iso","memory":"2G","lifetime":"4h","terms":true}"#).unwrap();
        let wanted = parsed.wanted().unwrap();
        assert_eq!((wanted.memory_bytes, wanted.lifetime_seconds, wanted.cpus), (2 << 30, 14_400, 0));
        let parsed: Create = parse(br#"{"machine":"slax.iso","memory_bytes":1,"cpus":3}"#).unwrap();
        assert_eq!((parsed.wanted().unwrap().memory_bytes, parsed.terms), (1, false));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for body in [
            r#"{"machine":"a","force":true}"#,
            r#"{"machine":"a","machine":"b"}"#,
            r#"{"machine":"../a"}"#,
            r#"{"machine":"a","cpus":-1}"#,
            r#"{"machine":"a","cpus":4294967296}"#,
            r#"{"machine":"a","cpus":1.5}"#,
            r#"{"machine":"a","memory":"1X"}"#,
            r#"{"machine":"a","memory_bytes":99999999999999999999}"#,
            r#"{"machine":"a"} {}"#,
            r#"{"cpus":1}"#,
            "[]",
            "",
        ] {
            assert_eq!(parse::<Create>(body.as_bytes()).unwrap_err().status, 400, "{body}");
        }
        let both: Create = parse(br#"{"machine":"a","memory":"1G","memory_bytes":1}"#).unwrap();
        assert!(both.wanted().is_err());
        let none: Create = parse(br#"{"machine":"a","cpus":0}"#).unwrap();
        assert!(none.wanted().is_err());
    }
}
