//! Ctrl-C and its like: what is half made goes at once, and not with the next sweep.

use crate::ctl::examine::system_bus;
use crate::ctl::signals::{ENDS, Signal, Signals};
use crate::systemd::Systemd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a program that was ended by a signal exits with, after the shell's custom, but for the signal's number.
const ENDED: i32 = 128;

/// What a signal ends and removes.
#[derive(Default)]
struct Half {
    /// A unit that writes to the folder and would go on.
    unit: Option<String>,
    folder: Option<PathBuf>,
}

impl Half {
    fn clear(&mut self) {
        if let (Some(unit), Some(bus)) = (self.unit.take(), system_bus()) {
            // What does not end now does so when it finds nobody that listens to it.
            let _ = Systemd::new(&bus).and_then(|systemd| systemd.end(&unit));
        }
        if let Some(folder) = self.folder.take() {
            // What cannot be removed now is removed by the sweep.
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
}

/// The hand on what a signal clears away.
pub(super) struct Clearing(Arc<Mutex<Half>>);

impl Clearing {
    /// From now on a signal removes nothing.
    pub(super) fn call_off(&self) {
        *self.half() = Half::default();
    }

    /// From now on a signal ends that unit first, or none. This does not come back once there was a signal.
    pub(super) fn end_first(&self, unit: Option<String>) {
        self.half().unit = unit;
    }

    fn half(&self) -> MutexGuard<'_, Half> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From now on, a signal that ends this program removes that folder first. Threads that were started before
/// take the signal themselves: it is called before there are any that matter.
pub(super) fn clear_on_end(folder: &Path) -> Clearing {
    let half = Arc::new(Mutex::new(Half { unit: None, folder: Some(folder.to_owned()) }));
    let clearing = Clearing(Arc::clone(&half));
    let clear = move |signal: Signal| -> bool {
        // Nobody else gets on before this has come to its end.
        let mut half = half.lock().unwrap_or_else(PoisonError::into_inner);
        half.clear();
        std::process::exit(ENDED + signal as i32)
    };
    // Where they cannot be held they end this program without it.
    if let Ok(signals) = Signals::hold(ENDS) {
        signals.each(clear);
    }
    clearing
}
