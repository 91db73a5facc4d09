//! `qwd-auth-command`: becomes the administrator's program, which decides.
//!
//! The program finds the question on its standard input and has the connection as its standard output.
//! There is no shell and no argument; the environment is the unit's. Nobody is left in between: what
//! the program prints is what the portal reads.

use super::serve;
use crate::auth::{Answer, CommandCheck};
use rustix::fs::{MemfdFlags, memfd_create};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use zeroize::Zeroizing;

const ROOT: u32 = 0;
/// What names the program.
pub const SETTING: &str = "sign_in.command.program";

/// Runs the program; the exit code says whether there was an answer, if it did not become another.
pub fn main() -> ExitCode {
    serve(|check: CommandCheck| match program(Path::new("/")) {
        Ok(program) => Answer::unavailable(turn_into(&program, &check)),
        Err(sentence) => Answer::unavailable(sentence),
    })
}

/// The configured program, if it can be trusted.
fn program(root: &Path) -> Result<PathBuf, String> {
    let program = super::settings(root)?.sign_in.command;
    let program = program.ok_or_else(|| "A program is not among sign_in.methods.".to_owned())?;
    examine(&program, ROOT).map(|()| program)
}

/// Why the program would not be run, if so.
pub fn amiss(program: &Path) -> Option<String> {
    examine(program, ROOT).err()
}

/// Whether the program is there, can be run, and is in nobody's hands but the owner's.
fn examine(program: &Path, owner: u32) -> Result<(), String> {
    let name = format!("The program {}, which is {SETTING},", program.display());
    let place = program.canonicalize().map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => format!("{name} does not exist; the service does not see /home, /root and /tmp."),
        _ => format!("{name} cannot be looked at: {e}."),
    })?;
    let facts = fs::metadata(&place).map_err(|e| format!("{name} cannot be looked at: {e}."))?;
    if !facts.is_file() {
        return Err(format!("{name} is no file."));
    }
    if facts.mode() & 0o001 == 0 {
        return Err(format!("{name} cannot be run by everybody: 'chmod 755 {}'.", place.display()));
    }
    if !is_startable(&place) {
        return Err(format!(
            "{name} does not say who runs it: a script begins with a line such as '#!/usr/bin/python3'."
        ));
    }
    if begins_with_carriage_return(&place) {
        let place = place.display();
        return Err(format!(
            "{name} has the ends of lines of Windows, so nothing starts it: 'sed -i \"s/\\r$//\" {place}'."
        ));
    }
    // A link may be changed as well as what it leads to.
    for path in program.ancestors().chain(place.ancestors()) {
        if in_other_hands(path, owner) {
            let path = path.display();
            return Err(format!(
                "{name} is not run, because others than root can change {path}: 'chown root:root {path}; chmod go-w {path}'."
            ));
        }
    }
    Ok(())
}

/// What the kernel would not start, the C library would give to a shell. A program may be there to be
/// run and not to be read.
fn is_startable(place: &Path) -> bool {
    let mut start = [0; 2];
    match File::open(place) {
        Ok(mut file) => file.read_exact(&mut start).is_ok() && [*b"#!", *b"\x7fE"].contains(&start),
        Err(e) => e.kind() == io::ErrorKind::PermissionDenied,
    }
}

/// Whether the first line of a script ends with a carriage return, which the kernel takes for a part of the name.
fn begins_with_carriage_return(place: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(place).and_then(|file| file.take(256).read_to_end(&mut start));
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    read.is_ok() && line.starts_with(b"#!") && line.ends_with(b"\r")
}

/// Whether others can change the file, or take away what is in the folder.
fn in_other_hands(path: &Path, owner: u32) -> bool {
    let Ok(facts) = fs::symlink_metadata(path) else { return true };
    let is_open = facts.mode() & 0o022 != 0;
    let is_guarded = facts.is_symlink() || (facts.is_dir() && facts.mode() & 0o1000 != 0);
    (facts.uid() != ROOT && facts.uid() != owner) || (is_open && !is_guarded)
}

/// Does not return but with the reason why it failed.
fn turn_into(program: &Path, check: &CommandCheck) -> String {
    let failed = match streams(check) {
        Ok((question, connection)) => {
            let mut command = Command::new(program);
            command.stdin(question).stdout(connection).current_dir("/");
            // They are about sockets that it does not get.
            for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_sockets(name)) {
                command.env_remove(name);
            }
            command.exec()
        }
        Err(e) => e,
    };
    format!(
        "The program {}, which is {SETTING}, cannot be started: {failed}. See that there is what its first line names.",
        program.display()
    )
}

fn is_about_sockets(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"LISTEN_")
}

/// The question as a file that is nowhere, and the connection for the answer.
fn streams(check: &CommandCheck) -> io::Result<(OwnedFd, OwnedFd)> {
    let text = Zeroizing::new(serde_json::to_vec(check)?);
    let mut question = File::from(memfd_create("question", MemfdFlags::CLOEXEC)?);
    question.write_all(&text)?;
    question.rewind()?;
    Ok((question.into(), io::stdin().as_fd().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A folder with a program in it that is in nobody else's hands, and whose they are.
    fn place(name: &str) -> (PathBuf, PathBuf, u32) {
        let folder = std::env::temp_dir().join(format!("qwd-command-{}-{name}", crate::random::label()));
        fs::create_dir(&folder).unwrap();
        let program = folder.join("check");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        set_mode(&folder, 0o755);
        set_mode(&program, 0o755);
        let owner = fs::metadata(&program).unwrap().uid();
        (folder, program, owner)
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_program_in_the_right_hands_is_run() {
        let (folder, program, owner) = place("right");
        assert_eq!(examine(&program, owner), Ok(()));
        let link = folder.join("link");
        symlink(&program, &link).unwrap();
        assert_eq!(examine(&link, owner), Ok(()));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_others_can_change_is_not_run() {
        let (folder, program, owner) = place("others");
        let refusal = |path: &Path| {
            let why = examine(&program, owner).unwrap_err();
            assert!(why.contains(&format!("chmod go-w {}'", path.display())), "{why}");
        };
        for mode in [0o777, 0o775, 0o757] {
            set_mode(&program, mode);
            refusal(&program);
        }
        set_mode(&program, 0o755);
        set_mode(&folder, 0o777);
        refusal(&folder);
        set_mode(&folder, 0o1777);
        assert_eq!(examine(&program, owner), Ok(()));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_run() {
        let (folder, program, owner) = place("owner");
        // What is root's is in nobody else's hands, so root gives it away for this.
        let asked = if owner == ROOT { ROOT } else { owner + 1 };
        if owner == ROOT {
            std::os::unix::fs::chown(&program, Some(65_534), None).unwrap();
        }
        assert!(examine(&program, asked).unwrap_err().contains("others than root can change"));
        assert!(in_other_hands(Path::new("/proc/self/no-such"), ROOT));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_missing_is_said() {
        let (folder, program, owner) = place("missing");
        let why = |path: &Path| examine(path, owner).unwrap_err();
        assert!(why(&folder.join("nothing")).contains("does not exist"));
        assert!(why(&program.join("below")).contains("cannot be looked at"));
        assert!(why(&folder).contains("is no file"));
        fs::write(&program, "print('accept')\n").unwrap();
        assert!(why(&program).contains("does not say who runs it"));
        fs::write(&program, "#!/bin/sh\r\necho accept\r\n").unwrap();
        assert!(why(&program).contains("ends of lines of Windows"));
        set_mode(&program, 0o700);
        assert!(why(&program).contains("chmod 755"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_question_is_the_agreed_json_and_ends() {
        let check = CommandCheck { user: "alice".into(), password: "s3cret".into(), previous: vec![] };
        let mut text = String::new();
        File::from(streams(&check).unwrap().0).read_to_string(&mut text).unwrap();
        assert_eq!(text, r#"{"user":"alice","password":"s3cret","previous":[]}"#);
    }
}
