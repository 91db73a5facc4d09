//! A session as the server knows it: what was asked for, its record, where that is kept, and its end.

mod exit_reason;
mod store;
mod teardown;
#[cfg(test)]
pub(crate) mod testing;

pub use exit_reason::{Asked, ExitReason, Outcome, explain, is_finished};
pub use store::{Lock, Notice, OnRecord, Record, ShareRecord, Store, is_running};
pub use teardown::{finish, forget_log_fields, stray_disks, stray_log_fields};
