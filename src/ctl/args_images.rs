//! The command line of what makes and changes images.

use super::args::How;
use super::complete;
use crate::config::{Desktop, build_size};
use crate::images::VIRTUAL_SIZE_MAX;
use crate::model::{AccountName, Bytes, PackageName, Suite};
use clap::Args as Group;
use clap_complete::engine::ArgValueCandidates;
use std::path::PathBuf;

#[derive(Group)]
pub(super) struct Create {
    /// The machine's name, such as mine.qcow2.
    pub(super) name: String,
    /// Size of its disk, such as 10G.
    #[arg(long = "size", value_name = "SIZE", value_parser = disk_size)]
    pub(super) disk: Bytes,
    /// The CD that installs it: a file, or the name of a machine that is one.
    #[arg(long, value_name = "FILE")]
    pub(super) iso: PathBuf,
    /// What people read about the machine.
    #[arg(long, value_name = "TEXT")]
    pub(super) description: Option<String>,
    #[command(flatten)]
    pub(super) how: How,
}

#[derive(Group)]
pub(super) struct Build {
    /// The machine's name, such as desktop.qcow2.
    pub(super) name: String,
    /// The release of Debian, such as trixie; else the one that this server has.
    #[arg(long)]
    pub(super) suite: Option<Suite>,
    /// What is on its screen: xfce, or none for a text console.
    #[arg(long, value_name = "xfce|none")]
    pub(super) desktop: Option<Desktop>,
    /// What is installed besides, with commas between the names.
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(super) packages: Vec<PackageName>,
    /// Size of its disk; 10G if it is not given.
    #[arg(long, value_parser = build_size)]
    pub(super) size: Option<Bytes>,
    /// Who is signed in on it; "user" if it is not given.
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<AccountName>,
    /// What people read about the machine.
    #[arg(long, value_name = "TEXT")]
    pub(super) description: Option<String>,
    /// Build it anew and put it in the place of the image that is there; what is not said is as it was.
    #[arg(long)]
    pub(super) refresh: bool,
}

#[derive(Group)]
pub(super) struct Import {
    /// An image (ISO, qcow2, VDI, VMDK, raw, VHD, VHDX, QED), or a disk such as /dev/sdb.
    #[arg(value_name = "FILE|DEVICE")]
    pub(super) source: PathBuf,
    /// The machine's name, such as mine.qcow2.
    pub(super) name: String,
    /// What people read about the machine.
    #[arg(long, value_name = "TEXT")]
    pub(super) description: Option<String>,
    /// Put it in the place of the image that is there.
    #[arg(long)]
    pub(super) replace: bool,
}

/// How a disk is to grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Growth {
    /// By so much.
    By(Bytes),
    /// To this size.
    To(Bytes),
}

/// What is removed for good.
#[derive(Group)]
pub(super) struct Gone {
    /// The machine.
    #[arg(add = ArgValueCandidates::new(complete::machines))]
    pub(super) name: String,
    /// Do not ask first; needed where there is no terminal to ask on.
    #[arg(short, long)]
    pub(super) yes: bool,
}

/// A new size, or so much more.
pub(super) fn growth(text: &str) -> Result<Growth, String> {
    if text.starts_with('-') {
        return Err("A disk cannot be made smaller: what its guest has at its end would be lost.".to_owned());
    }
    match text.strip_prefix('+') {
        Some(more) => disk_size(more).map(Growth::By),
        None => disk_size(text).map(Growth::To),
    }
}

fn disk_size(text: &str) -> Result<Bytes, String> {
    match text.parse::<Bytes>() {
        Ok(size) if (1 << 20..=VIRTUAL_SIZE_MAX).contains(&size.0) => Ok(size),
        Ok(_) => Err("A disk has 1M to 64T.".to_owned()),
        Err(problem) => Err(problem.message),
    }
}
