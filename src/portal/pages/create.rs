//! Starting a session by the form.

use super::first::{Choices, Complaint, Field, form};
use crate::bus::{NewSession, Session};
use crate::model::{Bytes, Lifetime, MachineName, Problem, Word};
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::identity::{self, Person};
use crate::portal::refusal::Refusal;
use crate::portal::{Started, start};

/// POST sessions: on to the session's page, or the form again with the sentence why not.
pub fn create(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let choices = Choices::from(&ask.form);
    match attempt(ask, &choices) {
        Ok(Started { session: Session { id, .. }, set_cookie }) => {
            let reply = Reply::see_other(&format!("/sessions/{id}"));
            Ok(set_cookie.into_iter().fold(reply, |reply, cookie| reply.with("Set-Cookie", cookie)))
        }
        Err(complaints) => form(ask, choices, &complaints),
    }
}

fn attempt(ask: &Ask<'_>, choices: &Choices) -> Result<Started, Vec<Complaint>> {
    let typed = match &ask.person {
        Some(_) => Ok(None),
        None => identity::typed(ask, &choices.name).map(Some).map_err(|refusal| complain(Field::Name, refusal)),
    };
    match (typed, wanted(ask, choices)) {
        (Ok(typed), Ok(wanted)) => begin(ask, typed, wanted).map_err(|complaint| vec![complaint]),
        (typed, wanted) => Err(wanted.err().into_iter().flatten().chain(typed.err()).collect()),
    }
}

/// Starts what is wanted.
pub(super) fn begin(ask: &Ask<'_>, typed: Option<Person>, wanted: NewSession) -> Result<Started, Complaint> {
    start(ask, typed, wanted).map_err(|refusal| {
        let of_machine = [Word::NoSuchMachine, Word::MachineUnusable].iter().any(|w| w.as_str() == refusal.word);
        complain(if of_machine { Field::Machine } else { Field::Whole }, refusal)
    })
}

/// What the form asks for, or all that is wrong with it.
pub(super) fn wanted(ask: &Ask<'_>, choices: &Choices) -> Result<NewSession, Vec<Complaint>> {
    let (mut wanted, mut complaints) = (NewSession::default(), Vec::new());
    let mut complain_of = |field, problem| complaints.push(complain(field, problem));
    match machine(&choices.machine) {
        Ok(machine) => wanted.machine = machine.to_string(),
        Err(problem) => complain_of(Field::Machine, problem),
    }
    match cpus(&choices.cpus) {
        Ok(cpus) => wanted.cpus = cpus,
        Err(problem) => complain_of(Field::Cpus, problem),
    }
    match or_default::<Bytes>(&choices.memory) {
        Ok(memory) => wanted.memory_bytes = memory.0,
        Err(problem) => complain_of(Field::Memory, problem),
    }
    match or_default::<Lifetime>(&choices.lifetime) {
        Ok(lifetime) => wanted.lifetime_seconds = lifetime.0,
        Err(problem) => complain_of(Field::Lifetime, problem),
    }
    if !choices.terms && !ask.settings.page.texts.terms.is_empty() {
        let sentence = "Read the terms of use, then tick the box to agree to them.";
        complain_of(Field::Terms, Problem::bad_request(sentence));
    }
    if complaints.is_empty() { Ok(wanted) } else { Err(complaints) }
}

fn machine(text: &str) -> Result<MachineName, Problem> {
    if text.is_empty() { Err(Problem::bad_request("Choose a machine.")) } else { text.parse() }
}

fn cpus(text: &str) -> Result<u32, Problem> {
    let problem = |_| Problem::bad_request("The number of CPUs must be a whole number such as 2.");
    if text.is_empty() { Ok(0) } else { text.parse().map_err(problem) }
}

fn or_default<T: Default + std::str::FromStr>(text: &str) -> Result<T, T::Err> {
    if text.is_empty() { Ok(T::default()) } else { text.parse() }
}

pub(super) fn complain(field: Field, refusal: impl Into<Refusal>) -> Complaint {
    Complaint { field, refusal: refusal.into() }
}
