//! "My sessions", and how a session looks in a list.

use super::{Frame, page};
use crate::bus::Session;
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::refusal::Refusal;
use crate::show;
use askama::Template;

/// A session as the pages show it.
#[derive(Debug)]
pub(super) struct Card {
    pub(super) session: Session,
    pub(super) memory: String,
    pub(super) left: String,
    pub(super) created: String,
    pub(super) ends: String,
}

impl Card {
    pub(super) fn new(session: Session, now: u64) -> Self {
        Self {
            memory: show::bytes(session.memory_bytes),
            left: show::left(session.expires_at, now),
            created: show::utc(session.created_at),
            ends: show::utc(session.expires_at),
            session,
        }
    }

    /// True while there is a screen to open, now or soon.
    pub(super) fn opens(&self) -> bool {
        matches!(self.session.state.as_str(), "starting" | "running")
    }

    /// True until it is over.
    pub(super) fn lives(&self) -> bool {
        !self.session.is_over()
    }

    /// The state in words.
    pub(super) fn state(&self) -> &'static str {
        show::state(&self.session.state)
    }
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage<'a> {
    frame: Frame<'a>,
    sessions: Vec<Card>,
    /// Those that ended within the last day.
    ended: Vec<Card>,
    /// An administrator, who may look at everybody's.
    admin: bool,
    all: bool,
}

/// GET sessions; with `?all=1`, for administrators, everybody's.
pub fn sessions(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let asker = ask.asker()?;
    let (admin, all) = (ask.is_admin(), ask.query()?.text("all") == "1");
    let (sessions, ended) = ask.app.launcher.ask(|l| l.sessions(asker.clone(), all))?;
    let cards = |sessions: Vec<Session>| sessions.into_iter().map(|s| Card::new(s, ask.now)).collect();
    let (sessions, ended) = (cards(sessions), cards(ended));
    page(200, &SessionsPage { frame: Frame::of(ask, "sessions"), sessions, ended, admin, all })
}
