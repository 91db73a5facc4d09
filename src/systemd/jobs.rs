//! Jobs of systemd, and how they went.

use super::proxy::{JobRemovedStream, ManagerProxy, ManagerProxyBlocking};
use super::{Job, units, unreachable};
use crate::model::{Problem, Word};
use async_io::Timer;
use futures_lite::{FutureExt, StreamExt};
use std::time::{Duration, Instant};
use zbus::zvariant::OwnedObjectPath;

/// After this long we ask systemd: it sends no signal to a bus that was restarted, nor while it re-executes.
const QUIET: Duration = Duration::from_secs(5);
/// A systemd that has not been on the bus for this long is not waited for.
const AWAY: Duration = Duration::from_secs(60);

/// The ends of jobs from a moment on: systemd may report one before the call that ordered it has an answer.
pub(super) struct Jobs<'m> {
    manager: &'m ManagerProxyBlocking<'static>,
    removed: JobRemovedStream,
}

impl<'m> Jobs<'m> {
    /// Listen for ends from now on.
    pub(super) fn subscribe(manager: &'m ManagerProxyBlocking<'static>) -> Result<Self, Problem> {
        let signals = ManagerProxy::from(manager.inner().inner().clone());
        let removed = zbus::block_on(signals.receive_job_removed()).map_err(|e| unreachable(&e))?;
        Ok(Self { manager, removed })
    }

    /// Wait for the end of a job of this unit.
    pub(super) fn wait(mut self, unit: &str, job: &OwnedObjectPath) -> Result<Job, Problem> {
        let mut answered = Instant::now();
        let mut ask_at = answered + QUIET;
        loop {
            let removed = &mut self.removed;
            let signal = async { Some(removed.next().await) }.or(async {
                Timer::at(ask_at).await;
                None
            });
            match zbus::block_on(signal) {
                Some(Some(signal)) => {
                    let args = signal.args().map_err(|e| unreachable(&e))?;
                    if args.job().as_str() == job.as_str() {
                        let done = args.result() == &"done";
                        return Ok(if done { Job::Done } else { Job::Not(args.result().to_string()) });
                    }
                }
                Some(None) => return Err(lost()),
                None => {
                    match self.find_end(unit, job) {
                        Ok(Some(result)) => return Ok(result),
                        Ok(None) => answered = Instant::now(),
                        Err(_) if answered.elapsed() < AWAY => {}
                        Err(problem) => return Err(problem),
                    }
                    ask_at = Instant::now() + QUIET;
                }
            }
        }
    }

    /// Ask systemd how a job went whose end it may not have reported; `None`: it still has it.
    fn find_end(&self, unit: &str, job: &OwnedObjectPath) -> Result<Option<Job>, Problem> {
        let status = units::list(self.manager, &[unit])?.remove(unit);
        Ok(match status {
            Some(status) if status.job.as_ref() == Some(job) => None,
            Some(status) if status.is_active() && !status.is_ending() => Some(Job::Done),
            _ => Some(Job::Not("unknown".to_owned())),
        })
    }
}

fn lost() -> Problem {
    Problem::new(Word::Unavailable, "The system bus was lost while a unit's job was waited for.")
}
