//! The monitor, for administrators: the server, and what everybody's sessions use of it.

use super::sessions::Card;
use super::{Frame, page};
use crate::bus::{Status, Usage};
use crate::model::Problem;
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::refusal::Refusal;
use crate::portal::thumbnail::thumbnail;
use crate::portal::{show, watch};
use askama::Template;
use std::fs::File;

/// An amount of something, in words and as a bar.
struct Gauge {
    words: String,
    value: f64,
    most: f64,
}

impl Gauge {
    /// So much of at most so much; nothing at most is a bar that stays empty.
    fn new(words: String, value: f64, most: f64) -> Self {
        Self { words, value, most: if most > 0.0 { most } else { 1.0 } }
    }

    fn of(value: u32, most: u32) -> Self {
        Self::new(format!("{value} of {most}"), value.into(), most.into())
    }

    fn bytes(value: u64, most: u64) -> Self {
        let words = match most {
            0 => show::about(value),
            most => format!("{} of {}", show::about(value), show::about(most)),
        };
        Self::new(words, value as f64, most as f64)
    }

    /// Where the bar changes its colour.
    fn high(&self) -> f64 {
        self.most * 0.9
    }
}

/// A session as the table shows it.
struct Row {
    card: Card,
    age: String,
    busy: Gauge,
    memory: Gauge,
    viewers: u32,
    pictured: bool,
}

impl Row {
    fn new(usage: Usage, busy: Option<f64>, pictures: bool, now: u64) -> Self {
        let cpus = usage.session.cpus;
        let words = busy.map_or_else(|| format!("… of {cpus}"), |busy| format!("{busy:.2} of {cpus}"));
        Self {
            age: show::span(now.saturating_sub(usage.session.created_at)),
            busy: Gauge::new(words, busy.unwrap_or(0.0), cpus.into()),
            memory: Gauge::bytes(usage.memory_used, usage.memory_limit),
            viewers: usage.viewers,
            pictured: pictures && usage.session.state == "running",
            card: Card::new(usage.session, now),
        }
    }
}

#[derive(Template)]
#[template(path = "monitor.html")]
struct MonitorPage<'a> {
    frame: Frame<'a>,
    status: Status,
    load: Gauge,
    memory: Gauge,
    cpus: Gauge,
    places: Gauge,
    rows: Vec<Row>,
    pictures: bool,
    /// Does not refresh itself where there is no script.
    still: bool,
}

/// GET monitor
pub fn monitor(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (status, usages) = watch::look(ask)?;
    let pictures = ask.settings.monitor.pictures;
    let template = MonitorPage {
        frame: Frame::of(ask, "monitor"),
        load: Gauge::new(format!("{:.0} %", status.load * 100.0), status.load, 1.0),
        memory: Gauge::bytes(status.memory_total.saturating_sub(status.memory_available), status.memory_total),
        cpus: Gauge::of(status.cpus_given, status.cpus_max),
        places: Gauge::of(status.sessions, status.sessions_max),
        status,
        rows: usages.into_iter().map(|(usage, busy)| Row::new(usage, busy, pictures, ask.now)).collect(),
        pictures,
        still: ask.query()?.text("still") == "1",
    };
    page(200, &template)
}

/// POST monitor/stop: everybody's sessions.
pub fn stop_all(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let asker = ask.asker()?;
    let stopped = ask.app.launcher.change(|l| l.stop_all(asker.clone()))?;
    log::info!("{} asked to stop all sessions: {stopped} are ending.", asker.name);
    Ok(Reply::see_other("/monitor"))
}

/// GET monitor/ID/picture
pub fn picture(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    // Kept pictures are worth nothing once they are switched off.
    if !ask.settings.monitor.pictures {
        return Err(Refusal::new(403, "not_allowed", "Pictures of the screens are switched off."));
    }
    let make = || {
        let ppm = ask.app.launcher.ask(|l| l.picture(asker.clone(), id.as_str()))?;
        thumbnail(File::from(std::os::fd::OwnedFd::from(ppm)))
    };
    let png = ask.app.pictures.get(id.as_str(), make).map_err(|problem: Problem| Refusal::from(problem))?;
    Ok(Reply { status: 200, headers: vec![("Content-Type", "image/png".to_owned())], body: png.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_without_a_limit_has_an_empty_bar() {
        let gauge = Gauge::bytes(5 << 20, 0);
        assert_eq!((gauge.words.as_str(), gauge.most), ("5 MB", 1.0));
        assert_eq!(Gauge::bytes(3 << 29, 2 << 30).words, "1.5 GB of 2 GB");
        assert_eq!(Gauge::of(2, 10).words, "2 of 10");
    }
}
