//! The values that the form for a new session offers: those of the configuration that would be
//! accepted now. The launcher decides again when one comes back.

use super::first::Choices;
use crate::bus::Offer;
use crate::config::Settings;
use crate::model::{Bytes, Lifetime};
use crate::show;

/// One value on offer.
pub(super) struct Value {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) chosen: bool,
}

/// All of them.
pub(super) struct Values {
    pub(super) cpus: Vec<Value>,
    pub(super) memory: Vec<Value>,
    pub(super) lifetime: Vec<Value>,
}

impl Values {
    pub(super) fn of(settings: &Settings, offer: &Offer, choices: &Choices) -> Self {
        let Settings { page, session, .. } = settings;
        let longest = Lifetime(offer.lifetime_seconds);
        let cpus = fitting(&page.cpus, offer.cpus, |n| *n);
        let memory = fitting(&page.memory, Bytes(offer.memory_bytes), |b| b.0);
        let lifetime = fitting(&page.lifetime, longest, endless);
        Self {
            cpus: values(&cpus, |n| n.to_string(), &[choices.cpus.parse().ok(), Some(session.cpus)]),
            memory: values(&memory, |b| show::bytes(b.0), &[choices.memory.parse().ok(), Some(session.memory)]),
            lifetime: values(
                &lifetime,
                |t| show::lifetime(t.0),
                &[choices.lifetime.parse().ok(), Some(session.lifetime)],
            ),
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

/// Values of `all`, each a number with the text of its field; chosen is the first of `wanted` that is on
/// offer, or else the next above it, or the greatest.
fn values<N: Copy + Ord + ToString>(all: &[N], label: impl Fn(N) -> String, wanted: &[Option<N>]) -> Vec<Value> {
    let above = |wanted: N| all.iter().copied().filter(|n| *n >= wanted).min();
    let chosen = wanted.iter().flatten().find_map(|n| above(*n)).or(all.iter().copied().max());
    let value = |n: &N| Value { value: n.to_string(), label: label(*n), chosen: chosen == Some(*n) };
    all.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(values: &[Value]) -> &str {
        &values.iter().find(|v| v.chosen).unwrap().value
    }

    #[test]
    fn what_is_not_on_offer_becomes_the_next_above_it_or_the_greatest() {
        let picked = |wanted: &[Option<u32>]| chosen(&values(&[1, 2, 8], |n| n.to_string(), wanted)).to_owned();
        assert_eq!(picked(&[Some(2), Some(1)]), "2");
        assert_eq!(picked(&[Some(3), Some(1)]), "8");
        assert_eq!(picked(&[Some(9), Some(2)]), "2");
        assert_eq!(picked(&[None, Some(99)]), "8");
    }

    fn offered(cpus: u32, memory: u64, lifetime: u64) -> [String; 3] {
        let offer =
            Offer { sessions: 1, cpus, memory_bytes: memory << 20, lifetime_seconds: lifetime, ..Offer::default() };
        let Values { cpus, memory, lifetime } = Values::of(&Settings::default(), &offer, &Choices::default());
        [cpus, memory, lifetime].map(|all| all.iter().map(|v| v.value.as_str()).collect::<Vec<_>>().join(" "))
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
        assert_eq!(chosen(&Values::of(&settings, &offer, &Choices::default()).cpus), "5");
    }
}
