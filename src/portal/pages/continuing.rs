//! Continuing a session in another browser, while no sign-in method is configured.
//!
//! The link on a session's page carries its code behind `#`, which browsers do not send, and nothing
//! happens before a button is pressed. From then on the session belongs to the other browser, and all links that
//! were made before are void: each is its owner's at the time.

use super::{Frame, page};
use crate::bus::{Asker, Session};
use crate::model::{Label, Owner, SessionId};
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::identity;
use crate::portal::refusal::Refusal;
use crate::portal::{browser_cookies, site::Site};
use askama::Template;
use std::sync::PoisonError;

#[derive(Template)]
#[template(path = "continue.html")]
struct ContinuePage<'a> {
    frame: Frame<'a>,
    csrf: String,
    session: &'a str,
    code: &'a str,
    message: &'a str,
}

/// Return the link by which another browser continues a session, where there is such a thing.
pub(super) fn link(ask: &Ask<'_>, session: &Session) -> Option<String> {
    let own = ask.person.as_ref().is_some_and(|person| person.owner == session.owner_id);
    let code = || ask.app.key.continuing(&session.id, &session.owner_id);
    (own && identity::is_open(ask.settings)).then(|| address(&ask.site, &session.id, &code()))
}

fn address(site: &Site, id: &SessionId, code: &str) -> String {
    site.link(&format!("/sessions/{id}/continue#{code}"))
}

/// GET sessions/ID/continue: the same for every id, whether there is such a session or not.
pub fn continuing(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    form(ask, None)
}

fn form(ask: &Ask<'_>, refusal: Option<&Refusal>) -> Result<Reply, Refusal> {
    if !identity::is_open(ask.settings) {
        return Err(Refusal::not_found());
    }
    let id = ask.session_id()?;
    let template = ContinuePage {
        frame: Frame::of(ask, "sessions"),
        csrf: ask.csrf(),
        session: id.as_str(),
        code: ask.form.text("code"),
        message: refusal.map_or("", |refusal| refusal.message.as_str()),
    };
    page(refusal.map_or(200, |refusal| refusal.status), &template)
}

/// POST sessions/ID/continue
pub fn continue_here(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let id = ask.session_id()?;
    // Of two that come with the same link at once, one finds that the session has moved.
    let _one_at_a_time = ask.app.continuing.lock().unwrap_or_else(PoisonError::into_inner);
    // The field may hold the whole link.
    let owner = ask.app.key.continues(&id, ask.form.text("code").rsplit('#').next().unwrap_or_default());
    if !owner.is_some_and(|owner| is_still_of(ask, &id, &owner)) {
        let sentence = "This link is not valid: it is not complete, or the session has moved to another browser \
                        since. Copy the whole link from the session's page in the browser that has it now.";
        return form(ask, Some(&Refusal::new(403, "bad_ticket", sentence)));
    }
    let mut person = match &ask.person {
        Some(person) => person.clone(),
        None => identity::typed(ask, "")?,
    };
    let asker = person.asker();
    let session = match ask.app.launcher.change(|l| l.claim(asker.clone(), id.as_str())) {
        Ok(session) => session,
        Err(problem) => return form(ask, Some(&problem.into())),
    };
    if ask.person.is_none() {
        // A new browser goes by the name that the session has.
        person.name.clone_from(&session.owner);
        identity::welcome(ask, &person);
    }
    let reply = Reply::see_other(&format!("/sessions/{id}"));
    let cookies = browser_cookies(&person, ask.site.https());
    Ok(cookies.into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
}

/// Return whether the session belongs to this browser at the moment.
fn is_still_of(ask: &Ask<'_>, id: &SessionId, owner: &Owner) -> bool {
    let asker = Asker { owner: owner.to_string(), name: Label::default().as_str().to_owned(), groups: Vec::new() };
    ask.app.launcher.ask(|l| l.get(asker.clone(), id.as_str())).is_ok_and(|session| session.owner_id == *owner)
}
