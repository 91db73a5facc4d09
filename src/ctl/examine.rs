//! Has an image examined before it is offered: by `qwd-inspect`, without any privilege.
//!
//! Under systemd in a sandboxed unit of its own; where there is none (an installation in a chroot, say),
//! as the user nobody.

use super::client::is_root;
use crate::images::{Facts, REPORT_MAX, read_report};
use crate::model::{Problem, Word};
use crate::systemd::Systemd;
use crate::unit;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use zbus::blocking::Connection;

/// The user nobody and the group nogroup.
const NOBODY: u32 = 65534;
/// Seconds an examination may take outside of systemd.
const SECONDS: &str = "600";

/// What the image is, or why it is no machine.
pub(super) fn examine(image: &Path) -> Result<Facts, Problem> {
    let report = match system_bus() {
        Some(bus) => in_a_unit(&bus, image)?,
        None => as_nobody(image)?,
    };
    read_report(&report)
}

/// The bus on which systemd would take an order of ours.
fn system_bus() -> Option<Connection> {
    let has_systemd = Path::new("/run/systemd/system").is_dir();
    (has_systemd && is_root()).then(Connection::system)?.ok()
}

fn in_a_unit(bus: &Connection, image: &Path) -> Result<String, Problem> {
    let name = format!("qwd-examine-{}.service", crate::random::label());
    Systemd::new(bus)?.output_of(&name, &unit::examination(image), REPORT_MAX)
}

fn as_nobody(image: &Path) -> Result<String, Problem> {
    let mut command = Command::new("timeout");
    command.arg(SECONDS).arg(program()).arg(image).current_dir("/").env_clear();
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
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
    String::from_utf8(done.stdout).map_err(|_| Problem::failed("The examination of the image did not print text."))
}

/// `qwd-inspect` beside this program, as it is built, or where it is installed.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|exe| exe.with_file_name("qwd-inspect"));
    beside.filter(|path| path.exists()).unwrap_or_else(|| Path::new(unit::LIBEXEC).join("qwd-inspect"))
}
