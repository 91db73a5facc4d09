//! The sentences of admission: which limit says no, and what would fit.

use super::allowed::Bound;
use crate::model::{Bytes, Problem, Word};
use crate::show;

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    Cpus,
    /// In bytes.
    Memory,
}

/// How much is left under one limit.
#[derive(Clone, Debug)]
pub(super) struct Left {
    pub(super) amount: u64,
    unit: Unit,
    /// What the limit says, with its key.
    fact: String,
    /// What the person has of it already, where it is a limit of theirs.
    has: Option<u64>,
}

impl Left {
    /// Under a limit that is set for the person.
    pub(super) fn own(unit: Unit, most: u64, has: u64, key: &str) -> Self {
        let fact = format!("Your sessions can have {} together ({key})", unit.show(most));
        Self { amount: most.saturating_sub(has), unit, fact, has: Some(has) }
    }

    /// Under a limit for each person.
    pub(super) fn share(unit: Unit, most: u64, has: u64, key: &str) -> Self {
        let fact = format!("One person's sessions can have {} together on this server ({key})", unit.show(most));
        Self { amount: most.saturating_sub(has), unit, fact, has: Some(has) }
    }

    /// Of the CPUs that are given out.
    pub(super) fn virtual_cpus(most: u64, given: u64) -> Self {
        let fact = format!("{given} of the {most} virtual CPUs of this service are given out (limits.cpu_overcommit)");
        Self { amount: most.saturating_sub(given), unit: Unit::Cpus, fact, has: None }
    }

    /// Of the host's memory.
    pub(super) fn free_memory(amount: u64) -> Self {
        let fact = format!("The server has {} free", Unit::Memory.show(amount));
        Self { amount, unit: Unit::Memory, fact, has: None }
    }

    /// The answer to a request for more than is left, of which `least` would be of use.
    pub(super) fn refusal(&self, asked: u64, least: u64) -> Problem {
        let asked = self.unit.show(asked);
        let had = match self.has {
            Some(has) if has > 0 => format!("you have {} and asked for {asked}", self.unit.show(has)),
            _ => format!("you asked for {asked}"),
        };
        let end = match self.has {
            _ if self.amount >= least => format!("; {} would fit.", self.unit.show(self.amount)),
            Some(_) => ". Stop a session first.".to_owned(),
            None => ". Try again later.".to_owned(),
        };
        limit(format!("{}: {had}{end}", self.fact))
    }

    /// Why what takes so much does not fit now.
    pub(super) fn short(&self, needs: u64) -> String {
        let needs = self.unit.show(needs);
        match self.has {
            Some(has) if has > 0 => format!("It needs {needs}. {}: you have {}.", self.fact, self.unit.show(has)),
            _ => format!("It needs {needs}. {}.", self.fact),
        }
    }

    /// Why there is nothing to offer.
    pub(super) fn exhausted(&self) -> String {
        match self.has {
            Some(has) => format!("{}: you have {}. Stop a session to start another.", self.fact, self.unit.show(has)),
            None => format!("{}. There is no room for another session just now; try again later.", self.fact),
        }
    }
}

impl Unit {
    fn show(self, amount: u64) -> String {
        match self {
            Self::Cpus if amount == 1 => "1 CPU".to_owned(),
            Self::Cpus => format!("{amount} CPUs"),
            Self::Memory => format!("{} of memory", Bytes(amount).about()),
        }
    }
}

pub(super) fn own_places(bound: &Bound<u32>, has: usize) -> Problem {
    let Bound { most, key } = bound;
    if *most == 0 {
        return limit(format!("You cannot start sessions here ({key} is 0)."));
    }
    let sessions = if has == 1 { "1 session".to_owned() } else { format!("{has} sessions") };
    limit(format!(
        "You have {sessions} already, and {most} is the most you can have at a time ({key}). Stop one to start another."
    ))
}

pub(super) fn all_places(most: u32) -> Problem {
    if most == 0 {
        return limit("This service starts no sessions at present (limits.service_max_session_nb is 0).".to_owned());
    }
    limit(format!(
        "All {most} places of this service are taken (limits.service_max_session_nb). Try again when a session has ended."
    ))
}

pub(super) fn busy(load: f64, cpus: u32, most: f64) -> Problem {
    limit(format!(
        "The server is too busy just now: its load is {}, and nothing new starts above {:.1} (limits.service_max_load is {most} for each CPU). Try again in a minute.",
        show::load(load, cpus),
        most * f64::from(cpus)
    ))
}

pub(super) fn limit(message: String) -> Problem {
    Problem::new(Word::LimitReached, message)
}
