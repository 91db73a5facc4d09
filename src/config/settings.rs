//! Stage three: settings that have been checked. What is here can be relied on.

use super::disk::{self, DiskLimits};
use super::hardware::{Video, Word};
use super::limits::{self, Limits};
use super::machine;
use super::mail::{self, Mail};
use super::monitor::{self, Monitor};
use super::network::{self, Network};
use super::raw::{self, Raw};
use super::sign_in::{self, SignIn};
use crate::model::{Bytes, Lifetime, MachineName, Method};
use std::path::PathBuf;
use std::str::FromStr;

/// How guests are to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// KVM where it works, else TCG.
    Auto,
    /// KVM or nothing.
    Kvm,
    /// Emulation in software.
    Tcg,
}

/// The validated configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Scheme and authority without a final slash, if the administrator named it.
    pub public_url: Option<String>,
    /// Who may have how much.
    pub limits: Limits,
    /// Defaults and bounds of a session.
    pub session: Session,
    /// How QEMU is run.
    pub qemu: Qemu,
    /// What guests reach.
    pub network: Network,
    /// Folder of the images.
    pub machines_dir: PathBuf,
    /// Folder of the sessions' disks, if not private to each unit.
    pub disks_dir: Option<PathBuf>,
    /// How much sessions may write.
    pub disks: DiskLimits,
    /// How machines are fetched.
    pub download: Download,
    /// What the pages show and offer.
    pub page: Page,
    /// How people sign in.
    pub sign_in: SignIn,
    /// How mails are sent, if they are.
    pub mail: Option<Mail>,
    /// What the monitor shows, and to whom.
    pub monitor: Monitor,
}

/// Defaults and bounds of a session.
#[derive(Clone, Debug)]
pub struct Session {
    /// CPUs by default.
    pub cpus: u32,
    /// Memory by default.
    pub memory: Bytes,
    /// The least memory.
    pub memory_min: Bytes,
    /// Lifetime by default.
    pub lifetime: Lifetime,
    /// The longest lifetime, extensions included; zero: no bound.
    pub lifetime_max: Lifetime,
    /// How long before the end people are warned; zero: never.
    pub warn: Lifetime,
    /// Time for a guest to shut down.
    pub stop_grace: Lifetime,
    /// The disk beside an ISO image.
    pub iso_disk: Bytes,
}

/// How machines are fetched.
#[derive(Clone, Debug)]
pub struct Download {
    /// A proxy, if one is set.
    pub proxy: String,
    /// Seconds without a byte after which a download is given up.
    pub timeout: u32,
    /// Downloads at the same time.
    pub parallel: usize,
    /// The largest download or image.
    pub size_max: Bytes,
}

/// How QEMU is run.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// Acceleration.
    pub accel: Accel,
    /// Program name or absolute path.
    pub program: String,
    /// Graphics card.
    pub video: Video,
    /// TCG's buffer.
    pub tb_size: Bytes,
    /// Memory on top of the guest's.
    pub overhead: Bytes,
    /// Percent of one CPU for each virtual CPU.
    pub cpu_quota: u32,
}

/// What the pages show and offer.
#[derive(Clone, Debug)]
pub struct Page {
    /// Texts, logo and style sheet, as in the file.
    pub texts: raw::Page,
    /// CPUs on offer.
    pub cpus: Vec<u32>,
    /// Memory on offer.
    pub memory: Vec<Bytes>,
    /// Lifetimes on offer.
    pub lifetime: Vec<Lifetime>,
    /// The machine picked to begin with.
    pub machine: Option<MachineName>,
}

/// The key at fault and the sentence about it.
pub(super) type Fault = (&'static str, String);

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The dotted key, or that of its section.
    pub key: String,
    /// What it takes.
    pub message: String,
}

impl From<Fault> for Misfit {
    fn from((key, message): Fault) -> Self {
        Self { key: key.to_owned(), message }
    }
}

impl TryFrom<&Raw> for Settings {
    type Error = Misfit;

    fn try_from(raw: &Raw) -> Result<Self, Misfit> {
        let session = session(&raw.session)?;
        let sign_in = sign_in::sign_in(&raw.sign_in)?;
        Ok(Self {
            public_url: sign_in::reached(public_url(&raw.public_url)?, &sign_in)?,
            limits: limits::limits(&raw.limits, session.memory_min)?,
            session,
            qemu: qemu(&raw.qemu)?,
            network: network::network(&raw.network)?,
            machines_dir: absolute("paths.dir_machines", &raw.paths.dir_machines)?,
            disks_dir: optional(&raw.paths.dir_snapshots).map(|t| absolute("paths.dir_snapshots", t)).transpose()?,
            disks: disk::disk_limits(&raw.session, &raw.paths)?,
            download: download(&raw.download)?,
            page: page(&raw.page)?,
            mail: mail::mail(&raw.mail, sign_in.has(Method::Email))?,
            monitor: monitor::monitor(&raw.monitor)?,
            sign_in,
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::try_from(&Raw::default()).expect("the defaults are valid")
    }
}

pub(super) fn fault(key: &'static str, wanted: &str) -> Fault {
    (key, format!("this takes {wanted}"))
}

pub(super) fn optional(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

pub(super) fn parsed<T: FromStr<Err = crate::model::Problem>>(key: &'static str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|p: crate::model::Problem| (key, p.message))
}

pub(super) fn choice<T: Copy>(key: &'static str, text: &str, known: &[(&str, T)]) -> Result<T, Fault> {
    let found = known.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<String> = known.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        (key, format!("\"{text}\" is none of {}", words.join(", ")))
    })
}

pub(super) fn absolute(key: &'static str, text: &str) -> Result<PathBuf, Fault> {
    let path = PathBuf::from(text);
    let plain = path.components().all(|c| !matches!(c, std::path::Component::ParentDir | std::path::Component::CurDir));
    // Blanks, colons and percent signs have a meaning of their own in systemd's path lists.
    let safe = text.chars().all(|c| !c.is_whitespace() && !":%\\\"'".contains(c));
    if path.is_absolute() && plain && safe {
        return Ok(path);
    }
    Err(fault(key, "an absolute path without '..', blanks, colons, quotes or percent signs"))
}

fn public_url(text: &str) -> Result<Option<String>, Fault> {
    let Some(text) = optional(text) else { return Ok(None) };
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.map(|r| r.strip_suffix('/').unwrap_or(r));
    match authority {
        Some(a) if !a.is_empty() && a.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:[]".contains(c)) => {
            Ok(Some(text.trim_end_matches('/').to_owned()))
        }
        _ => Err(fault("public_url", "the server's address without a path, such as https://desktops.example.org")),
    }
}

fn session(raw: &raw::Session) -> Result<Session, Fault> {
    let session = Session {
        cpus: raw.cpus,
        memory: parsed("session.memory", &raw.memory)?,
        memory_min: parsed("session.memory_min", &raw.memory_min)?,
        lifetime: parsed("session.lifetime", &raw.lifetime)?,
        lifetime_max: parsed("session.snapshot_lifetime", &raw.snapshot_lifetime)?,
        warn: parsed("session.warn", &raw.warn)?,
        stop_grace: parsed("session.stop_grace", &raw.stop_grace)?,
        iso_disk: parsed("session.snapshot_alloc_disk", &raw.snapshot_alloc_disk)?,
    };
    if session.cpus == 0 {
        return Err(fault("session.cpus", "1 or more"));
    }
    if session.memory_min.0 < 1 << 20 {
        return Err(fault("session.memory_min", "1M or more"));
    }
    if session.memory < session.memory_min {
        return Err(fault("session.memory", "no less than session.memory_min"));
    }
    if session.iso_disk.0 < 1 << 20 || session.iso_disk.0 > 1 << 46 {
        return Err(fault("session.snapshot_alloc_disk", "1M to 64T"));
    }
    if session.stop_grace.0 > 3600 {
        return Err(fault("session.stop_grace", "an hour at most"));
    }
    Ok(session)
}

fn qemu(raw: &raw::Qemu) -> Result<Qemu, Fault> {
    let accel = [("auto", Accel::Auto), ("kvm", Accel::Kvm), ("tcg", Accel::Tcg)];
    if !(8..=4096).contains(&raw.tb_size) {
        return Err(fault("qemu.tb_size", "8 to 4096 (MiB)"));
    }
    if !(10..=1000).contains(&raw.cpu_quota) {
        return Err(fault("qemu.cpu_quota", "10 to 1000 (percent)"));
    }
    Ok(Qemu {
        accel: choice("qemu.accel", &raw.accel, &accel)?,
        program: machine::program(&raw.qemu_exec).map_err(|text| ("qemu.qemu_exec", text))?,
        video: choice("qemu.qemu_video", &raw.qemu_video, Video::WORDS)?,
        tb_size: Bytes(u64::from(raw.tb_size) << 20),
        overhead: Bytes(u64::from(raw.overhead) << 20),
        cpu_quota: raw.cpu_quota,
    })
}

fn download(raw: &raw::Download) -> Result<Download, Fault> {
    if raw.timeout == 0 {
        return Err(fault("download.timeout", "1 or more (seconds)"));
    }
    if !(1..=16).contains(&raw.parallel) {
        return Err(fault("download.parallel", "1 to 16"));
    }
    let size_max: Bytes = parsed("download.size_max", &raw.size_max)?;
    if size_max.0 < 1 << 20 {
        return Err(fault("download.size_max", "1M or more"));
    }
    let proxy = raw.service_proxy.clone();
    Ok(Download { proxy, timeout: raw.timeout, parallel: raw.parallel as usize, size_max })
}

fn page(raw: &raw::Page) -> Result<Page, Fault> {
    let list = |key, texts: &[String]| texts.iter().map(|t| parsed(key, t)).collect::<Result<Vec<Bytes>, _>>();
    let times = |key, texts: &[String]| texts.iter().map(|t| parsed(key, t)).collect::<Result<Vec<Lifetime>, _>>();
    for (key, empty) in [
        ("page.cpus", raw.cpus.is_empty() || raw.cpus.contains(&0)),
        ("page.memory", raw.memory.is_empty()),
        ("page.lifetime", raw.lifetime.is_empty()),
    ] {
        if empty {
            return Err(fault(key, "at least one value, none of them 0"));
        }
    }
    Ok(Page {
        texts: raw.clone(),
        cpus: raw.cpus.clone(),
        memory: list("page.memory", &raw.memory)?,
        lifetime: times("page.lifetime", &raw.lifetime)?,
        machine: optional(&raw.machine).map(|t| parsed("page.machine", t)).transpose()?,
    })
}
