//! systemd over D-Bus: transient units, jobs, and their results.
//!
//! Subscribe first, then call, then wait for the job: a method's reply only says that systemd has
//! taken the job on. A job always ends, at the latest by the unit's own time limits.

mod proxy;

use crate::model::{Problem, Word};
use crate::unit::Properties;
use proxy::{JobRemovedIterator, ManagerProxy, UnitRow};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use zbus::blocking::Connection;
use zbus::zvariant::{OwnedObjectPath, Value};

/// No line of a program of ours is longer, in bytes.
const LINE_MAX: u64 = 4096;

/// systemd's manager on one connection to the bus.
#[derive(Clone)]
pub struct Systemd {
    manager: ManagerProxy<'static>,
}

/// How a job went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// The unit is active, or has done its work.
    Done,
    /// It is not; systemd's word for it: `failed`, `timeout`, `canceled`, `dependency`, …
    Not(String),
}

impl Systemd {
    /// Speaks to systemd over this connection.
    pub fn new(connection: &Connection) -> Result<Self, Problem> {
        let manager = ManagerProxy::builder(connection)
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build()
            .map_err(|e| unreachable(&e))?;
        Ok(Self { manager })
    }

    /// Starts a transient unit and waits until it is up, or is not going to be.
    pub fn start_transient(
        &self,
        unit: &str,
        properties: &Properties,
        fds: Vec<(&str, OwnedFd)>,
    ) -> Result<Job, Problem> {
        let mut removed = self.manager.receive_job_removed().map_err(|e| unreachable(&e))?;
        let mut all: Vec<(&str, Value<'_>)> = Vec::with_capacity(properties.len() + fds.len());
        for (name, value) in properties {
            all.push((name, value.try_clone().map_err(|e| refused(unit, &e.into()))?));
        }
        all.extend(fds.into_iter().map(|(name, fd)| (name, Value::Fd(fd.into()))));
        let job = self.manager.start_transient_unit(unit, "fail", &all, &[]).map_err(|e| refused(unit, &e))?;
        // Our copies of descriptors must be closed, or a reader would wait for their end for ever.
        drop(all);
        waited(&mut removed, &job)
    }

    /// Runs a transient unit to its end and returns what it printed, of which no more than `most` bytes
    /// are read. It must fit into a pipe (64 KiB), since it is read when the unit is done.
    pub fn output_of(&self, unit: &str, properties: &Properties, most: u64) -> Result<String, Problem> {
        self.report_of(unit, properties, "StandardOutputFileDescriptor", Vec::new(), most)
    }

    /// The same for what it prints on the descriptor named by that property, where it also gets others.
    pub fn report_of<'a>(
        &self,
        unit: &str,
        properties: &Properties,
        on: &'a str,
        mut fds: Vec<(&'a str, OwnedFd)>,
        most: u64,
    ) -> Result<String, Problem> {
        let broken = |e: std::io::Error| Problem::failed(format!("What {unit} printed could not be read: {e}."));
        let (output, input) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| broken(e.into()))?;
        fds.push((on, input));
        self.start_transient(unit, properties, fds)?;
        let mut text = String::new();
        File::from(output).take(most).read_to_string(&mut text).map_err(broken)?;
        Ok(text)
    }

    /// The same, and passes each line on as it comes: what comes back is the first answer to one.
    pub fn lines_of<'a, T: Send>(
        &self,
        unit: &str,
        properties: &Properties,
        on: &'a str,
        mut fds: Vec<(&'a str, OwnedFd)>,
        line: impl FnMut(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let broken = |e: std::io::Error| Problem::failed(format!("What {unit} printed could not be read: {e}."));
        let (output, input) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| broken(e.into()))?;
        fds.push((on, input));
        std::thread::scope(|scope| {
            let started = scope.spawn(|| self.start_transient(unit, properties, fds));
            let found = first_answer(output.into(), line).map_err(broken);
            match started.join() {
                Ok(job) => job.and(found),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Asks systemd to stop a unit, without waiting. A unit that is gone already is fine.
    pub fn stop(&self, unit: &str) -> Result<(), Problem> {
        match self.manager.stop_unit(unit, "replace") {
            Ok(_) => Ok(()),
            Err(e) if is_no_such_unit(&e) => Ok(()),
            Err(e) => Err(refused(unit, &e)),
        }
    }

    /// Kills a unit, and waits until nothing of it runs. A unit that is gone already is fine.
    pub fn end(&self, unit: &str) -> Result<(), Problem> {
        let mut removed = self.manager.receive_job_removed().map_err(|e| unreachable(&e))?;
        self.kill(unit)?;
        match self.manager.stop_unit(unit, "replace") {
            Ok(job) => waited(&mut removed, &job).map(drop),
            Err(e) if is_no_such_unit(&e) => Ok(()),
            Err(e) => Err(refused(unit, &e)),
        }
    }

    /// Sends SIGKILL to a unit's processes. A unit that is gone already is fine.
    pub fn kill(&self, unit: &str) -> Result<(), Problem> {
        const SIGKILL: i32 = 9;
        match self.manager.kill_unit(unit, "all", SIGKILL) {
            Err(e) if !is_no_such_unit(&e) => Err(refused(unit, &e)),
            _ => Ok(()),
        }
    }

    /// The units that match one of the patterns and are not inactive or failed, or will not be so any more once
    /// systemd comes to their job. All as they are at one moment.
    pub fn active(&self, patterns: &[&str]) -> Result<HashSet<String>, Problem> {
        let units = self.manager.list_units_by_patterns(&[], patterns).map_err(|e| unreachable(&e))?;
        let active =
            |(.., state, _, _, _, job, _, _): &UnitRow| *job != 0 || !matches!(state.as_str(), "inactive" | "failed");
        Ok(units.into_iter().filter(active).map(|u| u.0).collect())
    }

    /// Where systemd's own control groups begin in each tree of them; empty: at the top.
    pub fn control_group(&self) -> Result<String, Problem> {
        self.manager.control_group().map_err(|e| unreachable(&e))
    }
}

/// How that job went.
fn waited(removed: &mut JobRemovedIterator, job: &OwnedObjectPath) -> Result<Job, Problem> {
    for signal in removed {
        let args = signal.args().map_err(|e| unreachable(&e))?;
        if args.job().as_str() == job.as_str() {
            return Ok(if args.result() == &"done" { Job::Done } else { Job::Not(args.result().to_string()) });
        }
    }
    Err(Problem::new(Word::Unavailable, "The system bus was lost while a unit's job was waited for."))
}

/// Reads lines until one has an answer, or there are no more.
pub fn first_answer<T>(output: File, mut line: impl FnMut(&str) -> Option<T>) -> std::io::Result<Option<T>> {
    // Of a line that never ends no more is read than a good one has.
    let mut reader = BufReader::new(output);
    loop {
        let mut text = String::new();
        if reader.by_ref().take(LINE_MAX).read_line(&mut text)? == 0 {
            return Ok(None);
        }
        if let Some(found) = line(&text) {
            return Ok(Some(found));
        }
    }
}

fn is_no_such_unit(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, _, _) if name.as_str() == "org.freedesktop.systemd1.NoSuchUnit")
}

fn unreachable(error: &zbus::Error) -> Problem {
    Problem::new(Word::Unavailable, format!("systemd does not answer on the system bus: {error}."))
}

fn refused(unit: &str, error: &zbus::Error) -> Problem {
    let text = match error {
        zbus::Error::MethodError(_, Some(text), _) => text.clone(),
        other => other.to_string(),
    };
    Problem::failed(format!("systemd refused {unit}: {text}"))
}
