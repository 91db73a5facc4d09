//! Takes viewers in: one thread each, from the handshake to the end of the screen.

use super::handshake::{self, Refusal};
use super::handshakes::Handshakes;
use super::link::Launcher;
use super::origin::Origins;
use super::relay::{self, End, Ends, Patience, Shown};
use super::screens::{Full, Place, Screens, Standing};
use crate::bus::{Grant, Viewer};
use crate::config::Watched;
use crate::host;
use crate::journal::{LimitedLog, client_name, id};
use crate::model::{Owner, Problem, Role, SessionId, Word};
use crate::proxy_headers::ProxySecret;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Viewers at once, in all.
const VIEWERS: usize = 1024;
/// For the head of the request: it comes from Apache, which has it already.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Lines in a minute that one person, or one link's holders, cause by coming to a session; and as many by leaving.
const VISITS: u32 = 20;
/// Looks for clipboard agents at once.
const LOOKS: usize = 32;
/// A close frame with the code 1000.
const GOODBYE: &[u8] = &[0x88, 2, 3, 232];
/// Enough for a call over the bus; what is not used costs nothing.
const STACK: usize = 256 << 10;

/// What viewers share.
pub struct Server<L> {
    /// Where tickets are redeemed.
    pub launcher: Arc<L>,
    /// The open screens.
    pub screens: Arc<Screens>,
    /// The configuration.
    pub settings: Watched,
    /// The names of this server.
    pub own_names: Vec<String>,
    /// What Apache shows with each request.
    pub proxy_secret: ProxySecret,
    /// How long viewers are waited for.
    pub patience: Patience,
    /// How many there are.
    pub viewers: Viewers,
    /// What is written of them.
    pub lines: Lines,
    /// Looks for clipboard agents.
    pub looks: Looks,
}

/// The journal's lines that viewers cause, a few a minute of each.
#[derive(Debug)]
pub struct Lines {
    refusals: Arc<LimitedLog>,
    visits: Arc<LimitedLog>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            refusals: LimitedLog::start(1, |line| log::warn!(MESSAGE_ID = id::REFUSED; "{line}")),
            visits: LimitedLog::start(VISITS, |line| log::info!(MESSAGE_ID = id::VIEWED; "{line}")),
        }
    }
}

impl Lines {
    fn refused(&self, client: Option<IpAddr>, refusal: &Refusal) {
        let client = client_name(client);
        self.refusals.note(&client, refusal.kind(), &format!("Refused a screen to {client}: {}", refusal.sentence));
    }

    /// Write that a viewer came or left.
    fn visited(&self, grant: &Grant, what: &'static str, text: &str) {
        let name = grant.name_id.as_ref().map_or_else(String::new, Owner::to_string);
        let who = format!("{} {} {name}", grant.session, grant.share);
        if self.visits.admit(&who, what, text) {
            log::info!(MESSAGE_ID = id::VIEWED, QWD_SESSION = grant.session.as_str(), QWD_OWNER = grant.owner.as_str(),
                QWD_MACHINE = grant.machine.as_str(), QWD_ROLE = grant.role.as_str(); "{text}");
        }
    }
}

/// Counts viewers.
#[derive(Debug, Default)]
pub struct Viewers {
    count: Mutex<usize>,
    fewer: Condvar,
    handshakes: Handshakes,
}

impl Viewers {
    /// Counts one more, if there is room.
    fn come(&self) -> bool {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let room = *count < VIEWERS;
        *count += usize::from(room);
        room
    }

    fn leave(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.fewer.notify_all();
    }

    /// Waits until somebody has left, at most a second.
    fn wait(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.fewer.wait_timeout(count, Duration::from_secs(1));
    }
}

/// What a good request opens.
enum Opened<'a> {
    Screen {
        answer: Vec<u8>,
        server: OwnedFd,
        grant: Box<Grant>,
        place: Place<'a>,
    },
    /// Nothing: the page wants to know whether WebSockets get through.
    Check(Vec<u8>),
}

impl<L: Launcher + 'static> Server<L> {
    /// Takes viewers in for ever.
    pub fn serve(self: &Arc<Self>, listener: &UnixListener) -> ! {
        loop {
            match listener.accept() {
                Ok((stream, _)) => self.take_in(stream),
                Err(error) => {
                    // Out of descriptors, most likely: it passes when a viewer leaves.
                    log::error!("No viewer can be taken in: {error}.");
                    self.viewers.wait();
                }
            }
        }
    }

    fn take_in(self: &Arc<Self>, mut stream: UnixStream) {
        if !self.viewers.come() {
            let refusal = Refusal::new(503, "There are too many viewers; try again later.");
            self.lines.refused(None, &refusal);
            answer(&mut stream, &refusal);
            return;
        }
        let server = Arc::clone(self);
        let attend = move || {
            server.attend(stream);
            server.viewers.leave();
        };
        if let Err(error) = std::thread::Builder::new().name("viewer".to_owned()).stack_size(STACK).spawn(attend) {
            self.lines.refused(None, &Refusal::new(503, format!("no thread can be started: {error}.")));
            self.viewers.leave();
        }
    }

    fn attend(&self, mut viewer: UnixStream) {
        let Some(head) = self.read_head(&mut viewer) else { return };
        let client = head.as_ref().ok().and_then(|head| handshake::client(head));
        let expected = self.screens.expect();
        let opened = head.and_then(|head| {
            let accepted = handshake::judge(&head, &self.origins()?, &self.proxy_secret)?;
            let Some(ticket) = accepted.ticket else { return Ok(Opened::Check(accepted.answer)) };
            let (server, grant) = self.launcher.redeem(&ticket).map_err(|p| refusal(&p))?;
            let place = expected.enter(viewer_of(&grant, client), standing(&grant)).map_err(|full| full_up(&full))?;
            Ok(Opened::Screen { answer: accepted.answer, server, grant: Box::new(grant), place })
        });
        match opened {
            Ok(Opened::Screen { answer, server, grant, place }) => {
                if viewer.write_all(&answer).is_ok() {
                    self.show(viewer, server, &grant, &place, client);
                }
            }
            // The page has its answer, whether or not it hears the rest.
            Ok(Opened::Check(answer)) => drop(viewer.write_all(&[&answer[..], GOODBYE].concat())),
            Err(refusal) => {
                self.lines.refused(client, &refusal);
                answer(&mut viewer, &refusal);
                self.drain(&mut viewer);
            }
        }
    }

    fn read_head(&self, viewer: &mut UnixStream) -> Option<Result<Vec<u8>, Refusal>> {
        let _handshake = self.viewers.handshakes.begin(viewer).ok()?;
        handshake::read(viewer, HANDSHAKE)
    }

    /// Let Apache send all it has: only then does it look for the answer.
    fn drain(&self, viewer: &mut UnixStream) {
        if let Ok(_handshake) = self.viewers.handshakes.begin(viewer) {
            handshake::drain(viewer, HANDSHAKE);
        }
    }

    fn origins(&self) -> Result<Origins, Refusal> {
        let loaded = self.settings.current().0.ok_or_else(no_settings)?;
        let settings = &loaded.settings;
        let open = settings.sign_in.methods.is_empty();
        // Nobody reaches an open service under its public address.
        let public = settings.public_url.clone().filter(|_| !open);
        Ok(Origins { public, own_names: self.own_names.clone(), open })
    }

    fn show(&self, viewer: UnixStream, server: OwnedFd, grant: &Grant, place: &Place<'_>, from: Option<IpAddr>) {
        let (who, session, role) = (who(grant), &grant.session, grant.role);
        let from = from.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
        let line = format!("Viewer {who} connected to session {session} from {from}");
        self.lines.visited(grant, "came", &line);
        let begun = Instant::now();
        let left = |until: u64| Duration::from_secs(until.saturating_sub(host::now()));
        let until = grant.until.and_then(|until| begun.checked_add(left(until)));
        let on_paste = || self.look_for_agent(session, role);
        let ends = Ends { viewer, server: server.into(), place, until, on_paste: &on_paste };
        let shown = relay::run(ends, role, self.patience);
        self.lines.visited(grant, "left", &farewell(&who, session, &shown, begun.elapsed()));
    }
}

/// Looks for clipboard agents that are in progress, one for each session.
pub type Looks = Arc<Mutex<BTreeSet<SessionId>>>;

impl<L: Launcher + 'static> Server<L> {
    /// Find out, on another thread, whether the session's guest has a clipboard agent, for pages that may send text.
    fn look_for_agent(&self, session: &SessionId, role: Role) {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if role != Role::Control || looks.len() >= LOOKS || !looks.insert(session.clone()) {
            return;
        }
        let (launcher, screens) = (Arc::clone(&self.launcher), Arc::clone(&self.screens));
        let (in_progress, session) = (Arc::clone(&self.looks), session.clone());
        let name = session.clone();
        let look = move || {
            // Where there is no answer, the page says nothing of an agent.
            if let Ok(runs) = launcher.has_agent(&session) {
                screens.set_agent(&session, runs);
            }
            in_progress.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        };
        if std::thread::Builder::new().name("agent".to_owned()).stack_size(STACK).spawn(look).is_err() {
            looks.remove(&name);
        }
    }
}

/// Return a viewer as the journal names them, with what they may do and, if it is not their session, why.
fn who(grant: &Grant) -> String {
    let (name, role) = (viewer_of(grant, None).shown(), grant.role);
    let name = if name.is_empty() { "guest" } else { &name };
    match standing(grant) {
        Standing::Owner => format!("{name} ({role})"),
        Standing::Administrator => format!("{name} ({role}, administrator)"),
        Standing::Guest => format!("{name} ({role}, link {})", grant.share),
    }
}

/// Return by which right somebody has a screen.
fn standing(grant: &Grant) -> Standing {
    match grant.share.as_str() {
        "" if grant.name_id.as_ref() == Some(&grant.owner_id) => Standing::Owner,
        "" => Standing::Administrator,
        _ => Standing::Guest,
    }
}

/// Who this is, for those who may know who is there.
fn viewer_of(grant: &Grant, address: Option<IpAddr>) -> Viewer {
    Viewer {
        session: grant.session.clone(),
        share: grant.share.clone(),
        name: grant.name.clone(),
        name_id: grant.name_id.clone(),
        role: grant.role,
        address,
        since: host::now(),
    }
}

fn farewell(who: &str, session: &SessionId, shown: &Shown, time: Duration) -> String {
    let (what, why) = match shown.end {
        End::Left => ("disconnected from", ""),
        End::SessionEnded => ("disconnected from", ", which ended"),
        End::Revoked => ("lost access to", ""),
        End::Silent => ("timed out on", ""),
        End::Broken(violation) => ("was disconnected from", &*format!(": {}", violation.0.trim_end_matches('.'))),
    };
    let (time, sent, received) = (time.as_secs(), shown.sent, shown.received);
    format!("Viewer {who} {what} session {session}{why} ({time} s, {sent} bytes sent, {received} received)")
}

/// Why no screen, without a word about what the ticket may have been for.
fn refusal(problem: &Problem) -> Refusal {
    let status = if matches!(problem.word, Word::Unavailable | Word::Failed | Word::LimitReached) { 503 } else { 403 };
    Refusal::new(status, problem.message.clone())
}

/// A display that started with a configuration it cannot use does not know whose pages may open screens.
fn no_settings() -> Refusal {
    Refusal::new(
        503,
        "The configuration of this service cannot be used. The administrator finds the file and line with 'qwdctl check'.",
    )
}

fn full_up(full: &Full) -> Refusal {
    Refusal::new(
        503,
        match full {
            Full::Guests => "Viewer limit of this share link reached. Try again when another viewer has left.",
            Full::Own => "You have too many screens open. Close one and try again.",
            Full::Descriptors => "The server has too many files open to show another screen.",
        },
    )
}

fn answer(stream: &mut UnixStream, refusal: &Refusal) {
    // Whoever does not read the answer does not get it; nobody waits for that.
    let _ = stream.set_write_timeout(Some(HANDSHAKE)).and_then(|()| stream.write_all(&refusal.answer()));
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
