//! A conversation with a server: found, connected to, and encrypted as configured, all by one deadline.
//!
//! Before TLS nothing is read ahead, so nothing that somebody in between slips in before it is taken
//! for an answer that came after it.

use super::begin;
use super::probe;
use super::tls::{self, Trust};
use super::trouble::Trouble;
use crate::config::{Encryption, Server};
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What is spoken with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Mailboxes.
    Imap,
    /// Mails that are sent.
    Smtp,
    /// Directories.
    Ldap,
}

impl Protocol {
    /// Its name in sentences.
    pub fn name(self) -> &'static str {
        match self {
            Self::Imap => "IMAP",
            Self::Smtp => "SMTP",
            Self::Ldap => "LDAP",
        }
    }
}

/// A server to talk to, and until when.
#[derive(Clone, Debug)]
pub struct Target {
    /// As configured.
    pub server: Server,
    /// Where that stands in the configuration, as `sign_in.imap`.
    pub section: &'static str,
    /// Whose word is taken for who the server is.
    pub trust: Trust,
    /// The end of the whole conversation.
    pub end: Instant,
}

impl Target {
    /// A server that is talked to from now on, for as long as it is configured.
    pub fn new(server: Server, section: &'static str, trust: Trust) -> Self {
        let end = Instant::now() + server.timeout;
        Self { server, section, trust, end }
    }

    /// A server with a name that no test resolves.
    #[cfg(test)]
    pub(super) fn to(host: &str, port: u16, timeout: Duration) -> Self {
        let encryption = Encryption::Plain;
        let server = Server { host: host.into(), port, encryption, ca_file: None, timeout };
        Self::new(server, "sign_in.imap", Trust::System)
    }

    /// What is left of the time; an error if nothing is.
    pub fn left(&self) -> io::Result<Duration> {
        left(self.end)
    }
}

fn left(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A connection on which reading and writing fail when the time is over.
#[derive(Debug)]
pub struct Timed {
    stream: TcpStream,
    end: Instant,
}

impl Timed {
    /// The connection alone.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.end)?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.end)?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// What is written to and read from a server.
#[derive(Debug)]
pub enum Line {
    /// To this machine itself only.
    Plain(Timed),
    /// Encrypted.
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Line {
    fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(timed) => &timed.stream,
            Self::Tls(tls) => &tls.sock.stream,
        }
    }

    /// Our own address on it.
    pub fn own_address(&self) -> io::Result<IpAddr> {
        self.stream().local_addr().map(|address| address.ip())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Self::Tls(tls) = self {
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        let _ = self.stream().shutdown(Shutdown::Both);
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Line {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.write(buffer),
            Self::Tls(tls) => tls.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(timed) => timed.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// Connects, encrypts, and hears the server's greeting: everything that comes before a name is sent.
pub fn open(to: &Target, protocol: Protocol) -> Result<Line, Trouble> {
    let mut timed = connect(to)?;
    match to.server.encryption {
        Encryption::Plain => {
            begin::greeting(&mut timed, protocol)?;
            Ok(Line::Plain(timed))
        }
        Encryption::StartTls => {
            begin::start_tls(&mut timed, protocol)?;
            encrypt(to, timed).map_err(|trouble| explain(trouble, to, protocol))
        }
        Encryption::Tls => {
            let mut line = encrypt(to, timed).map_err(|trouble| explain(trouble, to, protocol))?;
            begin::greeting(&mut line, protocol)?;
            Ok(line)
        }
    }
}

fn encrypt(to: &Target, timed: Timed) -> Result<Line, Trouble> {
    let config = tls::config(&to.trust).map_err(Trouble::Ours)?;
    let mut tls = StreamOwned::new(tls::client(config, &to.server.host)?, timed);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(Line::Tls(Box::new(tls)))
}

/// What failed in TLS may have failed because of the server's age: then it is asked for that.
pub(super) fn explain(trouble: Trouble, to: &Target, protocol: Protocol) -> Trouble {
    let older = trouble.may_be_age().then(|| probe::offered(to, protocol)).flatten();
    older.map_or(trouble, Trouble::OldTls)
}

/// Connects to the first of the server's addresses that answers; each gets its share of the time.
pub(super) fn connect(to: &Target) -> Result<Timed, Trouble> {
    let addresses = addresses(to)?;
    let mut trouble = Trouble::Unresolved;
    for (tried, address) in addresses.iter().enumerate() {
        let share = to.left()? / (addresses.len() - tried) as u32;
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(Timed { stream, end: to.end });
            }
            Err(e) => trouble = e.into(),
        }
    }
    Err(trouble)
}

/// Looked up on a thread of its own, because that knows no bound; nobody waits for it afterwards.
fn addresses(to: &Target) -> Result<Vec<SocketAddr>, Trouble> {
    let (done, found) = mpsc::channel();
    let server = (to.server.host.clone(), to.server.port);
    std::thread::Builder::new()
        .spawn(move || {
            let _ = done.send(server.to_socket_addrs().map(Vec::from_iter));
        })
        .map_err(|e| Trouble::Ours(format!("Names of servers cannot be looked up: {e}.")))?;
    match found.recv_timeout(to.left()?) {
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(_)) => Err(Trouble::Unresolved),
        Err(_) => Err(Trouble::SlowNames),
    }
}
