//! Whole requests on their way to the workers, and connections on their way back.

use super::connection::Connection;
use crate::portal::http::Request;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// A whole request and where its answer goes.
pub struct Job {
    /// The connection.
    pub connection: Connection,
    /// The request.
    pub request: Box<Request>,
}

/// The queue. Its bell is heard by the one who accepts connections.
pub struct RequestQueue {
    jobs: Mutex<VecDeque<Job>>,
    arrived: Condvar,
    returned: Mutex<Vec<Connection>>,
    pending: AtomicUsize,
    limit: usize,
    bell: UnixStream,
    heard: UnixStream,
}

impl RequestQueue {
    /// An empty queue that is full with so many requests.
    pub fn new(limit: usize) -> std::io::Result<Self> {
        let (bell, heard) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        let (jobs, returned) = (Mutex::default(), Mutex::default());
        Ok(Self { jobs, arrived: Condvar::new(), returned, pending: AtomicUsize::new(0), limit, bell, heard })
    }

    /// True if no more connections should be accepted: the workers have enough to do.
    pub fn is_full(&self) -> bool {
        self.pending.load(Ordering::SeqCst) >= self.limit
    }

    /// Queue a request.
    pub fn push(&self, connection: Connection, request: Box<Request>) {
        self.pending.fetch_add(1, Ordering::SeqCst);
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push_back(Job { connection, request });
        self.arrived.notify_one();
    }

    /// Wait for a request.
    pub fn pop(&self) -> Job {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = self.arrived.wait_while(jobs, |jobs| jobs.is_empty()).unwrap_or_else(PoisonError::into_inner);
        jobs.pop_front().expect("waited until there was one")
    }

    /// Report a request as answered; with its connection, if the client has not taken all of the answer.
    pub fn finish(&self, unfinished: Option<Connection>) {
        let was_full = self.pending.fetch_sub(1, Ordering::SeqCst) >= self.limit;
        let ring = was_full || unfinished.is_some();
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).extend(unfinished);
        if ring {
            // Where it does not fit, it has rung already.
            let _ = (&self.bell).write(&[0]);
        }
    }

    /// Take the connections that came back.
    pub fn take_returned(&self) -> Vec<Connection> {
        let mut rings = [0; 64];
        while matches!((&self.heard).read(&mut rings), Ok(1..)) {}
        std::mem::take(&mut *self.returned.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What becomes readable when the bell rings.
impl AsFd for RequestQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}
