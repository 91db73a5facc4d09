//! `qwd-session`: reads from the channel what it is to do, prepares that, and becomes QEMU.

use super::{qcow2, tpm};
use crate::channel;
use crate::qemu::{DescriptorKind, NETDEV, StartDocument, exit};
use clap::Parser;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::listen;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// QEMU serves one client of a monitor at a time; others wait.
const BACKLOG: i32 = 16;

/// Prepares a session's disk and monitors, then becomes QEMU. Started by systemd alone, with a channel from the
/// launcher as standard input.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

/// An exit code and the words for the journal.
type Failure = (i32, String);

/// Comes back only if QEMU could not be started; the exit code says at which step.
pub fn main() -> ExitCode {
    let Arguments {} = Arguments::parse();
    let received = channel::receive(rustix::stdio::stdin());
    let failure = received.map_err(|e| (exit::NO_DOCUMENT, format!("what it starts with was not handed over: {e}")));
    let (code, message) = failure.map_or_else(|e| e, |(document, fds)| become_qemu(&document, &fds));
    // Standard error is the journal, with the session's fields on it.
    eprintln!("qwd-session: {message}");
    ExitCode::from(code as u8)
}

/// Does not return but with the reason why it failed.
fn become_qemu(document: &StartDocument, descriptors: &[OwnedFd]) -> Failure {
    let (mut command, _tpm) = match prepare(document) {
        Ok(prepared) => prepared,
        Err(failure) => return failure,
    };
    for (index, (kind, descriptor)) in document.descriptors.iter().zip(descriptors).enumerate() {
        if let Err(e) = hand_on(&mut command, index, *kind, descriptor) {
            return (exit::NO_SOCKET, format!("QEMU's {kind} cannot be handed on: {e}"));
        }
    }
    // Nothing listens for this outside systemd, so a failure only means that nobody waits.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    (exit::NO_QEMU, format!("QEMU cannot be started: {}", command.exec()))
}

/// Prepares disks and modules. QEMU's command comes with the descriptor of a module's other end.
fn prepare(document: &StartDocument) -> Result<(Command, Option<OwnedFd>), Failure> {
    document.overlays.iter().try_for_each(|overlay| write_disk(&overlay.path, overlay.size)).map_err(|e| {
        let full = matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let code = if full { exit::NO_SPACE } else { exit::NO_DISK };
        (code, format!("the session's disk cannot be made: {e}"))
    })?;
    let (name, arguments) =
        document.qemu.split_first().ok_or((exit::NO_DOCUMENT, "the document names no QEMU".to_owned()))?;
    let program = find(name).ok_or_else(|| (exit::NO_QEMU, format!("{name} is not installed")))?;
    let mut command = Command::new(program);
    command.args(arguments);
    let tpm = document.tpm.then(tpm::start).transpose();
    let tpm = tpm.map_err(|e| (exit::NO_TPM, format!("the trusted platform module cannot be started: {e}")))?;
    if let Some(tpm) = &tpm {
        command.args(["-chardev".to_owned(), format!("socket,id=tpm,fd={}", tpm.as_raw_fd())]);
    }
    Ok((command, tpm))
}

/// The overlay may be a file that was bound into the unit: emptied and filled, not replaced.
fn write_disk(path: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    qcow2::write_empty(&file, size)
}

/// Leaves a descriptor open for QEMU, and names it in its arguments.
fn hand_on(command: &mut Command, index: usize, kind: DescriptorKind, descriptor: &OwnedFd) -> io::Result<()> {
    let fd = descriptor.as_raw_fd();
    match kind {
        DescriptorKind::Monitor => {
            // By this the kernel tells the launcher the user that it speaks to; QEMU listens once more.
            listen(descriptor, BACKLOG)?;
            command.args(monitor_arguments(index, fd));
        }
        DescriptorKind::Card => {
            command.args(["-netdev".to_owned(), format!("tap,id={NETDEV},fd={fd}")]);
        }
    }
    Ok(fcntl_setfd(descriptor, FdFlags::empty())?)
}

fn monitor_arguments(index: usize, fd: i32) -> [String; 4] {
    [
        "-chardev".into(),
        format!("socket,id=monitor{index},fd={fd},server=on,wait=off"),
        "-mon".into(),
        format!("chardev=monitor{index},mode=control"),
    ]
}

/// The program as `execvp` would find it, looked up early so that its absence has an exit code.
fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|p| p.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|d| d.join(program)).find(|p| p.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::Overlay;
    use std::fs;

    #[test]
    fn each_step_that_fails_has_an_exit_code_of_its_own() {
        let folder = std::env::temp_dir().join(format!("qwd-start-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let overlay = |name: &str| vec![Overlay { path: folder.join(name), size: 1 << 20 }];
        let document = StartDocument {
            overlays: overlay("disk"),
            tpm: false,
            qemu: vec!["qemu-system-none".into()],
            descriptors: vec![],
        };
        assert_eq!(become_qemu(&document, &[]).0, exit::NO_QEMU);
        assert!(folder.join("disk").exists());
        let nowhere = StartDocument { overlays: overlay("missing/disk"), ..document.clone() };
        assert_eq!(become_qemu(&nowhere, &[]).0, exit::NO_DISK);
        let nothing = StartDocument { qemu: vec![], ..document.clone() };
        assert_eq!(become_qemu(&nothing, &[]).0, exit::NO_DOCUMENT);
        let file = OwnedFd::from(fs::File::open(folder.join("disk")).unwrap());
        let monitor =
            StartDocument { qemu: vec!["true".into()], descriptors: vec![DescriptorKind::Monitor], ..document };
        assert_eq!(become_qemu(&monitor, &[file]).0, exit::NO_SOCKET);
        fs::remove_dir_all(folder).unwrap();
    }
}
