//! "My sessions", and how a session looks in a list.

use super::{Frame, page};
use crate::bus::Session;
use crate::model::{Pause, State};
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
    /// The same as a phrase of its own.
    pub(super) remaining: String,
    pub(super) created: String,
    /// When it began, for people.
    pub(super) started: String,
    pub(super) ends: String,
    /// The moment of its end, for people.
    pub(super) ends_at: String,
}

impl Card {
    pub(super) fn new(session: Session, now: u64) -> Self {
        Self {
            memory: session.memory.about(),
            left: show::left(session.expires_at, now),
            remaining: show::remaining(session.expires_at, now),
            created: show::utc(session.created_at),
            started: show::moment(session.created_at),
            ends: show::utc(session.expires_at),
            ends_at: show::moment(session.expires_at),
            session,
        }
    }

    /// True while there is a screen to open, now or soon.
    pub(super) fn opens(&self) -> bool {
        matches!(self.session.state, State::Starting | State::Running)
    }

    /// True while there is a picture of its screen.
    pub(super) fn pictures(&self) -> bool {
        self.session.state == State::Running
    }

    /// True until it is over.
    pub(super) fn lives(&self) -> bool {
        !self.session.is_over()
    }

    /// Whose it is, as other people should read it.
    pub(super) fn owner(&self) -> String {
        self.session.owner_shown()
    }

    /// The state in words.
    pub(super) fn state(&self) -> &'static str {
        if self.session.paused.is_none() { show::state(self.session.state) } else { "Paused" }
    }

    /// Why its guest stands still.
    pub(super) fn pause(&self) -> Option<&'static str> {
        self.session.paused.map(Pause::explain)
    }
}

/// What the page's script needs to follow a list of sessions.
pub(super) struct Live {
    /// The address of the page, below the base.
    pub(super) page: &'static str,
    /// Whether everybody's sessions are listed.
    pub(super) all: bool,
    /// Empty: nothing to follow.
    pub(super) version: String,
}

impl Live {
    /// Asks for the list's version. The list itself is asked for afterwards, so that no change is missed.
    pub(super) fn of(ask: &Ask<'_>, page: &'static str, all: bool) -> Self {
        // The script asks at once where the version is not known.
        let version = ask.person.as_ref().map_or(String::new(), |person| {
            let asker = person.asker();
            ask.app.launcher.ask(|l| l.wait_list(asker.clone(), all, "", 0)).unwrap_or_else(|_| "unknown".to_owned())
        });
        Self { page, all, version }
    }
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage<'a> {
    frame: Frame<'a>,
    sessions: Vec<Card>,
    /// Those that ended within the last day.
    ended: Vec<Card>,
    live: Live,
    /// An administrator, who may look at everybody's.
    admin: bool,
    all: bool,
}

/// GET sessions; with `?all=1`, for administrators, everybody's.
pub fn sessions(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let asker = ask.asker()?;
    let admin = ask.is_admin();
    let all = admin && ask.query()?.text("all") == "1";
    let live = Live::of(ask, if all { "/sessions?all=1" } else { "/sessions" }, all);
    let (sessions, ended) = ask.app.launcher.ask(|l| l.sessions(asker.clone(), all))?;
    let cards = |sessions: Vec<Session>| sessions.into_iter().map(|s| Card::new(s, ask.now)).collect();
    let (sessions, ended) = (cards(sessions), cards(ended));
    let here = if all { "all" } else { "sessions" };
    page(200, &SessionsPage { frame: Frame::of(ask, here), sessions, ended, live, admin, all })
}
