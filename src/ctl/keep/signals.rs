//! Ctrl-C and its like: what is half made goes at once, and not with the next sweep.

use nix::sys::signal::{SigSet, Signal};
use std::path::Path;

/// What a program that was ended by a signal exits with, after the shell's custom, but for the signal's number.
const ENDED: i32 = 128;

/// From now on, a signal that ends this program removes that folder first. Threads that were started before
/// take the signal themselves: it is called before there are any that matter.
pub(super) fn clear_on_end(folder: &Path) {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    if signals.thread_block().is_err() {
        return;
    }
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            // What cannot be removed now is removed by the sweep.
            let _ = std::fs::remove_dir_all(&folder);
            std::process::exit(ENDED + signal as i32);
        }
    });
}
