//! The sockets of a session's monitors, in a directory that only root may enter.
//!
//! The launcher makes them; the session gets them as descriptors and listens, and cannot touch the directory: a guest
//! that broke out of its QEMU cannot lead root anywhere else. Each step of the way is opened without following links
//! all the same, and whoever listens must be the session's user.
//!
//! A session that the version before has started has a directory of its user's own, in which its QEMU has bound the
//! sockets. That user can put anything there, and gains nothing: only a socket is connected to, and only if that user
//! listens on it.

use crate::model::{Problem, Word};
use crate::vm::SocketFile;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with};
use rustix::process::geteuid;
use std::fs::{DirBuilder, Permissions, remove_dir_all, set_permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Make a session's directory, which only root may enter.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(directory)
}

/// Bind a socket in a session's directory. Nobody listens on it yet.
pub fn bind_socket(directory: &Path, file: SocketFile) -> io::Result<OwnedFd> {
    let path = directory.join(file.name);
    let socket = new_socket()?;
    bind(&socket, &SocketAddrUnix::new(&path)?)?;
    set_permissions(&path, Permissions::from_mode(file.mode))?;
    Ok(socket)
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

/// Remove a session's directory with its sockets; one that is removed already is fine.
pub fn remove_all(directory: &Path) -> io::Result<()> {
    match remove_dir_all(directory) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// Connect to a socket in a session's directory on which the session's user listens.
pub fn connect_to(directory: &Path, name: &str, user: u32, timeout: Duration) -> Result<UnixStream, Problem> {
    let failed = |e: io::Error| Problem::new(Word::WrongState, format!("The session's QEMU cannot be reached: {e}."));
    let owners = [geteuid().as_raw(), user];
    let stream = open_socket(directory, name, owners)
        .and_then(|socket| dial(format!("/proc/self/fd/{}", socket.as_raw_fd()), timeout))
        .map_err(failed)?;
    let listener = socket_peercred(&stream).map_err(|e| failed(e.into()))?.uid.as_raw();
    if listener == user {
        return Ok(stream);
    }
    let text = format!("Another user ({listener}) than the session's ({user}) listens on {name}: it is not spoken to.");
    Err(Problem::new(Word::WrongState, text))
}

/// Return a descriptor that stands for the socket, and is none of a connection yet. One of these users must own the
/// directory.
fn open_socket(directory: &Path, name: &str, owners: [u32; 2]) -> io::Result<OwnedFd> {
    let directory = open_step(CWD, directory, OFlags::DIRECTORY)?;
    let facts = fstat(&directory)?;
    if !owners.contains(&facts.st_uid) {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "its directory belongs to another user"));
    }
    if facts.st_mode & 0o077 != 0 {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "others may enter its directory"));
    }
    let socket = open_step(&directory, Path::new(name), OFlags::empty())?;
    let is_socket = FileType::from_raw_mode(fstat(&socket)?.st_mode) == FileType::Socket;
    if is_socket { Ok(socket) } else { Err(io::Error::new(ErrorKind::InvalidInput, format!("{name} is no socket"))) }
}

fn open_step(from: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(openat(from, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC | flags, Mode::empty())?)
}

/// Connect, and wait no longer for a QEMU that does not accept.
pub(super) fn dial(path: impl AsRef<Path>, timeout: Duration) -> io::Result<UnixStream> {
    let stream = new_socket()?;
    set_socket_timeout(&stream, Timeout::Send, Some(timeout))?;
    connect(&stream, &SocketAddrUnix::new(path.as_ref())?)?;
    Ok(stream.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::listen;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, chown, symlink};
    use std::path::PathBuf;
    use std::time::Instant;

    const LAUNCHER_SOCKET: &str = "launcher.sock";
    const STOP_SOCKET: &str = "stop.sock";
    const SOON: Duration = Duration::from_millis(100);

    struct Directory(PathBuf);

    fn bind_all(directory: &Path) -> io::Result<Vec<OwnedFd>> {
        make_directory(directory)?;
        let files = [(LAUNCHER_SOCKET, 0o600), (STOP_SOCKET, 0o666)];
        files.into_iter().map(|(name, mode)| bind_socket(directory, SocketFile { name, mode })).collect()
    }

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("qwd-sockets-{}-{name}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        /// A session's directory with its sockets, on which somebody listens.
        fn session(&self, name: &str) -> (PathBuf, Vec<OwnedFd>) {
            let directory = self.0.join(name);
            let sockets = bind_all(&directory).unwrap();
            sockets.iter().for_each(|socket| listen(socket, 0).unwrap());
            (directory, sockets)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn me() -> u32 {
        geteuid().as_raw()
    }

    fn connect(directory: &Path) -> Result<UnixStream, String> {
        connect_to(directory, LAUNCHER_SOCKET, me(), SOON).map_err(|problem| problem.message)
    }

    #[test]
    fn whoever_holds_the_descriptors_serves_what_only_root_reaches() {
        let root = Directory::new("serve");
        let directory = root.0.join("a");
        let sockets = bind_all(&directory).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        assert_eq!((mode(&directory.join(LAUNCHER_SOCKET)), mode(&directory.join(STOP_SOCKET))), (0o600, 0o666));
        // Until somebody listens, there is nobody whose name the kernel could tell.
        assert!(connect(&directory).unwrap_err().contains("refused"));
        listen(&sockets[0], 1).unwrap();
        assert!(connect(&directory).is_ok());
        assert!(bind_all(&directory).is_err());
        remove_all(&directory).unwrap();
        remove_all(&directory).unwrap();
        assert!(!directory.exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_socket_or_a_directory_is_not_followed() {
        let root = Directory::new("links");
        let (mine, _mine) = root.session("mine");
        let (other, _other) = root.session("other");
        fs::remove_file(mine.join(LAUNCHER_SOCKET)).unwrap();
        symlink(other.join(LAUNCHER_SOCKET), mine.join(LAUNCHER_SOCKET)).unwrap();
        assert!(connect(&mine).unwrap_err().contains("is no socket"));
        fs::remove_dir_all(&mine).unwrap();
        symlink(&other, &mine).unwrap();
        assert!(connect(&mine).is_err());
        assert!(connect(&other).is_ok());
        fs::remove_file(&mine).unwrap();
        DirBuilder::new().mode(0o700).create(&mine).unwrap();
        fs::write(mine.join(LAUNCHER_SOCKET), "").unwrap();
        assert!(connect(&mine).unwrap_err().contains("is no socket"));
    }

    #[test]
    fn a_directory_that_others_may_enter_is_not_looked_into() {
        let root = Directory::new("open");
        let (directory, _sockets) = root.session("a");
        set_permissions(&directory, Permissions::from_mode(0o711)).unwrap();
        assert!(connect(&directory).unwrap_err().contains("others may enter"));
    }

    #[test]
    fn a_socket_on_which_another_user_listens_is_not_spoken_to() {
        let root = Directory::new("user");
        let (directory, _sockets) = root.session("a");
        let refused = connect_to(&directory, LAUNCHER_SOCKET, me() + 1, SOON).unwrap_err();
        assert!(refused.message.contains("Another user"), "{refused}");
    }

    #[test]
    fn a_directory_is_roots_or_of_a_session_of_the_version_before_its_users() {
        let root = Directory::new("before");
        let (directory, _sockets) = root.session("a");
        let opened = |owners| open_socket(&directory, LAUNCHER_SOCKET, owners).is_ok();
        assert!(opened([me() + 1, me()]) && opened([me(), me() + 1]) && !opened([me() + 1, me() + 2]));
        if me() != 0 {
            return;
        }
        let (session, other) = (65_533, 65_532);
        chown(&directory, Some(session), Some(session)).unwrap();
        let refusal = |user| connect_to(&directory, LAUNCHER_SOCKET, user, SOON).unwrap_err().message;
        // It is root that listens here.
        assert!(refusal(session).contains("Another user (0)"), "{}", refusal(session));
        assert!(refusal(other).contains("belongs to another user"));
        fs::remove_file(directory.join(LAUNCHER_SOCKET)).unwrap();
        let (theirs, _theirs) = root.session("b");
        symlink(theirs.join(LAUNCHER_SOCKET), directory.join(LAUNCHER_SOCKET)).unwrap();
        assert!(refusal(session).contains("is no socket"));
    }

    #[test]
    fn nobody_waits_for_ever_for_one_who_does_not_accept() {
        let root = Directory::new("full");
        let (directory, _sockets) = root.session("a");
        let start = Instant::now();
        let waiting: Vec<_> = (0..4).map(|_| connect(&directory)).collect();
        assert!(waiting.iter().any(Result::is_err));
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
