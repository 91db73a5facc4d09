//! `qwd-session`: reads from the channel what it is to do, prepares that, and becomes QEMU.

use super::{qcow2, tpm};
use crate::channel;
use crate::vm::device::monitors::NO_SOCKET;
use crate::vm::device::storage::{NO_DISK, NO_SPACE};
use crate::vm::device::tpm::NO_TPM;
use crate::vm::exit::{self, NO_DOCUMENT, NO_QEMU};
use crate::vm::{Descriptor, DescriptorKind, FD, SetUpStep, StartDocument};
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

/// What the session's owner reads, and the message for the journal.
type Failure = (exit::Failure, String);

/// Comes back only if QEMU could not be started; the exit code says at which step.
pub fn main() -> ExitCode {
    let Arguments {} = Arguments::parse();
    let received = channel::receive(rustix::stdio::stdin());
    let failure = received.map_err(|e| (NO_DOCUMENT, format!("what it starts with was not handed over: {e}")));
    let (failure, message) = failure.map_or_else(|e| e, |(document, fds)| become_qemu(&document, &fds));
    // Standard error is the journal, with the session's fields on it.
    eprintln!("qwd-session: {message}");
    ExitCode::from(failure.code)
}

/// Does not return but with the reason why it failed.
fn become_qemu(document: &StartDocument, descriptors: &[OwnedFd]) -> Failure {
    let (mut command, _modules) = match prepare(document) {
        Ok(prepared) => prepared,
        Err(failure) => return failure,
    };
    for (named, descriptor) in document.descriptors.iter().zip(descriptors) {
        if let Err(e) = pass_on(&mut command, named, descriptor) {
            return (NO_SOCKET, format!("QEMU's {} cannot be passed on: {e}", named.kind));
        }
    }
    // Nothing listens for this outside systemd, so a failure only means that nobody waits.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    (NO_QEMU, format!("QEMU cannot be started: {}", command.exec()))
}

/// Take all steps, and return QEMU's command with the descriptors that must stay open for it.
fn prepare(document: &StartDocument) -> Result<(Command, Vec<OwnedFd>), Failure> {
    let (name, arguments) =
        document.qemu.split_first().ok_or((NO_DOCUMENT, "the document names no QEMU".to_owned()))?;
    let (mut more, mut open) = (Vec::new(), Vec::new());
    for step in &document.steps {
        if let Some((arguments, descriptor)) = take_step(step)? {
            more.extend(with_descriptor(arguments, &descriptor));
            open.push(descriptor);
        }
    }
    let program = find(name).ok_or_else(|| (NO_QEMU, format!("{name} is not installed")))?;
    let mut command = Command::new(program);
    command.args(arguments).args(more);
    Ok((command, open))
}

/// Take a step; return what it leaves for QEMU.
fn take_step(step: &SetUpStep) -> Result<Option<(&[String], OwnedFd)>, Failure> {
    match step {
        SetUpStep::WriteOverlay { path, size } => write_disk(path, *size).map(|()| None).map_err(|e| {
            let full = matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            (if full { NO_SPACE } else { NO_DISK }, format!("the session's disk cannot be made: {e}"))
        }),
        SetUpStep::StartTpm { arguments } => match tpm::start() {
            Ok(module) => Ok(Some((arguments, module))),
            Err(e) => Err((NO_TPM, format!("the trusted platform module cannot be started: {e}"))),
        },
    }
}

/// The overlay may be a file that was bound into the unit: emptied and filled, not replaced.
fn write_disk(path: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    qcow2::write_empty(&file, size)
}

/// Leave a descriptor open for QEMU, and name it in its arguments.
fn pass_on(command: &mut Command, named: &Descriptor, descriptor: &OwnedFd) -> io::Result<()> {
    if named.kind == DescriptorKind::Socket {
        // By this the kernel tells the launcher the user that it speaks to; QEMU listens once more.
        listen(descriptor, BACKLOG)?;
    }
    command.args(with_descriptor(&named.arguments, descriptor));
    Ok(fcntl_setfd(descriptor, FdFlags::empty())?)
}

fn with_descriptor(arguments: &[String], descriptor: &OwnedFd) -> Vec<String> {
    let number = descriptor.as_raw_fd().to_string();
    arguments.iter().map(|argument| argument.replace(FD, &number)).collect()
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
    use std::fs;

    #[test]
    fn each_step_that_fails_has_an_exit_code_of_its_own() {
        let folder = std::env::temp_dir().join(format!("qwd-start-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let overlay = |name: &str| vec![SetUpStep::WriteOverlay { path: folder.join(name), size: 1 << 20 }];
        let document =
            StartDocument { steps: overlay("disk"), qemu: vec!["qemu-system-none".into()], descriptors: vec![] };
        assert_eq!(become_qemu(&document, &[]).0, NO_QEMU);
        assert!(folder.join("disk").exists());
        let nowhere = StartDocument { steps: overlay("missing/disk"), ..document.clone() };
        assert_eq!(become_qemu(&nowhere, &[]).0, NO_DISK);
        let nothing = StartDocument { qemu: vec![], ..document.clone() };
        assert_eq!(become_qemu(&nothing, &[]).0, NO_DOCUMENT);
        let file = OwnedFd::from(fs::File::open(folder.join("disk")).unwrap());
        let socket = Descriptor { kind: DescriptorKind::Socket, arguments: vec![], file: None };
        let monitor = StartDocument { qemu: vec!["true".into()], descriptors: vec![socket], ..document };
        assert_eq!(become_qemu(&monitor, &[file]).0, NO_SOCKET);
        fs::remove_dir_all(folder).unwrap();
    }
}
