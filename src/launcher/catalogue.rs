//! The machines, and what is known about their images.
//!
//! An image is looked into by an unprivileged process in a sandbox of its own, once for each
//! content: what it found is remembered under the file's identity.

use super::core::Core;
use crate::bus::Machine;
use crate::config::{MachineEntry, Settings};
use crate::images::{Facts, Place, REPORT_MAX, locate, read_report};
use crate::model::{MachineName, Problem, Word};
use crate::policy::Allowed;
use crate::unit;
use std::os::unix::fs::PermissionsExt;
use std::sync::PoisonError;

/// The machines that are offered, under these limits if any, each with the reason if it cannot be started.
pub(super) fn machines(core: &Core, limits: Option<&Allowed>) -> Result<Vec<Machine>, Problem> {
    let loaded = core.loaded();
    let catalogue = core.catalogue()?;
    let usable = |m: &&MachineEntry| limits.is_none_or(|allowed| allowed.machine(&m.name).is_ok());
    let offered = catalogue.machines.iter().filter(|m| m.description.is_some()).filter(usable);
    Ok(offered.map(|entry| describe(&loaded.settings, entry)).collect())
}

fn describe(settings: &Settings, entry: &MachineEntry) -> Machine {
    let place = usable_place(settings, &entry.name);
    Machine {
        name: entry.name.to_string(),
        description: entry.description.clone().unwrap_or_default(),
        image_bytes: place.as_ref().map_or(0, |p| p.identity.size),
        // The image itself is not looked into here: a listing must be quick, and starts nothing.
        problem: place.err().map(|p| p.message).unwrap_or_default(),
    }
}

/// Looks into the image of a machine, and says what it is like then.
pub(super) fn examine(core: &Core, name: &MachineName) -> Result<Machine, Problem> {
    let loaded = core.loaded();
    let settings = &loaded.settings;
    let catalogue = core.catalogue()?;
    let entry = catalogue.get(name).ok_or_else(|| unknown(name))?;
    let facts = usable_place(settings, name).and_then(|place| facts(core, &place));
    let mut machine = describe(settings, entry);
    machine.problem = facts.err().map(|p| p.message).unwrap_or_default();
    Ok(machine)
}

/// A machine that may be started, under these limits if any: its place and what its image is.
pub(super) fn resolve(
    core: &Core,
    settings: &Settings,
    name: &MachineName,
    limits: Option<&Allowed>,
) -> Result<(Place, Facts), Problem> {
    let catalogue = core.catalogue()?;
    let entry = catalogue.get(name).filter(|m| m.description.is_some());
    entry.ok_or_else(|| unknown(name))?;
    limits.map_or(Ok(()), |allowed| allowed.machine(name))?;
    let place = usable_place(settings, name)?;
    let facts = facts(core, &place)?;
    Ok((place, facts))
}

fn unknown(name: &MachineName) -> Problem {
    Problem::new(Word::NoSuchMachine, format!("There is no machine '{name}'; 'qwdctl machines' lists those there are."))
}

/// A session's user is nobody in particular, so everybody must be able to read an image.
fn usable_place(settings: &Settings, name: &MachineName) -> Result<Place, Problem> {
    let place = locate(&settings.machines_dir, name)?;
    let mode = std::fs::metadata(&place.path).map_or(0, |m| m.permissions().mode());
    if mode & 0o004 == 0 {
        return Err(Problem::new(
            Word::MachineUnusable,
            format!(
                "The image of '{name}' cannot be read by sessions: 'chmod a+r \"{}\"' mends it.",
                place.path.display()
            ),
        ));
    }
    Ok(place)
}

fn facts(core: &Core, place: &Place) -> Result<Facts, Problem> {
    let known = core.facts.lock().unwrap_or_else(PoisonError::into_inner).get(&place.identity).copied();
    if let Some(facts) = known {
        return Ok(facts);
    }
    let facts = look_into(core, place)?;
    core.facts.lock().unwrap_or_else(PoisonError::into_inner).insert(place.identity, facts);
    Ok(facts)
}

fn look_into(core: &Core, place: &Place) -> Result<Facts, Problem> {
    let name = format!("qwd-examine-{}.service", crate::random::label());
    let report = core.systemd.output_of(&name, &unit::examination(&place.path), REPORT_MAX)?;
    read_report(&report)
}
