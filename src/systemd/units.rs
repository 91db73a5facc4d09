//! Units as systemd lists them.

use super::proxy::{JobProxy, ManagerProxyBlocking};
use super::unreachable;
use crate::model::{Problem, SessionId};
use crate::unit;
use std::collections::HashMap;
use zbus::proxy::CacheProperties;
use zbus::zvariant::OwnedObjectPath;

/// A unit at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitStatus {
    /// Its `Description=`.
    pub description: String,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, …
    pub state: String,
    /// The job that systemd has for it.
    pub job: Option<OwnedObjectPath>,
}

impl UnitStatus {
    /// Return whether it runs in any way, or will once systemd comes to its job.
    pub fn is_active(&self) -> bool {
        self.job.is_some() || !matches!(self.state.as_str(), "inactive" | "failed")
    }

    /// Return whether systemd is stopping it, for which systemd has a limit of time.
    pub fn is_ending(&self) -> bool {
        self.state == "deactivating"
    }
}

/// List the units that match one of the patterns, by name.
pub(super) fn list(
    manager: &ManagerProxyBlocking<'_>,
    patterns: &[&str],
) -> Result<HashMap<String, UnitStatus>, Problem> {
    let rows = manager.list_units_by_patterns(&[], patterns).map_err(|e| unreachable(&e))?;
    let status = |(name, description, _, state, _, _, _, job, _, path)| {
        (name, UnitStatus { description, state, job: (job != 0).then_some(path) })
    };
    Ok(rows.into_iter().map(status).collect())
}

/// Report each session whose unit somebody has systemd stop, and those that it is stopping already, until the bus is lost.
pub(super) fn watch_stops(manager: &ManagerProxyBlocking<'_>, mut report: impl FnMut(&SessionId)) -> zbus::Result<()> {
    // Else systemd sends signals about a job only to whoever has ordered it.
    manager.subscribe()?;
    let jobs = manager.receive_job_new()?;
    let stopping = manager.list_units_by_patterns(&["deactivating"], &["qwd-session-*.service"])?;
    stopping.iter().filter_map(|(name, ..)| unit::parse_session_unit(name)).for_each(|id| report(&id));
    for job in jobs {
        let args = job.args()?;
        if let Some(id) = unit::parse_session_unit(args.unit()).filter(|_| is_stop(manager, args.job().as_str())) {
            report(&id);
        }
    }
    Ok(())
}

/// A job that is done already is none: the end of a session is noticed otherwise.
fn is_stop(manager: &ManagerProxyBlocking<'_>, job: &str) -> bool {
    let proxy = JobProxy::builder(manager.inner().connection()).cache_properties(CacheProperties::No).path(job);
    let kind = proxy.and_then(|builder| builder.build()).and_then(|job| job.job_type());
    kind.is_ok_and(|kind| matches!(kind.as_str(), "stop" | "restart"))
}
