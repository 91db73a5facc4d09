//! QEMU's monitor (QMP): one JSON object a line over a Unix socket.
//!
//! A client asks one thing and leaves; QEMU serves one client a socket at a time, so callers take
//! turns. Every wait is bounded, because a guest may have stopped its QEMU.

use crate::model::{Problem, Word};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, IoSlice, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The longest line we take from a QEMU that a hostile guest may control.
const LONGEST_LINE: u64 = 1 << 20;

/// A connection on which commands are accepted.
pub struct Monitor {
    stream: BufReader<UnixStream>,
}

impl Monitor {
    /// Connects and waits for QEMU's greeting: once that is there, its main loop runs.
    pub fn connect(path: &Path, patience: Duration) -> Result<Self, Problem> {
        let stream = UnixStream::connect(path).map_err(|e| gone(&e.to_string()))?;
        stream.set_read_timeout(Some(patience)).map_err(|e| gone(&e.to_string()))?;
        stream.set_write_timeout(Some(patience)).map_err(|e| gone(&e.to_string()))?;
        let mut monitor = Self { stream: BufReader::new(stream) };
        monitor.line()?;
        monitor.ask("qmp_capabilities", &json!({}))?;
        Ok(monitor)
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
        if self.ask("query-status", &json!({}))?["status"] != "running" {
            return Err(Problem::new(Word::WrongState, "The machine stands still at the moment: no picture is taken."));
        }
        self.send("add-fd", &json!({}), Some(file.as_fd()))?;
        let set = self.answer()?["fdset-id"].as_u64().ok_or_else(|| gone("its monitor speaks no sense"))?;
        let done = self.ask("screendump", &json!({"filename": format!("/dev/fdset/{set}")}));
        let removed = self.ask("remove-fd", &json!({"fdset-id": set}));
        done.and(removed).map(drop)
    }

    /// Presses the guest's power button.
    pub fn powerdown(&mut self) -> Result<(), Problem> {
        self.ask("system_powerdown", &json!({})).map(drop)
    }

    /// Waits until QEMU closes the connection, which it does when it ends; `false`: not in time.
    pub fn wait_for_end(mut self, patience: Duration) -> bool {
        let start = std::time::Instant::now();
        let mut buffer = [0; 4096];
        while let Some(left) = patience.checked_sub(start.elapsed()).filter(|d| !d.is_zero()) {
            if self.stream.get_ref().set_read_timeout(Some(left)).is_err() {
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
        // Shorter than any socket buffer, so it goes in one piece or not at all.
        let sent = sendmsg(self.stream.get_ref(), &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::NOSIGNAL);
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
        let mut line = Vec::new();
        let read = self.stream.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        match read {
            Ok(0) => Err(gone("it has ended")),
            Ok(_) => serde_json::from_slice(&line).map_err(|_| gone("its monitor speaks no sense")),
            Err(e) => Err(gone(&e.to_string())),
        }
    }
}

fn gone(why: &str) -> Problem {
    Problem::new(Word::WrongState, format!("The session's QEMU does not answer: {why}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
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
        let monitor = Monitor { stream: BufReader::new(ours) };
        let (start, patience) = (std::time::Instant::now(), Duration::from_millis(100));
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
}
