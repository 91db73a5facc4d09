//! systemd over D-Bus: transient units, jobs, and their results.
//!
//! Subscribe first, then call, then wait for the job: a method's reply only says that systemd has
//! taken the job on. A job always ends, at the latest by the unit's own time limits.

mod jobs;
mod proxy;
mod timers;
mod units;

use crate::model::{Problem, SessionId, Word};
use crate::unit::{self, Properties};
use jobs::Jobs;
use proxy::{Auxiliary, ManagerProxyBlocking as ManagerProxy, ServiceProxy, UnitProxy};
use rustix::pipe::{PipeFlags, pipe_with};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::time::Duration;
use zbus::blocking::Connection;
use zbus::zvariant::{OwnedObjectPath, Value};

pub use units::UnitStatus;

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
        let jobs = Jobs::subscribe(&self.manager)?;
        let job = self.order_start("fail", unit, properties, fds)?;
        jobs.wait(unit, &job)
    }

    /// Start a session's unit, in one transaction with the timer that ends it at `end` (zero: none), and wait until it
    /// is up, or is not going to be. Whatever happens to the caller, systemd starts both or neither.
    pub fn start_session(
        &self,
        id: &SessionId,
        properties: &Properties,
        fds: Vec<(&str, OwnedFd)>,
        (end, now): (u64, u64),
    ) -> Result<Job, Problem> {
        let session = unit::session_unit(id);
        if end == 0 {
            return self.start_transient(&session, properties, fds);
        }
        let timer = unit::expiry_timer(id, end);
        let jobs = Jobs::subscribe(&self.manager)?;
        let job = {
            let of_session = copy_properties(&session, properties, fds)?;
            let expiry = unit::expiry(id, end, now);
            let of_timer = copy_properties(&timer, &expiry, Vec::new())?;
            // The timer requires the session: systemd starts the session first, and tells by the timer's job how that went.
            self.order_transient("fail", &timer, &of_timer, &[(&session, &of_session)])?
        };
        jobs.wait(&timer, &job)
    }

    /// Order the start of a transient unit, and of none of the units that it depends on, without waiting. If one that
    /// it binds to does not run, systemd stops it at once.
    fn order_start_alone(&self, unit: &str, properties: &Properties) -> Result<(), Problem> {
        self.order_start("ignore-requirements", unit, properties, Vec::new()).map(drop)
    }

    /// Order the start of a transient unit and return the job. Our copies of descriptors are closed then, or a reader
    /// would wait for their end for ever.
    fn order_start(
        &self,
        mode: &str,
        unit: &str,
        properties: &Properties,
        fds: Vec<(&str, OwnedFd)>,
    ) -> Result<OwnedObjectPath, Problem> {
        self.order_transient(mode, unit, &copy_properties(unit, properties, fds)?, &[])
    }

    fn order_transient(
        &self,
        mode: &str,
        unit: &str,
        properties: &[(&str, Value<'_>)],
        auxiliary: &[Auxiliary<'_>],
    ) -> Result<OwnedObjectPath, Problem> {
        self.manager.start_transient_unit(unit, mode, properties, auxiliary).map_err(|e| refused(unit, &e))
    }

    /// Report each session whose unit somebody has systemd stop, until the bus is lost.
    pub fn watch_stops(&self, report: impl FnMut(&SessionId)) -> Result<(), Problem> {
        units::watch_stops(&self.manager, report).map_err(|e| unreachable(&e))
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
        let jobs = Jobs::subscribe(&self.manager)?;
        self.kill(unit)?;
        match self.manager.stop_unit(unit, "replace") {
            Ok(job) => jobs.wait(unit, &job).map(drop),
            Err(e) if is_no_such_unit(&e) => Ok(()),
            Err(e) => Err(refused(unit, &e)),
        }
    }

    /// Sends SIGKILL to a unit's processes. A unit that is gone already is fine.
    pub fn kill(&self, unit: &str) -> Result<(), Problem> {
        const SIGKILL: i32 = 9;
        self.send(unit, "all", SIGKILL)
    }

    /// Sends SIGTERM to a unit's main process. What stops the unit sees it end; by a signal, it would count as failed.
    pub fn terminate(&self, unit: &str) -> Result<(), Problem> {
        const SIGTERM: i32 = 15;
        self.send(unit, "main", SIGTERM)
    }

    fn send(&self, unit: &str, whom: &str, signal: i32) -> Result<(), Problem> {
        match self.manager.kill_unit(unit, whom, signal) {
            Err(e) if !is_no_such_unit(&e) => Err(refused(unit, &e)),
            _ => Ok(()),
        }
    }

    /// Wait until systemd has done its job for a unit, if it has one.
    pub fn wait_for_job(&self, unit: &str) -> Result<(), Problem> {
        let jobs = Jobs::subscribe(&self.manager)?;
        match units::list(&self.manager, &[unit])?.remove(unit).and_then(|status| status.job) {
            Some(job) => jobs.wait(unit, &job).map(drop),
            None => Ok(()),
        }
    }

    /// Return the units that match one of the patterns, all as they are at one moment.
    pub fn units(&self, patterns: &[&str]) -> Result<HashMap<String, UnitStatus>, Problem> {
        units::list(&self.manager, patterns)
    }

    /// Return the main process of a service; zero: it has none.
    pub fn main_pid(&self, unit: &str) -> Result<u32, Problem> {
        let Some(path) = self.path_of(unit)? else { return Ok(0) };
        let service = ServiceProxy::builder(self.manager.inner().connection()).path(path);
        let pid = service.and_then(|service| service.build()).and_then(|service| service.main_pid());
        pid.map_err(|e| refused(unit, &e))
    }

    /// Return when systemd began the present step of stopping a service, by the monotonic clock, and how long the unit
    /// allows for one (`TimeoutStopSec=`). A service may put that limit off by `EXTEND_TIMEOUT_USEC=`, again and again.
    pub fn stopping_since(&self, unit: &str) -> Result<Option<(Duration, Duration)>, Problem> {
        let Some(path) = self.path_of(unit)? else { return Ok(None) };
        let connection = self.manager.inner().connection();
        let limit = ServiceProxy::builder(connection).path(path.clone()).and_then(|service| service.build());
        let limit = limit.and_then(|service| service.timeout_stop()).map_err(|e| refused(unit, &e))?;
        let since = UnitProxy::builder(connection).path(path).and_then(|unit| unit.build());
        let since = since.and_then(|unit| unit.state_change_timestamp_monotonic()).map_err(|e| refused(unit, &e))?;
        Ok(Some((Duration::from_micros(since), Duration::from_micros(limit))))
    }

    fn path_of(&self, unit: &str) -> Result<Option<OwnedObjectPath>, Problem> {
        match self.manager.get_unit(unit) {
            Err(e) if is_no_such_unit(&e) => Ok(None),
            found => found.map(Some).map_err(|e| refused(unit, &e)),
        }
    }

    /// The units that match one of the patterns and are not inactive or failed, or will not be so any more once
    /// systemd comes to their job. All as they are at one moment.
    pub fn active(&self, patterns: &[&str]) -> Result<HashSet<String>, Problem> {
        let units = self.units(patterns)?;
        Ok(units.into_iter().filter(|(_, status)| status.is_active()).map(|(name, _)| name).collect())
    }

    /// Return the number of a dynamic user, as long as its unit is loaded.
    pub fn dynamic_user(&self, name: &str) -> Result<u32, Problem> {
        self.manager.lookup_dynamic_user_by_name(name).map_err(|e| refused(name, &e))
    }

    /// Where systemd's own control groups begin in each tree of them; empty: at the top.
    pub fn control_group(&self) -> Result<String, Problem> {
        self.manager.control_group().map_err(|e| unreachable(&e))
    }
}

/// Copy properties and add descriptors to them, which are closed with the copy.
fn copy_properties<'a>(
    unit: &str,
    properties: &'a Properties,
    fds: Vec<(&'a str, OwnedFd)>,
) -> Result<Vec<(&'a str, Value<'a>)>, Problem> {
    let mut all = Vec::with_capacity(properties.len() + fds.len());
    for (name, value) in properties {
        all.push((*name, value.try_clone().map_err(|e| refused(unit, &e.into()))?));
    }
    all.extend(fds.into_iter().map(|(name, fd)| (name, Value::Fd(fd.into()))));
    Ok(all)
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
        zbus::Error::InputOutput(_) => return unreachable(error),
        other => other.to_string(),
    };
    Problem::failed(format!("systemd refused {unit}: {text}"))
}
