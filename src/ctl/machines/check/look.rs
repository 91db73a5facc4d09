//! One machine: its session, and the pictures of its screen.

use super::verdict::Verdict;
use crate::bus::{NewSession, Session};
use crate::ctl::client::Client;
use crate::model::{MachineName, Problem, State, Word};
use crate::picture::{Picture, Seen};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the screen is looked at, and the launcher asked how a session is.
const BETWEEN: Duration = Duration::from_secs(1);
/// A screen that hardly changes for so long is what there is to be seen: before, a guest may be at work.
const SETTLED: Duration = Duration::from_secs(4);
/// How long an end may take, in seconds.
const END: u32 = 60;

/// Who looks, and for how long.
pub(super) struct Look<'a> {
    client: &'a Client,
    signals: &'a Receiver<()>,
    start: Instant,
    patience: Duration,
}

impl<'a> Look<'a> {
    pub(super) fn new(client: &'a Client, signals: &'a Receiver<()>, seconds: u32) -> Self {
        Self { client, signals, start: Instant::now(), patience: Duration::from_secs(seconds.into()) }
    }

    /// Starts a session of the machine, looks at its screen, and ends it.
    pub(super) fn at(&self, name: &MachineName) -> Verdict {
        // Should nobody be left to end it, it ends soon after.
        let lifetime_seconds = self.patience.as_secs() + u64::from(END);
        let wanted = NewSession { machine: name.to_string(), lifetime_seconds, ..NewSession::default() };
        match self.client.change(|launcher, asker| launcher.create(asker, wanted)) {
            Err(problem) => Verdict::of_refusal(problem),
            Ok(session) => {
                let verdict = self.running(&session).unwrap_or_else(|verdict| verdict);
                match self.end(&session) {
                    Ok(()) => verdict,
                    Err(problem) => Verdict::Failed(problem.message),
                }
            }
        }
    }

    fn running(&self, session: &Session) -> Result<Verdict, Verdict> {
        let mut session = session.clone();
        while session.state == State::Starting {
            self.pause()?;
            session = self.asked(&session)?;
        }
        self.settled(&session)
    }

    /// The screen once it hardly changes, or when time is over.
    fn settled(&self, session: &Session) -> Result<Verdict, Verdict> {
        let mut last: Option<(Picture, Instant)> = None;
        let mut why = String::new();
        loop {
            let session = self.asked(session)?;
            if session.state != State::Running {
                return Err(Verdict::Failed(ended(&session)));
            }
            match self.picture(&session) {
                Ok(picture) => {
                    let same = last.as_ref().filter(|(before, _)| before.is_like(&picture)).map(|(_, since)| *since);
                    last = Some((picture, same.unwrap_or_else(Instant::now)));
                }
                // There may be one in a second, as when the machine stands still now.
                Err(problem) => why = problem.message,
            }
            let over = self.start.elapsed() >= self.patience;
            match last {
                Some((picture, since)) if over || is_final(&picture) && since.elapsed() >= SETTLED => {
                    return Ok(Verdict::Seen(picture, self.start.elapsed()));
                }
                None if over => return Err(Verdict::Failed(why)),
                _ => {}
            }
            self.pause()?;
        }
    }

    fn picture(&self, session: &Session) -> Result<Picture, Problem> {
        let file = self.client.ask(|launcher, asker| launcher.picture(asker, session.id.as_str()))?;
        Picture::read(File::from(OwnedFd::from(file)))
    }

    fn asked(&self, session: &Session) -> Result<Session, Verdict> {
        self.client.get(&session.id).map_err(|problem| Verdict::Failed(problem.message))
    }

    /// Until it is time to look again, unless this program is to end.
    fn pause(&self) -> Result<(), Verdict> {
        match self.signals.recv_timeout(BETWEEN) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(Verdict::Interrupted),
        }
    }

    fn end(&self, session: &Session) -> Result<(), Problem> {
        let still_there = |problem: &Problem| problem.word != Word::NoSuchSession;
        let killed = self.client.change(|launcher, asker| launcher.kill(asker, session.id.as_str()));
        if let Some(problem) = killed.err().filter(still_there) {
            return Err(problem);
        }
        // The next machine gets the memory of this one.
        let (id, stopping) = (session.id.as_str(), State::Stopping);
        match self.client.ask(|launcher, asker| launcher.wait(asker, id, stopping.as_str(), END)) {
            Ok(session) if session.state == stopping => {
                let text = format!("Its session does not end: 'qwdctl stop {}' may help.", session.id);
                Err(Problem::failed(text))
            }
            Err(problem) if still_there(&problem) => Err(problem),
            _ => Ok(()),
        }
    }
}

/// Whether no more is to be expected once it stands still.
fn is_final(picture: &Picture) -> bool {
    matches!(picture.seen(), Seen::Something | Seen::Unbootable(_))
}

fn ended(session: &Session) -> String {
    if session.message.is_empty() {
        "Its session ended and did not say why.".to_owned()
    } else {
        session.message.clone()
    }
}
