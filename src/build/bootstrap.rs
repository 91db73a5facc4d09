//! mmdebstrap at work: the packages become a root.

use super::archive::{Archive, without_credentials};
use super::progress::Progress;
use super::{Failure, Phase, Recipe, Step, missing, tool};
use crate::images::told::tell;
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

/// The root, in the folder.
pub(super) const ROOT: &str = "root";
/// The sources that the machine's own apt gets.
pub(super) const SOURCES: &str = "guest.list";

/// Fills the root.
pub(super) fn bootstrap(recipe: &Recipe, archive: &Archive, folder: &Path) -> Result<(), Failure> {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| Failure::of("What apt is to do cannot be written", &e))
    };
    write("archive.list", &archive.sources)?;
    write("apt.conf", &archive.options)?;
    write(SOURCES, &without_credentials(&archive.sources))?;
    let broken = |e: std::io::Error| Failure::of("mmdebstrap cannot be followed", &e);
    let (output, input) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| broken(e.into()))?;
    let mut command = mmdebstrap(recipe, folder)?;
    command.stdout(input.try_clone().map_err(broken)?).stderr(input);
    let mut child = command.spawn().map_err(|e| missing("mmdebstrap", "mmdebstrap", &e))?;
    // Its copies of our end of the pipe.
    drop(command);
    let mut progress = Progress::default();
    let mut reader = BufReader::new(File::from(output));
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(broken)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        if let Some(percent) = progress.line(text.trim_end()) {
            tell(&Step::At { phase: Phase::Packages, percent });
        }
        line.clear();
    }
    if child.wait().map_err(broken)?.success() { Ok(()) } else { Err(progress.why()) }
}

fn mmdebstrap(recipe: &Recipe, folder: &Path) -> Result<Command, Failure> {
    // By this name, which is a link to a file of several programs.
    let ourselves = std::env::args().next().unwrap_or_default();
    // Words of letters, digits and a few harmless characters: the shell takes them as they are.
    let hook = |when: &str| format!("--{when}='{}' {} --hook={{}} \"$1\"", ourselves, recipe.arguments().join(" "));
    let path = |name: &str| folder.join(name).display().to_string();
    let mut command = tool("mmdebstrap");
    command.args(["--verbose", "--mode=root", "--variant=minbase", "--format=directory", "--architectures=amd64"]);
    command.arg(format!("--include={}", recipe.all_packages().join(",")));
    command.arg(format!("--aptopt={}", path("apt.conf")));
    // What is half done after a crash is thrown away.
    command.arg("--dpkgopt=force-unsafe-io");
    // No package needs it, and it would show them this server's hardware.
    command.arg("--skip=chroot/mount/sys");
    command.arg(hook("essential-hook").replace("{}", "before"));
    command.arg(hook("customize-hook").replace("{}", "after"));
    command.args([recipe.suite.as_str(), &path(ROOT), &path("archive.list")]);
    Ok(command)
}
