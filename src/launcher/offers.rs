//! What somebody may have, told before they ask: the machines, and how much would be accepted.

use super::caller::Person;
use super::core::Core;
use super::table::taken;
use super::{catalogue, create};
use crate::bus::{Machine, Offer};
use crate::host;
use crate::model::Problem;
use crate::policy::{Allowed, Situation};

/// The machines that this person may use; all of them for root, and before anybody is signed in.
pub(super) fn machines(core: &Core, person: Option<&Person>) -> Result<Vec<Machine>, Problem> {
    catalogue::machines(core, person.filter(|person| !person.root).map(|person| &person.allowed))
}

/// What would be accepted from this person now; before anybody is signed in, from somebody of whom
/// nothing is known.
pub(super) fn offer(core: &Core, person: Option<&Person>) -> Offer {
    let loaded = core.loaded();
    let settings = &loaded.settings;
    let allowed = person.map_or_else(|| Allowed::anybody(settings), |person| person.allowed.clone());
    let sessions = taken(&core.table());
    let situation = Situation::new(settings, &allowed, host::figures(), &sessions, person.map(|p| &p.name));
    let offer = situation.offer();
    let no_room = || create::room(settings).err().map(|problem| problem.message);
    match offer.reason.or_else(no_room) {
        Some(reason) => Offer { lifetime_seconds: offer.lifetime.0, reason, ..Offer::default() },
        None => Offer {
            sessions: offer.sessions,
            cpus: offer.cpus,
            memory_bytes: offer.memory.0,
            lifetime_seconds: offer.lifetime.0,
            reason: String::new(),
        },
    }
}
