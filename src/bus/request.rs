//! A record that a caller sends, before it has been read.

use crate::model::Problem;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::marker::PhantomData;
use zbus::zvariant::serialized::Context;
use zbus::zvariant::{LE, OwnedValue, Type, to_bytes};

/// The dictionary of a record `T`. The bus takes any dictionary; [`Request::read`] refuses a bad one with our own
/// error, where zbus would answer with one of its own.
#[derive(Debug, Deserialize, Serialize, Type)]
#[serde(transparent, bound = "")]
#[zvariant(signature = "a{sv}")]
pub struct Request<T> {
    fields: HashMap<String, OwnedValue>,
    #[serde(skip)]
    record: PhantomData<T>,
}

impl<T: DeserializeOwned + Type> Request<T> {
    /// Return the record; an error names an unknown key, or says what is wrong with a value.
    pub fn read(&self) -> Result<T, Problem> {
        let bytes = to_bytes(Context::new_dbus(LE, 0), &self.fields).map_err(refuse)?;
        bytes.deserialize().map(|(record, _)| record).map_err(refuse)
    }
}

fn refuse(error: zbus::zvariant::Error) -> Problem {
    Problem::bad_request(format!("The request cannot be read: {error}."))
}
