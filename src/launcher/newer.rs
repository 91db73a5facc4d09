//! Records that a newer version of the programs wrote: they are kept and reported, and their units left running.

use crate::model::SessionId;
use crate::session::{OnRecord, Store};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The files of those records, as they were found last.
#[derive(Default)]
pub(super) struct Newer(Mutex<BTreeMap<SessionId, PathBuf>>);

impl Newer {
    fn files(&self) -> MutexGuard<'_, BTreeMap<SessionId, PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Look for such records among these, and report in the journal each that was not known.
    pub(super) fn find(&self, store: &Store, ids: &[SessionId]) {
        let is_newer = |id: &&SessionId| matches!(store.look_up(id), Ok(OnRecord::Newer));
        let found: BTreeMap<SessionId, PathBuf> =
            ids.iter().filter(is_newer).filter_map(|id| Some((id.clone(), store.find_file(id)?))).collect();
        let mut files = self.files();
        for (id, file) in found.iter().filter(|(id, _)| !files.contains_key(*id)) {
            log::warn!(QWD_SESSION = id.as_str(); "{}", explain(id, file));
        }
        *files = found;
    }

    /// Return whether the session's record is one of them.
    pub(super) fn has(&self, id: &SessionId) -> bool {
        self.files().contains_key(id)
    }

    /// Return a message for the administrator for each.
    pub(super) fn messages(&self) -> Vec<String> {
        self.files().iter().map(|(id, file)| explain(id, file)).collect()
    }
}

fn explain(id: &SessionId, file: &Path) -> String {
    format!(
        "Session {id} cannot be managed: a newer version of qemu-web-desktop wrote its record. Install that version \
         again, or run 'qwdctl stop {id}' and then remove {}.",
        file.display()
    )
}
