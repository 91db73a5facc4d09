//! Starting a session by the form.

use super::first::{Choices, Complaint, Field, form};
use crate::bus::{NewSession, Session};
use crate::model::{Bytes, Lifetime, MachineName, Problem, Word};
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::identity;
use crate::portal::refusal::Refusal;
use crate::portal::signins::SignIn;
use crate::portal::{Started, start};

/// POST sessions: on to the session's page, or the form again with the sentence why not.
pub fn create(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let choices = Choices::from(&ask.form);
    match attempt(ask, &choices) {
        Ok(Started { session: Session { id, .. }, set_cookie }) => {
            let reply = Reply::see_other(&format!("/sessions/{id}"));
            Ok(set_cookie.into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
        }
        Err(complaint) => form(ask, choices, Some(&complaint)),
    }
}

fn attempt(ask: &Ask<'_>, choices: &Choices) -> Result<Started, Complaint> {
    let typed = match &ask.person {
        Some(_) => None,
        None => Some(identity::typed(ask, &choices.name).map_err(|r| complain(Field::Name, r))?),
    };
    begin(ask, typed, wanted(ask, choices)?)
}

/// Starts what is wanted.
pub(super) fn begin(ask: &Ask<'_>, typed: Option<SignIn>, wanted: NewSession) -> Result<Started, Complaint> {
    start(ask, typed, wanted).map_err(|refusal| {
        let of_machine = [Word::NoSuchMachine, Word::MachineUnusable].iter().any(|w| w.as_str() == refusal.word);
        complain(if of_machine { Field::Machine } else { Field::Whole }, refusal)
    })
}

/// What the form asks for, if it is complete.
pub(super) fn wanted(ask: &Ask<'_>, choices: &Choices) -> Result<NewSession, Complaint> {
    if choices.machine.is_empty() {
        return Err(complain(Field::Machine, Problem::bad_request("Pick a machine.")));
    }
    let machine: MachineName = choices.machine.parse().map_err(|p: Problem| complain(Field::Machine, p))?;
    let cpus: u32 = match choices.cpus.as_str() {
        "" => 0,
        text => text.parse().map_err(|_| {
            complain(Field::Cpus, Problem::bad_request("The number of CPUs is a whole number such as 2."))
        })?,
    };
    let memory: Bytes = or_default(&choices.memory).map_err(|p| complain(Field::Memory, p))?;
    let lifetime: Lifetime = or_default(&choices.lifetime).map_err(|p| complain(Field::Lifetime, p))?;
    if !choices.terms && !ask.settings.page.texts.terms.is_empty() {
        let sentence = "Please read the terms of use and tick the box if you agree: nothing starts without that.";
        return Err(complain(Field::Terms, Problem::bad_request(sentence)));
    }
    Ok(NewSession {
        machine: machine.to_string(),
        cpus,
        memory_bytes: memory.0,
        lifetime_seconds: lifetime.0,
        force: false,
    })
}

fn or_default<T: Default + std::str::FromStr>(text: &str) -> Result<T, T::Err> {
    if text.is_empty() { Ok(T::default()) } else { text.parse() }
}

pub(super) fn complain(field: Field, refusal: impl Into<Refusal>) -> Complaint {
    Complaint { field, refusal: refusal.into() }
}
