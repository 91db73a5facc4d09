//! Waits for the guests' agents: one that answers says that its guest has booted.
//!
//! Each guest is asked once, as soon as its screen answers. QEMU holds the question back until an agent opens its port,
//! so that the answer comes as an event. One thread waits for all guests, most of which may never answer.

use super::core::Core;
use crate::guest_agent::{Progress, Synchronization};
use crate::model::{Problem, SessionId};
use crate::monitor::sockets;
use crate::vm::AGENT_SOCKET;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// A guest that has not booted by then has no agent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1800);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Guests that are waited for at a time, each of which takes a descriptor. The oldest is given up for a new one.
const GUESTS_MAX: usize = 256;

/// A guest that was asked.
struct Asked {
    id: SessionId,
    stream: UnixStream,
    question: Synchronization,
    until: Instant,
}

/// The way to the thread that waits.
pub(super) struct Agents {
    new: Mutex<Vec<Asked>>,
    wake: OwnedFd,
}

impl Agents {
    pub(super) fn new() -> Result<Self, Problem> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let wake = wake.map_err(|e| Problem::failed(format!("No event descriptor can be made: {e}.")))?;
        Ok(Self { new: Mutex::default(), wake })
    }

    fn add(&self, asked: Asked) {
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        // It fails only while an earlier one has not been seen.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn take_new(&self) -> Vec<Asked> {
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Wait from now on, in a thread.
pub(super) fn start(core: Arc<Core>) -> Result<(), Problem> {
    let started = Builder::new().name("agents".to_owned()).spawn(move || {
        let mut waiting = Vec::new();
        loop {
            wait_once(&core.agents, &mut waiting, |id| core.mark_booted(id));
        }
    });
    started.map(drop).map_err(|e| Problem::failed(format!("Guests' agents cannot be waited for: no thread: {e}.")))
}

/// Ask a session's guest whether its agent runs. A session that has no port for one is left alone.
pub(super) fn ask(core: &Core, id: &SessionId) {
    let asked = core.user_of(id).and_then(|user| {
        let stream = sockets::connect_to(&core.store.sockets(id), AGENT_SOCKET, user, CONNECT_TIMEOUT)?;
        begin(id, stream).map_err(|e| Problem::failed(format!("The question cannot be sent: {e}.")))
    });
    match asked {
        Ok(asked) => core.agents.add(asked),
        Err(problem) => {
            log::debug!(QWD_SESSION = id.as_str(); "The guest agent of session {id} is not asked: {problem}");
        }
    }
}

fn begin(id: &SessionId, mut stream: UnixStream) -> io::Result<Asked> {
    let question = Synchronization::new();
    stream.write_all(&question.request())?;
    stream.set_nonblocking(true)?;
    Ok(Asked { id: id.clone(), stream, question, until: Instant::now() + ANSWER_TIMEOUT })
}

/// Wait until something happens, and report guests whose agent answered.
fn wait_once(agents: &Agents, waiting: &mut Vec<Asked>, mut booted: impl FnMut(&SessionId)) {
    let now = Instant::now();
    waiting.retain(|asked| asked.until > now);
    let timeout = waiting.iter().map(|asked| asked.until - now).min();
    let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
    let mut fds = vec![PollFd::new(&agents.wake, PollFlags::IN)];
    fds.extend(waiting.iter().map(|asked| PollFd::new(&asked.stream, PollFlags::IN)));
    if let Err(e) = poll(&mut fds, timeout.as_ref()) {
        if e != Errno::INTR {
            log::error!("The guests' agents cannot be waited for, and those asked so far are given up: {e}.");
            waiting.clear();
            // Nothing can be waited for now.
            std::thread::park_timeout(Duration::from_secs(1));
        }
        return;
    }
    let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
    let mut events = ready[1..].iter();
    waiting.retain_mut(|asked| {
        if events.next() != Some(&true) {
            return true;
        }
        let progress = read(asked);
        if progress == Some(Progress::Answered) {
            booted(&asked.id);
        }
        progress == Some(Progress::Unanswered)
    });
    if ready[0] {
        waiting.extend(agents.take_new());
        let too_many = waiting.len().saturating_sub(GUESTS_MAX);
        waiting.drain(..too_many);
    }
}

/// Read what a guest has sent; `None`: its QEMU has ended.
fn read(asked: &mut Asked) -> Option<Progress> {
    let mut buffer = [0; 4096];
    match asked.stream.read(&mut buffer) {
        Ok(0) => None,
        Ok(count) => Some(asked.question.receive(&buffer[..count])),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Some(Progress::Unanswered),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guest that was asked, and the guest's end.
    fn guest(agents: &Agents, id: &str) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        agents.add(begin(&id.parse().unwrap(), ours).unwrap());
        theirs
    }

    /// The answer that an honest agent gives to the question it has read.
    fn answer(theirs: &mut UnixStream) -> Vec<u8> {
        let mut request = vec![0; 1024];
        let count = theirs.read(&mut request).unwrap();
        let request: serde_json::Value = serde_json::from_slice(&request[1..count]).unwrap();
        [b"\xff", format!("{{\"return\": {}}}\n", request["arguments"]["id"]).as_bytes()].concat()
    }

    /// Wait until this many guests are waited for, and return those that have booted.
    fn wait_until_left(agents: &Agents, waiting: &mut Vec<Asked>, left: usize) -> Vec<String> {
        let mut booted = Vec::new();
        loop {
            wait_once(agents, waiting, |id| booted.push(id.to_string()));
            if waiting.len() == left {
                return booted;
            }
        }
    }

    #[test]
    fn each_guest_is_reported_once_its_agent_answers() {
        let (agents, mut waiting) = (Agents::new().unwrap(), Vec::new());
        let mut first = guest(&agents, "aaaaaaaaaa");
        let mut second = guest(&agents, "bbbbbbbbbb");
        assert!(wait_until_left(&agents, &mut waiting, 2).is_empty());
        let reply = answer(&mut second);
        second.write_all(&reply).unwrap();
        assert_eq!(wait_until_left(&agents, &mut waiting, 1), ["bbbbbbbbbb"]);
        let reply = answer(&mut first);
        let (half, rest) = reply.split_at(5);
        first.write_all(half).unwrap();
        first.write_all(rest).unwrap();
        assert_eq!(wait_until_left(&agents, &mut waiting, 0), ["aaaaaaaaaa"]);
    }

    #[test]
    fn a_guest_that_ends_lies_or_floods_is_dropped_and_one_that_is_silent_costs_nothing() {
        let (agents, mut waiting) = (Agents::new().unwrap(), Vec::new());
        let ends = guest(&agents, "aaaaaaaaaa");
        let mut floods = guest(&agents, "bbbbbbbbbb");
        let _silent = guest(&agents, "cccccccccc");
        let flood = std::thread::spawn(move || floods.write_all(&[b'x'; 1 << 20]));
        drop(ends);
        assert!(wait_until_left(&agents, &mut waiting, 1).is_empty());
        assert!(flood.join().unwrap().is_err());
        assert_eq!(waiting[0].id.as_str(), "cccccccccc");
        waiting[0].until = Instant::now();
        let mut late = guest(&agents, "dddddddddd");
        assert!(wait_until_left(&agents, &mut waiting, 1).is_empty());
        assert_eq!(waiting[0].id.as_str(), "dddddddddd");
        late.write_all(b"\xff{\"return\": \"yes\"}\n").unwrap();
        wait_once(&agents, &mut waiting, |id| panic!("{id}"));
    }

    #[test]
    fn the_oldest_guest_is_given_up_for_a_new_one() {
        let (agents, mut waiting) = (Agents::new().unwrap(), Vec::new());
        for n in 0..=GUESTS_MAX {
            guest(&agents, if n == 0 { "aaaaaaaaaa" } else { "bbbbbbbbbb" });
        }
        wait_once(&agents, &mut waiting, |id| panic!("{id}"));
        assert_eq!(waiting.len(), GUESTS_MAX);
        assert!(waiting.iter().all(|asked| asked.id.as_str() == "bbbbbbbbbb"));
    }
}
