//! Runs `qwd-convert`: under systemd in a sandboxed unit of its own; where there is none, as the user nobody.

use super::super::examine::{NOBODY, helper, system_bus};
use crate::images::{Converted, Step, Work, read_step};
use crate::model::Problem;
use crate::systemd::{Systemd, first_answer};
use crate::{random, unit};
use indicatif::ProgressBar;
use std::fs::File;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

/// Makes the image of that folder from an open file or disk; `what` are the program's options.
pub(super) fn convert(source: File, work: &Work, what: &[String], bar: &ProgressBar) -> Result<Converted, Problem> {
    work.create()?;
    let line = |text: &str| match read_step(text.trim_end()) {
        Ok(Step::Percent(percent)) => {
            bar.set_position((percent * 10.0) as u64);
            None
        }
        Ok(Step::Done(made)) => Some(Ok(made)),
        Ok(Step::Problem(failed)) => Some(Err(failed.into())),
        Err(problem) => Some(Err(problem)),
    };
    let answer = match system_bus() {
        Some(bus) => {
            let name = format!("qwd-convert-{}.service", random::label());
            let properties = unit::conversion(&work.disk(), work.room(), what);
            let files = vec![("StandardInputFileDescriptor", source.into())];
            Systemd::new(&bus)?.lines_of(&name, &properties, "StandardErrorFileDescriptor", files, line)?
        }
        None => as_nobody(source, work, what, line)?,
    };
    answer.unwrap_or_else(|| Err(Problem::failed("The making of the image ended without a result.")))
}

fn as_nobody<T>(
    source: File,
    work: &Work,
    what: &[String],
    line: impl FnMut(&str) -> Option<T>,
) -> Result<Option<T>, Problem> {
    let failed = |e: std::io::Error| Problem::failed(format!("The image could not be made: {e}."));
    let mut command = helper("qwd-convert");
    command.arg(format!("--room={}", work.room())).args(what).arg(work.disk());
    command.stdin(source).stdout(Stdio::null()).stderr(Stdio::piped());
    let root = super::super::client::is_root();
    let give = |owner| [work.folder(), &work.disk()].iter().try_for_each(|path| chown(path, Some(owner), Some(owner)));
    if root {
        // Nobody reaches it otherwise, and nobody else is to.
        give(NOBODY).map_err(failed)?;
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.spawn().map_err(failed)?;
    let found = match child.stderr.take() {
        Some(printed) => first_answer(File::from(std::os::fd::OwnedFd::from(printed)), line).map_err(failed)?,
        None => None,
    };
    child.wait().map_err(failed)?;
    if root {
        give(0).map_err(failed)?;
    }
    Ok(found)
}
