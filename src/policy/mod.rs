//! Decisions: who may start what, and what is due. Pure; the clock is an argument.

mod admission;
mod ending;
mod lifetime;

pub use admission::{Host, Taken, Wanted, admit};
pub use ending::{Asked, Ending, Outcome, explain};
pub use lifetime::{extended, initial};
