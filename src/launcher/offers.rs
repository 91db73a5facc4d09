//! What somebody may have, told before they ask: the machines, and how much would be accepted.

use super::caller::Person;
use super::core::Core;
use super::table::taken;
use super::{catalogue, create};
use crate::bus::{self, Machine};
use crate::config::{MachineEntry, Settings};
use crate::host;
use crate::model::Problem;
use crate::policy::{self, Allowed, Offer, Situation};

/// The machines that this person may use, and which of them fit now.
pub(super) fn machines(core: &Core, person: Option<&Person>) -> Result<Vec<Machine>, Problem> {
    front(core, person).map(|(_, machines)| machines)
}

/// What would be accepted from this person now; before anybody is signed in, from somebody of whom
/// nothing is known.
pub(super) fn offer(core: &Core, person: Option<&Person>) -> Result<bus::Offer, Problem> {
    decide(core, person, |_, offer, _| told(offer))
}

/// Both, from the same figures.
pub(super) fn front(core: &Core, person: Option<&Person>) -> Result<(bus::Offer, Vec<Machine>), Problem> {
    decide(core, person, |settings, offer, situation| {
        // Where nothing can be started, one reason is enough.
        let unfit = |entry: &MachineEntry| match &offer.reason {
            None => situation.unfit(&policy::needs(entry)),
            Some(_) => None,
        };
        let machines = catalogue::machines(core, settings, person, unfit);
        (told(offer), machines)
    })
}

fn decide<T>(
    core: &Core,
    person: Option<&Person>,
    then: impl FnOnce(&Settings, Offer, &Situation<'_>) -> T,
) -> Result<T, Problem> {
    let loaded = core.loaded()?;
    let settings = &loaded.settings;
    let allowed = person.map_or_else(|| Allowed::anybody(settings), |person| person.allowed.clone());
    let sessions = taken(&core.table());
    let situation = Situation::new(settings, &allowed, host::figures(), &sessions, person.map(|p| &p.owner));
    let offer = situation.offer();
    let no_room =
        || create::room(core, settings, None, person.is_some_and(|p| p.admin)).err().map(|problem| problem.message);
    Ok(then(settings, Offer { reason: offer.reason.or_else(no_room), ..offer }, &situation))
}

fn told(offer: Offer) -> bus::Offer {
    let Offer { sessions, cpus, memory, lifetime, reason } = offer;
    match reason {
        Some(reason) => bus::Offer { lifetime, reason, ..bus::Offer::default() },
        None => bus::Offer { sessions, cpus, memory, lifetime, reason: String::new() },
    }
}
