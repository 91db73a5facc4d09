//! The JSON API below `api/v1`: the same calls as the pages make, for scripts.

pub mod input;
pub mod monitor;
pub mod person;
pub mod sessions;
pub mod shares;

pub use monitor::monitor;
pub use person::{sign_in, sign_out, who};
pub use sessions::{create, extend, get, list, machines, status, stop};
pub use shares::{join, look, revoke, share, shares, ticket, viewers};

use super::http::Reply;
use super::refusal::Refusal;
use super::site::Site;
use crate::bus::Session;
use serde_json::{Value, json};

/// A refusal as JSON.
pub fn error(refusal: &Refusal) -> Reply {
    Reply::json(refusal.status, &json!({"error": refusal.word, "message": refusal.message}))
}

/// A session as the API shows it: the bus's record, and where its page is.
fn object(session: &Session, site: &Site) -> Value {
    let mut value = session.json();
    value["url"] = json!(site.link(&format!("/sessions/{}", session.id)));
    value
}
