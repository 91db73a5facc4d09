//! The monitor's figures.

use super::object;
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::refusal::Refusal;
use crate::portal::watch;
use serde_json::{Value, json};

/// GET monitor
pub fn monitor(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (status, usages) = watch::look(ask)?;
    let sessions: Vec<Value> = usages
        .iter()
        .map(|(usage, busy)| {
            let mut value = object(&usage.session, &ask.site);
            if let (Some(value), Value::Object(figures)) = (value.as_object_mut(), usage.figures(*busy)) {
                value.extend(figures);
            }
            value
        })
        .collect();
    Ok(Reply::json(200, &json!({"status": status, "pictures": ask.settings.monitor.pictures, "sessions": sessions})))
}
