//! The versioned name of a machine type, which QEMU itself reports: `pc` is another machine with each version of QEMU,
//! and a saved guest can only go on in the one that it knows.
//!
//! Each emulator is asked once a boot; one that was replaced is asked again.

use super::core::Core;
use crate::model::Problem;
use crate::systemd::Job;
use crate::vm::Board;
use crate::{random, unit, whole};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The answers, for launchers that start anew.
const ANSWERS: &str = "/run/qemu-web-desktop/machine-types.json";
/// The most answers that are kept; an administrator has a few emulators.
const ANSWERS_MAX: usize = 32;
/// Maximum size of what a QEMU prints, in bytes.
const OUTPUT_MAX: u64 = 64 << 10;
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Where systemd finds a program without a path, in the sandbox of a unit.
const PROGRAM_DIRS: [&str; 4] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
/// The commands by which a stopped QEMU names its machine and ends.
const QUESTION: &[u8] = b"{\"execute\":\"qmp_capabilities\"}\n\
    {\"execute\":\"qom-get\",\"arguments\":{\"path\":\"/machine\",\"property\":\"type\"}}\n\
    {\"execute\":\"quit\"}\n";

/// The answers by emulator and machine type, read when first needed.
#[derive(Default)]
pub(super) struct MachineTypes(Mutex<Option<BTreeMap<String, String>>>);

/// Return the versioned machine type of a board; the plain one if its emulator cannot be asked.
pub(super) fn versioned(core: &Core, board: &Board) -> String {
    let plain = board.chipset.machine_type();
    let Some(key) = key(&board.program, plain) else { return plain.to_owned() };
    // Held while an emulator is asked: a second session waits for the answer rather than asking, too.
    let mut answers = core.machine_types.0.lock().unwrap_or_else(PoisonError::into_inner);
    let answers = answers.get_or_insert_with(|| load(Path::new(ANSWERS)));
    if let Some(known) = answers.get(&key) {
        return known.clone();
    }
    if answers.len() >= ANSWERS_MAX {
        answers.clear();
    }
    let name = match ask(core, &board.program, plain) {
        Ok(name) => name,
        Err(problem) => {
            log::warn!("The machine type {plain} of {} has no known version: {problem}", board.program);
            // Not asked again by this launcher; the next one may have more luck.
            answers.insert(key, plain.to_owned());
            return plain.to_owned();
        }
    };
    answers.insert(key, name.clone());
    save(answers);
    name
}

/// Return what names an emulator as it is at this moment, with a machine type; `None`: it is not there.
fn key(program: &str, machine_type: &str) -> Option<String> {
    let path = find(program)?;
    let facts = fs::metadata(&path).ok()?;
    let (path, inode, size) = (path.display(), facts.ino(), facts.size());
    Some(format!("{path} {inode} {size} {}.{} {machine_type}", facts.mtime(), facts.mtime_nsec()))
}

fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(program.into());
    }
    PROGRAM_DIRS.iter().map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

fn load(path: &Path) -> BTreeMap<String, String> {
    let text = fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn save(answers: &BTreeMap<String, String>) {
    let found: BTreeMap<_, _> = answers.iter().filter(|(key, name)| !key.ends_with(&format!(" {name}"))).collect();
    let written = serde_json::to_vec(&found)
        .map_err(io::Error::other)
        .and_then(|text| whole::write(Path::new(ANSWERS), &text, whole::PRIVATE));
    if let Err(e) = written {
        log::warn!("{ANSWERS} cannot be written, so the next launcher asks again: {e}.");
    }
}

/// Ask an emulator, which runs stopped in a sandbox, without a guest.
fn ask(core: &Core, program: &str, machine_type: &str) -> Result<String, Problem> {
    let failed = |e: io::Error| Problem::failed(format!("QEMU cannot be asked: {e}."));
    let (mut ours, theirs) = UnixStream::pair().map_err(failed)?;
    ours.write_all(QUESTION).map_err(failed)?;
    let name = format!("qwd-machine-{}.service", random::label());
    let fds = vec![("StandardInputFileDescriptor", theirs.into())];
    match core.systemd.start_transient(&name, &unit::machine_probe(program, machine_type), fds)? {
        Job::Done => {}
        Job::Not(result) => {
            let text = format!("it did not start ({result}); 'journalctl -u {name}' says more.");
            return Err(Problem::failed(text));
        }
    }
    ours.set_read_timeout(Some(READ_TIMEOUT)).map_err(failed)?;
    let mut output = Vec::new();
    // QEMU resets the connection when it quits: only the answer counts.
    let _ = ours.take(OUTPUT_MAX).read_to_end(&mut output);
    parse(&output, machine_type).ok_or_else(|| Problem::failed("it did not name its machine."))
}

/// Return the machine type that QEMU printed, if it is a version of the one that was asked for.
fn parse(output: &[u8], machine_type: &str) -> Option<String> {
    let answer = |line: &[u8]| {
        let line: serde_json::Value = serde_json::from_slice(line).ok()?;
        line.get("return")?.as_str()?.strip_suffix("-machine").map(str::to_owned)
    };
    let name = output.split(|byte| *byte == b'\n').find_map(answer)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let known = name.split('-').any(|part| part == machine_type) && name.len() <= 64 && name.chars().all(plain);
    known.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_version_of_what_was_asked_for_is_taken() {
        let greeting = "{\"QMP\": {\"version\": {}}}\r\n{\"return\": {}}\r\n";
        let parse = |answer: &str, asked: &str| {
            parse(format!("{greeting}{{\"return\": \"{answer}\"}}\r\n{{\"return\": {{}}}}\r\n").as_bytes(), asked)
        };
        assert_eq!(parse("pc-i440fx-7.2-machine", "pc").unwrap(), "pc-i440fx-7.2");
        assert_eq!(parse("pc-q35-10.0-machine", "q35").unwrap(), "pc-q35-10.0");
        assert_eq!(parse("virt-10.0-machine", "virt").unwrap(), "virt-10.0");
        for wrong in ["microvm-machine", "pc,accel=kvm-machine", "pc-i440fx-7.2", "-machine", ""] {
            assert_eq!(parse(wrong, "pc"), None, "{wrong}");
        }
        assert_eq!(super::parse(greeting.as_bytes(), "pc"), None);
        assert_eq!(super::parse(b"", "pc"), None);
    }

    #[test]
    fn an_emulator_that_was_replaced_is_another_one() {
        let path = std::env::temp_dir().join(format!("qwd-machine-type-{}", std::process::id()));
        fs::write(&path, "7.2").unwrap();
        let program = path.to_str().unwrap();
        let before = key(program, "pc").unwrap();
        assert_ne!(before, key(program, "q35").unwrap());
        fs::write(&path, "10.0").unwrap();
        assert_ne!(before, key(program, "pc").unwrap());
        fs::remove_file(&path).unwrap();
        assert_eq!(key(program, "pc"), None);
    }
}
