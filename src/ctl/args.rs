//! The command line, as clap reads it. The contract of the commands is in qwdctl(1).

use super::args_images::{Build, Create, Gone, Growth, Import, growth};
use super::complete;
use crate::bus::NewShare;
use crate::model::{Bytes, Lifetime, Role, UserName};
use clap::{Args as Group, Parser, Subcommand};
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

/// Virtual machine desktops in the browser: machines, sessions, and the state of the service.
#[derive(Parser)]
#[command(name = "qwdctl", version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by a limit, 4 no such session or machine."
)]
pub(super) struct Args {
    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Read the configuration and the machines below this folder.
    #[arg(long, global = true, value_name = "DIR", default_value = "/", hide_default_value = true, value_parser = folder)]
    pub(super) root: PathBuf,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Fetch the images of machines.conf, or of the machines named, if they are not there or have changed.
    /// What is packed (.gz, .xz, .zst, .zip) is unpacked.
    Download {
        /// Only these machines.
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::machines))]
        names: Vec<String>,
    },
    /// Read machines.conf again and have all images examined.
    Refresh,
    /// List the machines and whether they can be started, or try them.
    Machines {
        #[command(subcommand)]
        what: Option<Machines>,
    },
    /// Make a machine with a Debian on it, of packages of the Debian archive, or make it anew.
    Build(Build),
    /// Make a machine of an image of any kind, or of a disk of this server.
    Import(Import),
    /// Start the installation of a new machine, which is finished on its screen.
    Create(Create),
    /// Put a disk in force that is kept since its session did not end in good order.
    Adopt {
        /// The machine.
        #[arg(add = ArgValueCandidates::new(complete::machines))]
        name: String,
    },
    /// Remove such a disk.
    Discard(Gone),
    /// Give a machine's disk another size. Its guest finds a larger disk, and must make use of it itself.
    Resize {
        /// The machine.
        #[arg(add = ArgValueCandidates::new(complete::machines))]
        name: String,
        /// The new size, such as 60G, or +50G for so much more.
        #[arg(value_parser = growth, allow_hyphen_values = true)]
        size: Growth,
    },
    /// Make a machine's image as small as what is in it.
    Compact {
        /// The machine.
        #[arg(add = ArgValueCandidates::new(complete::machines))]
        name: String,
    },
    /// Take a machine out of machines.conf, and remove its image.
    Remove(Gone),
    /// Start a session and print its id and address.
    Start(Start),
    /// List your sessions; root sees everybody's.
    List(List),
    /// Show everything about a session.
    Show {
        /// The session.
        #[arg(add = ArgValueCandidates::new(complete::sessions))]
        id: String,
    },
    /// Make, list or revoke links with which others reach a session's screen.
    Share(Share),
    /// Move a session's end further away.
    Extend {
        /// The session.
        #[arg(add = ArgValueCandidates::new(complete::sessions))]
        id: String,
        /// By how much, such as 30m or 2h.
        #[arg(value_parser = time)]
        time: Lifetime,
    },
    /// Let a paused guest go on, and give its disk more room; root only.
    Resume {
        /// The session.
        #[arg(add = ArgValueCandidates::new(complete::sessions))]
        id: String,
        /// How much it may write to its disk from now on, such as 40G.
        #[arg(long, value_name = "SIZE")]
        disk_max: Option<Bytes>,
    },
    /// Ask guests to shut down, and wait until their sessions are gone.
    Stop(Stop),
    /// Show what everybody's sessions use of the server, again and again; administrators only.
    Monitor(Monitor),
    /// Show the service in figures, and what is wrong with it.
    Status,
    /// Validate the configuration and look at this server; errors and warnings say what mends them.
    Check,
    /// Show every setting with the file and line it comes from.
    Config,
    /// Print the version.
    Version,
    /// Print a completion script for a shell.
    #[command(hide = true)]
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand)]
pub(super) enum Machines {
    /// Start each machine briefly, and say whether it reaches a screen; root only.
    Check(MachinesCheck),
}

#[derive(Group)]
pub(super) struct MachinesCheck {
    /// Only these machines.
    #[arg(value_name = "NAME", add = ArgValueCandidates::new(complete::machines))]
    pub(super) names: Vec<String>,
    /// How long each may take.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub(super) wait: u32,
    /// Keep a picture of each screen in this folder, as NAME.png.
    #[arg(long, value_name = "DIR")]
    pub(super) pictures: Option<PathBuf>,
}

#[derive(Group)]
pub(super) struct Start {
    /// The machine, as 'qwdctl machines' names it.
    #[arg(add = ArgValueCandidates::new(complete::machines))]
    pub(super) machine: String,
    /// Change the machine itself: the session works on a copy, which takes the machine's place when the guest
    /// has shut down or the session is stopped; root only.
    #[arg(long)]
    pub(super) master: bool,
    #[command(flatten)]
    pub(super) how: How,
}

/// How a session is started.
#[derive(Group)]
pub(super) struct How {
    /// Virtual CPUs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) cpus: Option<u32>,
    /// Memory, such as 512M or 2G.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(super) memory: Option<Bytes>,
    /// How long the session may live, such as 30m, 4h or 2d.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) lifetime: Option<Lifetime>,
    /// Whom the session belongs to, such as pam:alice, or alice where there is one sign-in method; root only.
    #[arg(long, value_name = "METHOD:NAME")]
    pub(super) owner: Option<UserName>,
    /// Pass over the limits of the configuration; root only.
    #[arg(long)]
    pub(super) force: bool,
    /// Print a link, too, with which others can control the session.
    #[arg(long)]
    pub(super) share: bool,
    /// Do not wait until the screen answers.
    #[arg(long)]
    pub(super) no_wait: bool,
}

#[derive(Group)]
pub(super) struct List {
    /// Everybody's sessions; administrators only.
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Group)]
pub(super) struct Share {
    /// The session.
    #[arg(add = ArgValueCandidates::new(complete::sessions))]
    pub(super) id: String,
    /// The link lets others look only.
    #[arg(long)]
    pub(super) view: bool,
    /// The link is good for one browser: whoever comes first.
    #[arg(long)]
    pub(super) once: bool,
    /// How long the link is good for; else as long as the session.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(super) lifetime: Option<Lifetime>,
    /// List the session's links, and who has it on the screen.
    #[arg(long, conflicts_with_all = ["view", "once", "lifetime", "revoke"])]
    pub(super) list: bool,
    /// Take a link back, and close the screens that came from it.
    #[arg(long, value_name = "SHARE", conflicts_with_all = ["view", "once", "lifetime"])]
    pub(super) revoke: Option<String>,
}

impl Share {
    /// What the link is to allow.
    pub(super) fn record(&self) -> NewShare {
        let role = if self.view { Role::View } else { Role::Control }.to_string();
        NewShare { role, seconds: self.lifetime.map_or(0, |l| l.0), once: self.once }
    }
}

#[derive(Group)]
pub(super) struct Stop {
    /// The sessions.
    #[arg(value_name = "ID", conflicts_with = "all", required_unless_present = "all")]
    #[arg(add = ArgValueCandidates::new(complete::sessions))]
    pub(super) ids: Vec<String>,
    /// All sessions of the service; administrators only.
    #[arg(long)]
    pub(super) all: bool,
    /// Do not ask the guests: end them at once.
    #[arg(long)]
    pub(super) kill: bool,
}

#[derive(Group)]
pub(super) struct Monitor {
    /// Take two readings, a second apart, print, and end.
    #[arg(long)]
    pub(super) once: bool,
    /// Seconds between two readings.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    #[arg(conflicts_with = "once")]
    pub(super) interval: u64,
    /// Write a page for browsers to a file instead of printing.
    #[arg(long, value_name = "FILE")]
    pub(super) html: Option<PathBuf>,
}

/// A folder as a path from the root, whoever looks into it from wherever.
fn folder(text: &str) -> Result<PathBuf, String> {
    std::path::absolute(text).map_err(|e| format!("This is no folder: {e}."))
}

/// A lifetime that is not "without end": nothing on the bus could say so.
fn time(text: &str) -> Result<Lifetime, String> {
    match text.parse::<Lifetime>() {
        Ok(Lifetime(0)) => Err("A time is at least one second.".to_owned()),
        Ok(time) => Ok(time),
        Err(problem) => Err(problem.message),
    }
}

fn size(text: &str) -> Result<Bytes, String> {
    match text.parse::<Bytes>() {
        Ok(Bytes(0)) => Err("Memory is at least one byte.".to_owned()),
        Ok(size) => Ok(size),
        Err(problem) => Err(problem.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definition_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_meant_is_wrong_usage() {
        for line in [
            "qwdctl",
            "qwdctl banana",
            "qwdctl start",
            "qwdctl start a.iso --cpus 0",
            "qwdctl start a.iso --cpus -1",
            "qwdctl start a.iso --memory 1.5G",
            "qwdctl start a.iso --memory 0",
            "qwdctl start a.iso --lifetime 0",
            "qwdctl start a.iso --owner ../x",
            "qwdctl extend abc",
            "qwdctl extend abc soon",
            "qwdctl stop",
            "qwdctl stop abc --all",
            "qwdctl stop --kill",
            "qwdctl build",
            "qwdctl build a.qcow2 --suite ../x",
            "qwdctl build a.qcow2 --packages vim-",
            "qwdctl build a.qcow2 --packages a;b",
            "qwdctl build a.qcow2 --desktop beos",
            "qwdctl build a.qcow2 --size 1G",
            "qwdctl build a.qcow2 --user root",
            "qwdctl create a.qcow2 --size 10G",
            "qwdctl create a.qcow2 --size 0 --iso x.iso",
            "qwdctl import a.vdi",
            "qwdctl resize a.qcow2",
            "qwdctl resize a.qcow2 -5G",
            "qwdctl resize a.qcow2 +0",
            "qwdctl resize a.qcow2 65T",
            "qwdctl machines slax.iso",
            "qwdctl machines check --wait 0",
            "qwdctl share abc --list --view",
            "qwdctl share abc --list --once",
            "qwdctl share abc --revoke x --list",
            "qwdctl monitor --interval 0",
            "qwdctl monitor --interval 3601",
            "qwdctl monitor --once --interval 5",
            "qwdctl monitor --html",
        ] {
            assert_eq!(parse(line).err().map(|e| e.exit_code()), Some(2), "{line}");
        }
    }

    #[test]
    fn the_contract_parses() {
        for line in [
            "qwdctl --json list",
            "qwdctl list --all --json",
            "qwdctl start slax.iso --cpus 2 --memory 2G --lifetime 4h --owner alice --force --share --no-wait",
            "qwdctl share abc --view --once --lifetime 2h",
            "qwdctl share abc --revoke 1",
            "qwdctl stop abc def",
            "qwdctl stop --all",
            "qwdctl stop --all --kill",
            "qwdctl machines --json",
            "qwdctl machines check a.iso b.iso --wait 90 --pictures /tmp/x --json",
            "qwdctl stop abc --kill",
            "qwdctl start a.qcow2 --master --owner alice",
            "qwdctl create a.qcow2 --size 10G --iso x.iso --description A --owner alice --memory 2G",
            "qwdctl build a.qcow2",
            "qwdctl build a.qcow2 --refresh --json",
            "qwdctl build a.qcow2 --suite trixie --desktop none --packages g++,gimp --packages vim --size 20G --user lab --description A",
            "qwdctl monitor",
            "qwdctl monitor --once --json",
            "qwdctl monitor --html x.html --interval 60",
            "qwdctl import /dev/sdb mine.qcow2 --replace --description Mine",
            "qwdctl resize mine.qcow2 +50G",
            "qwdctl resize mine.qcow2 60G",
            "qwdctl completion bash",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_manual_page_has_every_command_and_option() {
        const PAGE: &str = include_str!("../../man/qwdctl.1");
        let mut main = Args::command();
        main.build();
        let shown = main.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help");
        for command in shown {
            let name = command.get_name();
            let heads = [".B ", ".BR ", ".BI "].map(|macro_| format!("\n{macro_}{name}"));
            assert!(heads.iter().any(|head| PAGE.contains(head)), "{name} has no paragraph");
            for option in command.get_arguments().filter_map(|a| a.get_long()) {
                let written = format!("\\-\\-{}", option.replace('-', "\\-"));
                assert!(PAGE.contains(&written), "--{option} of {name} is not explained");
            }
        }
    }
}
