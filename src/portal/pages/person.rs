//! Signing in and out.

use super::{Frame, page};
use crate::model::SessionId;
use crate::portal::ask::Ask;
use crate::portal::cookie::Cookie;
use crate::portal::http::Reply;
use crate::portal::identity;
use crate::portal::refusal::Refusal;
use askama::Template;

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage<'a> {
    frame: Frame<'a>,
    csrf: String,
    name: &'a str,
    /// The session to go on to; empty: the list of all.
    session: String,
    message: &'a str,
}

/// The page that asks who is there, instead of one that needs to know.
pub fn sign_in(ask: &Ask<'_>, refusal: Option<&Refusal>) -> Result<Reply, Refusal> {
    let wanted = ask.session_id().ok().or_else(|| ask.form.text("session").parse().ok());
    let template = SignInPage {
        frame: Frame::of(ask, "sessions"),
        csrf: ask.csrf(),
        name: ask.form.text("name"),
        session: wanted.map_or_else(String::new, |id| id.to_string()),
        message: refusal.map_or("", |r| r.message.as_str()),
    };
    page(refusal.map_or(401, |r| r.status), &template)
}

/// POST sign-in: always a new cookie, whatever the browser had before.
pub fn sign_in_post(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let sign_in_record = match identity::typed(ask.form.text("name"), ask.now) {
        Ok(record) => record,
        Err(refusal) => return sign_in(ask, Some(&refusal)),
    };
    // Only the id of a session says where to go on to, so that no link leads anywhere else.
    let path = match ask.form.text("session").parse::<SessionId>() {
        Ok(id) => format!("/sessions/{id}"),
        Err(_) => "/sessions".to_owned(),
    };
    if let Some(person) = &ask.person {
        ask.app.sign_ins.remove(&person.cookie);
    }
    let cookie = ask.app.sign_ins.add(&sign_in_record, ask.now)?;
    Ok(Reply::see_other(&path).with("Set-Cookie", Cookie::SignIn.write(&cookie, ask.site.https())))
}

/// POST sign-out
pub fn sign_out(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    if let Some(person) = &ask.person {
        ask.app.sign_ins.remove(&person.cookie);
    }
    Ok(Reply::see_other("/").with("Set-Cookie", Cookie::SignIn.clear(ask.site.https())))
}
