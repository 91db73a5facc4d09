//! Notices when somebody else changes the records: the units at a session's end remove its record,
//! the expiry writes down who asked. No program has to tell the launcher, and none has to wait.

use super::core::Core;
use crate::model::{Problem, SessionId};
use crate::session::Asked;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::Builder;

/// Watches from now on, in a thread of its own.
pub(super) fn start(core: Arc<Core>) -> Result<(), Problem> {
    let failed = |e| Problem::failed(format!("{} cannot be watched: {e}.", core.store.folder().display()));
    let watch = inotify::init(CreateFlags::CLOEXEC).map_err(failed)?;
    let events = WatchFlags::DELETE | WatchFlags::CLOSE_WRITE;
    inotify::add_watch(&watch, core.store.folder(), events).map_err(failed)?;
    let started = Builder::new().name("watch".to_owned()).spawn(move || follow(&core, &watch));
    started.map(drop).map_err(|e| Problem::failed(format!("The records cannot be watched: no thread: {e}.")))
}

fn follow(core: &Core, watch: &OwnedFd) {
    // What changed between reading the records and watching them.
    look_at_all(core);
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(watch, &mut buffer);
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().and_then(|n| n.to_str().ok()).unwrap_or_default();
                if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                    look_at_all(core);
                } else {
                    look_at(core, name);
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => {
                // Without this, nothing would be noticed any more: systemd starts a new launcher.
                log::error!("The records cannot be watched any more: {e}.");
                std::process::exit(1);
            }
        }
    }
}

fn look_at(core: &Core, name: &str) {
    let Some((id, kind)) = name.split_once('.') else { return };
    let Ok(id) = id.parse::<SessionId>() else { return };
    match kind {
        "json" => forget_if_gone(core, &id),
        "asked" => mark_asked(core, &id),
        _ => {}
    }
}

fn look_at_all(core: &Core) {
    let ids: Vec<SessionId> = core.table().keys().cloned().collect();
    for id in ids {
        mark_asked(core, &id);
        forget_if_gone(core, &id);
    }
}

fn forget_if_gone(core: &Core, id: &SessionId) {
    let mut table = core.table();
    let launching = table.get(id).is_some_and(|e| e.launching);
    if !launching && !core.store.exists(id) && table.remove(id).is_some() {
        drop(table);
        core.notify();
    }
}

fn mark_asked(core: &Core, id: &SessionId) {
    if core.store.asked(id) == Asked::Nobody {
        return;
    }
    core.mark_stopping(id);
}
