//! tiny_http on the socket that systemd passes, with a fence around it.
//!
//! It has no limit on bodies, allocates what `Content-Length` claims when an unread request is
//! dropped, and ends its accept thread silently. So bodies are read up to a limit, requests that
//! claim absurd lengths are answered and never dropped, and the program ends (for systemd to start it
//! again) when nothing is accepted any more. Time limits and limits of headers are Apache's.

use super::App;
use super::http::{Method, Reply, Request};
use super::refusal::Refusal;
use super::router;
use std::convert::Infallible;
use std::io::{Cursor, Read};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tiny_http::{Header, Server, StatusCode};
use zeroize::Zeroizing;

/// Requests that are answered side by side.
pub const WORKERS: usize = 16;
/// The largest body that is taken.
const BODY_LIMIT: u64 = 64 << 10;
/// A larger body is read and thrown away up to here, so that the client gets to read the answer.
const DRAIN_LIMIT: u64 = 1 << 20;
/// Requests that could not be dropped, each with its connection, before the program starts afresh.
const LEAK_LIMIT: usize = 64;

const ALWAYS: [(&str, &str); 8] = [
    ("Server", "qemu-web-desktop"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
         form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
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

/// Serves until the accept thread ends; then the process ends with it.
pub fn serve(listener: UnixListener, app: App) -> Result<Infallible, String> {
    let server = Server::from_listener(listener, None).map_err(|e| format!("The socket cannot be used: {e}."))?;
    let (server, app) = (Arc::new(server), Arc::new(app));
    let workers = (0..WORKERS).map(|_| {
        let (server, app) = (Arc::clone(&server), Arc::clone(&app));
        std::thread::Builder::new().name("worker".into()).spawn(move || work(&server, &app))
    });
    let workers: Vec<_> = workers.collect::<Result<_, _>>().map_err(|e| format!("No thread can be started: {e}."))?;
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    for worker in workers {
        let _ = worker.join();
    }
    Err("All workers have ended.".into())
}

fn work(server: &Server, app: &App) {
    loop {
        match server.recv() {
            Ok(request) => handle(app, request),
            Err(e) => {
                // Dropping the server would remove systemd's socket from the file system.
                log::error!("No connection can be accepted any more, so qwd-portal starts afresh: {e}");
                std::process::exit(1);
            }
        }
    }
}

fn handle(app: &App, mut raw: tiny_http::Request) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let mut request = head(&raw);
    let (reply, harmless) = match body(&mut raw, &request) {
        Ok(body) => {
            request.body = body;
            (router::answer(app, &request, now), true)
        }
        Err((refusal, harmless)) => (router::refuse(app, &request, &refusal), harmless),
    };
    if harmless {
        let _ = raw.respond(response(reply));
    } else {
        answer_and_keep(raw, reply);
    }
}

/// All but the body.
fn head(raw: &tiny_http::Request) -> Request {
    let headers = raw
        .headers()
        .iter()
        .map(|h| (h.field.as_str().as_str().to_ascii_lowercase(), h.value.as_str().to_owned()))
        .collect();
    Request::new(method(raw.method()), raw.url(), headers, Vec::new())
}

fn method(method: &tiny_http::Method) -> Method {
    match method {
        tiny_http::Method::Get | tiny_http::Method::Head => Method::Get,
        tiny_http::Method::Post => Method::Post,
        tiny_http::Method::Delete => Method::Delete,
        _ => Method::Other,
    }
}

/// The body, or why it is not taken; false if dropping the request could end the process, or leave its
/// body to be read as the next request.
fn body(raw: &mut tiny_http::Request, request: &Request) -> Result<Zeroizing<Vec<u8>>, (Refusal, bool)> {
    let framing = |text: &str, harmless: bool| (Refusal::bad_request(text), harmless);
    let has = |name: &str| request.headers.iter().any(|(n, _)| n == name);
    let upgrade = request.headers.iter().any(|(n, v)| n == "connection" && v.to_ascii_lowercase().contains("upgrade"));
    if upgrade {
        // The rest of the connection would count as the body.
        return Err(framing("This address does not change protocols.", true));
    }
    let lengths = request.headers.iter().filter(|(n, _)| n == "content-length").count();
    if lengths > 1 || (has("content-length") && raw.body_length().is_none()) {
        return Err(framing("The length of the request is not clear: send one Content-Length.", false));
    }
    if raw.body_length().is_some_and(|length| length as u64 > DRAIN_LIMIT) {
        return Err((Refusal::too_large(), false));
    }
    // With room for all that is taken: what grows moves, and leaves copies of passwords behind.
    let unsaid = if has("transfer-encoding") { BODY_LIMIT } else { 0 };
    let expected = raw.body_length().map_or(unsaid, |length| length as u64).min(BODY_LIMIT) + 1;
    let mut body = Zeroizing::new(Vec::with_capacity(usize::try_from(expected).unwrap_or_default()));
    let broken = |_| framing("The request broke off.", true);
    raw.as_reader().take(BODY_LIMIT + 1).read_to_end(&mut body).map_err(broken)?;
    if body.len() as u64 <= BODY_LIMIT {
        return Ok(body);
    }
    let rest = std::io::copy(&mut raw.as_reader().take(DRAIN_LIMIT), &mut std::io::sink()).map_err(broken)?;
    Err((Refusal::too_large(), rest < DRAIN_LIMIT))
}

fn response(reply: Reply) -> tiny_http::Response<Cursor<Vec<u8>>> {
    let always = ALWAYS.iter().map(|(name, value)| (*name, (*value).to_owned()));
    // A value that cannot stand in a header is left out; ours are all plain.
    let headers = always.chain(reply.headers).filter_map(|(n, v)| Header::from_bytes(n, v).ok()).collect();
    let length = Some(reply.body.len());
    tiny_http::Response::new(StatusCode(reply.status), headers, Cursor::new(reply.body), length, None)
        .with_chunked_threshold(usize::MAX)
}

/// Answers a request that must not be dropped. It stays in memory with its connection, so after some
/// of these the program starts afresh. Apache's `LimitRequestBody` lets none of them through.
fn answer_and_keep(raw: tiny_http::Request, reply: Reply) {
    static KEPT: AtomicUsize = AtomicUsize::new(0);
    let mut text = Vec::new();
    let written = response(reply).raw_print(&mut text, tiny_http::HTTPVersion(1, 1), &[], false, None);
    // The only way to the connection without dropping the request leads through an interim answer.
    let mut stream = raw.upgrade("none", tiny_http::Response::empty(100));
    if written.is_ok() {
        let _ = stream.write_all(&text).and_then(|()| stream.flush());
    }
    std::mem::forget(stream);
    if KEPT.fetch_add(1, Ordering::Relaxed) >= LEAK_LIMIT {
        log::error!("Many requests claimed bodies beyond every limit, so qwd-portal starts afresh.");
        std::process::exit(1);
    }
}
