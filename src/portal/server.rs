//! The server: whole requests go from the acceptor to workers, whose answers go back to the client.
//!
//! ```text
//! socket ──> acceptor ──> connection: head, body ──> queue ──> worker: router
//!               ▲                                                 │
//!               └────── what the client has not taken yet ────────┘
//! ```
//!
//! tiny_http knows the methods and writes the answers. Its own loop starts a thread for each connection, ends
//! the program when it cannot, waits for bodies on workers and takes no byte above 127, so requests are read
//! in front of it: one thread waits for all clients at once, each with a deadline, and their number is limited
//! whatever Apache's settings are. A connection carries one request, as Apache uses it.

pub mod acceptor;
pub mod body;
pub mod connection;
pub mod head;
pub mod queue;

use super::App;
use super::http::Reply;
use super::router;
use acceptor::Acceptor;
use connection::{Limits, Step};
use queue::RequestQueue;
use std::convert::Infallible;
use std::io::Cursor;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tiny_http::{HTTPVersion, Header, StatusCode};

/// Requests that are answered side by side.
pub const WORKERS: usize = 16;

const ALWAYS: [(&str, &str); 8] = [
    ("Server", "qemu-web-desktop"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    // Not "no-referrer", with which browsers hide the Origin of our own forms.
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
];

/// The listening socket of `qwd-portal.socket`.
pub fn passed_socket() -> Result<UnixListener, String> {
    let passed = listenfd::ListenFd::from_env().take_unix_listener(0);
    match passed {
        Ok(Some(listener)) => Ok(listener),
        Ok(None) => Err("No socket was passed: start qwd-portal.socket, which starts this program.".into()),
        Err(e) => Err(format!("The socket that was passed is not a listening Unix socket: {e}.")),
    }
}

/// Serve until nothing can be accepted any more; then the program ends, and systemd starts it again.
pub fn serve(listener: UnixListener, app: App) -> Result<Infallible, String> {
    serve_within(listener, app, Limits::default())
}

/// Serve within other limits than the usual ones.
pub fn serve_within(listener: UnixListener, app: App, limits: Limits) -> Result<Infallible, String> {
    let unusable = |e: std::io::Error| format!("The socket cannot be used: {e}.");
    let (app, queue) = (Arc::new(app), Arc::new(RequestQueue::new(limits.requests).map_err(unusable)?));
    // All threads there will ever be: nobody who connects makes one start.
    for _ in 0..WORKERS {
        let (queue, app) = (Arc::clone(&queue), Arc::clone(&app));
        let worker = std::thread::Builder::new().name("worker".into());
        worker.spawn(move || work(&queue, &app)).map_err(|e| format!("No thread can be started: {e}."))?;
    }
    let acceptor = Acceptor::new(app, listener, queue, limits).map_err(unusable)?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    acceptor.run()
}

fn work(queue: &RequestQueue, app: &App) {
    loop {
        let queue::Job { mut connection, request } = queue.pop();
        let reply = router::answer(app, &request, now());
        let step = connection.answer(render(reply, connection.is_head()));
        queue.finish(matches!(step, Step::Wait).then_some(connection));
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The bytes of an answer.
fn render(reply: Reply, is_head: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(reply.body.len() + 1024);
    // Writing to memory does not fail.
    let _ = response(reply).raw_print(&mut bytes, HTTPVersion(1, 1), &[], is_head, None);
    // tiny_http leaves this header to its own loop.
    let first = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    bytes.splice(first..first, *b"Connection: close\r\n");
    bytes
}

fn response(reply: Reply) -> tiny_http::Response<Cursor<Vec<u8>>> {
    let always = ALWAYS.iter().map(|(name, value)| (*name, (*value).to_owned()));
    // A value that cannot stand in a header is left out; ours are all plain.
    let headers = always.chain(reply.headers).filter_map(|(n, v)| Header::from_bytes(n, v).ok()).collect();
    let length = Some(reply.body.len());
    tiny_http::Response::new(StatusCode(reply.status), headers, Cursor::new(reply.body), length, None)
        .with_chunked_threshold(usize::MAX)
}
