//! Threads for work that goes on beside a call. If the kernel has none to give, the caller does the work.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

/// Do the work on a new thread, or else here, before the caller goes on.
pub(super) fn run_beside(work: impl FnOnce() + Send + 'static) {
    spawn_or_run(Builder::new(), work);
}

fn spawn_or_run(builder: Builder, work: impl FnOnce() + Send + 'static) {
    // A thread that cannot be started drops its closure, so both sides can reach the work.
    let kept = Arc::new(Mutex::new(Some(work)));
    let theirs = Arc::clone(&kept);
    if let Err(e) = builder.spawn(move || run_once(&theirs)) {
        log::warn!("No thread can be started: {e}. A call does the work of one, and takes longer.");
        run_once(&kept);
    }
}

fn run_once(kept: &Mutex<Option<impl FnOnce()>>) {
    let work = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(work) = work {
        work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    /// The thread that does the work.
    fn worker(builder: Builder) -> thread::ThreadId {
        let (sender, receiver) = channel();
        spawn_or_run(builder, move || sender.send(thread::current().id()).unwrap());
        receiver.recv().unwrap()
    }

    #[test]
    fn work_is_done_once_with_a_thread_and_without_one() {
        let here = thread::current().id();
        assert_ne!(worker(Builder::new()), here);
        // No host has room for such a stack, so there is no thread.
        assert_eq!(worker(Builder::new().stack_size(1 << 60)), here);
    }
}
