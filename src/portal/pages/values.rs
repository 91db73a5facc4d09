//! The values that the form for a new session offers: those of the configuration that would be
//! accepted now. The launcher decides again when one comes back.

use super::first::Choices;
use crate::bus::{Machine, Offer};
use crate::config::Settings;
use crate::model::Lifetime;
use crate::show;

/// One value on offer.
pub(super) struct Value {
    /// Empty: what is usual for the machine.
    pub(super) value: String,
    pub(super) label: String,
    /// CPUs, bytes or seconds.
    pub(super) amount: u64,
    pub(super) chosen: bool,
}

/// All of them.
pub(super) struct Values {
    pub(super) cpus: Vec<Value>,
    pub(super) memory: Vec<Value>,
    pub(super) lifetime: Vec<Value>,
    /// The most of CPUs, and of memory in bytes.
    pub(super) most: (u32, u64),
}

impl Values {
    /// What can be chosen, while that machine is chosen at first, if one is.
    pub(super) fn of(settings: &Settings, offer: &Offer, choices: &Choices, machine: Option<&Machine>) -> Self {
        let page = &settings.page;
        let (most_memory, longest) = (offer.memory, offer.lifetime);
        let cpus = fitting(&page.cpus, offer.cpus, |n| *n);
        let memory = fitting(&page.memory, most_memory, |b| b.0);
        let lifetime = fitting(&page.lifetime, longest, endless);
        let fits = |usual: &dyn Fn(&Machine) -> bool| machine.is_none_or(usual);
        Self {
            cpus: values(
                &cpus,
                (|n| n.to_string(), |n| n.into()),
                choices.cpus.parse().ok(),
                fits(&|m| m.cpus <= offer.cpus),
            ),
            memory: values(
                &memory,
                (|b| show::bytes(b.0), |b| b.0),
                choices.memory.parse().ok(),
                fits(&|m| m.memory <= offer.memory),
            ),
            lifetime: values(
                &lifetime,
                (|t| show::lifetime(t.0), |t| t.0),
                choices.lifetime.parse().ok(),
                fits(&|m| endless(&m.lifetime) <= endless(&longest)),
            ),
            most: (offer.cpus, offer.memory.0),
        }
    }
}

/// Orders lifetimes, of which zero is the longest.
fn endless(lifetime: &Lifetime) -> u64 {
    lifetime.0.wrapping_sub(1)
}

/// Those of `all` that are no more than the most; where all are more, the most itself.
fn fitting<N: Copy, O: Ord>(all: &[N], most: N, order: impl Fn(&N) -> O) -> Vec<N> {
    let fit: Vec<N> = all.iter().copied().filter(|n| order(n) <= order(&most)).collect();
    if fit.is_empty() { vec![most] } else { fit }
}

/// What is usual, and the values of `all`, each a number with the text of its field. Chosen is the one
/// wanted, or else the next above it, or the greatest; where none is wanted, what is usual, if it fits.
fn values<N: Copy + Ord + ToString>(
    all: &[N],
    (label, amount): (impl Fn(N) -> String, impl Fn(N) -> u64),
    wanted: Option<N>,
    usual_fits: bool,
) -> Vec<Value> {
    let as_usual = wanted.is_none() && usual_fits;
    let above = wanted.and_then(|wanted| all.iter().copied().filter(|n| *n >= wanted).min());
    let chosen = above.or(all.iter().copied().max()).filter(|_| !as_usual);
    let usual = Value { value: String::new(), label: "Usual for the machine".into(), amount: 0, chosen: as_usual };
    let value =
        |n: &N| Value { value: n.to_string(), label: label(*n), amount: amount(*n), chosen: chosen == Some(*n) };
    std::iter::once(usual).chain(all.iter().map(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::tests::a_machine;
    use crate::model::Bytes;

    fn machine(cpus: u32) -> Machine {
        Machine { cpus, memory: Bytes(1 << 30), lifetime: Lifetime(60), ..a_machine("a") }
    }

    fn chosen(values: &[Value]) -> &str {
        &values.iter().find(|v| v.chosen).unwrap().value
    }

    #[test]
    fn what_is_not_on_offer_becomes_the_next_above_it_or_the_greatest() {
        let picked = |wanted: Option<u32>, fits| {
            chosen(&values(&[1, 2, 8], (|n| n.to_string(), u64::from), wanted, fits)).to_owned()
        };
        assert_eq!([picked(Some(2), true), picked(Some(3), true), picked(Some(9), false)], ["2", "8", "8"]);
    }

    #[test]
    fn where_nothing_is_wanted_it_is_what_is_usual_if_that_fits() {
        let picked = |fits| chosen(&values(&[1_u32, 2, 8], (|n| n.to_string(), u64::from), None, fits)).to_owned();
        assert_eq!([picked(true), picked(false)], ["", "8"]);
    }

    fn offered(cpus: u32, memory: u64, lifetime: u64) -> [String; 3] {
        let (memory, lifetime) = (Bytes(memory << 20), Lifetime(lifetime));
        let offer = Offer { sessions: 1, cpus, memory, lifetime, reason: String::new() };
        let all = Values::of(&Settings::default(), &offer, &Choices::default(), Some(&machine(1)));
        [all.cpus, all.memory, all.lifetime]
            .map(|all| all.iter().map(|v| v.value.as_str()).collect::<Vec<_>>().join(" ").trim_start().to_owned())
    }

    #[test]
    fn only_what_would_be_accepted_is_offered() {
        assert_eq!(offered(4, 9000, 0), ["1 2 4", "1G 2G 4G", "12h 1d 2d 3d"]);
        assert_eq!(offered(3, 4095, 86_400), ["1 2", "1G 2G", "12h 1d"]);
    }

    #[test]
    fn where_none_of_the_usual_values_fits_the_most_that_does_is_offered() {
        assert_eq!(offered(1, 700, 14_400), ["1", "700M", "4h"]);
        let settings =
            Settings { page: crate::config::Page { cpus: vec![8], ..Settings::default().page }, ..Settings::default() };
        let offer = Offer { cpus: 5, ..Offer::default() };
        assert_eq!(chosen(&Values::of(&settings, &offer, &Choices::default(), Some(&machine(6))).cpus), "5");
    }
}
