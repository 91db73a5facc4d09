//! Signing in and out.

use super::{Frame, page};
use crate::auth::Password;
use crate::portal::ask::Ask;
use crate::portal::back::Back;
use crate::portal::http::Reply;
use crate::portal::identity::Person;
use crate::portal::refusal::Refusal;
use crate::portal::{clear_cookies, cookies, identity, mailing, password, remote, site};
use askama::Template;

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage<'a> {
    frame: Frame<'a>,
    csrf: String,
    /// A name is enough.
    open: bool,
    passwords: bool,
    /// Why the web server has not said who is there, if it should have.
    remote: String,
    /// What is typed here can be read on the way.
    exposed: bool,
    name: &'a str,
    /// Where to go on to.
    back: Back,
    message: &'a str,
    /// Links are sent by mail.
    mails: bool,
    /// As it was typed.
    address: &'a str,
    /// What is wrong with it.
    address_message: &'a str,
}

/// The page that asks who is there, instead of one that needs to know.
pub fn sign_in(ask: &Ask<'_>, refusal: Option<&Refusal>) -> Result<Reply, Refusal> {
    let back = Back::of(ask);
    let by_mail = ask.request.path.ends_with("/sign-in/email");
    let local = site::client(ask.request).is_some_and(|client| client.is_loopback());
    let template = SignInPage {
        frame: Frame::of(ask, if back.is_first() { "first" } else { "sessions" }),
        csrf: ask.csrf(),
        open: identity::is_open(ask.settings),
        passwords: password::wanted(ask.settings),
        remote: remote::missing(ask.request, ask.settings),
        exposed: !ask.site.https() && !local,
        name: ask.form.text("name"),
        back,
        message: refusal.filter(|_| !by_mail).map_or("", |r| r.message.as_str()),
        mails: mailing::settings(ask.settings).is_some(),
        address: ask.form.text("address"),
        address_message: refusal.filter(|_| by_mail).map_or("", |r| r.message.as_str()),
    };
    let reply = page(refusal.map_or(401, |r| r.status), &template)?;
    Ok(refusal.map_or(reply.clone(), |refusal| refusal.on(reply)))
}

/// The same in the place of the first page.
pub(super) fn sign_in_first(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    sign_in(ask, None).map(|reply| Reply { status: 200, ..reply })
}

/// POST sign-in: always a new cookie, whatever the browser had before.
pub fn sign_in_post(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let name = ask.form.text("name");
    let is_open = identity::is_open(ask.settings);
    let entered = if is_open { come_in(ask, name) } else { checked(ask, name) };
    let person = match entered {
        Ok(person) => person,
        Err(refusal) => return sign_in(ask, Some(&refusal)),
    };
    let typed = Some(name).filter(|_| !is_open);
    let reply = Reply::see_other(Back::of(ask).path());
    Ok(cookies(ask, &person, typed).into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
}

fn come_in(ask: &Ask<'_>, name: &str) -> Result<Person, Refusal> {
    let person = identity::typed(ask, name)?;
    identity::welcome(ask, &person);
    Ok(person)
}

fn checked(ask: &Ask<'_>, name: &str) -> Result<Person, Refusal> {
    let sign_in = password::check(ask, name, &Password::from(ask.form.exact("password")))?;
    identity::enter(ask, sign_in)
}

#[derive(Template)]
#[template(path = "sign-out.html")]
struct SignOutPage<'a> {
    frame: Frame<'a>,
    /// Where the web server signs people out; empty: nowhere that we know of.
    url: &'a str,
    /// Sessions that the browser loses by it; zero: the web server has signed the person in.
    sessions: usize,
    csrf: String,
}

/// POST sign-out. Whom the web server has signed in can be signed out there only.
pub fn sign_out(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    if identity::is_open(ask.settings) && ask.form.text("sure") != "yes" {
        let asker = ask.asker()?;
        let sessions = ask.app.launcher.ask(|l| l.list(asker.clone(), false))?.len();
        if sessions > 0 {
            return page(200, &SignOutPage { frame: Frame::of(ask, ""), url: "", sessions, csrf: ask.csrf() });
        }
    }
    identity::sign_out(ask);
    if ask.person.as_ref().is_some_and(|person| person.cookie.is_none()) {
        let url = ask.settings.sign_in.sign_out_url.as_deref().unwrap_or_default();
        // The policy of the pages lets no form lead to another site, but links and pages that move on.
        return page(200, &SignOutPage { frame: Frame::of(ask, ""), url, sessions: 0, csrf: String::new() });
    }
    let reply = Reply::see_other("/");
    Ok(clear_cookies(ask).into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
}
