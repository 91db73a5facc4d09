//! One screen for one viewer: a poll loop over the viewer's socket, QEMU's, and a bell.
//!
//! ```text
//! viewer ──frames──> Up ──RFB that may pass──> QEMU
//! viewer <──frames── Down <────────RFB──────── QEMU
//! ```
//!
//! Between the frames for the viewer stand notices to its page, as text: who else is there, for example, and at least one
//! every few seconds, by which the page knows that bytes still arrive. It answers each with an empty frame.
//!
//! Neither direction reads before it has written: memory is bounded by two buffers. The viewer's
//! bell is rung when the right to see the screen ends, and when there is news for the page. Everything is told by the end this loop comes to.

use super::down::Down;
use super::frame::{Code, Fault, Opcode};
use super::rfb::Violation;
use super::screens::Place;
use super::up::{Aside, Up};
use crate::model::Role;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long the relay waits for whom.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The page has a notice in every such time, though it be an empty one: scripts see no pings.
    pub notice: Duration,
    /// News within such a time make one notice.
    pub news: Duration,
    /// After so long without traffic either way, a ping.
    pub ping: Duration,
    /// After so long without a byte from the viewer, it is taken to be gone.
    pub silence: Duration,
    /// So long for the viewer to take a close frame.
    pub close: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { notice: seconds(4), news: seconds(1), ping: seconds(25), silence: seconds(90), close: seconds(3) }
    }
}

/// The reason that the page reads where the time of a link is over.
const EXPIRED: &str = "expired";
/// Between two looks for a clipboard agent.
const PASTE_EVERY: Duration = Duration::from_secs(2);
/// The notice without news.
const EMPTY_NOTICE: &str = "{}";

/// Why a screen was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The viewer closed it, or its connection broke.
    Left,
    /// QEMU closed its side.
    SessionEnded,
    /// The right to see it was taken back, or its time was over.
    Revoked,
    /// The viewer did not answer.
    Silent,
    /// The viewer broke a rule.
    Broken(Violation),
}

/// A screen's figures.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// Why it was closed.
    pub end: End,
    /// Bytes to the viewer.
    pub sent: u64,
    /// Bytes from the viewer.
    pub received: u64,
}

/// What the loop listens to, and for how long.
pub struct Ends<'a> {
    /// The viewer, after the handshake.
    pub viewer: UnixStream,
    /// QEMU.
    pub server: UnixStream,
    /// The viewer's place, whose bell rings when there is news.
    pub place: &'a Place<'a>,
    /// When that right ends by itself.
    pub until: Option<Instant>,
    /// Called when the viewer has sent clipboard text, and at the beginning; at most so often.
    pub on_paste: &'a dyn Fn(),
}

/// Carries the screen until it ends.
pub fn run(ends: Ends<'_>, role: Role, patience: Patience) -> Shown {
    let mut relay = Relay::new(ends, role, patience);
    let ready = relay.ends.viewer.set_nonblocking(true).and(relay.ends.server.set_nonblocking(true));
    let end = match ready {
        Ok(()) => relay.turn_until_the_end(),
        Err(_) => End::Left,
    };
    Shown { end, sent: relay.down.sent, received: relay.up.received }
}

struct Relay<'a> {
    ends: Ends<'a>,
    up: Up,
    down: Down,
    patience: Patience,
    heard: Instant,
    sent: Instant,
    pinged: Instant,
    begun: Instant,
    /// When the page had its last notice.
    notified: Option<Instant>,
    /// The page has had no notice since the bell rang.
    has_news: bool,
    /// When `on_paste` was last called.
    pasted: Option<Instant>,
    closing: Option<Closing>,
}

/// The end has been announced to the viewer.
#[derive(Clone, Copy)]
struct Closing {
    end: End,
    /// Until when the viewer may take it.
    until: Instant,
    /// The viewer said so first: there is nothing to wait for but our own writing.
    answered: bool,
}

/// What can be read or written now.
#[derive(Clone, Copy)]
struct Ready {
    viewer: PollFlags,
    server: PollFlags,
    bell: bool,
}

/// The loop goes on, or it has come to its end.
type Turn = Result<(), End>;

impl<'a> Relay<'a> {
    fn new(ends: Ends<'a>, role: Role, patience: Patience) -> Self {
        let now = Instant::now();
        let (up, down) = (Up::new(role), Down::default());
        Self {
            ends,
            up,
            down,
            patience,
            heard: now,
            sent: now,
            pinged: now,
            begun: now,
            notified: None,
            has_news: true,
            pasted: None,
            closing: None,
        }
    }

    fn turn_until_the_end(&mut self) -> End {
        loop {
            if let Err(end) = self.turn() {
                return self.closing.map_or(end, |closing| closing.end);
            }
        }
    }

    fn turn(&mut self) -> Turn {
        let ready = self.wait()?;
        if ready.bell {
            self.ends.place.answer_bell();
            self.has_news = true;
        }
        if self.closing.is_none() {
            if self.ends.place.is_revoked() {
                self.close(End::Revoked, Code::Policy, "Your access to this screen has ended.");
            } else if self.ends.until.is_some_and(|until| Instant::now() >= until) {
                self.close(End::Revoked, Code::Policy, EXPIRED);
            }
        }
        self.viewer(ready.viewer)?;
        self.look_for_paste();
        self.server(ready.server)?;
        self.time()
    }

    /// Polls for what each direction can use now; an end with nothing to do is left out, since a
    /// hung-up socket would wake the loop for ever.
    fn wait(&self) -> Result<Ready, End> {
        let mut viewer = PollFlags::empty();
        viewer.set(PollFlags::IN, !self.up.busy());
        viewer.set(PollFlags::OUT, self.down.busy());
        let mut server = PollFlags::empty();
        server.set(PollFlags::IN, !self.down.busy());
        server.set(PollFlags::OUT, self.up.busy());
        let closing = self.closing.is_some();
        let mut fds = [
            PollFd::new(&self.ends.viewer, viewer),
            PollFd::new(self.ends.place, PollFlags::IN),
            PollFd::new(&self.ends.server, server),
        ];
        let count = match (closing, server.is_empty()) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        match poll(&mut fds[..count], Some(&self.timeout())) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Err(End::Left),
        }
        Ok(Ready { viewer: fds[0].revents(), bell: !fds[1].revents().is_empty(), server: fds[2].revents() })
    }

    fn timeout(&self) -> Timespec {
        let due = match self.closing {
            Some(closing) => closing.until,
            None => {
                let due = self.ping_due().min(self.heard + self.patience.silence).min(self.notice_due());
                self.ends.until.map_or(due, |until| until.min(due))
            }
        };
        let left = due.saturating_duration_since(Instant::now());
        Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() }
    }

    /// Silence on either side calls for a ping: the viewer's asks whether it is there, ours keeps
    /// proxies on the way from closing.
    fn ping_due(&self) -> Instant {
        self.heard.min(self.sent).max(self.pinged) + self.patience.ping
    }

    /// The first notice is due at once.
    fn notice_due(&self) -> Instant {
        let news = if self.has_news { self.patience.news } else { self.patience.notice };
        let wait = news.min(self.patience.notice);
        self.notified.map_or(self.begun, |notified| notified + wait)
    }

    fn look_for_paste(&mut self) {
        let is_due = self.pasted.is_none_or(|at| at.elapsed() >= PASTE_EVERY && self.up.take_pasted());
        if is_due {
            self.pasted = Some(Instant::now());
            (self.ends.on_paste)();
        }
    }

    fn notify(&mut self, now: Instant) -> Turn {
        self.notified = Some(now);
        if std::mem::take(&mut self.has_news) {
            self.down.notify(&self.ends.place.notice());
        } else if !self.down.has_notice() {
            self.down.notify(EMPTY_NOTICE);
        }
        self.flush()
    }

    fn viewer(&mut self, ready: PollFlags) -> Turn {
        if ready.contains(PollFlags::OUT) {
            self.flush()?;
        }
        if ready.contains(PollFlags::IN) {
            match self.up.load(&self.ends.viewer) {
                Ok(Some(length)) if length > 0 => self.heard = Instant::now(),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Err(End::Left),
            }
            return self.open();
        }
        if ready.intersects(PollFlags::HUP | PollFlags::ERR) {
            return Err(End::Left);
        }
        Ok(())
    }

    fn open(&mut self) -> Turn {
        loop {
            match self.up.open() {
                Ok(Some(Aside::Ping(payload))) => {
                    self.down.control(Opcode::Pong, &payload);
                    self.flush()?;
                }
                // The viewer's close is answered; if it was the answer to ours, all is said.
                Ok(Some(Aside::Close)) if self.closing.is_some() => return Err(End::Left),
                Ok(Some(Aside::Close)) => {
                    self.close(End::Left, Code::Normal, "");
                    self.closing = self.closing.map(|closing| Closing { answered: true, ..closing });
                    return self.flush();
                }
                Ok(None) if self.closing.is_some() => {
                    self.up.discard();
                    return Ok(());
                }
                Ok(None) => return self.pass(),
                Err(fault) => return self.broken(fault),
            }
        }
    }

    fn broken(&mut self, (code, violation): Fault) -> Turn {
        if self.closing.is_some() {
            return Err(End::Left);
        }
        self.close(End::Broken(violation), code, violation.0);
        self.flush()
    }

    /// Writes to QEMU. If it has closed, its last words are still to be read.
    fn pass(&mut self) -> Turn {
        if self.up.flush(&self.ends.server).is_err() {
            self.up.discard();
        }
        Ok(())
    }

    fn flush(&mut self) -> Turn {
        let before = self.down.sent;
        self.down.flush(&self.ends.viewer).map_err(|_| End::Left)?;
        if self.down.sent > before {
            self.sent = Instant::now();
        }
        Ok(())
    }

    fn server(&mut self, ready: PollFlags) -> Turn {
        if self.closing.is_some() {
            return Ok(());
        }
        if ready.contains(PollFlags::OUT) {
            self.pass()?;
        }
        let readable = ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        if readable && !self.down.busy() {
            if !self.down.load(&self.ends.server).unwrap_or(false) {
                self.close(End::SessionEnded, Code::GoingAway, "The session has ended.");
            }
            return self.flush();
        }
        Ok(())
    }

    fn time(&mut self) -> Turn {
        let now = Instant::now();
        if let Some(closing) = self.closing {
            let done = now >= closing.until || (closing.answered && !self.down.busy());
            return if done { Err(closing.end) } else { Ok(()) };
        }
        if self.up.busy() {
            // Not its silence but ours: nothing is read while QEMU does not take what was.
            self.heard = now;
        }
        if now >= self.heard + self.patience.silence {
            return Err(End::Silent);
        }
        if now >= self.ping_due() {
            self.pinged = now;
            self.down.control(Opcode::Ping, &[]);
            self.flush()?;
        }
        if now >= self.notice_due() {
            self.notify(now)?;
        }
        Ok(())
    }

    fn close(&mut self, end: End, code: Code, reason: &str) {
        self.down.close(code, reason);
        self.up.discard();
        self.closing = Some(Closing { end, until: Instant::now() + self.patience.close, answered: false });
    }
}
