//! Who has which session on the screen, as the display says.
//!
//! It reports all of its viewers whenever that changes, and whenever it finds a launcher that it has
//! not told yet, and is answered whose screens must be closed. So what is kept here, in memory alone,
//! mends itself whichever of the two was restarted. It is forgotten when the display leaves the bus.

use super::caller::Person;
use super::core::Core;
use super::shares::still_good;
use super::table::find;
use crate::bus::Viewer;
use crate::host;
use crate::model::{Problem, SessionId};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zbus::blocking::Connection;
use zbus::blocking::fdo::DBusProxy;

const DISPLAY_UNIT: &str = "qwd-display.service";
/// So long for a display that runs to say whom it shows: it does so when it sees us come.
const REPORT: Duration = Duration::from_secs(2);

/// The reports, each under its display's name on the bus.
#[derive(Default)]
pub(super) struct Viewers {
    reports: Mutex<HashMap<String, Vec<Viewer>>>,
    arrived: Condvar,
}

impl Viewers {
    fn reports(&self) -> MutexGuard<'_, HashMap<String, Vec<Viewer>>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a report in the place of the one before; true for a display's first.
    fn put(&self, display: &str, viewers: Vec<Viewer>) -> bool {
        let first = self.reports().insert(display.to_owned(), viewers).is_none();
        self.arrived.notify_all();
        first
    }

    fn forget(&self, display: &str) {
        self.reports().remove(display);
    }

    /// The bus names of the displays.
    pub(super) fn displays(&self) -> Vec<String> {
        self.reports().keys().cloned().collect()
    }

    /// The viewers of a session, who came first in front.
    pub(super) fn of(&self, session: &SessionId) -> Vec<Viewer> {
        let mut viewers: Vec<Viewer> =
            self.reports().values().flatten().filter(|v| v.session == session.as_str()).cloned().collect();
        viewers.sort_by_key(|v| v.since);
        viewers
    }

    /// Waits for a first report, if there is somebody to make one.
    fn await_first(&self, display_runs: impl FnOnce() -> bool) {
        if self.reports().is_empty() && display_runs() {
            // Where none comes the list is empty until it does.
            let _ = self.arrived.wait_timeout_while(self.reports(), REPORT, |reports| reports.is_empty());
        }
    }
}

/// Takes a display's report; answers with the rights, as session and share, whose screens must be closed.
pub(super) fn report(core: &Arc<Core>, display: &str, viewers: Vec<Viewer>) -> Vec<(String, String)> {
    let mut rights: Vec<_> = viewers.iter().map(|v| (v.session.clone(), v.share.clone())).collect();
    rights.sort();
    rights.dedup();
    // Known before its rights are looked at: what is taken back from now on is told to it.
    if core.viewers.put(display, viewers) {
        let (core, display) = (Arc::clone(core), display.to_owned());
        std::thread::spawn(move || {
            if let Err(e) = until_gone(&core.connection, &display) {
                log::warn!("The display cannot be watched for its end: {e}.");
            }
            core.viewers.forget(&display);
        });
    }
    rights.retain(|(session, share)| !is_good(core, session, share));
    rights
}

/// Comes back when nobody has this unique name any more.
fn until_gone(connection: &Connection, name: &str) -> zbus::Result<()> {
    let bus = DBusProxy::new(connection)?;
    let mut left = bus.receive_name_owner_changed_with_args(&[(0, name), (2, "")])?;
    if bus.name_has_owner(name.try_into()?)? {
        left.next();
    }
    Ok(())
}

fn is_good(core: &Core, session: &str, share: &str) -> bool {
    let Ok(id) = session.parse::<SessionId>() else { return false };
    let now = host::now();
    let good = |shares: &[crate::records::ShareRecord]| shares.iter().any(|s| s.id == share && still_good(s, now));
    core.table().get(&id).is_some_and(|e| share.is_empty() || good(&e.record.shares))
}

/// Who has this session on the screen.
pub(super) fn viewers(core: &Core, person: &Person, id: &SessionId) -> Result<Vec<Viewer>, Problem> {
    find(&mut core.table(), person, id)?;
    await_report(core);
    Ok(core.viewers.of(id))
}

/// Comes back when a display that runs has said whom it shows, or does not say it.
pub(super) fn await_report(core: &Core) {
    core.viewers.await_first(|| core.systemd.active(&[DISPLAY_UNIT]).is_ok_and(|units| !units.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn viewer(session: &str, since: u64) -> Viewer {
        Viewer { session: session.into(), since, ..Viewer::default() }
    }

    #[test]
    fn a_report_replaces_the_one_before_of_the_same_display() {
        let viewers = Viewers::default();
        let id: SessionId = "abcdefghij".parse().unwrap();
        assert!(viewers.put(":1.5", vec![viewer("abcdefghij", 9), viewer("abcdefghij", 3), viewer("bbbbbbbbbb", 1)]));
        assert_eq!(viewers.of(&id), [viewer("abcdefghij", 3), viewer("abcdefghij", 9)]);
        assert!(!viewers.put(":1.5", vec![viewer("abcdefghij", 9)]));
        assert!(viewers.put(":1.8", Vec::new()));
        assert_eq!(viewers.of(&id).len(), 1);
        viewers.forget(":1.5");
        assert_eq!((viewers.of(&id).len(), viewers.displays()), (0, vec![":1.8".to_owned()]));
    }

    #[test]
    fn a_first_report_is_waited_for_where_somebody_can_make_one() {
        let viewers = Arc::new(Viewers::default());
        viewers.await_first(|| false);
        let reporter = Arc::clone(&viewers);
        viewers.await_first(|| {
            std::thread::spawn(move || reporter.put(":1.5", Vec::new()));
            true
        });
        assert_eq!(viewers.displays().len(), 1);
        viewers.await_first(|| unreachable!("there is a report"));
    }
}
