//! The server itself: a socket, bytes in, bytes out.

use crate::portal::server::{self, connection::Limits};
use crate::portal::testing::Bench;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What Apache adds beside the client's address.
macro_rules! of_apache {
    () => {
        "X-Qwd-Secret: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\nX-Qwd-Forwarded: no\r\n\
         X-Qwd-Connection:\r\nX-Forwarded-Proto: http\r\nX-Remote-User: \r\nX-Remote-Groups: \r\n"
    };
}

/// A portal on a socket of its own, for as long as the tests run.
fn serving() -> PathBuf {
    serving_within(Limits::default())
}

fn serving_within(limits: Limits) -> PathBuf {
    let bench = Box::leak(Box::new(Bench::new()));
    let path = bench.root.path().join("portal.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (state, secret) = (bench.root.path().join("state2"), crate::proxy_headers::testing::secret());
    let app = crate::portal::App::new(bench.root.path(), &state, bench.app.launcher.again(), secret, |now| now);
    std::thread::spawn(move || server::serve_within(listener, app.unwrap(), limits));
    path
}

/// A connection by which something was sent already.
fn sending(path: &Path, request: &[u8]) -> UnixStream {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(request).unwrap();
    stream
}

/// All that comes until the other side closes.
fn answer(mut stream: UnixStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn exchange(path: &Path, request: &[u8]) -> String {
    answer(sending(path, request))
}

fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").map_or(0, |rest| rest[..3].parse().unwrap())
}

fn get(path: &Path, target: &str) -> String {
    exchange(path, format!("GET {target} HTTP/1.1\r\n{HEAD}\r\n").as_bytes())
}

/// The head of a change, without its last line.
fn post(target: &str, client: &str, framing: &str) -> Vec<u8> {
    format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n{}\
         Content-Type: application/json\r\nOrigin: http://localhost\r\n{framing}\r\n\r\n",
        of_apache!()
    )
    .into_bytes()
}

const JOIN: &str = "/qemu-web-desktop/api/v1/join";
const HELP: &str = "/qemu-web-desktop/help";
const HEAD: &str = concat!("Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n", of_apache!(), "Connection: close\r\n");

#[test]
fn every_answer_has_the_headers_that_fence_it_in() {
    let path = serving();
    for target in ["/qemu-web-desktop/", "/qemu-web-desktop/api/v1/machines", "/elsewhere"] {
        let answer = exchange(&path, format!("GET {target} HTTP/1.1\r\n{HEAD}\r\n").as_bytes());
        for header in [
            "Content-Security-Policy: default-src 'none'; script-src 'self';",
            "X-Content-Type-Options: nosniff",
            "Referrer-Policy: same-origin",
            "Cross-Origin-Opener-Policy: same-origin",
            "Cache-Control: no-store",
        ] {
            assert!(answer.contains(header), "{target}: {header}\n{answer}");
        }
    }
}

#[test]
fn bodies_are_taken_up_to_a_limit_and_the_server_lives_on() {
    let path = serving();
    let post = |framing: &str, body: &[u8]| {
        let head = post(JOIN, "127.0.0.1", framing);
        status(&exchange(&path, &[&head, body].concat()))
    };
    let filler = vec![b' '; 200 << 10];
    assert_eq!(post("Content-Length: 65536", &filler[..65536]), 400);
    assert_eq!(post("Content-Length: 65537", &filler[..65537]), 413);
    assert_eq!(post("Content-Length: 204800", &filler), 413);
    assert_eq!(post("Content-Length: 9000000000000000000", b"{"), 413);
    assert_eq!(post("Content-Length: 18446744073709551615", b"{"), 413);
    assert_eq!(post("Content-Length: 99999999999999999999999", b"{"), 400);
    assert_eq!(post("Content-Length: 2\r\nContent-Length: 3", b"{} "), 400);
    assert_eq!(post("Transfer-Encoding: chunked", b"e\r\n{\"secret\": 1 }\r\n0\r\n\r\n"), 400);
    assert_eq!(post("Transfer-Encoding: chunked", b"d\r\n{\"secret\":\"\"}\r\n0\r\n\r\n"), 403);
    assert_eq!(post("Content-Length: 13", b"{\"secret\":\"\"}"), 403);
}

#[test]
fn a_body_that_nobody_reads_is_not_waited_for() {
    let path = serving();
    let long = "Content-Length: 65000";
    let refused = |head: Vec<u8>| status(&exchange(&path, &head));
    // Each sends no byte of the body that it promises, and gets the answer to its head.
    assert_eq!(refused(post("/qemu-web-desktop/nothing", "127.0.0.1", long)), 404);
    assert_eq!(refused(post(HELP, "127.0.0.1", long)), 405);
    assert_eq!(refused(post(JOIN, "192.0.2.1", long)), 403, "a client whom open mode refuses");
    assert_eq!(refused(post(JOIN, "127.0.0.1", "Host: evil.example\r\nContent-Length: 65000")), 400);
    assert_eq!(refused(post(JOIN, "127.0.0.1", "Transfer-Encoding: gzip")), 400);
    assert_eq!(refused(post(JOIN, "127.0.0.1", "Expect: more\r\nContent-Length: 65000")), 417);
    for verb in ["GET", "HEAD"] {
        let head = format!("{verb} {HELP} HTTP/1.1\r\n{HEAD}{long}\r\n\r\n");
        assert_eq!(status(&exchange(&path, head.as_bytes())), 200, "{verb}");
    }
}

#[test]
fn a_body_is_invited_once_its_head_is_good() {
    let path = serving();
    let mut stream = sending(&path, &post(JOIN, "127.0.0.1", "Expect: 100-continue\r\nContent-Length: 13"));
    let mut invitation = [0; 25];
    stream.read_exact(&mut invitation).unwrap();
    assert_eq!(&invitation, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"{\"secret\":\"\"}").unwrap();
    assert_eq!(status(&answer(stream)), 403);
    let expecting = "Expect: 100-continue\r\nContent-Length: 13";
    assert_eq!(status(&exchange(&path, &post("/nothing", "127.0.0.1", expecting))), 404);
}

#[test]
fn slow_bodies_keep_nobody_waiting_and_end() {
    let seconds = Duration::from_secs;
    let path = serving_within(Limits { body: seconds(4), body_rate: 1 << 20, ..Limits::default() });
    let slow = || sending(&path, &[post(JOIN, "127.0.0.1", "Content-Length: 65000"), vec![b' '; 20_000]].concat());
    let begun = Instant::now();
    let mut streams: Vec<UnixStream> = (0..40).map(|_| slow()).collect();
    for _ in 0..20 {
        assert_eq!(status(&get(&path, HELP)), 200);
    }
    let posted =
        exchange(&path, &[post(JOIN, "127.0.0.1", "Content-Length: 13"), b"{\"secret\":\"\"}".to_vec()].concat());
    assert_eq!(status(&posted), 403);
    assert!(begun.elapsed() < seconds(4), "{:?}", begun.elapsed());
    // Of one client a few wait for their deadline; those that came before made room for them.
    let last = streams.split_off(40 - 8);
    assert!(streams.into_iter().all(|stream| status(&answer(stream)) == 429));
    let ended: Vec<u16> = last.into_iter().map(|stream| status(&answer(stream))).collect();
    assert_eq!(ended, [408; 8]);
}

#[test]
fn more_connections_than_there_may_be_close_the_oldest_and_start_no_thread() {
    let path = serving_within(Limits { connections: 32, ..Limits::default() });
    assert_eq!(status(&get(&path, HELP)), 200);
    let mut idle: Vec<UnixStream> = (0..400).map(|n| sending(&path, &b"GET / HTTP/1.1\r\nHost:"[..n % 22])).collect();
    assert_eq!(status(&get(&path, HELP)), 200);
    // The oldest have been closed, and the last are still waited for.
    let last = idle.split_off(400 - 31);
    idle.truncate(400 - 32);
    assert!(idle.into_iter().all(|mut stream| matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_))));
    last.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    assert!(
        last.iter()
            .all(|mut stream| stream.read(&mut [0; 1]).is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock))
    );
}

#[test]
fn half_a_head_is_waited_for_as_long_as_a_whole_one() {
    let path = serving_within(Limits { head: Duration::from_millis(300), ..Limits::default() });
    let (empty, half) = (sending(&path, b""), sending(&path, b"GET /qemu-web-desktop/api/ HTTP/1.1\r\nHost"));
    assert_eq!(answer(empty), "");
    let answered = answer(half);
    assert!(status(&answered) == 408 && answered.contains("\"error\":\"timeout\""), "{answered}");
    let broken = sending(&path, b"GET / HTTP/1.1\r\nHost");
    broken.shutdown(Shutdown::Write).unwrap();
    assert_eq!(status(&answer(broken)), 400);
}

#[test]
fn bytes_beyond_ascii_and_long_heads_are_answered() {
    let path = serving();
    let with = |header: &[u8]| {
        let line = format!("GET {HELP} HTTP/1.1\r\n{HEAD}");
        status(&exchange(&path, &[line.as_bytes(), header, b"\r\n\r\n"].concat()))
    };
    for header in
        ["Cookie: other=größe".as_bytes(), b"Cookie: other=gr\xf6\xdfe", b"X-Unknown: \xff\xfe", b"Referer: \x80"]
    {
        assert_eq!(with(header), 200, "{header:?}");
    }
    assert_eq!(with(format!("Cookie: a={}", "x".repeat(60_000)).as_bytes()), 200);
    assert_eq!(with(format!("Cookie: a={}", "x".repeat(150_000)).as_bytes()), 431);
    assert_eq!(with("A: b\r\n".repeat(500).trim_end().as_bytes()), 431);
    assert_eq!(status(&get(&path, &format!("{HELP}?{}", "x".repeat(100_000)))), 414);
    assert_eq!(status(&get(&path, "/qemu-web-desktop/größe")), 404);
}

#[test]
fn one_connection_carries_one_request() {
    let path = serving();
    let one = format!("GET {HELP} HTTP/1.1\r\n{HEAD}\r\n");
    let answered = exchange(&path, one.repeat(3).as_bytes());
    assert_eq!(answered.matches("HTTP/1.1 ").count(), 1);
    assert!(answered.contains("\r\nConnection: close\r\n"), "{answered}");
    let smuggled =
        [post(JOIN, "127.0.0.1", "Content-Length: 13"), b"{\"secret\":\"\"}".to_vec(), one.into_bytes()].concat();
    assert_eq!(exchange(&path, &smuggled).matches("HTTP/1.1 ").count(), 1);
    let head = exchange(&path, format!("HEAD {HELP} HTTP/1.1\r\n{HEAD}\r\n").as_bytes());
    assert!(head.ends_with("\r\n\r\n") && head.contains("\r\nContent-Length: "), "{head}");
}

#[test]
fn who_does_not_read_the_answer_keeps_no_worker() {
    let path = serving_within(Limits { answer: Duration::from_secs(2), ..Limits::default() });
    // Nothing of ours is larger than what a socket takes, unless its buffer is made small.
    let deaf = || {
        let stream = sending(&path, b"");
        rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 1).unwrap();
        (&stream).write_all(format!("GET {HELP} HTTP/1.1\r\n{HEAD}\r\n").as_bytes()).unwrap();
        stream
    };
    let held: Vec<UnixStream> = (0..64).map(|_| deaf()).collect();
    for _ in 0..20 {
        assert_eq!(status(&get(&path, HELP)), 200);
    }
    drop(held);
}
