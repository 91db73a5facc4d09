//! One session: its state, its end, the way in, and what its owner can do with it.

use super::continuing;
use super::sessions::Card;
use super::sharing::{NewLink, Sharing};
use super::{Frame, page};
use crate::bus::Session;
use crate::model::{Lifetime, Role, State};
use crate::policy::{Warning, warning};
use crate::portal::ask::Ask;
use crate::portal::asked;
use crate::portal::http::Reply;
use crate::portal::qr::{Qr, qr};
use crate::portal::refusal::Refusal;
use crate::show;
use askama::Template;

#[derive(Template)]
#[template(path = "session.html")]
struct SessionPage<'a> {
    frame: Frame<'a>,
    csrf: String,
    card: Card,
    /// Choices of "Extend": seconds and words.
    extensions: Vec<(u64, String)>,
    /// Of its end.
    warning: Option<Warning>,
    sharing: Sharing,
    new_link: Option<NewLink>,
    link: String,
    /// By it another browser continues the session, while no sign-in method is configured.
    continuing: Option<String>,
    qr: Option<Qr>,
    /// Links begin with an address that leads nowhere on other computers.
    only_here: bool,
    again: Again,
    /// Administrators can see a picture of the screen.
    pictured: bool,
    message: &'a str,
    /// The end has just been moved away.
    extended: bool,
    /// It belongs to the one who reads; else an administrator reads.
    own: bool,
}

/// The choices that start the same once more.
struct Again {
    memory: String,
    lifetime: String,
}

impl Again {
    fn of(session: &Session) -> Self {
        let lifetime = if session.expires_at == 0 { 0 } else { session.expires_at.saturating_sub(session.created_at) };
        Self { memory: session.memory.to_string(), lifetime: Lifetime(lifetime).to_string() }
    }
}

/// GET sessions/ID
pub fn session(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let session = ask.app.launcher.ask(|l| l.get(asker.clone(), id.as_str()))?;
    show_session(ask, session, None, None)
}

/// POST sessions/ID/stop
pub fn stop(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let session = ask.app.launcher.change(|l| l.stop(asker.clone(), id.as_str()))?;
    asked(&asker, &session, "asked to stop it");
    Ok(Reply::see_other(&back(ask, &session)))
}

/// POST sessions/ID/kill: for a machine that does not shut down when it is asked.
pub fn kill(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let session = ask.app.launcher.change(|l| l.kill(asker.clone(), id.as_str()))?;
    asked(&asker, &session, "asked to switch it off");
    Ok(Reply::see_other(&back(ask, &session)))
}

/// Where the form came from: the monitor, or the session's own page.
fn back(ask: &Ask<'_>, session: &Session) -> String {
    match ask.form.text("back") {
        "monitor" => "/monitor".to_owned(),
        _ => format!("/sessions/{}", session.id),
    }
}

/// POST sessions/ID/extend
pub fn extend(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let seconds: u64 = ask.form.text("seconds").parse().ok().filter(|s| *s > 0).ok_or_else(|| {
        Refusal::bad_request("The time to extend by is a whole number of seconds; pick one of those on the page.")
    })?;
    match ask.app.launcher.change(|l| l.extend(asker.clone(), id.as_str(), seconds)) {
        Ok(session) => {
            asked(&asker, &session, format_args!("asked to extend it by {}", show::span(seconds)));
            Ok(Reply::see_other(&format!("/sessions/{id}?extended={}", session.expires_at)))
        }
        Err(problem) => {
            let session = ask.app.launcher.ask(|l| l.get(asker.clone(), id.as_str()))?;
            show_session(ask, session, None, Some(&problem.into()))
        }
    }
}

/// Return whether the address says that the end has been moved to this moment, which is the present end.
fn is_new_end(ask: &Ask<'_>, expires_at: u64) -> bool {
    let query = ask.query().unwrap_or_default();
    expires_at != 0 && query.text("extended").parse() == Ok(expires_at)
}

pub(super) fn show_session(
    ask: &Ask<'_>,
    session: Session,
    new_link: Option<NewLink>,
    refusal: Option<&Refusal>,
) -> Result<Reply, Refusal> {
    let link = ask.site.link(&format!("/sessions/{}", session.id));
    let again = Again::of(&session);
    let card = Card::new(session, ask.now);
    let own = ask.owns(&card.session);
    let template = SessionPage {
        frame: Frame::of(ask, if own { "sessions" } else { "" }),
        csrf: ask.csrf(),
        extensions: if card.opens() { extensions(&card.session) } else { Vec::new() },
        warning: if card.opens() { warning(card.session.expires_at, ask.settings.session.warn, ask.now) } else { None },
        sharing: if card.opens() { Sharing::of(ask, &card.session.id)? } else { Sharing::default() },
        new_link,
        qr: qr(&link).filter(|_| !ask.site.is_loopback()),
        only_here: ask.site.is_loopback(),
        link,
        continuing: continuing::link(ask, &card.session),
        again,
        pictured: ask.settings.monitor.pictures && card.opens(),
        message: refusal.map_or("", |r| r.message.as_str()),
        extended: is_new_end(ask, card.session.expires_at),
        own,
        card,
    };
    page(refusal.map_or(200, |r| r.status), &template)
}

/// What the end can be moved by, within what the configuration allows.
fn extensions(session: &Session) -> Vec<(u64, String)> {
    const STEPS: [u64; 5] = [3600, 4 * 3600, 12 * 3600, 86_400, 2 * 86_400];
    if session.expires_at == 0 {
        return Vec::new();
    }
    let room = match session.extendable_until {
        0 => u64::MAX,
        latest => latest.saturating_sub(session.expires_at),
    };
    let mut choices: Vec<(u64, String)> =
        STEPS.into_iter().filter(|step| *step <= room).map(|step| (step, show::lifetime(step))).collect();
    // What is left when no step fits is worth a minute at least.
    if choices.is_empty() && room >= 60 {
        choices.push((room, show::span(room)));
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::a_session;

    #[test]
    fn only_extensions_that_fit_are_offered() {
        let steps = |expires_at, extendable_until| {
            let session = Session { expires_at, extendable_until, ..a_session("abcdefghjk", "alice") };
            extensions(&session).into_iter().map(|(seconds, _)| seconds).collect::<Vec<_>>()
        };
        assert_eq!(steps(1000, 1000 + 5 * 3600), [3600, 4 * 3600]);
        assert_eq!(steps(1000, 1000 + 600), [600]);
        assert!(steps(1000, 1000).is_empty() && steps(0, 0).is_empty());
        assert_eq!(steps(1000, 0).len(), 5);
    }

    #[test]
    fn starting_again_asks_for_the_same() {
        let session = Session { created_at: 100, expires_at: 100 + 14_400, ..a_session("abcdefghjk", "alice") };
        let again = Again::of(&session);
        assert_eq!((again.memory.as_str(), again.lifetime.as_str()), ("1G", "4h"));
    }
}
