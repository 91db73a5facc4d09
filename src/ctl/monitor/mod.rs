//! `monitor`: what everybody's sessions use of the server, read again and again.
//!
//! On a terminal a table that is drawn in place ([`screen`]); elsewhere one that is printed once, a line
//! of JSON for each reading, or a file for browsers ([`page`]). The figures and their words are those of
//! the portal's page.

mod page;
mod screen;
mod table;

use super::args::{Args, Monitor};
use super::client::Client;
use super::out;
use super::sessions::Shown;
use crate::bus::Session;
use crate::host;
use crate::model::{Problem, Word};
use crate::overview::Overview;
use crate::policy::Readings;
use crate::site;
use page::Page;
use screen::{Event, Screen};
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::Duration;

/// Between the two readings that the first rates are made of.
const SOON: Duration = Duration::from_millis(1100);

/// Shows the figures until interrupted, or once.
pub(super) fn monitor(args: &Args, wanted: &Monitor) -> Result<(), Problem> {
    if let Some(file) = &wanted.html {
        if args.json {
            return Err(Problem::bad_request(
                "A page for browsers (--html) is no JSON (--json): leave one of them out.",
            ));
        }
        let page = Page::new(file, (!wanted.once).then_some(wanted.interval))?;
        return each(wanted, |overview| page.write(overview, host::now()));
    }
    if args.json {
        let base = site::base(&args.root);
        return each(wanted, |overview| print_json(wanted, overview, &base));
    }
    match out::width() {
        Some(_) if !wanted.once => live(wanted),
        width => {
            let overview = Reader::connect(wanted)?.settled()?;
            out::bytes(table::listing(&overview, host::now(), width).as_bytes())
        }
    }
}

/// One who reads the launcher's figures, and remembers the last.
struct Reader {
    client: Client,
    readings: Readings,
}

impl Reader {
    fn connect(wanted: &Monitor) -> Result<Self, Problem> {
        Ok(Self { client: Client::connect()?, readings: Readings::every(wanted.interval) })
    }

    fn read(&mut self) -> Result<Overview, Problem> {
        let figures = self.client.ask(|launcher, asker| launcher.monitor(asker))?;
        Ok(Overview::new(&mut self.readings, figures))
    }

    /// The same with rates, for which it takes two readings.
    fn settled(&mut self) -> Result<Overview, Problem> {
        let first = self.read()?;
        if first.sessions.is_empty() {
            return Ok(first);
        }
        sleep(SOON);
        self.read()
    }
}

/// Does something with each reading. A launcher that is away for a moment is no reason to end.
fn each(wanted: &Monitor, mut act: impl FnMut(&Overview) -> Result<(), Problem>) -> Result<(), Problem> {
    let mut reader = Reader::connect(wanted)?;
    act(&reader.settled()?)?;
    if wanted.once {
        return Ok(());
    }
    loop {
        sleep(Duration::from_secs(wanted.interval));
        match reader.read() {
            Ok(overview) => act(&overview)?,
            Err(problem) if problem.word == Word::Unavailable => out::complain(&problem.message),
            Err(problem) => return Err(problem),
        }
    }
}

/// Alone for people to read, or one of many for a program, each on a line of its own.
fn print_json(wanted: &Monitor, overview: &Overview, base: &str) -> Result<(), Problem> {
    let mut value = overview.json(|session| object(session, base));
    value["read_at"] = json!(host::now());
    if wanted.once { out::json(&value) } else { out::line(&value.to_string()) }
}

fn object(session: &Session, base: &str) -> Value {
    serde_json::to_value(Shown::new(session.clone(), base)).expect("our records become JSON")
}

fn live(wanted: &Monitor) -> Result<(), Problem> {
    // Before the bus's threads exist: none of them may take the signals.
    let screen = Screen::enter()?;
    let mut reader = Reader::connect(wanted)?;
    let mut seen = table::Seen { overview: reader.read()?, at: host::now(), problem: None };
    let mut pause = SOON;
    loop {
        screen.draw(|columns, rows| table::frame(&seen, host::now(), columns, rows));
        match screen.wait(pause) {
            Some(Event::Leave) => return Ok(()),
            // The size of the terminal is another one; the figures are the same.
            Some(Event::Redraw) => continue,
            None => pause = Duration::from_secs(wanted.interval),
        }
        match reader.read() {
            Ok(overview) => seen = table::Seen { overview, at: host::now(), problem: None },
            Err(problem) if problem.word == Word::Unavailable => seen.problem = Some(problem.message),
            Err(problem) => return Err(problem),
        }
    }
}
