//! The whole way of a viewer over socket pairs: a fake launcher hands out streams whose other end
//! plays QEMU.

use super::*;
use crate::bus::tests::a_grant;
use crate::display::frame::Opcode;
use crate::display::testing::masked;
use crate::model::Secret;
use crate::proxy_headers;
use std::collections::HashMap;
use std::io::Read;

#[path = "patience_tests.rs"]
mod patience;

/// The first byte of a text frame.
const NOTICE: u8 = 0x81;
const HELLO: &[u8] = b"RFB 003.008\n\x01\x01";
const KEY: &[u8] = &[4, 1, 0, 0, 0, 0, 0, 97];
const ASK: &[u8] = &[3, 1, 0, 0, 0, 0, 4, 0, 3, 0];

/// The session of the tests.
const ID: &str = "abcdefghij";

/// Gives out what was put in, once.
#[derive(Default)]
struct FakeLauncher(Mutex<HashMap<String, (OwnedFd, Grant)>>);

impl Launcher for FakeLauncher {
    fn redeem(&self, ticket: &Secret) -> Result<(OwnedFd, Grant), Problem> {
        let found = self.0.lock().unwrap().remove(ticket.expose());
        found.ok_or_else(|| Problem::new(Word::BadTicket, "This link or ticket is not valid any more."))
    }

    fn has_agent(&self, _session: &SessionId) -> Result<bool, Problem> {
        Ok(false)
    }
}

struct Bed {
    server: Arc<Server<FakeLauncher>>,
}

fn ticket(name: char) -> String {
    name.to_string().repeat(Secret::LEN)
}

impl Bed {
    fn new(patience: Patience) -> Self {
        let root = std::path::Path::new("/nonexistent");
        Self {
            server: Arc::new(Server {
                launcher: Arc::default(),
                screens: Arc::default(),
                settings: Watched::new(root),
                own_names: Vec::new(),
                proxy_secret: proxy_headers::testing::secret(),
                patience,
                viewers: Viewers::default(),
                lines: Lines::default(),
                looks: Arc::default(),
            }),
        }
    }

    /// A ticket for a new stream; returns the stream's other end.
    fn grant(&self, name: char, role: &str, share: &str) -> UnixStream {
        let (ours, qemu) = UnixStream::pair().unwrap();
        let grant = Grant { role: role.parse().unwrap(), share: share.to_owned(), ..a_grant(ID) };
        self.server.launcher.0.lock().unwrap().insert(ticket(name), (ours.into(), grant));
        patient(qemu)
    }

    fn connect(&self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.server.take_in(theirs);
        patient(ours)
    }

    /// Sends a request with this ticket; returns the stream and the head of the answer.
    fn open(&self, name: char) -> (UnixStream, String) {
        self.offer(&format!("qwd.v1, qwd.ticket.{}", ticket(name)))
    }

    fn offer(&self, protocols: &str) -> (UnixStream, String) {
        let mut stream = self.connect();
        write!(
            stream,
            "GET {} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n{}\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: {protocols}\r\n\r\n",
            handshake::PATH,
            proxy_headers::testing::lines(),
        )
        .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(read_exactly::<1>(&mut stream)[0]);
        }
        (stream, String::from_utf8(head).unwrap())
    }

    fn open_well(&self, name: char) -> UnixStream {
        let (stream, head) = self.open(name);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream
    }

    fn shown(&self) -> Vec<Viewer> {
        self.server.screens.take()
    }
}

/// A limit that only a hanging test reaches.
fn patient(stream: UnixStream) -> UnixStream {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn read_exactly<const N: usize>(stream: &mut UnixStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn read_vec(stream: &mut UnixStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

fn send(stream: &mut UnixStream, payload: &[u8]) {
    stream.write_all(&masked(0x80 | Opcode::Binary as u8, payload)).unwrap();
}

/// The next frame from the display that is no notice: its first byte and payload.
fn frame(stream: &mut UnixStream) -> (u8, Vec<u8>) {
    loop {
        let next = any_frame(stream);
        if next.0 != NOTICE {
            return next;
        }
    }
}

/// The next notice.
fn notice(stream: &mut UnixStream) -> serde_json::Value {
    loop {
        if let (NOTICE, payload) = any_frame(stream) {
            return serde_json::from_slice(&payload).unwrap();
        }
    }
}

fn any_frame(stream: &mut UnixStream) -> (u8, Vec<u8>) {
    let [first, short] = read_exactly::<2>(stream);
    let length = match short {
        126 => usize::from(u16::from_be_bytes(read_exactly(stream))),
        127 => u64::from_be_bytes(read_exactly(stream)) as usize,
        short => usize::from(short),
    };
    (first, read_vec(stream, length))
}

/// Reads up to the close frame; its code.
fn close_code(stream: &mut UnixStream) -> u16 {
    loop {
        let (first, payload) = frame(stream);
        if first == 0x88 {
            return u16::from_be_bytes([payload[0], payload[1]]);
        }
    }
}

fn is_over(stream: &mut UnixStream) -> bool {
    matches!(stream.read(&mut [0; 1]), Ok(0))
}

#[test]
fn a_screen_is_carried_both_ways() {
    let bed = Bed::new(Patience::default());
    let mut qemu = bed.grant('a', "control", "");
    let mut viewer = bed.open_well('a');
    qemu.write_all(b"RFB 003.008\n").unwrap();
    assert_eq!(frame(&mut viewer), (0x82, b"RFB 003.008\n".to_vec()));
    send(&mut viewer, &[HELLO, ASK].concat());
    send(&mut viewer, KEY);
    assert_eq!(read_vec(&mut qemu, HELLO.len() + 18), [HELLO, ASK, KEY].concat());
    viewer.write_all(&masked(0x80 | Opcode::Ping as u8, b"there?")).unwrap();
    assert_eq!(frame(&mut viewer), (0x8a, b"there?".to_vec()));
}

#[test]
fn a_ticket_is_good_once_and_an_invented_one_never() {
    let bed = Bed::new(Patience::default());
    let _qemu = bed.grant('a', "control", "");
    let first = bed.open_well('a');
    for name in ['a', 'b'] {
        let (mut stream, head) = bed.open(name);
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        let mut body = String::new();
        stream.read_to_string(&mut body).unwrap();
        assert_eq!(body, "This link or ticket is not valid any more.\n");
    }
    drop(first);
}

#[test]
fn who_only_looks_cannot_type() {
    let bed = Bed::new(Patience::default());
    let mut qemu = bed.grant('a', "view", "1");
    let mut viewer = bed.open_well('a');
    // Not shared, a key, a size, a clipboard, all in one frame and then byte by byte.
    let size = [251, 0, 4, 0, 3, 0, 0, 0];
    let text = [6, 0, 0, 0, 0, 0, 0, 1, b'x'];
    let hostile = [KEY, &size, ASK, &text, KEY].concat();
    send(&mut viewer, b"RFB 003.008\n\x01\x00");
    send(&mut viewer, &hostile);
    hostile.iter().for_each(|byte| send(&mut viewer, &[*byte]));
    send(&mut viewer, ASK);
    assert_eq!(read_vec(&mut qemu, HELLO.len() + 30), [HELLO, ASK, ASK, ASK].concat());
}

#[test]
fn megabytes_arrive_whole_at_a_slow_viewer() {
    let bed = Bed::new(Patience::default());
    let mut qemu = bed.grant('a', "control", "");
    let mut viewer = bed.open_well('a');
    let sent: Vec<u8> = (0..8_000_000_u32).map(|n| (n * 7 / 3) as u8).collect();
    let expected = sent.clone();
    let writer = std::thread::spawn(move || {
        qemu.write_all(&sent).unwrap();
        qemu
    });
    let mut received = Vec::new();
    while received.len() < expected.len() {
        let (first, payload) = frame(&mut viewer);
        assert_eq!(first, 0x82);
        received.extend(payload);
    }
    assert!(received == expected);
    let mut qemu = writer.join().unwrap();
    let text = vec![b'x'; 1 << 20];
    let message = [&[6, 0, 0, 0, 0, 16, 0, 0][..], &text].concat();
    let upward = [HELLO, &message, KEY].concat();
    let frames = masked(0x80 | Opcode::Binary as u8, &upward);
    let writer = std::thread::spawn(move || {
        viewer.write_all(&frames).unwrap();
        viewer
    });
    assert!(read_vec(&mut qemu, upward.len()) == upward);
    drop(writer.join().unwrap());
    assert!(is_over(&mut qemu), "QEMU learns that the viewer has left");
}

#[test]
fn a_viewer_that_reads_nothing_holds_up_only_itself() {
    let bed = Bed::new(Patience::default());
    let (mut slow_qemu, mut qemu) = (bed.grant('a', "control", ""), bed.grant('b', "control", ""));
    let (_slow, mut viewer) = (bed.open_well('a'), bed.open_well('b'));
    slow_qemu.set_nonblocking(true).unwrap();
    let mut taken = 0;
    // Fills what the kernel and the relay hold, until QEMU is held back.
    loop {
        match slow_qemu.write(&[0; 65_536]) {
            Ok(length) => taken += length,
            Err(_) => {
                let mut fds = [rustix::event::PollFd::new(&slow_qemu, rustix::event::PollFlags::OUT)];
                let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
                if rustix::event::poll(&mut fds, Some(&wait)).unwrap() == 0 {
                    break;
                }
            }
        }
        assert!(taken < 16 << 20, "memory is bounded");
    }
    qemu.write_all(b"RFB 003.008\n").unwrap();
    assert_eq!(frame(&mut viewer).1, b"RFB 003.008\n");
}

#[test]
fn what_qemu_said_last_is_shown_before_the_end() {
    let bed = Bed::new(Patience::default());
    let mut qemu = bed.grant('a', "control", "");
    let mut viewer = bed.open_well('a');
    let writer = std::thread::spawn(move || qemu.write_all(&[7; 1 << 20]).unwrap());
    let mut shown = 0;
    loop {
        let (first, payload) = frame(&mut viewer);
        if first == 0x88 {
            assert_eq!(payload[..2], 1001_u16.to_be_bytes());
            break;
        }
        shown += payload.len();
    }
    assert_eq!(shown, 1 << 20);
    writer.join().unwrap();
}

#[test]
fn whose_right_has_ended_types_no_more() {
    let bed = Bed::new(Patience { close: Duration::from_secs(60), ..Patience::default() });
    let mut qemu = bed.grant('a', "control", "");
    let mut viewer = bed.open_well('a');
    send(&mut viewer, HELLO);
    assert_eq!(&read_exactly::<14>(&mut qemu), HELLO);
    bed.server.screens.revoke(&ID.parse().unwrap(), "");
    assert_eq!(close_code(&mut viewer), 1008);
    // A viewer that does not take the hint, and leaves when it is too late.
    send(&mut viewer, KEY);
    viewer.write_all(&masked(0x80 | Opcode::Ping as u8, b"")).unwrap();
    assert_eq!(frame(&mut viewer).0, 0x8a);
    viewer.write_all(&masked(0x80 | Opcode::Close as u8, &1008_u16.to_be_bytes())).unwrap();
    assert!(is_over(&mut viewer));
    assert!(is_over(&mut qemu), "no key reaches QEMU");
}

#[test]
fn there_is_room_for_so_many_viewers_and_again_when_one_leaves() {
    let bed = Bed::new(Patience::default());
    let viewers = &bed.server.viewers;
    assert!((1..VIEWERS).all(|_| viewers.come()));
    let _qemu = bed.grant('a', "control", "");
    let last = bed.open_well('a');
    let mut answer = String::new();
    bed.connect().read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    drop(last);
    let begun = Instant::now();
    while !viewers.come() {
        assert!(begun.elapsed() < Duration::from_secs(60), "who left is counted no more");
        viewers.wait();
    }
}

#[test]
fn a_share_that_is_taken_back_closes_its_screens_at_once() {
    let bed = Bed::new(Patience::default());
    let (_q1, _q2) = (bed.grant('a', "control", ""), bed.grant('b', "view", "1"));
    let (mut owner, mut guest) = (bed.open_well('a'), bed.open_well('b'));
    bed.server.screens.revoke(&ID.parse().unwrap(), "1");
    assert_eq!(close_code(&mut guest), 1008);
    guest.write_all(&masked(0x80 | Opcode::Close as u8, &1008_u16.to_be_bytes())).unwrap();
    assert!(is_over(&mut guest));
    owner.write_all(&masked(0x80 | Opcode::Ping as u8, b"")).unwrap();
    assert_eq!(frame(&mut owner).0, 0x8a);
    bed.server.screens.revoke(&ID.parse().unwrap(), "");
    assert_eq!(close_code(&mut owner), 1008);
}

#[test]
fn a_right_with_an_end_closes_its_screen_then() {
    let bed = Bed::new(Patience::default());
    let _qemu = bed.grant('a', "view", "1");
    bed.server.launcher.0.lock().unwrap().get_mut(&ticket('a')).unwrap().1.until = Some(host::now());
    assert_eq!(close_code(&mut bed.open_well('a')), 1008);
}

#[test]
fn each_end_has_its_code() {
    let bed = Bed::new(Patience::default());
    let qemu = bed.grant('a', "control", "");
    let mut viewer = bed.open_well('a');
    drop(qemu);
    assert_eq!(close_code(&mut viewer), 1001);
    drop(viewer);

    let goodbye = masked(0x80 | Opcode::Close as u8, &1000_u16.to_be_bytes());
    let unknown = masked(0x80 | Opcode::Binary as u8, &[HELLO, &[99]].concat());
    let text = vec![0x81, 0x81, 0, 0, 0, 0, b'x'];
    for (sent, code) in [(goodbye, 1000), (unknown, 1007), (vec![0x82, 1, 1], 1002), (text, 1003)] {
        let mut qemu = bed.grant('a', "control", "");
        let mut viewer = bed.open_well('a');
        viewer.write_all(&sent).unwrap();
        assert_eq!(close_code(&mut viewer), code);
        drop(viewer);
        let mut rest = Vec::new();
        qemu.read_to_end(&mut rest).unwrap();
        assert!(rest.len() <= HELLO.len() + 1, "nothing more reaches QEMU");
    }
}

#[test]
fn noise_instead_of_a_request_is_refused() {
    let bed = Bed::new(Patience::default());
    let mut stream = bed.connect();
    stream.write_all(b"\x16\x03\x01\x02\x00\x01\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn pages_are_told_who_comes_and_leaves_and_that_the_session_is_stopped() {
    let bed = Bed::new(Patience { news: Duration::from_millis(10), ..Patience::default() });
    let (_q1, _q2) = (bed.grant('a', "control", ""), bed.grant('b', "view", "1"));
    let mut owner = bed.open_well('a');
    assert_eq!(notice(&mut owner)["viewers"].as_array().unwrap().len(), 1);
    let mut guest = bed.open_well('b');
    let there = notice(&mut owner);
    assert_eq!(there["viewers"][1]["standing"], "guest");
    assert_eq!(notice(&mut guest)["viewers"].as_array().unwrap().len(), 2);
    bed.server.screens.set_ending(&ID.parse().unwrap());
    for page in [&mut owner, &mut guest] {
        assert_eq!(notice(page)["ending"], true);
    }
    drop(guest);
    assert_eq!(notice(&mut owner)["viewers"].as_array().unwrap().len(), 1);
}

#[test]
fn the_own_right_is_the_owners_or_an_administrators() {
    let grant = |share: &str, name: &str| Grant {
        share: share.into(),
        owner_id: "pam:alice".parse().unwrap(),
        name: name.into(),
        name_id: format!("pam:{name}").parse().ok(),
        ..a_grant(ID)
    };
    assert_eq!(standing(&grant("", "alice")), Standing::Owner);
    assert_eq!(standing(&grant("", "boss")), Standing::Administrator);
    assert_eq!(standing(&Grant { name_id: "ldap:alice".parse().ok(), ..grant("", "alice") }), Standing::Administrator);
    // By a link the owner is a guest, too.
    assert_eq!(standing(&grant("1", "alice")), Standing::Guest);
}

#[test]
fn the_journal_names_session_right_and_address() {
    let grant = |share: &str, name: &str, role| Grant {
        share: share.into(),
        owner_id: "pam:alice".parse().unwrap(),
        name: name.into(),
        name_id: format!("pam:{name}").parse().ok(),
        role,
        ..a_grant(ID)
    };
    assert_eq!(who(&grant("", "alice", Role::Control)), "alice (control)");
    assert_eq!(who(&grant("", "boss", Role::View)), "boss (view, administrator)");
    assert_eq!(who(&grant("k3", "", Role::View)), "guest (view, link k3)");
    let id = ID.parse().unwrap();
    let shown = |end| farewell("alice", &id, &Shown { end, sent: 5, received: 7 }, Duration::from_secs(9));
    assert_eq!(shown(End::Silent), "Viewer alice timed out on session abcdefghij (9 s, 5 bytes sent, 7 received)");
    assert_eq!(
        shown(End::SessionEnded),
        "Viewer alice disconnected from session abcdefghij, which ended (9 s, 5 bytes sent, 7 received)"
    );
}

#[test]
fn a_check_is_accepted_closed_and_takes_no_place() {
    let bed = Bed::new(Patience::default());
    let (mut page, head) = bed.offer("qwd.check");
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(any_frame(&mut page), (0x88, 1000_u16.to_be_bytes().to_vec()));
    assert!(is_over(&mut page) && bed.shown().is_empty());
}
