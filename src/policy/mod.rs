//! Decisions: who may start what, and what is due. Pure; the clock is an argument.

mod admin;
mod admission;
mod ending;
mod lifetime;

pub use admin::is_admin;
pub use admission::{Host, Taken, Wanted, admit};
pub use ending::{Asked, Ending, Outcome, explain};
pub use lifetime::{extended, initial};
