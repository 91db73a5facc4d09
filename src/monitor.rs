//! QEMU's monitor (QMP): one JSON object a line over a Unix socket.
//!
//! A client asks one thing and leaves; QEMU serves one client a socket at a time, so callers take
//! turns. A guest may have stopped its QEMU, or taken it over: one deadline holds from the connection to the
//! last answer, and bytes and messages are bounded.

pub mod sockets;

use crate::model::{Problem, Word};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use std::io::{ErrorKind, IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes that QEMU may send in one exchange.
const BYTES: usize = 256 << 10;
/// Messages that it may send in one exchange, events included.
const MESSAGES: usize = 1000;

/// A connection on which commands are accepted.
pub struct Monitor {
    stream: UnixStream,
    /// What has been read and is not yet a whole line.
    unread: Vec<u8>,
    until: Instant,
    bytes_left: usize,
    messages_left: usize,
}

impl Monitor {
    /// Connect and wait for QEMU's greeting. All that is asked on the connection has `patience` together.
    pub fn connect(path: &Path, patience: Duration) -> Result<Self, Problem> {
        let until = Instant::now() + patience;
        let stream = sockets::dial(path, patience).map_err(|e| gone(&e.to_string()))?;
        Self::begin(stream, until.saturating_duration_since(Instant::now()))
    }

    /// Wait for QEMU's greeting on a new connection: once that is there, its main loop runs.
    pub fn begin(stream: UnixStream, patience: Duration) -> Result<Self, Problem> {
        let mut monitor = Self::on(stream, patience);
        monitor.line()?;
        monitor.ask("qmp_capabilities", &json!({}))?;
        Ok(monitor)
    }

    fn on(stream: UnixStream, patience: Duration) -> Self {
        let until = Instant::now() + patience;
        Self { stream, unread: Vec::new(), until, bytes_left: BYTES, messages_left: MESSAGES }
    }

    /// Gives QEMU one end of a socket pair as a new viewer of its screen.
    pub fn add_viewer(&mut self, end: OwnedFd) -> Result<(), Problem> {
        self.send("getfd", &json!({"fdname": "viewer"}), Some(end.as_fd()))?;
        self.answer()?;
        let client = json!({"protocol": "vnc", "fdname": "viewer", "skipauth": true});
        self.ask("add_client", &client).map(drop)
    }

    /// Has QEMU write what is on the screen, as PPM, into this file, which is open for writing only.
    pub fn picture(&mut self, file: OwnedFd) -> Result<(), Problem> {
        // A stopped QEMU keeps its copy of the descriptor, and the picture in it, until it goes on.
        if self.status()? != "running" {
            return Err(Problem::new(Word::WrongState, "The machine stands still at the moment: no picture is taken."));
        }
        self.send("add-fd", &json!({}), Some(file.as_fd()))?;
        let set = self.answer()?["fdset-id"].as_u64().ok_or_else(|| gone("its monitor speaks no sense"))?;
        let done = self.ask("screendump", &json!({"filename": format!("/dev/fdset/{set}")}));
        let removed = self.ask("remove-fd", &json!({"fdset-id": set}));
        done.and(removed).map(drop)
    }

    /// Return how the guest stands, in QEMU's word: `running`, `paused`, `io-error`, …
    pub fn status(&mut self) -> Result<String, Problem> {
        let answer = self.ask("query-status", &json!({}))?;
        answer["status"].as_str().map(str::to_owned).ok_or_else(|| gone("its monitor speaks no sense"))
    }

    /// Return whether the guest has opened the port by which a clipboard agent speaks.
    pub fn has_agent(&mut self) -> Result<bool, Problem> {
        let answer = self.ask("query-chardev", &json!({}))?;
        let devices = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(devices.iter().any(|device| device["label"] == "vdagent" && device["frontend-open"] == true))
    }

    /// Pause the guest. Twice is fine.
    pub fn pause(&mut self) -> Result<(), Problem> {
        self.ask("stop", &json!({})).map(drop)
    }

    /// Let a paused guest go on; what its disk has refused is tried again.
    pub fn resume(&mut self) -> Result<(), Problem> {
        self.ask("cont", &json!({})).map(drop)
    }

    /// Presses the guest's power button.
    pub fn powerdown(&mut self) -> Result<(), Problem> {
        self.ask("system_powerdown", &json!({})).map(drop)
    }

    /// Waits until QEMU closes the connection, which it does when it ends; `false`: not in time.
    pub fn wait_for_end(mut self, patience: Duration) -> bool {
        let start = Instant::now();
        let mut buffer = [0; 4096];
        while let Some(left) = patience.checked_sub(start.elapsed()).filter(|d| !d.is_zero()) {
            if self.stream.set_read_timeout(Some(left)).is_err() {
                return false;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => return true,
                _ => {}
            }
        }
        false
    }

    fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value, Problem> {
        self.send(command, arguments, None)?;
        self.answer()
    }

    fn send(&mut self, command: &str, arguments: &Value, fd: Option<BorrowedFd<'_>>) -> Result<(), Problem> {
        let text = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let left = self.time_left()?;
        self.stream.set_write_timeout(Some(left)).map_err(|e| gone(&e.to_string()))?;
        // Shorter than any socket buffer, so it goes in one piece or not at all.
        let sent = sendmsg(&self.stream, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::NOSIGNAL);
        match sent {
            Ok(n) if n == text.len() => Ok(()),
            Ok(_) => Err(gone("it takes no more commands")),
            Err(e) => Err(gone(&e.to_string())),
        }
    }

    /// The next answer; events on the way are passed over.
    fn answer(&mut self) -> Result<Value, Problem> {
        loop {
            let mut message = self.line()?;
            if let Some(error) = message.get("error") {
                return Err(Problem::failed(format!(
                    "QEMU refused: {}.",
                    error["desc"].as_str().unwrap_or("no reason given")
                )));
            }
            if let Some(value) = message.get_mut("return") {
                return Ok(value.take());
            }
        }
    }

    fn line(&mut self) -> Result<Value, Problem> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.unread[searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=searched + at).collect();
                self.messages_left = self.messages_left.checked_sub(1).ok_or_else(|| gone("it says too much"))?;
                return serde_json::from_slice(&line).map_err(|_| gone("its monitor speaks no sense"));
            }
            searched = self.unread.len();
            self.read()?;
        }
    }

    /// Read once, no longer than until the deadline.
    fn read(&mut self) -> Result<(), Problem> {
        let left = self.time_left()?;
        self.stream.set_read_timeout(Some(left)).map_err(|e| gone(&e.to_string()))?;
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => return Err(gone("it has ended")),
            Ok(count) => {
                self.bytes_left = self.bytes_left.checked_sub(count).ok_or_else(|| gone("it says too much"))?;
                self.unread.extend_from_slice(&bytes[..count]);
            }
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(e) => return Err(gone(&e.to_string())),
        }
        Ok(())
    }

    fn time_left(&self) -> Result<Duration, Problem> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(gone("it takes too long")) } else { Ok(left) }
    }
}

fn gone(why: &str) -> Problem {
    Problem::new(Word::WrongState, format!("The session's QEMU does not answer: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType,
        recvmsg, socket_with,
    };
    use std::io::{IoSliceMut, Write};
    use std::os::unix::net::UnixListener;
    use std::thread;

    /// The next command, marked where a file came with it.
    fn command(stream: &UnixStream) -> String {
        let mut bytes = [0; 4096];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::empty()).unwrap();
        let files = control.drain().filter(|message| matches!(message, RecvAncillaryMessage::ScmRights(_))).count();
        let text: Value = serde_json::from_slice(&bytes[..got.bytes]).unwrap();
        let mark = if files > 0 { "file " } else { "" };
        format!("{mark}{} {}", text["execute"].as_str().unwrap(), text["arguments"])
    }

    /// A stand-in QEMU: sends these lines after the greeting, one for each command it gets.
    fn fake(answers: &'static [&'static str]) -> (std::path::PathBuf, thread::JoinHandle<Vec<String>>) {
        let name = format!("qwd-monitor-{}-{:?}", std::process::id(), thread::current().id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"{\"QMP\": {}}\n").unwrap();
            let mut seen = Vec::new();
            for answer in answers {
                seen.push(command(&stream));
                stream.write_all(answer.as_bytes()).unwrap();
            }
            seen
        });
        (path, server)
    }

    #[test]
    fn events_between_are_passed_over_and_the_end_is_seen() {
        let (path, server) = fake(&["{\"return\": {}}\n", "{\"event\": \"POWERDOWN\"}\n{\"return\": {}}\n"]);
        let mut monitor = Monitor::connect(&path, Duration::from_secs(10)).unwrap();
        monitor.powerdown().unwrap();
        assert!(monitor.wait_for_end(Duration::from_secs(10)));
        assert_eq!(server.join().unwrap(), ["qmp_capabilities {}", "system_powerdown {}"]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_picture_goes_into_a_file_that_is_handed_over() {
        let (path, server) = fake(&[
            "{\"return\": {}}\n",
            "{\"return\": {\"status\": \"running\", \"running\": true}}\n",
            "{\"return\": {\"fdset-id\": 7, \"fd\": 9}}\n",
            "{\"error\": {\"class\": \"X\", \"desc\": \"no console\"}}\n",
            "{\"return\": {}}\n",
        ]);
        let mut monitor = Monitor::connect(&path, Duration::from_secs(10)).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(monitor.picture(file.into()).unwrap_err().message.contains("no console"));
        let wanted = [
            "query-status {}",
            "file add-fd {}",
            r#"screendump {"filename":"/dev/fdset/7"}"#,
            r#"remove-fd {"fdset-id":7}"#,
        ];
        assert_eq!(server.join().unwrap()[1..], wanted);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_viewer_is_handed_over() {
        let (path, server) = fake(&["{\"return\": {}}\n"; 3]);
        let mut monitor = Monitor::connect(&path, Duration::from_secs(10)).unwrap();
        monitor.add_viewer(UnixStream::pair().unwrap().0.into()).unwrap();
        let seen = server.join().unwrap();
        assert!(seen[1].starts_with("file getfd ") && seen[2].starts_with("add_client "), "{seen:?}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_guest_that_goes_on_is_waited_for_as_long_as_was_said() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let monitor = Monitor::on(ours, Duration::from_secs(10));
        let (start, patience) = (Instant::now(), Duration::from_millis(100));
        assert!(!monitor.wait_for_end(patience));
        assert!(start.elapsed() >= patience);
    }

    #[test]
    fn a_machine_that_stands_still_is_handed_nothing() {
        let (path, server) = fake(&["{\"return\": {}}\n", "{\"return\": {\"status\": \"io-error\"}}\n"]);
        let mut monitor = Monitor::connect(&path, Duration::from_secs(10)).unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(monitor.picture(file.into()).unwrap_err().word, Word::WrongState);
        assert_eq!(server.join().unwrap().len(), 2);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_refusal_carries_its_reason() {
        let (path, _server) =
            fake(&["{\"return\": {}}\n", "{\"error\": {\"class\": \"X\", \"desc\": \"no such thing\"}}\n"]);
        let mut monitor = Monitor::connect(&path, Duration::from_secs(10)).unwrap();
        assert!(monitor.powerdown().unwrap_err().message.contains("no such thing"));
        std::fs::remove_file(path).unwrap();
    }

    const SOON: Duration = Duration::from_millis(300);

    /// What becomes of an exchange with a monitor that goes on sending this, a piece every so often.
    fn asked_of(first: &'static str, piece: &'static str, pause: Duration) -> (String, Duration) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let talker = thread::spawn(move || {
            let _ = theirs.write_all(first.as_bytes());
            while theirs.write_all(piece.as_bytes()).is_ok() {
                thread::park_timeout(pause);
            }
        });
        let start = Instant::now();
        let problem = Monitor::begin(ours, SOON).and_then(|mut monitor| monitor.powerdown()).unwrap_err();
        let elapsed = start.elapsed();
        talker.join().unwrap();
        (problem.message, elapsed)
    }

    #[test]
    fn a_monitor_that_goes_on_talking_is_given_up_at_the_deadline() {
        let pause = Duration::from_millis(10);
        let greeting = "{\"QMP\": {}}\n";
        for (first, piece) in [(greeting, "{\"event\": \"X\"}\n"), (greeting, " "), ("", "{"), (greeting, "{\"a\":")] {
            let (message, elapsed) = asked_of(first, piece, pause);
            assert!(message.contains("takes too long"), "{piece}: {message}");
            assert!((SOON..SOON * 20).contains(&elapsed), "{piece}: {elapsed:?}");
        }
    }

    #[test]
    fn a_monitor_that_says_too_much_is_given_up_at_once() {
        let greeting = "{\"QMP\": {}}\n";
        for piece in
            ["{}\n", "{\"event\": \"POWERDOWN\"}\n{}\n", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"]
        {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let talker = thread::spawn(move || {
                let _ = theirs.write_all(greeting.as_bytes());
                while theirs.write_all(piece.repeat(100).as_bytes()).is_ok() {}
            });
            let problem =
                Monitor::begin(ours, Duration::from_secs(60)).and_then(|mut monitor| monitor.powerdown()).unwrap_err();
            assert!(problem.message.contains("says too much"), "{piece}: {problem}");
            talker.join().unwrap();
        }
    }

    #[test]
    fn a_monitor_that_never_accepts_or_closes_at_once_is_given_up() {
        let path = std::env::temp_dir().join(format!("qwd-monitor-{}-closed", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let waiting = UnixStream::connect(&path).unwrap();
        let start = Instant::now();
        assert_eq!(Monitor::connect(&path, SOON).err().unwrap().word, Word::WrongState);
        assert!((SOON..SOON * 20).contains(&start.elapsed()));
        drop((waiting, socket));
        std::fs::remove_file(path).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(Monitor::begin(ours, SOON).err().unwrap().message.contains("ended"));
    }
}
