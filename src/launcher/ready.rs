//! A machine that may be started: its disk, and what holds others off that.

use super::caller::Person;
use super::catalogue::{facts, hardware, reach, unknown, usable_place};
use super::core::Core;
use crate::config::{MachineEntry, Reach, Settings, Word as _};
use crate::images::{Kept, Nvram, Place, Purpose, busy, held};
use crate::model::{Bytes, MachineName, Problem, SessionId, Word};
use crate::policy;
use crate::vm::{self, Backing, Hardware};
use std::path::Path;

/// A machine that may be started.
pub(super) struct Ready {
    pub entry: MachineEntry,
    pub hardware: Hardware,
    pub reach: Reach,
    pub backing: Backing,
    /// Size of the session's disk.
    pub disk_size: Bytes,
    /// What its firmware remembers.
    pub nvram: vm::Nvram,
    /// Where its image is, if the session stands on that.
    pub place: Option<Place>,
    /// The disk that the session writes to itself, and which is to be kept.
    pub kept: Option<Kept>,
}

impl Ready {
    /// What the session's owner should know of its disk, where that is not the usual.
    pub(super) fn note(&self) -> Option<String> {
        let name = &self.entry.name;
        Some(match self.kept.as_ref()?.plan.purpose {
            Purpose::Master => format!(
                "This session changes the machine '{name}' itself: what is done in it is kept, once its guest has shut \
                 down or it is stopped."
            ),
            Purpose::Install => format!(
                "This session installs the machine '{name}', which is offered once its guest has shut down or it is \
                 stopped."
            ),
        })
    }
}

/// A machine that may be started; by this person, if it is not past all limits.
pub(super) fn resolve(
    core: &Core,
    settings: &Settings,
    name: &MachineName,
    person: Option<&Person>,
) -> Result<Ready, Problem> {
    let catalogue = core.catalogue();
    let entry = catalogue.get(name).filter(|m| m.description.is_some()).ok_or_else(|| unknown(&catalogue, name))?;
    if let Some(person) = person {
        person.allowed.machine(name)?;
        // Of whom root speaks for, the groups are not always known.
        if !person.root {
            policy::may_use(entry, &person.groups)?;
        }
    }
    let hardware = hardware(settings, entry)?;
    let reach = reach(settings, entry)?;
    nobody_changes(core, settings, name, None)?;
    let place = usable_place(settings, entry)?;
    nobody_changes(core, settings, name, Some(&place))?;
    let facts = facts(core, &place)?;
    let path = place.path.clone();
    let (backing, disk_size) = if facts.iso {
        let size = entry.hardware.disk_size.unwrap_or(settings.session.iso_disk);
        (Backing::Empty { cd: path }, size)
    } else {
        (Backing::Image { path, format: facts.format }, Bytes(facts.virtual_size))
    };
    let nvram = Nvram::find(&place.path).map(|kept| remembered(&hardware, &kept)).unwrap_or_default();
    Ok(Ready { entry: entry.clone(), hardware, reach, backing, disk_size, nvram, place: Some(place), kept: None })
}

/// What the session begins with of what is kept beside the image.
fn remembered(hardware: &Hardware, kept: &Nvram) -> vm::Nvram {
    let variables = hardware.firmware().files().and_then(|_| kept.variables(hardware.firmware().kind.word()));
    vm::Nvram { variables, tpm: kept.tpm().filter(|_| hardware.has_tpm()), ..vm::Nvram::default() }
}

/// What the session writes to, and what is kept.
fn written(hardware: &Hardware, kept: &Kept) -> Result<vm::Nvram, Problem> {
    let begin = |files: vm::FirmwareFiles| kept.variables(hardware.firmware().kind.word(), Path::new(files.variables));
    let variables = hardware.firmware().files().map(begin).transpose()?;
    let tpm = hardware.has_tpm().then(|| kept.module()).transpose()?;
    Ok(vm::Nvram { variables, tpm, own: true, ..vm::Nvram::default() })
}

/// The machine whose disk root's qwdctl has prepared for a session to write to. It holds the image meanwhile.
pub(super) fn prepared(core: &Core, settings: &Settings, name: &MachineName) -> Result<Ready, Problem> {
    let catalogue = core.catalogue();
    let entry = catalogue.get(name).ok_or_else(|| unknown(&catalogue, name))?;
    let kept = Kept::find(&settings.machines_dir, name).filter(|kept| kept.plan.session.is_none());
    let unprepared = || Problem::new(Word::WrongState, format!("No disk of '{name}' has been prepared for that."));
    let kept = kept.ok_or_else(unprepared)?;
    let backing = match kept.plan.purpose {
        Purpose::Master => Backing::Own,
        Purpose::Install => Backing::Install { cd: kept.cd().ok_or_else(unprepared)? },
    };
    let hardware = hardware(settings, entry)?;
    let reach = reach(settings, entry)?;
    let disk_size = Bytes(kept.plan.disk_bytes);
    let nvram = written(&hardware, &kept)?;
    Ok(Ready { entry: entry.clone(), hardware, reach, backing, disk_size, nvram, place: None, kept: Some(kept) })
}

/// Refuses while the image is being made, changed or removed, under its own name or another's.
pub(super) fn nobody_changes(
    core: &Core,
    settings: &Settings,
    name: &MachineName,
    place: Option<&Place>,
) -> Result<(), Problem> {
    nobody_holds(core, settings, name, place)?;
    nobody_writes(core, name, Kept::find(&settings.machines_dir, name).as_ref())
}

/// Refuses while a command of root's is at work on the image.
pub(super) fn nobody_holds(
    core: &Core,
    settings: &Settings,
    name: &MachineName,
    place: Option<&Place>,
) -> Result<(), Problem> {
    let named = settings.machines_dir.join(name.as_str());
    let mut keys = std::iter::once(named.as_path()).chain(place.map(|place| place.path.as_path()));
    keys.find_map(|key| held(&core.root, key)).map_or(Ok(()), |doing| Err(busy(&doing)))
}

/// Refuses while a session works on the disk that is kept.
pub(super) fn nobody_writes(core: &Core, name: &MachineName, kept: Option<&Kept>) -> Result<(), Problem> {
    match kept.and_then(|kept| Some((kept.plan.purpose, writer(core, kept)?))) {
        Some((Purpose::Master, id)) => Err(Problem::new(
            Word::WrongState,
            format!(
                "The machine '{name}' is being changed in session {id}, and can be started again once that is over."
            ),
        )),
        Some((Purpose::Install, id)) => {
            Err(Problem::new(Word::WrongState, format!("The machine '{name}' is being installed in session {id}.")))
        }
        None => Ok(()),
    }
}

/// The session that writes to the disk at this moment.
fn writer(core: &Core, kept: &Kept) -> Option<SessionId> {
    let id: SessionId = kept.plan.session.as_ref()?.parse().ok()?;
    core.store.exists(&id).then_some(id)
}
