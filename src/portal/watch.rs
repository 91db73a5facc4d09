//! What the monitor's page and the API are made from: the launcher's figures, as this portal has seen
//! them before and sees them now.

use super::ask::Ask;
use super::refusal::Refusal;
use crate::overview::Overview;
use std::sync::PoisonError;

/// The service, and each session with the number of CPUs that it keeps busy now, if that is known yet.
pub fn look(ask: &Ask<'_>) -> Result<Overview, Refusal> {
    let asker = ask.asker()?;
    let figures = ask.app.launcher.ask(|l| l.monitor(asker.clone()))?;
    let mut readings = ask.app.readings.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Overview::new(&mut readings, figures))
}
