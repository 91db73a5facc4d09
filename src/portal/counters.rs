//! What has happened since the portal's start, counted for the metrics. Nothing here names anybody.

use super::refusal::Refusal;
use crate::model::Word;
use std::sync::atomic::{AtomicU64, Ordering};

/// One count that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it has happened.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counts of one portal.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sign-ins that were accepted.
    pub signed_in: Count,
    /// Those that were refused, or could not be checked.
    pub turned_away: Count,
    /// Sessions that were started.
    pub created: Count,
    /// Those that were not, by why, in the order of [`Word::ALL`].
    pub not_created: [Count; Word::ALL.len()],
    /// Requests by the class of their answer: 1xx to 5xx.
    pub answers: [Count; 5],
}

impl Counters {
    /// Somebody signed in.
    pub fn accepted(&self) {
        self.signed_in.add();
    }

    /// Somebody did not get in.
    pub fn refused(&self) {
        self.turned_away.add();
    }

    /// Somebody asked for a session.
    pub fn creation<T>(&self, result: &Result<T, Refusal>) {
        match result {
            Ok(_) => self.created.add(),
            Err(refusal) => {
                let word = Word::ALL.iter().position(|word| word.as_str() == refusal.word);
                word.map(|at| &self.not_created[at]).into_iter().for_each(Count::add);
            }
        }
    }

    /// A request was answered with this status.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, self.answers.len());
        self.answers[class - 1].add();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Problem;

    #[test]
    fn creations_are_counted_by_what_became_of_them() {
        let counters = Counters::default();
        counters.creation(&Ok(()));
        counters.creation::<()>(&Err(Problem::new(Word::LimitReached, "Full.").into()));
        let refused: Vec<u64> = counters.not_created.iter().map(Count::get).collect();
        let full = Word::ALL.iter().position(|w| *w == Word::LimitReached).unwrap();
        assert_eq!((counters.created.get(), refused[full], refused.iter().sum::<u64>()), (1, 1, 1));
    }

    #[test]
    fn odd_statuses_do_no_harm() {
        let counters = Counters::default();
        for status in [0, 100, 200, 204, 404, 599, 999] {
            counters.answered(status);
        }
        assert_eq!(counters.answers.each_ref().map(Count::get), [2, 2, 0, 1, 2]);
    }
}
