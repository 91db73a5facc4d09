//! What is done with a stranger's file before it is offered, without any privilege: `qwd-inspect` looks
//! into it, `qwd-unpack` unpacks it.
//!
//! Under systemd in a sandboxed unit of its own; where there is none (an installation in a chroot, say),
//! as the user nobody.

use super::client::is_root;
use crate::images::fetch::Hands;
use crate::images::{Bounds, Facts, REPORT_MAX, read_report, read_unpacked};
use crate::model::{Problem, Word};
use crate::systemd::Systemd;
use crate::unit;
use indicatif::ProgressBar;
use std::fs::File;
use std::io::Seek;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use zbus::blocking::Connection;

/// The user nobody and the group nogroup.
pub(super) const NOBODY: u32 = 65534;
/// Seconds that one of them may take outside of systemd.
const SECONDS: &str = "43200";

/// Shows on a bar what is being done.
pub(super) struct Unprivileged<'a>(pub(super) &'a ProgressBar);

impl Hands for Unprivileged<'_> {
    fn examine(&self, image: &Path) -> Result<Facts, Problem> {
        self.0.set_message("examining");
        let report = match system_bus() {
            Some(bus) => {
                let name = format!("qwd-examine-{}.service", crate::random::label());
                Systemd::new(&bus)?.output_of(&name, &unit::examination(image), REPORT_MAX)?
            }
            None => text(as_nobody(helper("qwd-inspect").arg(image).stdin(Stdio::null()))?.stdout)?,
        };
        read_report(&report)
    }

    fn unpack(&self, from: File, to: File, bounds: Bounds) -> Result<u64, Problem> {
        let lost = |e: std::io::Error| Problem::failed(format!("The packed image cannot be read: {e}."));
        self.0.set_message("unpacking");
        self.0.set_length(from.metadata().map_err(lost)?.len());
        let watched = from.try_clone().map_err(lost)?;
        std::thread::scope(|scope| {
            let (done, wait) = channel::<()>();
            scope.spawn(move || self.watch(watched, || wait.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout)));
            let report = unpacked(from, to, bounds);
            drop(done);
            read_unpacked(&report?)
        })
    }
}

/// How often the bar is moved.
const TICK: Duration = Duration::from_millis(200);

impl Unprivileged<'_> {
    /// The one who reads the file has its position in common with us.
    fn watch(&self, mut file: File, goes_on: impl Fn() -> bool) {
        while goes_on() {
            if let Ok(position) = file.stream_position() {
                self.0.set_position(position);
            }
        }
    }
}

fn unpacked(from: File, to: File, bounds: Bounds) -> Result<String, Problem> {
    let Some(bus) = system_bus() else {
        let mut command = helper("qwd-unpack");
        command.args([bounds.most.to_string(), bounds.room.to_string()]).stdin(from).stdout(to);
        return text(as_nobody(&mut command)?.stderr);
    };
    let name = format!("qwd-unpack-{}.service", crate::random::label());
    let properties = unit::unpacking(bounds.most, bounds.room);
    let files = vec![("StandardInputFileDescriptor", from.into()), ("StandardOutputFileDescriptor", to.into())];
    Systemd::new(&bus)?.report_of(&name, &properties, "StandardErrorFileDescriptor", files, REPORT_MAX)
}

/// The bus on which systemd would take an order of ours.
pub(super) fn system_bus() -> Option<Connection> {
    let has_systemd = Path::new("/run/systemd/system").is_dir();
    (has_systemd && is_root()).then(Connection::system)?.ok()
}

pub(super) fn helper(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg(SECONDS).arg(path_of(program)).current_dir("/").env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

fn as_nobody(command: &mut Command) -> Result<Output, Problem> {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let done = command.output();
    let done = done.map_err(|e| Problem::failed(format!("The image could not be examined: {e}.")))?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        return Err(Problem::new(
            Word::Failed,
            format!("The examination of the image failed ({}). {why}", done.status),
        ));
    }
    Ok(done)
}

fn text(bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|_| Problem::failed("The examination of the image did not print text."))
}

/// The program beside this one, as it is built, or where it is installed.
fn path_of(program: &str) -> PathBuf {
    let beside = std::env::current_exe().ok().map(|exe| exe.with_file_name(program));
    beside.filter(|path| path.exists()).unwrap_or_else(|| Path::new(unit::LIBEXEC).join(program))
}
