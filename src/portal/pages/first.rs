//! The first page: what there is to start, and the form to start it.

use super::machines::{Item, items, many};
use super::person::sign_in_first;
use super::sessions::{Card, Live};
use super::values::Values;
use super::{Frame, page};
use crate::bus::{Asker, Offer};
use crate::portal::ask::Ask;
use crate::portal::form::Form;
use crate::portal::http::Reply;
use crate::portal::identity;
use crate::portal::refusal::Refusal;
use askama::Template;

/// What was chosen, as text, so that a form that comes back looks as it was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices {
    pub(super) name: String,
    pub(super) machine: String,
    pub(super) cpus: String,
    pub(super) memory: String,
    pub(super) lifetime: String,
    pub(super) terms: bool,
}

impl From<&Form> for Choices {
    fn from(form: &Form) -> Self {
        let text = |name| form.text(name).to_owned();
        Self {
            name: text("name"),
            machine: text("machine"),
            cpus: text("cpus"),
            memory: text("memory"),
            lifetime: text("lifetime"),
            terms: form.ticked("terms"),
        }
    }
}

/// The part of the form that a sentence stands beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Machine,
    Cpus,
    Memory,
    Lifetime,
    Terms,
    Code,
    Whole,
}

impl Field {
    /// Return the id of what people change to correct it.
    fn id(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Machine => "machine",
            Self::Cpus => "cpus",
            Self::Memory => "memory",
            Self::Lifetime => "lifetime",
            Self::Terms => "terms",
            Self::Code => "code",
            Self::Whole => "new",
        }
    }
}

/// One reason why a form comes back.
pub(super) struct Complaint {
    pub(super) field: Field,
    pub(super) refusal: Refusal,
}

#[derive(Template)]
#[template(path = "first.html")]
struct FirstPage<'a> {
    frame: Frame<'a>,
    csrf: String,
    sessions: Vec<Card>,
    live: Live,
    machines: Vec<Item>,
    /// So many that one must be searched for.
    many: bool,
    values: Values,
    /// Nothing can be started.
    closed: bool,
    /// Why, unless it is said elsewhere on the page.
    reason: String,
    terms: Vec<&'a str>,
    choices: Choices,
    complaints: &'a [Complaint],
    /// Nobody is signed in yet: the form is for the holder of a link from a mail, and this is its code.
    code: Option<&'a str>,
}

impl FirstPage<'_> {
    /// True if there is anything to start.
    fn usable(&self) -> bool {
        !self.closed && self.machines.iter().any(|item| item.chosen)
    }

    /// The sentence beside a field, or an empty text.
    fn said(&self, field: Field) -> &str {
        let found = self.complaints.iter().find(|complaint| complaint.field == field);
        found.map_or("", |complaint| complaint.refusal.message.as_str())
    }
}

/// GET the first page. The query may carry choices, as from "Start again".
pub fn first(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    if ask.person.is_none() && !identity::is_open(ask.settings) {
        return sign_in_first(ask);
    }
    form(ask, Choices::from(&ask.query()?), &[])
}

pub(super) fn form(ask: &Ask<'_>, choices: Choices, complaints: &[Complaint]) -> Result<Reply, Refusal> {
    form_with(ask, choices, complaints, None)
}

/// The same; with a code, for somebody who will only be signed in by it.
pub(super) fn form_with(
    ask: &Ask<'_>,
    choices: Choices,
    complaints: &[Complaint],
    code: Option<&str>,
) -> Result<Reply, Refusal> {
    let asker = ask.person.as_ref().map_or_else(Asker::default, |p| p.asker());
    let live = Live::of(ask, "/", false);
    let (offer, machines, sessions) = ask.app.launcher.ask(|l| l.front(asker.clone()))?;
    let reason = reason(&offer, complaints);
    let machines = items(machines, &chosen_machine(ask, &choices));
    let chosen = machines.iter().find(|item| item.chosen).map(|item| &item.machine);
    let template = FirstPage {
        frame: Frame::of(ask, "first"),
        csrf: ask.csrf(),
        sessions: sessions.into_iter().map(|s| Card::new(s, ask.now)).filter(Card::lives).collect(),
        live,
        values: Values::of(ask.settings, &offer, &choices, chosen),
        many: many(&machines),
        machines,
        closed: !offer.reason.is_empty(),
        reason,
        terms: paragraphs(&ask.settings.page.texts.terms),
        choices,
        complaints,
        code,
    };
    page(complaints.first().map_or(200, |complaint| complaint.refusal.status), &template)
}

/// The sentence is not said twice where the form comes back with it.
fn reason(offer: &Offer, complaints: &[Complaint]) -> String {
    let said = complaints.iter().any(|complaint| complaint.refusal.message == offer.reason);
    if said { String::new() } else { offer.reason.clone() }
}

fn chosen_machine(ask: &Ask<'_>, choices: &Choices) -> String {
    let configured = ask.settings.page.machine.as_ref().map_or("", |m| m.as_str());
    if choices.machine.is_empty() { configured.to_owned() } else { choices.machine.clone() }
}

fn paragraphs(text: &str) -> Vec<&str> {
    text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()).collect()
}
