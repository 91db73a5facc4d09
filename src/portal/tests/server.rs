//! The server itself: a socket, bytes in, bytes out.

use crate::portal::server;
use crate::portal::testing::Bench;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

/// A portal on a socket of its own, for as long as the tests run.
fn serving() -> PathBuf {
    let bench = Box::leak(Box::new(Bench::new()));
    let path = bench.root.path().join("portal.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let app = crate::portal::App::new(bench.root.path(), &bench.root.path().join("state2"), bench.app.launcher.again());
    std::thread::spawn(move || server::serve(listener, app.unwrap()));
    path
}

fn exchange(path: &PathBuf, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    // Until the whole answer is there: a request that is kept leaves its connection open.
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => break,
            Ok(n) => answer.extend_from_slice(&piece[..n]),
        }
        if complete(&answer) {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn complete(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let text = text.rsplit_once("HTTP/1.1 ").map_or("", |(_, last)| last);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: ")).and_then(|l| l.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}

const HEAD: &str = "Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\nConnection: close\r\n";

#[test]
fn every_answer_has_the_headers_that_fence_it_in() {
    let path = serving();
    for target in ["/qemu-web-desktop/", "/qemu-web-desktop/api/v1/machines", "/elsewhere"] {
        let answer = exchange(&path, format!("GET {target} HTTP/1.1\r\n{HEAD}\r\n").as_bytes());
        for header in [
            "Content-Security-Policy: default-src 'none'; script-src 'self';",
            "X-Content-Type-Options: nosniff",
            "Referrer-Policy: no-referrer",
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
        let head = format!(
            "POST /qemu-web-desktop/api/v1/join HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n\
             Origin: http://localhost\r\n{framing}\r\n\r\n"
        );
        let answer = exchange(&path, &[head.as_bytes(), body].concat());
        answer.rsplit_once("HTTP/1.1 ").map_or(0, |(_, last)| last[..3].parse::<u16>().unwrap())
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
fn many_idle_connections_do_not_keep_others_out() {
    let path = serving();
    let idle: Vec<UnixStream> = (0..100).map(|_| UnixStream::connect(&path).unwrap()).collect();
    // tiny_http may put one connection of a burst behind an idle one; the next one gets a thread.
    let ask = || exchange(&path, format!("GET /qemu-web-desktop/help HTTP/1.1\r\n{HEAD}\r\n").as_bytes());
    assert!((0..3).any(|_| ask().starts_with("HTTP/1.1 200")));
    drop(idle);
}
