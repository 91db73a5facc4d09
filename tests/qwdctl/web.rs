//! A web server on loopback that misbehaves as told, and a proxy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request: its first line, and its header lines in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
}

impl Request {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut lines = reader.lines().map_while(Result::ok);
        let line = lines.next()?;
        let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            format!("{}:{value}", name.to_ascii_lowercase())
        });
        Some(Self { line, headers: headers.collect() })
    }
}

/// Answers each request on a connection of its own, and keeps what was asked.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Web {
    /// The server calls `answer` with each request and the connection.
    pub(crate) fn new(answer: impl Fn(&Request, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = Request::read(&mut BufReader::new(&stream)) else { continue };
                shared.lock().unwrap().push(request.clone());
                answer(&request, &mut stream);
            }
        });
        Self { address, seen }
    }

    /// An address on this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What has been asked so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

/// Writes an answer; a client that has gone away is its own affair.
pub(crate) fn send(stream: &mut TcpStream, status: &str, headers: &[&str], body: &[u8]) {
    let length = format!("Content-Length: {}", body.len());
    send_raw(stream, status, &[headers, &[&length]].concat(), body);
}

/// The same without a length of its own.
pub(crate) fn send_raw(stream: &mut TcpStream, status: &str, headers: &[&str], body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n{}\r\n\r\n", headers.join("\r\n"));
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// A server that behaves: entity tags, conditions, ranges.
pub(crate) fn orderly(content: Vec<u8>, etag: &'static str) -> Web {
    Web::new(move |request, stream| {
        let tag = format!("ETag: {etag}");
        let from = request.header("range").and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let fits = request.header("if-range") == Some(etag);
        match from {
            _ if request.header("if-none-match") == Some(etag) => send(stream, "304 Not Modified", &[&tag], b""),
            Some(from) if fits && from < content.len() => {
                let range = format!("Content-Range: bytes {from}-{}/{}", content.len() - 1, content.len());
                send(stream, "206 Partial Content", &[&tag, &range], &content[from..]);
            }
            Some(from) if fits => {
                let range = format!("Content-Range: bytes */{}", content.len());
                assert!(from >= content.len());
                send(stream, "416 Range Not Satisfiable", &[&range], b"");
            }
            _ => send(stream, "200 OK", &[&tag], &content),
        }
    })
}

/// A proxy that sends whole addresses to `target`, and makes no tunnels.
pub(crate) fn proxy(target: SocketAddr) -> Web {
    Web::new(move |request, stream| {
        if request.line.starts_with("CONNECT ") {
            return send(stream, "403 Forbidden", &[], b"");
        }
        let mut onward = TcpStream::connect(target).unwrap();
        let line = request.line.replacen("http://image.example", "", 1);
        let head = format!("{line}\r\nConnection: close\r\n{}\r\n\r\n", request.headers.join("\r\n"));
        let mut answer = Vec::new();
        let _ = onward.write_all(head.as_bytes()).and_then(|()| onward.read_to_end(&mut answer));
        let _ = stream.write_all(&answer);
    })
}
