//! The monitor's figures.

use super::object;
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::refusal::Refusal;
use crate::portal::watch;
use serde_json::json;

/// GET monitor
pub fn monitor(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let mut value = watch::look(ask)?.json(|session| object(session, &ask.site));
    value["pictures"] = json!(ask.settings.monitor.pictures);
    Ok(Reply::json(200, &value))
}
