//! Ctrl-C and its like: what is half made goes at once, and not with the next sweep.

use crate::ctl::signals::{ENDS, Signal, Signals};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What a program that was ended by a signal exits with, after the shell's custom, but for the signal's number.
const ENDED: i32 = 128;

/// What a signal removes.
pub(super) struct Clearing(Arc<Mutex<Option<PathBuf>>>);

impl Clearing {
    /// From now on a signal removes nothing.
    pub(super) fn call_off(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// From now on, a signal that ends this program removes that folder first. Threads that were started before
/// take the signal themselves: it is called before there are any that matter.
pub(super) fn clear_on_end(folder: &Path) -> Clearing {
    let clearing = Clearing(Arc::new(Mutex::new(Some(folder.to_owned()))));
    let folder = Arc::clone(&clearing.0);
    let clear = move |signal: Signal| -> bool {
        if let Some(folder) = folder.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // What cannot be removed now is removed by the sweep.
            let _ = std::fs::remove_dir_all(&folder);
        }
        std::process::exit(ENDED + signal as i32)
    };
    // Where they cannot be held they end this program without it.
    if let Ok(signals) = Signals::hold(ENDS) {
        signals.each(clear);
    }
    clearing
}
