//! The machines, and what is known about their images.
//!
//! An image is looked into by an unprivileged process in a sandbox of its own, once for each
//! content: what it found is remembered under the file's identity.

use super::caller::Person;
use super::core::Core;
use super::ready::{nobody_holds, nobody_writes};
use crate::bus::Machine;
use crate::config::{Catalogue, MachineEntry, Reach, Settings};
use crate::images::{Facts, Home, Kept, Place, Purpose, REPORT_MAX, locate, read_report};
use crate::model::{Bytes, Lifetime, MachineName, Problem, Word};
use crate::policy::{self, Allowed};
use crate::unit;
use crate::vm::Hardware;

/// The machines that this person may use, all of them for root and before anybody is signed in, each with
/// the reason if it cannot be started, or, by `unfit`, not now.
pub(super) fn machines(
    core: &Core,
    settings: &Settings,
    person: Option<&Person>,
    unfit: impl Fn(&MachineEntry) -> Option<String>,
) -> Vec<Machine> {
    let usual = person.map_or_else(|| usual(settings), |p| p.allowed.usual(&settings.session));
    let root = person.is_some_and(|person| person.root);
    let person = person.filter(|person| !person.root);
    let admin = root || person.is_some_and(|person| person.admin);
    let usable = |m: &&MachineEntry| person.is_none_or(|person| may_use(person, m).is_ok());
    let catalogue = core.catalogue();
    let offered = catalogue.machines.iter().filter(|m| m.description.is_some()).filter(usable);
    let found = offered.map(|entry| (entry, Stock::of(settings, entry)));
    // What is being installed is nobody's business until it is.
    let found = found.filter(|(_, stock)| root || !stock.unborn);
    let described = |(entry, stock)| {
        let mut machine = describe(core, settings, entry, &stock, usual);
        if let Some(refused) = stock.refusal(core).filter(|_| machine.problem.is_empty()) {
            machine.problem = if admin { refused.message } else { UNUSABLE.to_owned() };
        }
        let unfit = if machine.problem.is_empty() { unfit(entry) } else { None };
        Machine { unfit: unfit.unwrap_or_default(), ..machine }
    };
    found.map(described).collect()
}

/// What there is of a machine on the disk, looked at once: a page lists many.
struct Stock {
    place: Result<Place, Problem>,
    kept: Option<Kept>,
    /// No more than a disk on which it is to be installed.
    unborn: bool,
}

impl Stock {
    fn of(settings: &Settings, entry: &MachineEntry) -> Self {
        let name = &entry.name;
        let folder = &settings.machines_dir;
        let place = locate(folder, name, entry.url.is_some());
        let kept = Kept::read(&Home::of(folder, name, place.as_ref().ok().cloned()).work());
        let installs = kept.as_ref().is_some_and(|kept| kept.plan.purpose == Purpose::Install);
        let unborn = installs && !folder.join(name.as_str()).exists();
        Self { place: place.and_then(|place| usable(name, place)), kept, unborn }
    }

    /// Why the image was refused when somebody looked into it last.
    fn refusal(&self, core: &Core) -> Option<Problem> {
        core.verdicts.refusal(&self.place.as_ref().ok()?.identity)
    }
}

/// What somebody reads who can do nothing about it.
const UNUSABLE: &str = "The image of this machine cannot be used. Ask an administrator to replace it.";

fn may_use(person: &Person, entry: &MachineEntry) -> Result<(), Problem> {
    person.allowed.machine(&entry.name)?;
    policy::may_use(entry, &person.groups)
}

/// What everybody gets who asks for nothing, where no machine says anything else.
fn usual(settings: &Settings) -> (u32, Bytes, Lifetime) {
    Allowed::anybody(settings).usual(&settings.session)
}

fn describe(
    core: &Core,
    settings: &Settings,
    entry: &MachineEntry,
    stock: &Stock,
    usual: (u32, Bytes, Lifetime),
) -> Machine {
    let Stock { place, kept, unborn } = stock;
    let hardware = hardware(settings, entry);
    let architecture = hardware.as_ref().ok().map(|h| h.board.architecture);
    // The image itself is not looked into here: a listing must be quick, and starts nothing.
    let problem = hardware.and(reach(settings, entry)).and(place.as_ref().map(drop).map_err(Clone::clone)).err();
    let unchanged = nobody_holds(core, settings, &entry.name, place.as_ref().ok())
        .and_then(|()| nobody_writes(core, &entry.name, kept.as_ref()));
    let problem = unchanged.err().or(problem);
    let kept = kept.as_ref().filter(|_| *unborn);
    let problem =
        problem.map(|p| kept.filter(|_| p.word == Word::MachineUnusable).map_or(p.message, |kept| kept.left()));
    Machine {
        problem: problem.unwrap_or_default(),
        image_bytes: place.as_ref().map_or(0, |p| p.identity.size),
        architecture,
        ..Machine::of(entry, policy::usual_of(entry, usual))
    }
}

/// Looks into the image of a machine, and says what it is like then.
pub(super) fn examine(core: &Core, name: &MachineName) -> Result<Machine, Problem> {
    let loaded = core.loaded()?;
    let settings = &loaded.settings;
    let catalogue = core.catalogue();
    let entry = catalogue.get(name).ok_or_else(|| unknown(&catalogue, name))?;
    let stock = Stock::of(settings, entry);
    let mut machine = describe(core, settings, entry, &stock, usual(settings));
    let known = |place: &Place| core.verdicts.get(&place.identity).filter(Result::is_ok);
    // An image that was refused is looked into again: what looks into it may be another version.
    let facts = stock.place.and_then(|place| known(&place).unwrap_or_else(|| look_into(core, &place)));
    if let Err(problem) = facts {
        machine.problem = problem.message;
    }
    Ok(machine)
}

/// Explain why the catalogue does not have a machine.
pub(super) fn unknown(catalogue: &Catalogue, name: &MachineName) -> Problem {
    if let Some(fault) = catalogue.unreadable() {
        return Problem::new(Word::Unavailable, format!("The list of machines cannot be used at the moment. {fault}."));
    }
    Problem::new(Word::NoSuchMachine, format!("There is no machine '{name}'; 'qwdctl machines' lists those there are."))
}

/// What the guest finds, if its section is in order and all that it takes is installed.
pub(super) fn hardware(settings: &Settings, entry: &MachineEntry) -> Result<Hardware, Problem> {
    let unusable = |text: String| Problem::new(Word::MachineUnusable, text);
    if let Some(fault) = entry.faults.first() {
        return Err(unusable(format!("Its section of the catalogue has a mistake. {fault}.")));
    }
    let hardware = Hardware::of(&entry.hardware, &settings.qemu)
        .map_err(|why| unusable(format!("Its section of machines.conf contradicts itself: {why}.")))?;
    let missing = hardware.needs().into_iter().find(|need| !need.path.exists());
    missing.map_or(Ok(hardware), |need| {
        Err(unusable(format!(
            "The machine '{}' takes {}, which is not installed: 'apt install {}' mends that.",
            entry.name, need.purpose, need.package
        )))
    })
}

/// What its sessions reach, if that is in order.
pub(super) fn reach(settings: &Settings, entry: &MachineEntry) -> Result<Reach, Problem> {
    settings.network.of(&entry.network).map_err(|why| {
        let text = format!("The network of '{}' is not in order in machines.conf: {why}.", entry.name);
        Problem::new(Word::MachineUnusable, text)
    })
}

/// The image, if sessions can use it.
pub(super) fn usable_place(settings: &Settings, entry: &MachineEntry) -> Result<Place, Problem> {
    usable(&entry.name, locate(&settings.machines_dir, &entry.name, entry.url.is_some())?)
}

/// A session's user is nobody in particular, so everybody must be able to read an image.
fn usable(name: &MachineName, place: Place) -> Result<Place, Problem> {
    if place.readable {
        return Ok(place);
    }
    let path = place.path.display();
    let text = format!("The image of '{name}' cannot be read by sessions: 'chmod a+r \"{path}\"' mends it.");
    Err(Problem::new(Word::MachineUnusable, text))
}

/// What the image is, found out once for each content.
pub(super) fn facts(core: &Core, place: &Place) -> Result<Facts, Problem> {
    core.verdicts.get(&place.identity).unwrap_or_else(|| look_into(core, place))
}

/// Have the image examined, and keep what was found.
fn look_into(core: &Core, place: &Place) -> Result<Facts, Problem> {
    let name = format!("qwd-examine-{}.service", crate::random::label());
    let report = core.systemd.output_of(&name, &unit::examination(&place.path), REPORT_MAX);
    let found = report.and_then(|report| read_report(&report));
    core.verdicts.put(place.identity, &found);
    found
}
