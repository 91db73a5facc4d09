//! `qwd-inspect FILE`: looks into an image and prints one line about it.
//!
//! It reads what a stranger made, so whoever wants to know starts it in a sandbox, as nobody.
//! It reads the beginning and the end of the file itself and has `qemu-img` look into containers.

use super::Facts;
use super::facts::{Refused, write_report};
use super::head::{HEAD_LEN, Kind, TAIL_LEN, kind_of, unbootable};
use super::judge::{Check, judge};
use crate::model::Format;
use crate::random;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// Runs the program. The status is 0 whenever there is a report, also about an image that is refused.
pub fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let (Some(file), None) = (args.next(), args.next()) else {
        eprintln!("qwd-inspect: It takes one argument, the image to look into.");
        return ExitCode::from(2);
    };
    let report = write_report(&inspect(Path::new(&file)));
    match writeln!(std::io::stdout(), "{report}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What the image is, or the sentence why it is no machine.
pub fn inspect(file: &Path) -> Result<Facts, Refused> {
    let unreadable = |e: std::io::Error| Refused::Elsewhere(format!("The image cannot be read: {e}."));
    // An absolute path cannot be taken for an option, nor its colons for one of QEMU's protocols.
    let path = std::path::absolute(file).map_err(unreadable)?;
    let path = path.to_str().ok_or_else(|| "The image's path is not text.".to_owned())?;
    let (head, tail, size) = File::open(file).and_then(|file| ends(&file)).map_err(unreadable)?;
    match kind_of(&head, &tail, size)? {
        Kind::Plain(facts) => Ok(facts),
        Kind::Container(format) => ask_qemu(format, path),
    }
}

/// The first bytes, the last ones, and the size.
pub(super) fn ends(mut file: &File) -> std::io::Result<(Vec<u8>, Vec<u8>, u64)> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    file.seek(SeekFrom::Start(0))?;
    file.take(HEAD_LEN as u64).read_to_end(&mut head)?;
    let size = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL_LEN as u64)))?;
    file.take(TAIL_LEN as u64).read_to_end(&mut tail)?;
    Ok((head, tail, size))
}

fn ask_qemu(format: Format, path: &str) -> Result<Facts, Refused> {
    let info = qemu_img("info", format, path).map_err(Refused::Elsewhere)?;
    if !info.status.success() {
        return Err(Refused::Image(format!("QEMU cannot open the image: {}", first_line(&info.stderr, path))));
    }
    let check = qemu_img("check", format, path).map_err(Refused::Elsewhere)?;
    let facts = judge(format, &String::from_utf8_lossy(&info.stdout), Check::from_code(check.status.code()), path)?;
    let disk = head_of_disk(format, path).unwrap_or_default();
    unbootable(&disk).map_or(Ok(facts), |why| Err(Refused::Image(why.to_owned())))
}

/// The first bytes of the disk that the container holds. Without them the container is taken as it is.
fn head_of_disk(format: Format, path: &str) -> Option<Vec<u8>> {
    let head = std::env::temp_dir().join(format!("qwd-inspect-{}.raw", random::label()));
    let options =
        [format!("if={path}"), format!("of={}", head.display()), format!("bs={HEAD_LEN}"), "count=1".to_owned()];
    let mut command = Command::new("qemu-img");
    command.args(["dd", "-U", "-f", format.driver(), "-O", "raw"]).args(options).stdin(Stdio::null());
    let done = command.stderr(Stdio::null()).status();
    let bytes = std::fs::read(&head).ok().filter(|_| done.is_ok_and(|status| status.success()));
    let _ = std::fs::remove_file(&head);
    bytes
}

fn qemu_img(verb: &str, format: Format, path: &str) -> Result<std::process::Output, String> {
    // -U: sessions that run from the image hold a lock on it.
    let mut command = Command::new("qemu-img");
    command.args([verb, "-U", "-f", format.driver(), "--output=json", path]);
    command.stdin(Stdio::null()).env("LC_ALL", "C.UTF-8").output().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            "The program qemu-img is missing: 'apt install qemu-utils' installs it.".to_owned()
        }
        _ => format!("The program qemu-img cannot be run: {e}."),
    })
}

/// qemu-img's own words without what the reader knows.
fn first_line(stderr: &[u8], path: &str) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().find(|line| line.starts_with("qemu-img:")).or_else(|| text.lines().next());
    let line = line.unwrap_or("it does not say why.");
    line.trim_start_matches("qemu-img: ").replace(&format!("Could not open '{path}': "), "")
}
