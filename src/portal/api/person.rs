//! Signing in and out, and who one is.

use super::input::{self, parse};
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::identity::Person;
use crate::portal::refusal::Refusal;
use crate::portal::{clear_cookies, cookies, identity, password};
use serde_json::{Value, json};

/// GET sign-in
pub fn who(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let person = ask.person.as_ref().ok_or_else(Refusal::not_signed_in_script)?;
    Ok(Reply::json(200, &shown(ask, person)))
}

/// POST sign-in: the answer sets the cookie.
pub fn sign_in(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let input: input::SignIn = parse(&ask.request.body)?;
    let (name, open) = (input.name.trim(), identity::is_open(ask.settings));
    let record = match &input.password {
        None if open => return Ok(come_in(ask, &identity::typed(ask, name)?)),
        Some(_) if open => {
            return Err(Refusal::bad_request("No sign-in method is configured: leave \"password\" out."));
        }
        None => return Err(Refusal::bad_request("The field \"password\" is missing.")),
        Some(password) => password::check(ask, name, password)?,
    };
    let person = identity::enter(ask, record)?;
    let reply = Reply::json(200, &shown(ask, &person));
    let cookies = cookies(ask, &person, Some(name));
    Ok(cookies.into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
}

fn come_in(ask: &Ask<'_>, person: &Person) -> Reply {
    identity::welcome(ask, person);
    let reply = Reply::json(200, &shown(ask, person));
    cookies(ask, person, None).into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie))
}

/// DELETE sign-in
pub fn sign_out(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    if ask.person.as_ref().is_some_and(|person| person.cookie.is_none()) {
        let sentence = "The web server says who you are with each request: sign out there.";
        return Err(Refusal::new(409, "wrong_state", sentence));
    }
    identity::sign_out(ask);
    let reply = Reply { status: 204, headers: Vec::new(), body: Vec::new() };
    Ok(clear_cookies(ask).into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
}

fn shown(ask: &Ask<'_>, person: &Person) -> Value {
    json!({
        "name": person.name,
        "groups": person.groups,
        "method": person.owner.proof().as_str(),
        "admin": person.is_admin(ask.settings),
    })
}
