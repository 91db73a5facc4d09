//! Notices when systemd stops a session although nobody has asked the launcher: by `systemctl stop`, or at the server's
//! own shutdown. The pages on its screen say so while its guest shuts down.

use super::core::Core;
use std::sync::Arc;
use std::thread::Builder;

/// Watch from now on, in a thread of its own.
pub(super) fn start(core: Arc<Core>) {
    let watch = move || {
        if let Err(problem) = core.systemd.watch_stops(|id| core.mark_stopping(id)) {
            log::warn!("Sessions that systemd stops are noticed only when they have ended: {problem}");
        }
    };
    if let Err(e) = Builder::new().name("stops".to_owned()).spawn(watch) {
        log::warn!("Sessions that systemd stops are noticed only when they have ended: no thread: {e}.");
    }
}
