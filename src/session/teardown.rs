//! After a session's end: the reason, and the removal of what it left.
//!
//! Run by the units at a session's end, and by the launcher's sweep for what escaped them.

use super::{Asked, ExitReason, Notice, OnRecord, Outcome, Record, Store, explain, is_finished};
use crate::host;
use crate::images::{Kept, Purpose};
use crate::model::{Event, Problem, SessionId};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Post how a session ended, and remove all that is left of it. Removing goes on after a failure;
/// the record goes last, so that what could not be removed is found again. Twice is fine.
///
/// The record of a session that needs no unit stays, and so does one that a newer version wrote.
pub fn finish(store: &Store, id: &SessionId, outcome: &Outcome) -> Result<(), Problem> {
    let failed = |e: std::io::Error| Problem::failed(format!("The records cannot be changed: {e}."));
    let lock = store.lock().map_err(failed)?;
    forget_log_fields(id);
    match store.look_up(id) {
        Ok(OnRecord::Readable(record)) if record.state().needs_no_unit() => return Ok(()),
        Ok(OnRecord::Readable(record)) => finish_recorded(store, &record, outcome)?,
        Ok(OnRecord::Newer) => {
            log::warn!(QWD_SESSION = id.as_str(); "Session {id} has ended, and its record is kept: a newer version of \
                qemu-web-desktop wrote it. Install that version again, or remove the file.");
            return Ok(());
        }
        // A damaged record names no owner to tell, and is removed.
        Ok(OnRecord::Damaged | OnRecord::Missing) => {}
        Err(e) => return Err(Problem::failed(format!("The record of session {id} cannot be read: {e}."))),
    }
    store.remove(&lock, id).map_err(failed)
}

fn finish_recorded(store: &Store, record: &Record, outcome: &Outcome) -> Result<(), Problem> {
    let asked = store.asked(&record.id);
    let kept = record.persistent_disk().and_then(|folder| conclude(folder, record, &asked, outcome));
    tell(store, record, explain(&record.owner, &asked, outcome), kept);
    record.disk_directory().map_or(Ok(()), remove_folder)
}

/// Activate a persistent disk whose work is finished; discard one of a session that never had a screen, and leave any other in place. Return the message for the owner, if
/// there is one.
fn conclude(folder: &Path, record: &Record, asked: &Asked, outcome: &Outcome) -> Option<String> {
    let kept = Kept::read(folder)?;
    let name = &kept.plan.machine;
    if is_finished(asked, outcome) {
        return Some(match (kept.put(), kept.plan.purpose) {
            (Ok(()), Purpose::Master) => format!("What was done in it is in '{name}' from now on."),
            (Ok(()), Purpose::Install) => format!("The machine '{name}' can be started from now on."),
            (Err(problem), _) => format!("{} {}", problem.message, kept.left()),
        });
    }
    // Before its screen was up, nobody can have done anything.
    if !record.was_up() {
        return kept.discard().err().map(|problem| problem.message);
    }
    let before = match kept.plan.purpose {
        Purpose::Master => format!("The machine '{name}' is as it was. "),
        Purpose::Install => String::new(),
    };
    Some(format!("{before}{}", kept.left()))
}

/// The folder where systemd keeps what journald reads about units, and how the names of those with `LogExtraFields=` begin.
const UNITS_DIR: &str = "/run/systemd/units";
const LOG_FIELDS: &str = "log-extra-fields:";

/// Remove the files with `LogExtraFields=`, one for each unit of a session, which systemd 252 forgets to remove.
pub fn forget_log_fields(id: &SessionId) {
    for unit in [crate::unit::session_unit(id), crate::unit::tap_unit(id)] {
        if let Err(problem) = remove_log_fields(&Path::new(UNITS_DIR).join(format!("{LOG_FIELDS}{unit}"))) {
            log::warn!("{problem}");
        }
    }
}

fn remove_log_fields(file: &Path) -> Result<(), Problem> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(Problem::failed(format!("{} cannot be removed: {e}.", file.display())))
        }
        _ => Ok(()),
    }
}

/// Remove these files of sessions without a record. Return a message for each.
pub fn stray_log_fields(store: &Store) -> Vec<String> {
    stray_log_fields_in(Path::new(UNITS_DIR), store)
}

fn stray_log_fields_in(folder: &Path, store: &Store) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let stray = |name: &str| {
        let unit = name.strip_prefix(LOG_FIELDS)?.strip_suffix(".service")?;
        let id = unit.strip_prefix("qwd-session-").or_else(|| unit.strip_prefix("qwd-tap-"))?.parse().ok()?;
        (!store.exists(&id)).then_some(())
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| stray(name).is_some())
        .map(|name| match remove_log_fields(&folder.join(&name)) {
            Ok(()) => format!("{name} belonged to no session and was removed."),
            Err(problem) => problem.message,
        })
        .collect()
}

/// Report the end in the journal and to the owner.
fn tell(store: &Store, record: &Record, reason: ExitReason, kept: Option<String>) {
    let id = &record.id;
    let message = reason.message + &kept.map(|kept| format!(" {kept}")).unwrap_or_default();
    let owner = record.owner_shown();
    let level = if reason.event == Event::Fail { log::Level::Error } else { log::Level::Info };
    let line = format!("Session {id} of {owner} has ended. {message}");
    record.story(&owner).tell(level, reason.message_id, line);
    let mut ended = Record { shares: Vec::new(), ..record.clone() };
    if let Err(impossible) = ended.apply(reason.event) {
        log::error!(QWD_SESSION = id.as_str(); "The end of session {id} cannot be recorded: {impossible}");
    }
    let word = reason.word.map(|w| w.as_str().to_owned());
    let notice = Notice { record: ended, message, ended_at: host::now(), word };
    if let Err(e) = store.post(id, &notice) {
        log::error!(QWD_SESSION = id.as_str(); "The owner of session {id} cannot be told of its end: {e}.");
    }
}

fn remove_folder(folder: &Path) -> Result<(), Problem> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(Problem::failed(format!("{} cannot be removed: {e}.", folder.display())))
        }
        _ => Ok(()),
    }
}

/// Remove the directories of sessions without a record: disks and monitor sockets. Return a message for each.
pub fn stray_disks(store: &Store, disks: Option<&Path>) -> Vec<String> {
    disks.into_iter().chain([store.sessions()]).flat_map(|folder| strays(store, folder)).collect()
}

fn strays(store: &Store, folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    // Under the lock and against the ids on record, so that no disk of a session that is just being
    // made is taken for a stray: its record is written first.
    let Ok(_lock) = store.lock() else { return Vec::new() };
    let Ok(ids) = store.ids() else { return Vec::new() };
    let stray = |path: &Path| {
        let id = path.file_name()?.to_str()?.parse::<SessionId>().ok()?;
        (!ids.contains(&id)).then_some(id)
    };
    let paths: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| stray(p).is_some()).collect();
    paths
        .iter()
        .map(|path| match remove_folder(path) {
            Ok(()) => format!("{} belonged to no session and was removed.", path.display()),
            Err(problem) => problem.message,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{Hold, Home, KeptPlan, Work, locate};
    use crate::model::State;
    use crate::session::Run;
    use crate::session::testing::{record, store};

    const ID: &str = "abcdefghij";

    /// A master with a copy that a session writes to.
    fn kept(root: &Path) -> Kept {
        let machines = root.join("machines");
        fs::create_dir_all(&machines).unwrap();
        fs::write(machines.join("a.img"), "old").unwrap();
        let name = "a.img".parse().unwrap();
        let home = Home::find(&machines, &name).unwrap();
        let work = Work::begin(&home, &[Hold::take(root, &home.keys()[0], "copied").unwrap()]).unwrap();
        work.create().unwrap();
        fs::write(work.disk(), "new").unwrap();
        let plan = KeptPlan {
            purpose: Purpose::Master,
            machine: name.to_string(),
            base: Some(locate(&machines, &name, false).unwrap().identity),
            machines,
            disk_bytes: 3,
            registered: false,
            session: Some(ID.to_owned()),
        };
        work.keep(plan, None).unwrap()
    }

    #[test]
    fn work_on_a_master_is_put_in_force_or_waits_and_is_lost_only_where_nobody_did_any() {
        let done =
            Outcome { result: "success".into(), code: "exited".into(), status: "0".into(), ..Outcome::default() };
        let killed =
            Outcome { result: "signal".into(), code: "killed".into(), status: "KILL".into(), ..Outcome::default() };
        let (running, starting) = (State::Running, State::Starting);
        for (name, state, asked, outcome, image, waits) in [
            ("shut-down", running, Asked::Nobody, &done, "new", false),
            ("killed", running, Asked::Nobody, &killed, "old", true),
            ("overdue", running, Asked::Expiry, &done, "old", true),
            ("never-up", starting, Asked::Nobody, &killed, "old", false),
        ] {
            let (root, store) = store(name);
            let id: SessionId = ID.parse().unwrap();
            let kept = kept(&root);
            let run = Run { persistent_disk: Some(kept.folder().to_owned()), ..Run::default() };
            let session = Record { run: Some(run), ..record(ID, "root") }.with_state(state);
            store.create(&id, &session).unwrap();
            store.ask(&id, &asked).unwrap();
            finish(&store, &id, outcome).unwrap();
            assert_eq!(fs::read_to_string(root.join("machines/a.img")).unwrap(), image, "{name}");
            assert_eq!(kept.disk().exists(), waits, "{name}");
            let told = store.notice(&id).unwrap().message;
            assert_eq!(told.contains("'qwdctl adopt a.img'"), waits, "{name}: {told}");
            assert!(store.ids().unwrap().is_empty(), "{name}");
            fs::remove_dir_all(root).unwrap();
        }
    }

    #[test]
    fn an_end_is_told_and_everything_removed_and_twice_is_fine() {
        let (root, store) = store("finish");
        let id: SessionId = ID.parse().unwrap();
        let folder = root.join("disks").join(ID);
        fs::create_dir_all(&folder).unwrap();
        let run = Run { disk_directory: Some(folder.clone()), ..Run::default() };
        let session = Record { run: Some(run), ..record(ID, "alice") };
        store.create(&id, &session).unwrap();
        fs::create_dir_all(store.sockets(&id)).unwrap();
        store.ask(&id, &Asked::Expiry).unwrap();
        let outcome =
            Outcome { result: "success".into(), code: "exited".into(), status: "0".into(), ..Outcome::default() };
        finish(&store, &id, &outcome).unwrap();
        finish(&store, &id, &outcome).unwrap();
        assert!(!folder.exists() && !store.sockets(&id).exists());
        assert!(store.ids().unwrap().is_empty());
        assert_eq!(store.notice(&id).unwrap().message, "Its lifetime was over.");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_session_without_a_unit_and_a_record_of_a_newer_version_outlive_the_end_of_a_unit() {
        let (root, store) = store("outlive");
        let id: SessionId = ID.parse().unwrap();
        let outcome = Outcome::unreported(true);
        for state in [State::Queued, State::Suspended] {
            store.create(&id, &record(ID, "alice").with_state(state)).unwrap();
            finish(&store, &id, &outcome).unwrap();
            assert_eq!((store.read(&id).unwrap().state(), store.notice(&id)), (state, None));
            store.remove(&store.lock().unwrap(), &id).unwrap();
        }
        store.create(&id, &record(ID, "alice")).unwrap();
        let file = store.find_file(&id).unwrap();
        fs::write(&file, r#"{"version": 99}"#).unwrap();
        finish(&store, &id, &outcome).unwrap();
        assert!(file.exists() && store.notice(&id).is_none());
        fs::write(&file, r#"{"version": 1, "reco"#).unwrap();
        finish(&store, &id, &outcome).unwrap();
        assert!(!file.exists() && store.notice(&id).is_none());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn log_fields_of_sessions_off_the_record_are_removed() {
        let (root, store) = store("log-fields");
        store.create(&ID.parse().unwrap(), &record(ID, "alice")).unwrap();
        let units = root.join("units");
        fs::create_dir(&units).unwrap();
        let stray = ["log-extra-fields:qwd-session-bbbbbbbbbb.service", "log-extra-fields:qwd-tap-bbbbbbbbbb.service"];
        let kept = [
            "invocation:qwd-session-bbbbbbbbbb.service",
            "log-extra-fields:other.service",
            "log-extra-fields:qwd-session-abcdefghij.service",
        ];
        for name in stray.iter().chain(&kept) {
            fs::write(units.join(name), "").unwrap();
        }
        assert_eq!(stray_log_fields_in(&units, &store).len(), stray.len());
        let mut left: Vec<_> = fs::read_dir(&units).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, kept);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn only_strays_are_removed() {
        let (root, store) = store("stray");
        let disks = root.join("disks");
        for name in [ID, "bbbbbbbbbb", "somebody-elses"] {
            fs::create_dir_all(disks.join(name)).unwrap();
        }
        store.create(&ID.parse().unwrap(), &record(ID, "alice")).unwrap();
        fs::create_dir_all(store.sockets(&ID.parse().unwrap())).unwrap();
        fs::create_dir_all(store.sockets(&"cccccccccc".parse().unwrap())).unwrap();
        assert_eq!(stray_disks(&store, Some(&disks)).len(), 2);
        assert_eq!(fs::read_dir(store.sessions()).unwrap().count(), 1);
        assert!(disks.join(ID).exists() && disks.join("somebody-elses").exists());
        assert!(!disks.join("bbbbbbbbbb").exists());
        fs::remove_dir_all(root).unwrap();
    }
}
