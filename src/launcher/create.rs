//! A session's start.
//!
//! ```text
//!  request ─ check ─ look into the image ─┐
//!                                         ├─ one lock: admit, take the place, write the record
//!  sockets; timer, unit: overlay, READY=1 ┘   (on failure: the sentence, and nothing left behind)
//!  monitor, first greeting of the screen: `running` (see `follow`, a thread of its own)
//! ```

use super::caller::Person;
use super::core::Core;
use super::follow;
use super::plan::plan;
use super::ready::{self, Ready};
use super::runtime::Runtime;
use super::start::start_unit;
use super::table::{Entry, taken};
use super::threads::run_beside;
use crate::bus::{NewSession, Session};
use crate::config::Settings;
use crate::images::Kept;
use crate::journal::{Story, id as message_id};
use crate::model::{Bytes, Lifetime, MachineName, Owner, Problem, SessionId, State, Word};
use crate::policy::{self, Allowed, Bound, Request, Situation, Taken, Wanted};
use crate::session::{Asked, Record};
use crate::systemd::Job;
use crate::{host, qemu, random, session, unit};
use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the units at a session's end may take to say why a start failed.
const VERDICT: Duration = Duration::from_secs(10);

/// A request with every default filled in.
pub(super) struct Order {
    pub owner: Owner,
    /// Its name as people read it.
    pub owner_name: String,
    pub machine: MachineName,
    pub wanted: Wanted,
    lifetime: Lifetime,
    /// The longest it can be made to live.
    pub lifetime_max: Bound<Lifetime>,
}

/// Which disk the session gets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    /// One that goes with it.
    ToItsOwn,
    /// The one that root's qwdctl has prepared, which is kept.
    ToWhatIsKept,
}

/// Admits and starts a session. Comes back when its QEMU has been started, not when it is ready.
pub(super) fn create(
    core: &Arc<Core>,
    person: &Person,
    request: &NewSession,
    writes: Writes,
) -> Result<Session, Problem> {
    let started = Instant::now();
    let loaded = core.loaded()?;
    let settings = &loaded.settings;
    let result = attempt(core, settings, person, request, writes);
    match &result {
        Ok(session) => {
            let owner = session.owner_shown();
            story(session, &owner).tell(
                log::Level::Info,
                message_id::CREATED,
                format_args!(
                    "Session {} of {} with {} ({} CPU, {} of memory, {}, network: {})",
                    session.id,
                    owner,
                    session.machine,
                    session.cpus,
                    Bytes(session.memory_bytes),
                    session.accel,
                    session.network
                ),
            );
            let (core, id) = (Arc::clone(core), session.id.parse()?);
            run_beside(move || follow::follow(&core, &id, started));
        }
        Err(problem) => refused(core, person, request, problem),
    }
    result
}

fn attempt(
    core: &Arc<Core>,
    settings: &Settings,
    person: &Person,
    request: &NewSession,
    writes: Writes,
) -> Result<Session, Problem> {
    if request.force && !person.root {
        return Err(Problem::new(Word::NotAllowed, "Only root may pass over the limits."));
    }
    let limited = (!request.force).then_some(person);
    let machine = request.machine.parse()?;
    let mut ready = match writes {
        Writes::ToItsOwn => ready::resolve(core, settings, &machine, limited)?,
        Writes::ToWhatIsKept => ready::prepared(core, settings, &machine)?,
    };
    let order = order(settings, person, request, &ready)?;
    room(core, settings, ready.kept.as_ref(), person.admin)?;
    let runtime = Runtime::decide(core, settings, &ready)?;
    let record = admit(core, settings, limited.map(|person| &person.allowed), &order, &ready, &runtime)?;
    // Now that it is on record: who changes an image looks at the records after they have taken hold of it.
    let taken = match &mut ready.kept {
        None => ready::nobody_changes(core, settings, &machine, ready.place.as_ref()),
        Some(kept) => kept.give_to(&record.session.id),
    };
    if let Err(problem) = taken {
        discard(core, &record.session.id.parse()?, &record);
        return Err(problem);
    }
    launch(core, settings, record, &order, &ready, &runtime)
}

pub(super) fn story<'a>(session: &'a Session, owner: &'a str) -> Story<'a> {
    Story { session: &session.id, owner, machine: &session.machine }
}

fn refused(core: &Core, person: &Person, request: &NewSession, problem: &Problem) {
    // The machine's name is a stranger's text until it has been checked.
    let machine = request.machine.parse::<MachineName>().map_or("?".to_owned(), |m| m.to_string());
    let line = format!("Refused {person} a session with {machine}: {problem}");
    if core.lines.refusals.admit(&person.owner.to_string(), problem.word.as_str(), &line) {
        log::warn!(MESSAGE_ID = message_id::REFUSED, QWD_OWNER = person.to_string().as_str(),
            QWD_MACHINE = machine.as_str(), QWD_REASON = problem.word.as_str(); "{line}");
    }
}

fn order(settings: &Settings, person: &Person, request: &NewSession, ready: &Ready) -> Result<Order, Problem> {
    let asked = Request {
        cpus: request.cpus,
        memory: Bytes(request.memory_bytes),
        lifetime: Lifetime(request.lifetime_seconds),
    };
    let usual = person.allowed.usual(&settings.session);
    let (wanted, lifetime) = policy::with_amounts(&ready.entry, &asked, usual)?;
    let mut lifetime_max = person.allowed.lifetime.clone();
    if request.force && lifetime_max.most.0 != 0 {
        lifetime_max.most = lifetime_max.most.max(lifetime);
    }
    Ok(Order {
        owner: person.owner.clone(),
        owner_name: person.name.clone(),
        machine: ready.entry.name.clone(),
        wanted: wanted.possible(settings.session.memory_min)?,
        lifetime,
        lifetime_max,
    })
}

/// Decides and takes the place under one lock, so that two requests cannot both get the last one.
fn admit(
    core: &Core,
    settings: &Settings,
    limits: Option<&Allowed>,
    order: &Order,
    ready: &Ready,
    runtime: &Runtime,
) -> Result<Record, Problem> {
    let (expires_at, cap) = policy::initial(host::now(), order.lifetime, &order.lifetime_max)?;
    let id = random::session_id();
    let record = Record {
        session: Session {
            id: id.to_string(),
            owner: order.owner_name.clone(),
            owner_id: order.owner.to_string(),
            machine: order.machine.to_string(),
            description: ready.entry.description.clone().unwrap_or_default(),
            state: State::Starting.to_string(),
            message: String::new(),
            paused: String::new(),
            cpus: order.wanted.cpus,
            memory_bytes: order.wanted.memory.0,
            created_at: host::now(),
            expires_at,
            extendable_until: cap,
            accel: runtime.accel.as_str().to_owned(),
            network: runtime.card.as_str().to_owned(),
            notes: ready.note().into_iter().chain(runtime.notes.iter().cloned()).collect(),
        },
        timer: 0,
        shares: Vec::new(),
        disk_folder: settings.disks_dir.as_ref().filter(|_| ready.kept.is_none()).map(|d| d.join(id.as_str())),
        keeps: ready.kept.as_ref().map(|kept| kept.folder().to_owned()),
        disk_max: settings.disks.session_max.filter(|_| ready.kept.is_none()).map_or(0, |most| most.0),
    };
    let figures = host::figures();
    // What is in use counts, whoever knows of it.
    let unrecorded = core.unrecorded()?;
    let mut table = core.table();
    if let Some(allowed) = limits {
        let mut sessions = taken(&table);
        sessions.extend(unrecorded.iter().map(|session| Taken { owner: session.owner(), cpus: 0, memory: Bytes(0) }));
        Situation::new(settings, allowed, figures, &sessions, Some(&order.owner)).admit(&order.wanted)?;
    }
    let mut entry = Entry::new(record.clone(), State::Starting);
    entry.launching = true;
    table.insert(id.clone(), entry);
    drop(table);
    core.notify();
    let written = core.store.create(&id, &record);
    written.map_err(|e| {
        core.table().remove(&id);
        storage_problem("The session's record cannot be written", &e)
    })?;
    Ok(record)
}

/// Return the problem that something cannot be written, which for want of room is one of its own.
pub(super) fn storage_problem(what: &str, error: &std::io::Error) -> Problem {
    let full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
    let word = if full { Word::NoSpace } else { Word::Failed };
    Problem::new(word, format!("{what}: {error}."))
}

/// A disk that cannot grow would stop its guest, and take the room that the server needs: better said before.
pub(super) fn room(core: &Core, settings: &Settings, kept: Option<&Kept>, admin: bool) -> Result<(), Problem> {
    let disk = kept.map(Kept::folder).or(settings.disks_dir.as_deref());
    let folder = disk.unwrap_or(Path::new("/var/tmp"));
    let system = host::file_system(folder)
        .map_err(|e| storage_problem(&format!("{} cannot be used for sessions' disks", folder.display()), &e))?;
    let Some(shortage) = policy::find_shortage(&settings.disks, system, core.written.beside(folder)) else {
        return Ok(());
    };
    let mut text = "There is no room on the server for the disk of another session at the moment.".to_owned();
    text += &if admin { format!(" {}", shortage.explain(folder)) } else { " Try again later.".to_owned() };
    Err(Problem::new(Word::NoSpace, text))
}

fn launch(
    core: &Arc<Core>,
    settings: &Settings,
    record: Record,
    order: &Order,
    ready: &Ready,
    runtime: &Runtime,
) -> Result<Session, Problem> {
    let id: SessionId = record.session.id.parse()?;
    let result = make_disk(record.disk_folder.as_deref()).and_then(|made| {
        let outside = made.or(ready.kept.as_ref().map(Kept::disk));
        let plan = plan(settings, &id, order, ready, runtime, outside)?;
        let span = (record.session.expires_at, host::now());
        start_unit(core, &id, &plan, &runtime.card, span)
    });
    core.spend_permit(&id);
    match result {
        Ok(Job::Done) => {
            if let Some(entry) = core.table().get_mut(&id) {
                entry.launching = false;
            }
            Ok(record.session)
        }
        Ok(Job::Not(result)) => Err(failed_start(core, &id, &record, &result)),
        Err(problem) => {
            give_up(core, &id, &record);
            Err(problem)
        }
    }
}

/// End what may run of a session whose start failed, then forget it. One that cannot be ended now stays on record, and
/// the sweep ends it.
pub(super) fn give_up(core: &Core, id: &SessionId, record: &Record) {
    if let Err(e) = core.store.ask(id, &Asked::FailedStart) {
        log::error!(QWD_SESSION = id.as_str(); "That session {id} could not be started cannot be written down: {e}.");
    }
    match core.systemd.end(&unit::session_unit(id)) {
        Ok(()) => discard(core, id, record),
        Err(problem) => {
            log::error!(QWD_SESSION = id.as_str(); "The sweep ends session {id}, which could not be started: {problem}");
            if let Some(entry) = core.table().get_mut(id) {
                entry.launching = false;
            }
            core.mark_stopping(id);
        }
    }
}

/// The overlay's place outside the unit: a file that everybody may write, in a folder that only root
/// may enter. The unit gets at it because it is bound into its view.
fn make_disk(folder: Option<&Path>) -> Result<Option<PathBuf>, Problem> {
    let Some(folder) = folder else { return Ok(None) };
    let cannot =
        |e: std::io::Error| storage_problem(&format!("The session's disk cannot be made in {}", folder.display()), &e);
    DirBuilder::new().mode(0o700).create(folder).map_err(cannot)?;
    let disk = folder.join(qemu::DISK_NAME);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&disk);
    let opened = file.and_then(|f| f.set_permissions(fs::Permissions::from_mode(0o666)));
    opened.map_err(|e| {
        let _ = fs::remove_dir_all(folder);
        cannot(e)
    })?;
    Ok(Some(disk))
}

/// The unit ran and failed: its end was explained by `qwd-failed@`, and that explanation is the answer.
fn failed_start(core: &Core, id: &SessionId, record: &Record, result: &str) -> Problem {
    if let Some(entry) = core.table().get_mut(id) {
        entry.launching = false;
    }
    // The watch on the records takes the entry out of the table once everything is cleared up.
    let cleared = core.wait_for(VERDICT, |table| {
        let gone = !table.contains_key(id) || !core.store.exists(id);
        gone.then_some(())
    });
    if cleared.is_none() {
        give_up(core, id, record);
    }
    let notice = core.store.notice(id);
    // Told to the one who asked just now; nobody needs to read it again.
    let _ = core.store.remove_notice(id);
    match notice {
        Some(n) if n.word.is_none() => {
            Problem::new(Word::WrongState, format!("The session ended while it was starting. {}", n.session.message))
        }
        Some(n) => Problem::new(n.word().unwrap_or(Word::Failed), n.session.message),
        None => Problem::failed(format!(
            "systemd could not start the session ({result}); 'journalctl QWD_SESSION={id}' says more."
        )),
    }
}

/// Takes back all that was made for a session of which nothing runs.
fn discard(core: &Core, id: &SessionId, record: &Record) {
    core.table().remove(id);
    if let Some(folder) = &record.disk_folder {
        let _ = fs::remove_dir_all(folder);
    }
    session::forget_log_fields(id);
    let removed = core.store.lock().and_then(|lock| core.store.remove(&lock, id));
    if let Err(e) = removed {
        log::error!("The record of session {id} cannot be removed: {e}.");
    }
    core.notify();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_outside_is_reached_by_root_alone_and_never_one_that_was_there() {
        let folder = std::env::temp_dir().join(format!("qwd-disk-{}", std::process::id()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let disk = make_disk(Some(&folder)).unwrap().unwrap();
        assert_eq!((mode(&folder), mode(&disk)), (0o700, 0o666));
        fs::write(&disk, "mine").unwrap();
        assert_eq!(make_disk(Some(&folder)).unwrap_err().word, Word::Failed);
        assert_eq!(fs::read_to_string(&disk).unwrap(), "mine");
        fs::remove_dir_all(folder).unwrap();
    }
}
