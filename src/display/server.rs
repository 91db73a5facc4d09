//! Takes viewers in: one thread each, from the handshake to the end of the screen.

use super::handshake::{self, Refusal};
use super::link::Launcher;
use super::origin::Origins;
use super::relay::{self, End, Ends, Patience, Shown};
use super::screens::{Full, Place, Screens};
use crate::bus::{Grant, Viewer};
use crate::config::Watched;
use crate::host;
use crate::journal::id;
use crate::model::{Problem, Role, Word};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Viewers at once, in all.
const VIEWERS: usize = 1024;
/// For the head of the request: it comes from Apache, which has it already.
const HANDSHAKE: Duration = Duration::from_secs(10);
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
    /// How long viewers are waited for.
    pub patience: Patience,
    /// How many there are.
    pub viewers: Viewers,
}

/// Counts viewers.
#[derive(Debug, Default)]
pub struct Viewers {
    count: Mutex<usize>,
    fewer: Condvar,
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
            refuse(&mut stream, &Refusal::new(503, "There are too many viewers; try again later."));
            return;
        }
        let server = Arc::clone(self);
        let attend = move || {
            server.attend(stream);
            server.viewers.leave();
        };
        if let Err(error) = std::thread::Builder::new().name("viewer".to_owned()).stack_size(STACK).spawn(attend) {
            log::error!("No viewer can be taken in: {error}.");
            self.viewers.leave();
        }
    }

    fn attend(&self, mut viewer: UnixStream) {
        let Some(head) = handshake::read(&mut viewer, HANDSHAKE) else { return };
        let expected = self.screens.expect();
        let opened = head.and_then(|head| {
            let accepted = handshake::judge(&head, &self.origins())?;
            let (server, grant) = self.launcher.redeem(&accepted.ticket).map_err(|p| refusal(&p))?;
            let role = grant.role.parse::<Role>().map_err(|p| refusal(&p))?;
            let client = accepted.client.map_or_else(String::new, |address| address.to_string());
            let place = expected.enter(viewer_of(&grant, client)).map_err(|full| full_up(&full))?;
            Ok((accepted.answer, server, grant, role, place))
        });
        match opened {
            Ok((answer, server, grant, role, place)) => {
                if viewer.write_all(&answer).is_ok() {
                    self.show(viewer, server, &grant, role, &place);
                }
            }
            Err(refusal) => refuse(&mut viewer, &refusal),
        }
    }

    fn origins(&self) -> Origins {
        let public = self.settings.current().0.settings.public_url.clone();
        Origins { public, own_names: self.own_names.clone() }
    }

    fn show(&self, viewer: UnixStream, server: OwnedFd, grant: &Grant, role: Role, place: &Place<'_>) {
        let who = if grant.name.is_empty() { "A guest" } else { &grant.name };
        tell(grant, format_args!("{who} came to the screen ({role})."));
        let begun = Instant::now();
        let left = Duration::from_secs(grant.until.saturating_sub(host::now()));
        let until = (grant.until != 0).then(|| begun.checked_add(left)).flatten();
        let ends = Ends { viewer, server: server.into(), bell: place.as_fd(), until };
        let shown = relay::run(ends, role, self.patience);
        tell(grant, format_args!("{}", farewell(who, &shown, begun.elapsed())));
    }
}

/// Who this is, for those who may know who is there.
fn viewer_of(grant: &Grant, address: String) -> Viewer {
    Viewer {
        session: grant.session.clone(),
        share: grant.share.clone(),
        name: grant.name.clone(),
        role: grant.role.clone(),
        address,
        since: host::now(),
    }
}

fn tell(grant: &Grant, text: std::fmt::Arguments<'_>) {
    log::info!(MESSAGE_ID = id::VIEWED, QWD_SESSION = grant.session.as_str(), QWD_OWNER = grant.owner.as_str(),
        QWD_MACHINE = grant.machine.as_str(), QWD_ROLE = grant.role.as_str(); "{text}");
}

fn farewell(who: &str, shown: &Shown, time: Duration) -> String {
    let why = match shown.end {
        End::Left => "has left the screen",
        End::SessionEnded => "was there when the screen ended",
        End::Revoked => "may see the screen no longer",
        End::Silent => "did not answer any more",
        End::Broken(violation) => &format!("was shown out ({})", violation.0.trim_end_matches('.')),
    };
    format!("{who} {why}, after {} seconds, {} bytes sent and {} received.", time.as_secs(), shown.sent, shown.received)
}

/// Why no screen, without a word about what the ticket may have been for.
fn refusal(problem: &Problem) -> Refusal {
    let status = if matches!(problem.word, Word::Unavailable | Word::Failed) { 503 } else { 403 };
    Refusal::new(status, problem.message.clone())
}

fn full_up(full: &Full) -> Refusal {
    Refusal::new(
        503,
        match full {
            Full::Viewers => "This session has as many viewers as it may have.",
            Full::Descriptors => "The server has too many files open to show another screen.",
        },
    )
}

fn refuse(stream: &mut UnixStream, refusal: &Refusal) {
    log::warn!(MESSAGE_ID = id::REFUSED; "A screen was refused: {}", refusal.sentence);
    // Whoever does not read the answer does not get it; nobody waits for that.
    let _ = stream.set_write_timeout(Some(HANDSHAKE)).and_then(|()| stream.write_all(&refusal.answer()));
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
