//! The front of the server: one thread that accepts connections, reads requests and sends what a client does
//! not take at once. It waits for all clients together and for none alone, so that slow ones cost a table entry.

use super::connection::{Connection, Limits, Step};
use super::queue::RequestQueue;
use super::render;
use crate::journal::OncePerMinute;
use crate::portal::App;
use crate::portal::http::Request;
use crate::portal::refusal::Refusal;
use crate::portal::router;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::convert::Infallible;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Read at once from one client.
const SCRATCH: usize = 16 << 10;
/// After a failure to accept, such as for want of descriptors.
const PAUSE: Duration = Duration::from_secs(1);
/// The lines in the journal about that.
static REFUSED_BY_KERNEL: OncePerMinute = OncePerMinute::new();

/// The one who accepts.
pub struct Acceptor {
    app: Arc<App>,
    listener: UnixListener,
    queue: Arc<RequestQueue>,
    limits: Limits,
    /// The oldest first.
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    paused_until: Option<Instant>,
}

/// What poll found.
struct Ready {
    returned: bool,
    listener: bool,
    connections: Vec<bool>,
}

impl Acceptor {
    /// An acceptor for a listening socket.
    pub fn new(
        app: Arc<App>,
        listener: UnixListener,
        queue: Arc<RequestQueue>,
        limits: Limits,
    ) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        let (connections, scratch) = (Vec::with_capacity(limits.connections + 1), vec![0; SCRATCH]);
        Ok(Self { app, listener, queue, limits, connections, scratch, paused_until: None })
    }

    /// Accept until that is not possible any more.
    pub fn run(mut self) -> Result<Infallible, String> {
        loop {
            let ready = self.wait()?;
            for (connection, ready) in std::mem::take(&mut self.connections).into_iter().zip(ready.connections) {
                if ready { self.advance(connection) } else { self.connections.push(connection) }
            }
            if ready.returned {
                self.queue.take_returned().into_iter().for_each(|connection| self.keep(connection));
            }
            self.end_overdue(Instant::now());
            if ready.listener {
                self.accept()?;
            }
        }
    }

    fn wait(&self) -> Result<Ready, String> {
        let now = Instant::now();
        let accepting = !self.queue.is_full() && self.paused_until.is_none_or(|until| until <= now);
        let mut fds = Vec::with_capacity(self.connections.len() + 2);
        fds.push(PollFd::new(&*self.queue, PollFlags::IN));
        fds.push(PollFd::new(&self.listener, if accepting { PollFlags::IN } else { PollFlags::empty() }));
        fds.extend(self.connections.iter().map(|connection| PollFd::new(connection, connection.interest())));
        match poll(&mut fds, self.timeout(now).as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(format!("Cannot wait for connections: {error}.")),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        Ok(Ready { returned: ready[0], listener: accepting && ready[1], connections: ready[2..].to_vec() })
    }

    fn timeout(&self, now: Instant) -> Option<Timespec> {
        let deadlines = self.connections.iter().map(Connection::deadline);
        let next = deadlines.chain(self.paused_until.filter(|until| *until > now)).min()?;
        let left = next.saturating_duration_since(now);
        Some(Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() })
    }

    /// Accept what has connected, as long as there is room in the queue.
    fn accept(&mut self) -> Result<(), String> {
        while !self.queue.is_full() {
            let accepted = self.listener.accept().and_then(|(stream, _)| Connection::new(stream, self.limits));
            match accepted {
                Ok(connection) => self.advance(connection),
                Err(error) => return self.failed(&error),
            }
        }
        Ok(())
    }

    fn failed(&mut self, error: &std::io::Error) -> Result<(), String> {
        match Errno::from_io_error(error) {
            Some(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(()),
            Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                self.paused_until = Some(Instant::now() + PAUSE);
                if REFUSED_BY_KERNEL.due().is_some() {
                    log::error!("Cannot accept a connection: {error}. The portal tries again every second.");
                }
                Ok(())
            }
            _ => Err(format!("Cannot accept connections any more: {error}. systemd starts qwd-portal again.")),
        }
    }

    fn advance(&mut self, mut connection: Connection) {
        let app = Arc::clone(&self.app);
        let step = connection.advance(&mut self.scratch, |request| router::judge(&app, request));
        self.act(connection, step);
    }

    fn act(&mut self, connection: Connection, step: Step) {
        match step {
            Step::Wait => self.keep(connection),
            Step::Answer(request) => self.queue.push(connection, request),
            Step::Refuse(request, refusal) => self.refuse(connection, &request, &refusal),
            Step::Close => {}
        }
    }

    fn refuse(&mut self, mut connection: Connection, request: &Request, refusal: &Refusal) {
        let reply = router::refuse(&self.app, request, refusal);
        let step = connection.answer(render(reply, connection.is_head()));
        self.act(connection, step);
    }

    /// Wait for a client; those who have waited longest make room.
    fn keep(&mut self, connection: Connection) {
        if let Some(client) = connection.sender() {
            self.limit_bodies(client);
        }
        if self.connections.len() >= self.limits.connections {
            let oldest = self.connections.iter().position(Connection::is_draining).unwrap_or_default();
            self.connections.remove(oldest);
        }
        self.connections.push(connection);
    }

    /// Refuse a client's oldest body if it is sending as many as it may.
    fn limit_bodies(&mut self, client: Option<u64>) {
        let mut sending = self.connections.iter().enumerate().filter(|(_, other)| other.sender() == Some(client));
        let oldest = sending.next().map(|(at, _)| at);
        if let Some(oldest) = oldest.filter(|_| sending.count() + 1 >= self.limits.bodies_per_client) {
            let mut connection = self.connections.remove(oldest);
            let step = connection.give_up(Refusal::many_bodies());
            self.act(connection, step);
        }
    }

    fn end_overdue(&mut self, now: Instant) {
        let all = std::mem::take(&mut self.connections);
        let (overdue, rest) = all.into_iter().partition(|connection: &Connection| connection.deadline() <= now);
        self.connections = rest;
        for mut connection in overdue {
            let step = connection.give_up(Refusal::slow());
            self.act(connection, step);
        }
    }
}
