//! What the monitor's page and the API are made from: the launcher's figures, and rates made of two
//! readings of them.

use super::ask::Ask;
use super::refusal::Refusal;
use crate::bus::{Status, Usage};
use crate::policy::Reading;
use std::sync::PoisonError;

/// A session's figures, and the CPUs it uses at present where two readings tell.
pub type Used = (Usage, Option<f64>);

/// The service, and each session with the number of CPUs that it keeps busy now, if that is known yet.
pub fn look(ask: &Ask<'_>) -> Result<(Status, Vec<Used>), Refusal> {
    let asker = ask.asker()?;
    let (status, usages) = ask.app.launcher.ask(|l| l.monitor(asker.clone()))?;
    let mut readings = ask.app.readings.lock().unwrap_or_else(PoisonError::into_inner);
    readings.keep(|id| usages.iter().any(|usage| usage.session.id == id));
    let with_rate = |usage: Usage| {
        let reading = Reading { at: usage.read_at_microseconds, used: usage.cpu_microseconds };
        let busy = readings.busy(&usage.session.id, reading);
        (usage, busy)
    };
    Ok((status, usages.into_iter().map(with_rate).collect()))
}
