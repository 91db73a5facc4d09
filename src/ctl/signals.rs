//! Signals, taken by a thread of their own instead of ending the program at once.

use crate::model::Problem;
use nix::sys::signal::SigSet;
pub(super) use nix::sys::signal::Signal;

/// Those that ask a program to end.
pub(super) const ENDS: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// Signals that do nothing by themselves any more. Threads that were started before take them all the same.
pub(super) struct Signals(SigSet);

impl Signals {
    /// From now on these do nothing by themselves.
    pub(super) fn hold(signals: impl IntoIterator<Item = Signal>) -> Result<Self, Problem> {
        let set: SigSet = signals.into_iter().collect();
        let failed = |e| Problem::failed(format!("The signals of this program cannot be held: {e}."));
        set.thread_block().map_err(failed)?;
        Ok(Self(set))
    }

    /// A thread gets each that comes, until `take` wants no more.
    pub(super) fn each(self, mut take: impl FnMut(Signal) -> bool + Send + 'static) {
        std::thread::spawn(move || while self.0.wait().is_ok_and(&mut take) {});
    }
}
