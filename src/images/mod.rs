//! Machine images: where they lie, what they are, how they are fetched, made and changed.
//!
//! What an image is, is found out by `qwd-inspect`, an unprivileged process in a sandbox, and told
//! as one line of closed JSON that [`read_report`] does not trust. Decisions are pure ([`head`] for
//! the first bytes, `judge` for QEMU's answers); only `inspect` and `place` touch files.

mod convert;
mod disk;
mod facts;
pub mod fetch;
pub mod head;
mod hold;
mod home;
mod inspect;
mod judge;
mod kept;
mod nvram;
mod packed;
mod place;
pub(crate) mod told;
mod unpack;
mod work;

pub use convert::{Converted, Step, main as convert_main, read_step};
pub use facts::{Facts, REPORT_MAX, VIRTUAL_SIZE_MAX, read_report};
pub use hold::{Hold, busy, held};
pub use home::Home;
pub use inspect::{inspect, main};
pub use kept::{Kept, Plan as KeptPlan, Purpose};
pub use nvram::{Nvram, TPM_STATE};
pub use place::{Identity, Place, command_word, locate};
pub use told::Failed;
pub use unpack::{Bounds, main as unpack_main, read_unpacked};
pub use work::{Work, stray_works};
