//! May this session start, and what could? Both are answered from the same figures, so that they
//! cannot contradict each other.
//!
//! The predecessor's limits under their names, made to hold on small hosts: a share counts the request
//! as well, but is never less than what a first session takes. Limits that are set for a person or a
//! group take the place of the shares and hold to the letter. Load is the present one.

use super::allowed::Allowed;
use super::sentence::{self, Left, Unit};
use crate::config::{Limits, Settings};
use crate::model::{Bytes, Lifetime, Owner, Problem};

/// The largest machine QEMU can be asked for.
pub const CPUS_MAX: u32 = 255;
/// More memory than any host has.
pub const MEMORY_MAX: Bytes = Bytes(1 << 46);
/// QEMU takes whole megabytes.
const MEMORY_STEP: u64 = 1 << 20;

/// What is asked for, with every default filled in.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
}

/// What one session has already.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Whose it is.
    pub owner: Owner,
    /// Its virtual CPUs.
    pub cpus: u32,
    /// Its guest memory.
    pub memory: Bytes,
}

/// The host at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Its CPUs.
    pub cpus: u32,
    /// Present load: 1.0 is all CPUs busy.
    pub load: f64,
    /// All its memory.
    pub memory_total: Bytes,
    /// Memory to be had at once.
    pub memory_available: Bytes,
}

/// What would be accepted at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Sessions that can still be started.
    pub sessions: u32,
    /// The most CPUs of the next one.
    pub cpus: u32,
    /// The most memory of the next one.
    pub memory: Bytes,
    /// Its longest lifetime; zero: no bound.
    pub lifetime: Lifetime,
    /// Why nothing at all can be started, where that is so; the amounts are zero then.
    pub reason: Option<String>,
}

/// Virtual CPUs that are given out together, at most.
pub fn cpus_in_all(limits: &Limits, host_cpus: u32) -> u32 {
    (f64::from(host_cpus) * limits.cpu_overcommit).floor() as u32
}

/// All that a decision is made from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The limits of everybody.
    limits: &'a Limits,
    /// Those of the person who asks.
    allowed: &'a Allowed,
    /// The least memory a session can have.
    memory_min: Bytes,
    /// The host.
    host: Host,
    /// Everybody's sessions.
    sessions: &'a [Taken],
    /// Who asks; `None`: somebody without sessions.
    owner: Option<&'a Owner>,
}

impl Wanted {
    /// Brings the memory to what QEMU takes; refuses what no machine can have.
    pub fn possible(self, least: Bytes) -> Result<Self, Problem> {
        let Self { cpus, memory } = self;
        let memory = Bytes(memory.0 / MEMORY_STEP * MEMORY_STEP);
        if !(1..=CPUS_MAX).contains(&cpus) {
            return Err(Problem::bad_request(format!("A session has 1 to {CPUS_MAX} CPUs; you asked for {cpus}.")));
        }
        if memory < least || memory > MEMORY_MAX {
            return Err(Problem::bad_request(format!(
                "A session has {least} to {MEMORY_MAX} of memory; you asked for {memory}."
            )));
        }
        Ok(Self { cpus, memory })
    }
}

impl<'a> Situation<'a> {
    /// Puts together what a decision takes.
    pub fn new(
        settings: &'a Settings,
        allowed: &'a Allowed,
        host: Host,
        sessions: &'a [Taken],
        owner: Option<&'a Owner>,
    ) -> Self {
        Self { limits: &settings.limits, allowed, memory_min: settings.session.memory_min, host, sessions, owner }
    }

    /// `Ok`, or the limit that says no and what would fit.
    pub fn admit(&self, wanted: &Wanted) -> Result<(), Problem> {
        self.places()?;
        let (cpus, memory) = (u64::from(wanted.cpus), wanted.memory.0);
        if let Some(left) = self.cpus().iter().find(|left| cpus > left.amount) {
            return Err(left.refusal(cpus, 1));
        }
        if let Some(left) = self.memory().iter().find(|left| memory > left.amount) {
            return Err(left.refusal(memory, self.least_memory()));
        }
        self.load()
    }

    /// What would be admitted: up to this many CPUs together with up to this much memory.
    pub fn offer(&self) -> Offer {
        let reason = self.nothing_fits();
        let most =
            |lefts: &[Left]| lefts.iter().map(|left| left.amount).min().filter(|_| reason.is_none()).unwrap_or(0);
        let places = self.own_places_left().min(self.places_left());
        Offer {
            sessions: if reason.is_none() { places } else { 0 },
            cpus: most(&self.cpus()).min(CPUS_MAX.into()) as u32,
            memory: Bytes(most(&self.memory()).min(MEMORY_MAX.0) / MEMORY_STEP * MEMORY_STEP),
            lifetime: self.allowed.lifetime.most,
            reason,
        }
    }

    /// Why what needs so much would not be admitted though something would, where that is so.
    pub fn unfit(&self, needs: &Wanted) -> Option<String> {
        let short = |lefts: &[Left], needs: u64| {
            let tightest = lefts.iter().min_by_key(|left| left.amount)?;
            (needs > tightest.amount).then(|| tightest.short(needs))
        };
        short(&self.memory(), needs.memory.0).or_else(|| short(&self.cpus(), needs.cpus.into()))
    }

    /// Why not even the least session would be admitted, where that is so.
    fn nothing_fits(&self) -> Option<String> {
        if let Err(problem) = self.allowed.any_machine().and_then(|()| self.places()) {
            return Some(problem.message);
        }
        let cpus = self.cpus().into_iter().find(|left| left.amount < 1);
        let short = cpus.or_else(|| self.memory().into_iter().find(|left| left.amount < self.least_memory()));
        short.map(|left| left.exhausted()).or_else(|| self.load().err().map(|p| p.message))
    }

    /// The least a session can ask for.
    fn least_memory(&self) -> u64 {
        self.memory_min.0.div_ceil(MEMORY_STEP) * MEMORY_STEP
    }

    fn own(&self) -> impl Iterator<Item = &Taken> {
        self.sessions.iter().filter(|taken| Some(&taken.owner) == self.owner)
    }

    fn own_places_left(&self) -> u32 {
        self.allowed.sessions.most.saturating_sub(self.own().count() as u32)
    }

    fn places_left(&self) -> u32 {
        self.limits.service_max_session_nb.saturating_sub(self.sessions.len() as u32)
    }

    fn places(&self) -> Result<(), Problem> {
        if self.own_places_left() == 0 {
            return Err(sentence::own_places(&self.allowed.sessions, self.own().count()));
        }
        if self.places_left() == 0 {
            return Err(sentence::all_places(self.limits.service_max_session_nb));
        }
        Ok(())
    }

    /// What is left of CPUs, by the person's limit and by the host's.
    fn cpus(&self) -> [Left; 2] {
        let sum = |all: &mut dyn Iterator<Item = &Taken>| all.map(|t| u64::from(t.cpus)).sum();
        let (has, given) = (sum(&mut self.own()), sum(&mut self.sessions.iter()));
        let own = match &self.allowed.cpus {
            Some(bound) => Left::own(Unit::Cpus, bound.most.into(), has, &bound.key),
            None => {
                let share = f64::from(self.host.cpus) * self.limits.service_max_cpu_fraction_nb_per_user;
                // One CPU is the least there is: a share of less still means one.
                Left::share(
                    Unit::Cpus,
                    (share.floor() as u64).max(1),
                    has,
                    "limits.service_max_cpu_fraction_nb_per_user",
                )
            }
        };
        [own, Left::virtual_cpus(u64::from(cpus_in_all(self.limits, self.host.cpus)), given)]
    }

    /// What is left of memory, by the person's limit and by the host's.
    fn memory(&self) -> [Left; 2] {
        let has: u64 = self.own().map(|t| t.memory.0).sum();
        let own = match &self.allowed.memory {
            Some(bound) => Left::own(Unit::Memory, bound.most.0, has, &bound.key),
            None => {
                let share = self.host.memory_total.0 as f64 * self.limits.service_max_mem_fraction_nb_per_user;
                let most = (share as u64).max(self.least_memory());
                Left::share(Unit::Memory, most, has, "limits.service_max_mem_fraction_nb_per_user")
            }
        };
        [own, Left::free_memory(self.host.memory_available.0)]
    }

    fn load(&self) -> Result<(), Problem> {
        if self.host.load > self.limits.service_max_load {
            return Err(sentence::busy(self.host.load, self.host.cpus, self.limits.service_max_load));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
