//! A session as the server knows it: its specification, its record, the files of that, and its end.

mod exit_reason;
mod file;
mod marks;
#[cfg(test)]
mod properties;
mod record;
mod spec;
mod store;
mod teardown;
#[cfg(test)]
pub(crate) mod testing;

pub use exit_reason::{Asked, ExitReason, Outcome, explain, is_finished};
pub use file::OnRecord;
pub use record::{Notice, Record, Run, ShareRecord};
pub use spec::{DiskKind, Spec};
pub use store::{Lock, Store};
pub use teardown::{finish, forget_log_fields, stray_disks, stray_log_fields};
