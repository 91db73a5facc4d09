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
use super::plan::virtual_machine;
use super::ready::{self, Ready};
use super::runtime::Runtime;
use super::start::start_unit;
use super::table::{Entry, taken};
use super::threads::run_beside;
use super::unrecorded::Unrecorded;
use super::view::{self, Live};
use crate::bus::Session;
use crate::config::Settings;
use crate::images::Kept;
use crate::journal::id as message_id;
use crate::model::{Acceleration, Bytes, Lifetime, MachineName, Problem, Word};
use crate::policy::{self, Bound, Request, Situation, Span, Taken, Wanted};
use crate::session::{Asked, DiskKind, Record, Run, Spec};
use crate::systemd::Job;
use crate::{host, random, session, unit, vm};
use std::fs::{self, DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the units at a session's end may take to say why a start failed.
const VERDICT: Duration = Duration::from_secs(10);

/// A request for a session; an amount of zero stands for the default.
pub(super) struct SessionRequest {
    pub machine: MachineName,
    pub amounts: Request,
    /// Pass over the limits.
    pub force: bool,
}

/// A request with every default filled in.
struct Order {
    spec: Spec,
    /// The longest it can be made to live.
    lifetime_max: Bound<Lifetime>,
}

/// Admit and start a session. Return once QEMU has started; the screen may not answer yet.
pub(super) fn create(
    core: &Arc<Core>,
    person: &Person,
    request: &SessionRequest,
    disk: DiskKind,
) -> Result<Session, Problem> {
    let started = Instant::now();
    let loaded = core.loaded()?;
    let settings = &loaded.settings;
    let result = attempt(core, settings, person, request, disk);
    match &result {
        Ok(record) => {
            report_created(record);
            let (core, id) = (Arc::clone(core), record.id.clone());
            run_beside(move || follow::follow(&core, &id, started));
        }
        Err(problem) => report_refusal(core, person, Some(&request.machine), problem),
    }
    result.map(|record| view::session(&record, Live::recorded(&record)))
}

fn report_created(record: &Record) {
    let (owner, spec, run) = (record.owner_shown(), &record.spec, record.run.clone().unwrap_or_default());
    let line = format!(
        "Session {} of {owner} with {} ({} CPU, {} of memory, {}, network: {})",
        record.id,
        spec.machine,
        spec.cpus,
        spec.memory,
        run.accel.map_or("", Acceleration::as_str),
        run.network
    );
    record.story(&owner).tell(log::Level::Info, message_id::CREATED, line);
}

fn attempt(
    core: &Arc<Core>,
    settings: &Settings,
    person: &Person,
    request: &SessionRequest,
    disk: DiskKind,
) -> Result<Record, Problem> {
    if request.force && !person.root {
        return Err(Problem::new(Word::NotAllowed, "Only root may pass over the limits."));
    }
    let limited = (!request.force).then_some(person);
    let machine = &request.machine;
    let mut ready = match disk {
        DiskKind::Scratch => ready::resolve(core, settings, machine, limited)?,
        DiskKind::Persistent => ready::prepared(core, settings, machine)?,
    };
    let order = order(settings, person, request, disk, &ready)?;
    room(core, settings, ready.kept.as_ref(), person.admin)?;
    let runtime = Runtime::decide(core, settings, &ready)?;
    let record = admit(core, settings, person, !request.force, &order, &ready, &runtime)?;
    // Now that it is on record: who changes an image looks at the records after they have taken hold of it.
    let taken = match &mut ready.kept {
        None => ready::nobody_changes(core, settings, machine, ready.place.as_ref()),
        Some(kept) => kept.give_to(record.id.as_str()),
    };
    if let Err(problem) = taken {
        discard(core, &record);
        return Err(problem);
    }
    launch(core, settings, record, &ready, &runtime)
}

/// Write that a session was refused; without a machine, what was asked for is the name of none.
pub(super) fn report_refusal(core: &Core, person: &Person, machine: Option<&MachineName>, problem: &Problem) {
    let machine = machine.map_or("?", MachineName::as_str);
    let line = format!("Refused {person} a session with {machine}: {problem}");
    if core.lines.refusals.admit(&person.owner.to_string(), problem.word.as_str(), &line) {
        log::warn!(MESSAGE_ID = message_id::REFUSED, QWD_OWNER = person.to_string().as_str(),
            QWD_MACHINE = machine, QWD_REASON = problem.word.as_str(); "{line}");
    }
}

fn order(
    settings: &Settings,
    person: &Person,
    request: &SessionRequest,
    disk: DiskKind,
    ready: &Ready,
) -> Result<Order, Problem> {
    let usual = person.allowed.usual(&settings.session);
    let (wanted, lifetime) = policy::with_amounts(&ready.entry, &request.amounts, usual)?;
    let mut lifetime_max = person.allowed.lifetime.clone();
    if request.force && lifetime_max.most.0 != 0 {
        lifetime_max.most = lifetime_max.most.max(lifetime);
    }
    let wanted = wanted.possible(settings.session.memory_min)?;
    let spec = Spec {
        machine: ready.entry.name.clone(),
        description: ready.entry.description.clone().unwrap_or_default(),
        cpus: wanted.cpus,
        memory: wanted.memory,
        lifetime,
        disk,
    };
    Ok(Order { spec, lifetime_max })
}

/// Admit and reserve under one lock, so that two requests cannot get the last slot, and record the session.
fn admit(
    core: &Core,
    settings: &Settings,
    person: &Person,
    is_limited: bool,
    order: &Order,
    ready: &Ready,
    runtime: &Runtime,
) -> Result<Record, Problem> {
    let record = new_record(settings, person, order, ready, runtime)?;
    let id = record.id.clone();
    let figures = host::figures();
    // What is in use counts, whoever knows of it.
    let unrecorded = core.unrecorded()?;
    let mut table = core.table();
    if is_limited {
        let mut sessions = taken(&table);
        sessions.extend(unrecorded.iter().map(|_| Taken { owner: Unrecorded::owner(), cpus: 0, memory: Bytes(0) }));
        let wanted = Wanted { cpus: record.spec.cpus, memory: record.spec.memory };
        Situation::new(settings, &person.allowed, figures, &sessions, Some(&record.owner)).admit(&wanted)?;
    }
    let mut entry = Entry::new(record.clone());
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

fn new_record(
    settings: &Settings,
    person: &Person,
    order: &Order,
    ready: &Ready,
    runtime: &Runtime,
) -> Result<Record, Problem> {
    let created_at = host::now();
    let (expires_at, latest) = policy::initial(created_at, order.spec.lifetime, &order.lifetime_max)?;
    let (id, owner) = (random::session_id(), (person.owner.clone(), person.name.clone()));
    let is_scratch = order.spec.disk == DiskKind::Scratch;
    let run = Run {
        machine_type: runtime.machine_type.clone(),
        accel: Some(runtime.accel.kind()),
        network: runtime.card.as_str().to_owned(),
        notes: ready.note().into_iter().chain(runtime.notes.iter().cloned()).collect(),
        disk_directory: settings.disks_dir.as_ref().filter(|_| is_scratch).map(|d| d.join(id.as_str())),
        persistent_disk: ready.kept.as_ref().map(|kept| kept.folder().to_owned()),
        disk_max: settings.disks.session_max.filter(|_| is_scratch),
    };
    let span = Span { created_at, expires_at, latest };
    let mut record = Record::new(id, owner, order.spec.clone(), span);
    record.place(run)?;
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
    ready: &Ready,
    runtime: &Runtime,
) -> Result<Record, Problem> {
    let id = &record.id;
    let result = make_disk(record.disk_directory()).and_then(|made| {
        let outside = made.or(ready.kept.as_ref().map(Kept::disk));
        let vm = virtual_machine(settings, &record, ready, runtime, outside)?;
        let span = (record.expires_at, host::now());
        start_unit(core, id, &vm, &runtime.card, span)
    });
    core.spend_permit(id);
    match result {
        Ok(Job::Done) => {
            if let Some(entry) = core.table().get_mut(id) {
                entry.launching = false;
            }
            Ok(record)
        }
        Ok(Job::Not(result)) => Err(failed_start(core, &record, &result)),
        Err(problem) => {
            give_up(core, &record);
            Err(problem)
        }
    }
}

/// End what may run of a session whose start failed, then forget it. One that cannot be ended now stays on record, and
/// the sweep ends it.
pub(super) fn give_up(core: &Core, record: &Record) {
    let id = &record.id;
    if let Err(e) = core.store.ask(id, &Asked::FailedStart) {
        log::error!(QWD_SESSION = id.as_str(); "That session {id} could not be started cannot be written down: {e}.");
    }
    match core.systemd.end(&unit::session_unit(id)) {
        Ok(()) => discard(core, record),
        Err(problem) => {
            log::error!(QWD_SESSION = id.as_str(); "The sweep ends session {id}, which could not be started: {problem}");
            if let Some(entry) = core.table().get_mut(id) {
                entry.launching = false;
            }
            core.mark_stopping(id);
        }
    }
}

/// Make the file for the overlay outside the unit: everybody may write it, only root may enter its directory. systemd
/// binds it into the unit.
fn make_disk(folder: Option<&Path>) -> Result<Option<PathBuf>, Problem> {
    let Some(folder) = folder else { return Ok(None) };
    let cannot =
        |e: std::io::Error| storage_problem(&format!("The session's disk cannot be made in {}", folder.display()), &e);
    DirBuilder::new().mode(0o700).create(folder).map_err(cannot)?;
    let disk = folder.join(vm::DISK_NAME);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o666).open(&disk);
    let opened = file.and_then(|f| f.set_permissions(fs::Permissions::from_mode(0o666)));
    opened.map_err(|e| {
        let _ = fs::remove_dir_all(folder);
        cannot(e)
    })?;
    Ok(Some(disk))
}

/// Return why the unit failed, as `qwd-failed@` has explained it.
fn failed_start(core: &Core, record: &Record, result: &str) -> Problem {
    let id = &record.id;
    if let Some(entry) = core.table().get_mut(id) {
        entry.launching = false;
    }
    // The watch on the records takes the entry out of the table once everything is cleared up.
    let cleared = core.wait_for(VERDICT, |table| {
        let gone = !table.contains_key(id) || !core.store.exists(id);
        gone.then_some(())
    });
    if cleared.is_none() {
        give_up(core, record);
    }
    let notice = core.store.notice(id);
    // Told to the one who asked just now; nobody needs to read it again.
    let _ = core.store.remove_notice(id);
    match notice {
        Some(n) if n.word.is_none() => {
            Problem::new(Word::WrongState, format!("The session ended while it was starting. {}", n.message))
        }
        Some(n) => Problem::new(n.word().unwrap_or(Word::Failed), n.message),
        None => Problem::failed(format!(
            "systemd could not start the session ({result}); 'journalctl QWD_SESSION={id}' says more."
        )),
    }
}

/// Remove all that was made for a session that does not run.
fn discard(core: &Core, record: &Record) {
    let id = &record.id;
    core.table().remove(id);
    if let Some(folder) = record.disk_directory() {
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
