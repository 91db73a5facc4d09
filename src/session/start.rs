//! `qwd-session [--disk=PATH --disk-size=N] [--variables=PATH --variables-size=N] [--tpm] [--card] --monitor=PATH… -- QEMU ARGUMENT…`

use super::{qcow2, tpm};
use crate::qemu::{NETDEV, exit};
use clap::Parser;
use rustix::io::{FdFlags, fcntl_setfd};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Prepares a session's disk and monitors, then becomes QEMU. Started by systemd alone.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where the overlay is to be; none: the disk is an image that is there.
    #[arg(long, requires = "disk_size")]
    disk: Option<PathBuf>,
    /// The overlay's size in bytes.
    #[arg(long)]
    disk_size: Option<u64>,
    /// Where the firmware's variables are to be.
    #[arg(long, requires = "variables_size")]
    variables: Option<PathBuf>,
    /// The size of the firmware's variables in bytes.
    #[arg(long)]
    variables_size: Option<u64>,
    /// Start a trusted platform module beside QEMU.
    #[arg(long)]
    tpm: bool,
    /// Standard input is the descriptor of the guest's network card.
    #[arg(long)]
    card: bool,
    /// Where a monitor's socket is to be.
    #[arg(long)]
    monitor: Vec<PathBuf>,
    /// QEMU and its arguments.
    #[arg(last = true, required = true)]
    qemu: Vec<String>,
}

/// Comes back only if QEMU could not be started; the exit code says at which step.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (code, message) = become_qemu(&arguments);
    // Standard error is the journal, with the session's fields on it.
    eprintln!("qwd-session: {message}");
    ExitCode::from(code as u8)
}

fn become_qemu(arguments: &Arguments) -> (i32, String) {
    let disk = arguments.disk.as_deref().zip(arguments.disk_size);
    let variables = arguments.variables.as_deref().zip(arguments.variables_size);
    let disks = disk.into_iter().chain(variables).try_for_each(|(path, size)| write_disk(path, size));
    if let Err(e) = disks {
        let full = matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let code = if full { exit::NO_SPACE } else { exit::NO_DISK };
        return (code, format!("the session's disk cannot be made: {e}"));
    }
    let Some(program) = find(&arguments.qemu[0]) else {
        return (exit::NO_QEMU, format!("{} is not installed", arguments.qemu[0]));
    };
    let mut command = Command::new(program);
    command.args(&arguments.qemu[1..]);
    // Before the sockets, of which that program gets none.
    let tpm = match arguments.tpm.then(tpm::start).transpose() {
        Ok(tpm) => tpm,
        Err(e) => return (exit::NO_TPM, format!("the trusted platform module cannot be started: {e}")),
    };
    if let Some(tpm) = &tpm {
        command.args(["-chardev".to_owned(), format!("socket,id=tpm,fd={}", tpm.as_raw_fd())]);
    }
    let card = match arguments.card.then(|| rustix::io::dup(rustix::stdio::stdin())).transpose() {
        Ok(card) => card,
        Err(e) => return (exit::NO_CARD, format!("the network card was not handed over: {e}")),
    };
    if let Some(card) = &card {
        command.args(["-netdev".to_owned(), format!("tap,id={NETDEV},fd={}", card.as_raw_fd())]).stdin(Stdio::null());
    }
    let mut listeners = Vec::new();
    for (index, path) in arguments.monitor.iter().enumerate() {
        match listen(path) {
            Ok(listener) => {
                command.args(monitor_arguments(index, listener.as_raw_fd()));
                listeners.push(listener);
            }
            Err(e) => return (exit::NO_SOCKET, format!("{} cannot be made: {e}", path.display())),
        }
    }
    // Nothing listens for this outside systemd, so a failure only means that nobody waits.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    command.env_remove("NOTIFY_SOCKET");
    (exit::NO_QEMU, format!("QEMU cannot be started: {}", command.exec()))
}

/// The overlay may be a file that was bound into the unit: emptied and filled, not replaced.
fn write_disk(path: &Path, size: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    qcow2::write_empty(&file, size)
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    fcntl_setfd(&listener, FdFlags::empty())?;
    Ok(listener)
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

    #[test]
    fn a_missing_emulator_has_an_exit_code_of_its_own() {
        let folder = std::env::temp_dir().join(format!("qwd-start-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let arguments = Arguments {
            disk: Some(folder.join("disk")),
            disk_size: Some(1 << 20),
            variables: None,
            variables_size: None,
            tpm: false,
            card: false,
            monitor: vec![],
            qemu: vec!["qemu-system-none".into()],
        };
        assert_eq!(become_qemu(&arguments).0, exit::NO_QEMU);
        let nowhere = Arguments { disk: Some(folder.join("missing/disk")), ..arguments };
        assert_eq!(become_qemu(&nowhere).0, exit::NO_DISK);
        fs::remove_dir_all(folder).unwrap();
    }
}
