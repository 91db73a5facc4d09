//! `start`, `list`, `show`, `extend`, `resume`: sessions, over the bus.

use super::args::{Args, How, List, Start};
use super::client::{Client, is_root, parse_id};
use super::{keep, out, shares};
use crate::bus::{Asker, NewSession, NewShare, Session, Viewer};
use crate::host;
use crate::model::{Acceleration, Bytes, Lifetime, MachineName, Pause, Problem, Role, SessionId, State, Word};
use crate::show;
use crate::site;
use crate::systemd::Systemd;
use crate::unit::session_unit;
use crate::vm::file_limit;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde::{Serialize, Serializer};
use zbus::blocking::Connection;

/// A session as `--json` prints it: the fields of the API.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten, serialize_with = "fields")]
    pub(super) session: Session,
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    share_url: Option<String>,
    /// Who has it on the screen, where one session is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "viewers")]
    viewers: Option<Vec<Viewer>>,
}

fn fields<S: Serializer>(session: &Session, serializer: S) -> Result<S::Ok, S::Error> {
    session.json().serialize(serializer)
}

fn viewers<S: Serializer>(viewers: &Option<Vec<Viewer>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(viewers.iter().flatten().map(Viewer::json))
}

impl Shown {
    pub(super) fn new(session: Session, base: &str) -> Self {
        Self { url: site::session(base, &session.id), session, share_url: None, viewers: None }
    }
}

/// Starts a session, of the machine as it is or of a copy that takes its place.
pub(super) fn start(args: &Args, wanted: &Start) -> Result<(), Problem> {
    let machine = wanted.machine.parse::<MachineName>()?;
    let prepared = wanted.master.then(|| keep::copy(args, &machine)).transpose()?;
    begin(args, &machine, &wanted.how, prepared)
}

/// Starts a session, and waits until its screen answers unless asked not to. What has been prepared for it is
/// taken back if it cannot be started.
pub(super) fn begin(
    args: &Args,
    machine: &MachineName,
    wanted: &How,
    prepared: Option<keep::Prepared>,
) -> Result<(), Problem> {
    let mut client = Client::connect()?;
    client.asker = on_behalf(wanted, client.asker)?;
    let session = match prepared {
        None => client.change(|launcher, asker| launcher.create(asker, record(machine, wanted)))?,
        Some(prepared) => {
            let session = client.change(|launcher, asker| launcher.work(asker, record(machine, wanted)))?;
            prepared.given();
            session
        }
    };
    let session = if wanted.no_wait { session } else { until_ready(&client, session)? };
    let base = site::base(&args.root);
    let mut shown = Shown::new(session, &base);
    if wanted.share {
        let id = shown.session.id.as_str();
        let control = NewShare { role: Role::Control.to_string(), ..NewShare::default() };
        let (_, secret) = client.change(|launcher, asker| launcher.share(asker, id, control))?;
        site::only_here(&base).into_iter().for_each(out::complain);
        shown.share_url = Some(site::join(&base, &secret));
    }
    if args.json {
        return out::json(&shown);
    }
    for note in &shown.session.notes {
        out::complain(note);
    }
    out::bytes(out::pairs(&started(&shown)).as_bytes())
}

fn started(shown: &Shown) -> [(&'static str, String); 3] {
    [
        ("ID", shown.session.id.to_string()),
        ("URL", shown.url.clone()),
        ("Share", shown.share_url.clone().unwrap_or_default()),
    ]
}

/// For whom: root may say so, anybody else asks for themselves.
fn on_behalf(wanted: &How, asker: Asker) -> Result<Asker, Problem> {
    let only_root = |what: &str| Problem::new(Word::NotAllowed, format!("Only root can {what}."));
    if wanted.force && !is_root() {
        return Err(only_root("pass over the limits (--force)"));
    }
    match &wanted.owner {
        Some(_) if !is_root() => Err(only_root("start sessions for others (--owner)")),
        Some(owner) => Ok(Asker { owner: owner.to_string(), ..asker }),
        None => Ok(asker),
    }
}

fn record(machine: &MachineName, wanted: &How) -> NewSession {
    NewSession {
        machine: machine.to_string(),
        cpus: wanted.cpus.unwrap_or(0),
        memory_bytes: wanted.memory.map_or(0, |m| m.0),
        lifetime_seconds: wanted.lifetime.map_or(0, |l| l.0),
        force: wanted.force,
    }
}

fn until_ready(client: &Client, mut session: Session) -> Result<Session, Problem> {
    // One that fails is stopping for a moment, and says why after that.
    while matches!(session.state, State::Starting | State::Stopping) {
        session = client.wait(&session)?;
    }
    if session.state == State::Running {
        return Ok(session);
    }
    let why = if session.message.is_empty() { "It does not say why.".to_owned() } else { session.message };
    Err(Problem::failed(format!("The session {} could not be started. {why}", session.id)))
}

/// Lists sessions: one's own, or everybody's.
pub(super) fn list(args: &Args, wanted: &List) -> Result<(), Problem> {
    let client = Client::connect()?;
    let sessions = client.ask(|launcher, asker| launcher.list(asker, wanted.all || is_root()))?;
    if args.json {
        let base = site::base(&args.root);
        return out::json(&sessions.into_iter().map(|s| Shown::new(s, &base)).collect::<Vec<_>>());
    }
    if sessions.is_empty() {
        return out::line("There are no sessions.");
    }
    out::bytes(table(&sessions, host::now(), out::width()).as_bytes())
}

fn table(sessions: &[Session], now: u64, width: Option<usize>) -> String {
    let row = |s: &Session| {
        let (cpus, memory) = (s.cpus.to_string(), s.memory.about());
        vec![
            s.id.to_string(),
            s.owner_shown(),
            s.machine.to_string(),
            s.state.to_string(),
            cpus,
            memory,
            show::left(s.expires_at, now),
        ]
    };
    let heads = ["ID", "OWNER", "MACHINE", "STATE", "CPUS", "MEMORY", "LEFT"];
    out::table(&heads, &sessions.iter().map(row).collect::<Vec<_>>(), width)
}

/// Shows one session.
pub(super) fn show(args: &Args, id: &str) -> Result<(), Problem> {
    let client = Client::connect()?;
    let session = client.get(&parse_id(id)?)?;
    tell(args, &client, session)
}

/// Moves a session's end away, and shows the session.
pub(super) fn extend(args: &Args, id: &str, time: Lifetime) -> Result<(), Problem> {
    let id = parse_id(id)?;
    let client = Client::connect()?;
    let session = client.change(|launcher, asker| launcher.extend(asker, id.as_str(), time.0))?;
    tell(args, &client, session)
}

/// Lets a session's guest go on, with more room for its disk, and shows the session.
pub(super) fn resume(args: &Args, id: &str, disk_max: Option<Bytes>) -> Result<(), Problem> {
    let id = parse_id(id)?;
    if !is_root() {
        return Err(Problem::new(Word::NotAllowed, "Only root may resume a session."));
    }
    let client = Client::connect()?;
    let before = client.get(&id)?;
    if before.is_over() {
        return Err(Problem::new(Word::WrongState, "This session has ended."));
    }
    if let Some(most) = disk_max {
        raise_file_limit(&id, most)?;
    }
    let session =
        client.change(|launcher, asker| launcher.resume(asker, id.as_str(), disk_max.map_or(0, |most| most.0)))?;
    tell(args, &client, session)
}

/// Raise the largest file that the session's QEMU may write. Only root can change that of a process.
fn raise_file_limit(id: &SessionId, disk_max: Bytes) -> Result<(), Problem> {
    let failed =
        |e: &dyn std::fmt::Display| Problem::failed(format!("Cannot raise the limit of the session's QEMU: {e}."));
    let connection = Connection::system().map_err(|e| failed(&e))?;
    let number = Systemd::new(&connection)?.main_pid(&session_unit(id))?;
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Problem::new(Word::WrongState, "The session has no QEMU at the moment."))?;
    let argv = std::fs::read_to_string(format!("/proc/{number}/cmdline")).map_err(|e| failed(&e))?;
    let argv: Vec<String> = argv.split('\0').map(str::to_owned).collect();
    let most = file_limit(disk_max, &argv).0;
    let set = |limit| prlimit(Some(pid), Resource::Fsize, limit).map_err(|e| failed(&e));
    let before = set(Rlimit { current: Some(most), maximum: Some(most) })?;
    if before.current.is_none_or(|before| before >= most) {
        set(before)?;
        return Err(Problem::bad_request("This session may write that much already, or has no limit."));
    }
    Ok(())
}

fn tell(args: &Args, client: &Client, session: Session) -> Result<(), Problem> {
    let mut shown = Shown::new(session, &site::base(&args.root));
    shown.viewers = Some(match client.ask(|launcher, asker| launcher.viewers(asker, shown.session.id.as_str())) {
        // It has ended.
        Err(problem) if problem.word == Word::NoSuchSession => Vec::new(),
        answer => answer?,
    });
    if args.json { out::json(&shown) } else { out::bytes(out::pairs(&details(&shown, host::now())).as_bytes()) }
}

fn details(shown: &Shown, now: u64) -> Vec<(&'static str, String)> {
    let s = &shown.session;
    let mut rows = vec![
        ("ID", s.id.to_string()),
        ("Owner", s.owner_shown()),
        ("Machine", s.machine.to_string()),
        ("State", s.state.to_string()),
        ("Reason", s.message.clone()),
        ("Paused", s.paused.map_or("", Pause::explain).to_owned()),
        ("Guest", if s.booted { "booted (its agent answers)".to_owned() } else { String::new() }),
        ("CPUs", s.cpus.to_string()),
        ("Memory", s.memory.about()),
        ("Acceleration", s.accel.map_or("", Acceleration::as_str).to_owned()),
        ("Network", s.network.clone()),
        ("Age", show::span(now.saturating_sub(s.created_at))),
    ];
    if !s.is_over() {
        rows.push(("Time left", show::left(s.expires_at, now)));
        rows.push(("Extendable to", show::left(s.extendable_until, now)));
    }
    rows.push(("URL", shown.url.clone()));
    rows.extend(shown.viewers.iter().flatten().map(|viewer| ("On the screen", shares::viewer(viewer, now))));
    rows.extend(s.notes.iter().map(|note| ("Note", note.clone())));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::tests::a_session;

    #[test]
    fn time_is_left_to_a_session_that_lives_and_to_no_other() {
        let told = |state: State| {
            let session = Session { state, expires_at: 4600, ..a_session("abcdefghij") };
            let rows = details(&Shown::new(session, "https://desk.example"), 1000);
            rows.into_iter().find(|(name, _)| *name == "Time left").map(|(_, left)| left)
        };
        assert_eq!(told(State::Running).as_deref(), Some("1 h"));
        assert_eq!((told(State::Ended), told(State::Failed)), (None, None));
    }
}
