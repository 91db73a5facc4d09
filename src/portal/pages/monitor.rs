//! The monitor, for administrators: the server, and what everybody's sessions use of it.

use super::sessions::Card;
use super::{Frame, page};
use crate::bus::Status;
use crate::model::State;
use crate::overview::{Line, Overview, Server, Used};
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::refusal::Refusal;
use crate::portal::{watch, who};
use askama::Template;

/// A session as the table shows it.
struct Row {
    card: Card,
    line: Line,
    viewers: u32,
    pictured: bool,
}

impl Row {
    fn new(used: Used, pictures: bool, now: u64) -> Self {
        Self {
            line: Line::new(&used, now),
            viewers: used.usage.viewers,
            pictured: pictures && used.usage.session.state == State::Running,
            card: Card::new(used.usage.session, now),
        }
    }
}

#[derive(Template)]
#[template(path = "monitor.html")]
struct MonitorPage<'a> {
    frame: Frame<'a>,
    status: Status,
    server: Server,
    rows: Vec<Row>,
    pictures: bool,
    /// Does not refresh itself where there is no script.
    still: bool,
}

/// GET monitor
pub fn monitor(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let Overview { status, sessions } = watch::look(ask)?;
    let pictures = ask.settings.monitor.pictures;
    let template = MonitorPage {
        frame: Frame::of(ask, "monitor"),
        server: Server::from(&status),
        status,
        rows: sessions.into_iter().map(|used| Row::new(used, pictures, ask.now)).collect(),
        pictures,
        still: ask.query()?.text("still") == "1",
    };
    page(200, &template)
}

/// POST monitor/stop: everybody's sessions.
pub fn stop_all(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let asker = ask.asker()?;
    let stopped = ask.app.launcher.change(|l| l.stop_all(asker.clone()))?;
    log::info!("{} asked to stop all sessions: {stopped} are ending.", who(&asker));
    Ok(Reply::see_other("/monitor"))
}
