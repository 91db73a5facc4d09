//! Signing in by mail: asking for a link, and the page it leads to.
//!
//! A link's secret stands behind `#`, which browsers do not send, and nothing is used up before a button
//! is pressed: programs that open the links in people's mails change nothing.

use super::create::{begin, complain, wanted};
use super::first::{Choices, Complaint, Field, form_with};
use super::person::sign_in;
use super::{Frame, page};
use crate::bus::NewSession;
use crate::portal::ask::Ask;
use crate::portal::back::Back;
use crate::portal::http::Reply;
use crate::portal::identity::Person;
use crate::portal::refusal::Refusal;
use crate::portal::{cookies, mailing};
use crate::show;
use askama::Template;

#[derive(Template)]
#[template(path = "mail-sent.html")]
struct MailSentPage<'a> {
    frame: Frame<'a>,
    /// How long the link is good for.
    lifetime: String,
}

/// POST sign-in/email: the answer is the same for every address.
pub fn ask_for_link(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let email = mailing::settings(ask.settings).ok_or_else(Refusal::not_found)?;
    match mailing::send(ask, ask.form.text("address")) {
        Ok(()) => {
            let lifetime = show::lifetime(email.lifetime.0);
            page(200, &MailSentPage { frame: Frame::of(ask, "first"), lifetime })
        }
        Err(refusal) => sign_in(ask, Some(&refusal)),
    }
}

/// GET enter: the form that starts a session, and a field for the code, which the page's script fills in.
pub fn enter(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    mailing::settings(ask.settings).ok_or_else(Refusal::not_found)?;
    form_with(ask, Choices::from(&ask.query()?), &[], Some(""))
}

/// POST enter: signs in, and starts a session unless only that was asked for.
pub fn enter_post(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    mailing::settings(ask.settings).ok_or_else(Refusal::not_found)?;
    let (choices, code) = (Choices::from(&ask.form), ask.form.text("code"));
    let only = ask.form.text("do") == "sign-in";
    let again = |complaints: &[Complaint]| form_with(ask, choices.clone(), complaints, Some(code));
    // What is wrong with the form is said before the link is used up.
    let wanted = match (only, wanted(ask, &choices)) {
        (true, _) => None,
        (false, Ok(wanted)) => Some(wanted),
        (false, Err(mut complaints)) => {
            if code.is_empty() {
                complaints.push(complain(Field::Code, Refusal::bad_request("Enter the code from the mail.")));
            }
            return again(&complaints);
        }
    };
    match mailing::redeem(ask, code) {
        Ok((person, back)) => entered(ask, person, choices, wanted, &back),
        Err(refusal) => again(&[complain(Field::Code, refusal)]),
    }
}

fn entered(
    ask: &Ask<'_>,
    person: Person,
    choices: Choices,
    wanted: Option<NewSession>,
    back: &Back,
) -> Result<Reply, Refusal> {
    let cookies = cookies(ask, &person, None);
    let as_person = ask.by(person);
    let reply = match wanted.map(|wanted| begin(&as_person, None, wanted)) {
        None => Reply::see_other(back.path()),
        Some(Ok(started)) => Reply::see_other(&format!("/sessions/{}", started.session.id)),
        Some(Err(complaint)) => form_with(&as_person, choices, &[complaint], None)?,
    };
    Ok(cookies.into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
}
