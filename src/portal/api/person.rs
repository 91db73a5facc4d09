//! Signing in and out, and who one is.

use super::input::{self, parse};
use crate::portal::ask::Ask;
use crate::portal::cookie::Cookie;
use crate::portal::http::Reply;
use crate::portal::identity::Person;
use crate::portal::refusal::Refusal;
use crate::portal::{cookies, identity, password};
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
        None if open => identity::typed(ask, name)?,
        Some(_) if open => {
            return Err(Refusal::bad_request("No sign-in method is configured: leave \"password\" out."));
        }
        None => return Err(Refusal::bad_request("The field \"password\" is missing.")),
        Some(password) => password::check(ask, name, password)?,
    };
    let person = identity::enter(ask, record)?;
    let reply = Reply::json(200, &shown(ask, &person));
    let cookies = cookies(ask, &person, Some(name).filter(|_| !open));
    Ok(cookies.into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
}

/// DELETE sign-in
pub fn sign_out(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    if ask.person.as_ref().is_some_and(|person| person.cookie.is_none()) {
        let sentence = "The web server says who you are with each request: sign out there.";
        return Err(Refusal::new(409, "wrong_state", sentence));
    }
    identity::sign_out(ask);
    let reply = Reply { status: 204, headers: Vec::new(), body: Vec::new() };
    Ok(reply.with("Set-Cookie", Cookie::SignIn.clear(ask.site.https())))
}

fn shown(ask: &Ask<'_>, person: &Person) -> Value {
    json!({
        "name": person.sign_in.name,
        "groups": person.sign_in.groups,
        "method": person.sign_in.method,
        "admin": person.is_admin(ask.settings),
    })
}
