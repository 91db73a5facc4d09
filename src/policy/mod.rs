//! Decisions: who may start what, and what is due. Pure; the clock is an argument.

mod admin;
mod admission;
mod allowed;
mod disk;
mod lifetime;
mod machine;
mod rate;
mod reach;
mod sentence;

pub use admin::is_admin;
pub use admission::{CPUS_MAX, Host, MEMORY_MAX, Offer, Situation, Taken, Wanted, cpus_in_all};
pub use allowed::{Allowed, Bound};
pub use disk::{DiskAction, DiskUse, FileSystem, Shortage, Standing, disk_actions, find_shortage, is_short, next_look};
pub use lifetime::{Span, Warning, extended, initial, latest, mail_due, warning};
pub use machine::{Request, may_use, needs, usual_of, with_amounts};
pub use rate::{Reading, Readings};
pub use reach::{closed, name_server};
