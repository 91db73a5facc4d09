//! Sessions, machines and figures.

use super::input::{self, parse};
use super::object;
use crate::bus::{Asker, Machine};
use crate::model::State;
use crate::portal::ask::Ask;
use crate::portal::http::{BASE, Reply};
use crate::portal::identity::{self, Person};
use crate::portal::refusal::Refusal;
use crate::portal::site;
use crate::portal::{asked, start};
use crate::show;
use serde_json::json;

/// How long a reader may wait for a change of state, in seconds.
const WAIT_LIMIT: u32 = 10;

/// GET sessions; `?all=1` for administrators. With `?wait=VERSION` not before the list has another version, or some
/// seconds later.
pub fn list(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let asker = ask.asker()?;
    let query = ask.query()?;
    let (all, seen) = (query.text("all") == "1", query.text("wait"));
    let version = if seen.is_empty() { None } else { Some(wait_list(ask, &asker, all, seen)?) };
    let sessions = ask.app.launcher.ask(|l| l.list(asker.clone(), all))?;
    let objects: Vec<_> = sessions.iter().map(|s| object(s, &ask.site)).collect();
    let mut answer = json!({"sessions": objects});
    if let Some(version) = version {
        answer["version"] = json!(version);
    }
    Ok(Reply::json(200, &answer))
}

/// Wait for another version of the list. Where no place is free the answer comes at once.
fn wait_list(ask: &Ask<'_>, asker: &Asker, all: bool, seen: &str) -> Result<String, Refusal> {
    let place = ask.app.waiting.enter_for_long(site::client(ask.request));
    let seconds = if place.is_some() { WAIT_LIMIT } else { 0 };
    Ok(ask.app.launcher.ask(|l| l.wait_list(asker.clone(), all, seen, seconds))?)
}

/// POST sessions
pub fn create(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let input: input::Create = parse(&ask.request.body)?;
    let typed = typed(ask, input.owner.as_deref())?;
    let wanted = input.wanted()?;
    if !input.terms && !ask.settings.page.texts.terms.is_empty() {
        return Err(Refusal::bad_request(
            "The terms of use must be agreed to: read them on the first page, then send \"terms\": true.",
        ));
    }
    let started = start(ask, typed, wanted)?;
    let reply = Reply::json(201, &object(&started.session, &ask.site))
        .with("Location", format!("{BASE}/api/v1/sessions/{}", started.session.id));
    Ok(started.set_cookie.into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
}

fn typed(ask: &Ask<'_>, owner: Option<&str>) -> Result<Option<Person>, Refusal> {
    let open = identity::is_open(ask.settings);
    match (&ask.person, owner) {
        (_, Some(_)) if !open => {
            Err(Refusal::bad_request("The session belongs to whoever is signed in: leave \"owner\" out."))
        }
        (None, None) => Err(Refusal::not_signed_in_script()),
        (None, Some(name)) => identity::typed(ask, name).map(Some),
        // The session is the browser's anyway.
        (Some(_), Some(name)) => identity::typed(ask, name).map(Some),
        (Some(_), None) => Ok(None),
    }
}

/// GET sessions/ID; with `?wait=STATE` not before it has another state, or some seconds later.
pub fn get(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let query = ask.query()?;
    let state = match query.text("wait") {
        "" => None,
        text => Some(text.parse::<State>()?),
    };
    // Where all places for waiting are taken the answer comes at once, and the reader asks again.
    let client = site::client(ask.request);
    let place = match state {
        None => None,
        // A page that shows a running session waits for as long as somebody looks at it.
        Some(State::Running) => ask.app.waiting.enter_for_long(client),
        Some(_) => ask.app.waiting.enter(client),
    };
    let session = ask.app.launcher.ask(|l| match (&place, state) {
        (Some(_), Some(state)) => l.wait(asker.clone(), id.as_str(), state.as_str(), WAIT_LIMIT),
        _ => l.get(asker.clone(), id.as_str()),
    })?;
    Ok(Reply::json(200, &object(&session, &ask.site)))
}

/// DELETE sessions/ID: accepted; it ends when its guest has shut down.
pub fn stop(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let session = ask.app.launcher.change(|l| l.stop(asker.clone(), id.as_str()))?;
    asked(&asker, &session, "asked to stop it");
    Ok(Reply::json(202, &object(&session, &ask.site)))
}

/// POST sessions/ID/extend
pub fn extend(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let seconds = parse::<input::Extend>(&ask.request.body)?.seconds;
    if seconds == 0 {
        return Err(Refusal::bad_request("The field seconds is 1 or more."));
    }
    let session = ask.app.launcher.change(|l| l.extend(asker.clone(), id.as_str(), seconds))?;
    asked(&asker, &session, format_args!("asked to extend it by {}", show::span(seconds)));
    Ok(Reply::json(200, &object(&session, &ask.site)))
}

/// GET machines: those that the asker may use, and how much would be accepted.
pub fn machines(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (offer, machines, _) = ask.app.launcher.ask(|l| l.front(visitor(ask)))?;
    let machines: Vec<_> = machines.iter().map(Machine::json).collect();
    Ok(Reply::json(200, &json!({"machines": machines, "offer": offer.json()})))
}

/// GET status: the service in figures, and how much would be accepted from the asker.
pub fn status(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let status = ask.app.launcher.ask(|l| l.status(visitor(ask)))?;
    let mut value = status.json();
    value["offer"] = ask.app.launcher.ask(|l| l.offer(visitor(ask)))?.json();
    Ok(Reply::json(200, &value))
}

/// Who asks, whether signed in or not.
pub(super) fn visitor(ask: &Ask<'_>) -> Asker {
    ask.person.as_ref().map_or_else(Asker::default, Person::asker)
}
