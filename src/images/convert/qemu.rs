//! qemu-img at work on one image, which it gets by a socket.

use super::super::Facts;
use super::super::judge::{Check, judge};
use super::super::unpack::{Failure, nobody_waits};
use super::nbd;
use crate::model::Format;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

/// The signal for a file that has become larger than it may (setrlimit(2)).
const SIGXFSZ: i32 = 25;
/// So often it is looked at whether anybody still waits.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };

/// A source, as qemu-img reads it.
pub(super) struct Image {
    format: Format,
    socket: PathBuf,
}

impl Image {
    /// Offers the file on a socket of our own.
    pub(super) fn serve(file: File, size: u64, format: Format) -> Result<Self, Failure> {
        let socket = std::env::temp_dir().join(format!("qwd-convert-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket)
            .map_err(|e| Failure::new(format!("{} cannot be made: {e}.", socket.display())))?;
        nbd::serve(listener, file, size);
        Ok(Self { format, socket })
    }

    /// As qemu-img's options. What the image's header names is never opened: there is nothing beside it.
    fn options(&self) -> String {
        let path = self.socket.display().to_string().replace(',', ",,");
        format!("driver={},file.driver=nbd,file.server.type=unix,file.server.path={path}", self.format.driver())
    }

    /// What the image is, if it is whole and stands alone.
    pub(super) fn facts(&self) -> Result<Facts, Failure> {
        let options = self.options();
        let info = output(qemu_img("info").args(["--output=json", "--image-opts", &options]))?;
        if !info.status.success() {
            return Err(Failure::new(format!("QEMU cannot open the image: {}", self.words(&info.stderr))));
        }
        let check = output(qemu_img("check").args(["--output=json", "--image-opts", &options]))?;
        let text = String::from_utf8_lossy(&info.stdout);
        // An extent that is the image itself has the name of our socket.
        let path = own_extent(&text, &self.socket).unwrap_or_default();
        judge(self.format, &text, Check::from_code(check.status.code()), &path).map_err(Failure::new)
    }

    /// Bytes that it takes as qcow2, by what its own tables say.
    pub(super) fn measure(&self) -> Result<u64, Failure> {
        let done = output(qemu_img("measure").args(["--output=json", "-O", "qcow2", "--image-opts", &self.options()]))?;
        let told: Option<Value> = serde_json::from_slice(&done.stdout).ok();
        told.and_then(|told| told["required"].as_u64())
            .ok_or_else(|| Failure::new(format!("QEMU cannot read the image: {}", self.words(&done.stderr))))
    }

    /// Writes it as qcow2. `progress` is told percents.
    pub(super) fn convert(&self, to: &Path, progress: impl FnMut(f64)) -> Result<(), Failure> {
        let mut command = qemu_img("convert");
        command.args(["-p", "-O", "qcow2", "--image-opts", &self.options()]).arg(to);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| not_run(&e))?;
        let Some(printed) = child.stdout.take() else { return Err(Failure::new("qemu-img has no output.")) };
        let (status, words) = followed(child, printed, progress)?;
        if status.success() { Ok(()) } else { Err(self.failed(status, &words)) }
    }

    fn failed(&self, status: ExitStatus, words: &[u8]) -> Failure {
        let text = String::from_utf8_lossy(words);
        if status.signal() == Some(SIGXFSZ) || text.contains("No space left") || text.contains("File too large") {
            return Failure::full();
        }
        Failure::new(format!("QEMU cannot make the image: {}", self.words(words)))
    }

    /// qemu-img's own words, without our socket.
    fn words(&self, stderr: &[u8]) -> String {
        let text = String::from_utf8_lossy(stderr);
        let line = text.lines().find(|line| line.starts_with("qemu-img:")).unwrap_or("it does not say why.");
        let line = line.trim_start_matches("qemu-img: ").replace(&self.options(), "it");
        line.replace("Could not open 'it': ", "")
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Gives a disk of ours its new size.
pub(super) fn resize(file: &Path, size: u64) -> Result<(), Failure> {
    let done = output(qemu_img("resize").args(["-q", "-f", "qcow2"]).arg(file).arg(size.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("QEMU cannot resize the disk: {}", String::from_utf8_lossy(&done.stderr))))
}

fn qemu_img(verb: &str) -> Command {
    let mut command = Command::new("qemu-img");
    command.arg(verb).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    command
}

fn output(command: &mut Command) -> Result<Output, Failure> {
    command.output().map_err(|e| not_run(&e))
}

fn not_run(error: &std::io::Error) -> Failure {
    Failure::new(match error.kind() {
        std::io::ErrorKind::NotFound => {
            "The program qemu-img is missing: 'apt install qemu-utils' installs it.".to_owned()
        }
        _ => format!("The program qemu-img cannot be run: {error}."),
    })
}

/// Reads the percents that it prints until it has ended, or until nobody waits for it any more.
fn followed(
    mut child: Child,
    mut printed: ChildStdout,
    mut progress: impl FnMut(f64),
) -> Result<(ExitStatus, Vec<u8>), Failure> {
    let lost = |e: std::io::Error| Failure::new(format!("qemu-img cannot be followed: {e}."));
    let mut buffer = [0; 4096];
    loop {
        if nobody_waits() {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(Failure::new("Nobody waits for the image any more."));
        }
        let mut fds = [PollFd::from_borrowed_fd(printed.as_fd(), PollFlags::IN)];
        if poll(&mut fds, Some(&TICK)).map_err(|e| lost(e.into()))? == 0 {
            continue;
        }
        match printed.read(&mut buffer).map_err(lost)? {
            0 => break,
            n => percent(&String::from_utf8_lossy(&buffer[..n])).into_iter().for_each(&mut progress),
        }
    }
    let done = child.wait_with_output().map_err(lost)?;
    Ok((done.status, done.stderr))
}

/// The last of what it printed, such as `    (12.34/100%)`.
fn percent(text: &str) -> Option<f64> {
    let (before, _) = text.rsplit_once("/100%)")?;
    before.rsplit_once('(')?.1.parse().ok()
}

/// The name of the only extent, if that is the socket.
fn own_extent(info: &str, socket: &Path) -> Option<String> {
    let info: Value = serde_json::from_str(info).ok()?;
    let [extent] = info["format-specific"]["data"]["extents"].as_array()?.as_slice() else { return None };
    let name = extent["filename"].as_str()?;
    name.contains(socket.to_str()?).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_read_as_they_come() {
        assert_eq!(percent("    (0.00/100%)\r    (12.34/100%)\r"), Some(12.34));
        assert_eq!(percent("    (12.3"), None);
        assert_eq!(percent("nan/100%)"), None);
    }
}
