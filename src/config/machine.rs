//! One machine of `machines.conf`: its keys, each checked where it stands.
//!
//! A key says how the machine is run, within what the configuration allows everywhere; what a key does
//! not say is decided by the configuration, or by what usually suits the kind of guest. Whether the keys
//! fit together is decided in `qemu`, where the emulator is known.

use super::ConfigError;
use super::build::{self, Build};
use super::entities;
use super::hardware::{Architecture, Guest, Hardware};
use super::icon::Icon;
use super::machines::is_hidden;
use super::nearest::nearest;
use super::network::{self, MachineNetwork};
use crate::model::{Bytes, Lifetime, MachineName, Problem};
use std::str::FromStr;

/// One section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineEntry {
    /// The section's name.
    pub name: MachineName,
    /// Where the image is fetched from; none: an administrator puts it there.
    pub url: Option<String>,
    /// What people read; a machine without one is not offered.
    pub description: Option<String>,
    /// SHA-256 of what the URL delivers, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Its picture.
    pub icon: Option<Icon>,
    /// The groups whose members may use it; empty: everybody.
    pub groups: Vec<String>,
    /// Virtual CPUs.
    pub cpus: Amounts<u32>,
    /// Guest memory.
    pub memory: Amounts<Bytes>,
    /// Lifetime where nothing else is asked for.
    pub lifetime: Option<Lifetime>,
    /// What the guest finds.
    pub hardware: Hardware,
    /// What its sessions reach.
    pub network: MachineNetwork,
    /// What it is built of, if `qwdctl build` makes it.
    pub build: Build,
    /// Line of the section, counted from 1.
    pub line: usize,
    /// What is wrong with it: then it is not offered.
    pub faults: Vec<ConfigError>,
    /// The keys that it has, each with its line.
    pub(super) seen: Vec<(String, usize)>,
}

/// How much of something a machine takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts<T> {
    /// The least it can do with.
    pub least: Option<T>,
    /// What it gets where nothing else is asked for.
    pub usual: Option<T>,
    /// The most it can use.
    pub most: Option<T>,
}

type Setter = fn(&mut MachineEntry, &str) -> Result<(), String>;

pub(super) const KEYS: [(&str, Setter); 32] = [
    ("url", |m, v| keep(&mut m.url, v)),
    ("description", |m, v| keep(&mut m.description, &entities::decode(v, |c| !is_hidden(c)))),
    ("sha256", |m, v| put(&mut m.sha256, sha256(v))),
    ("icon", |m, v| put(&mut m.icon, Icon::parse(v))),
    ("groups", |m, v| groups(v).map(|all| m.groups = all)),
    ("cpus", |m, v| put(&mut m.cpus.usual, cpus(v))),
    ("cpus_min", |m, v| put(&mut m.cpus.least, cpus(v))),
    ("cpus_max", |m, v| put(&mut m.cpus.most, cpus(v))),
    ("memory", |m, v| put(&mut m.memory.usual, memory(v))),
    ("memory_min", |m, v| put(&mut m.memory.least, memory(v))),
    ("memory_max", |m, v| put(&mut m.memory.most, memory(v))),
    ("lifetime", |m, v| put(&mut m.lifetime, amount(v))),
    ("os", |m, v| put(&mut m.hardware.guest, word(v))),
    ("architecture", |m, v| put(&mut m.hardware.architecture, word(v))),
    ("qemu_exec", |m, v| put(&mut m.hardware.program, program(v))),
    ("firmware", |m, v| put(&mut m.hardware.firmware, word(v))),
    ("tpm", |m, v| yes_or_no(v).map(|yes| m.hardware.tpm = yes)),
    ("video", |m, v| put(&mut m.hardware.video, word(v))),
    ("disk", |m, v| put(&mut m.hardware.disk, word(v))),
    ("disk_size", |m, v| put(&mut m.hardware.disk_size, disk_size(v))),
    ("network", |m, v| put(&mut m.network.mode, word(v))),
    ("network_allow", |m, v| put(&mut m.network.allow, network::allow(v))),
    ("bridge", |m, v| put(&mut m.network.bridge, amount(v))),
    ("bridge_isolated", |m, v| put(&mut m.network.isolated, yes_or_no(v))),
    ("network_card", |m, v| put(&mut m.hardware.card, word(v))),
    ("clock", |m, v| put(&mut m.hardware.clock, word(v))),
    ("balloon", |m, v| put(&mut m.hardware.balloon, yes_or_no(v))),
    ("build_suite", |m, v| put(&mut m.build.suite, amount(v))),
    ("build_desktop", |m, v| put(&mut m.build.desktop, word(v))),
    ("build_packages", |m, v| build::packages(v).map(|all| m.build.packages = all)),
    ("build_size", |m, v| put(&mut m.build.size, build::build_size(v))),
    ("build_user", |m, v| put(&mut m.build.user, amount(v))),
];

impl MachineEntry {
    pub(super) fn new(name: MachineName, line: usize) -> Self {
        Self {
            name,
            url: None,
            description: None,
            sha256: None,
            icon: None,
            groups: Vec::new(),
            cpus: Amounts::default(),
            memory: Amounts::default(),
            lifetime: None,
            hardware: Hardware::default(),
            network: MachineNetwork::default(),
            build: Build::default(),
            line,
            faults: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Its picture, or one that shows its kind.
    pub fn icon(&self) -> Icon {
        let kind = || match (self.hardware.guest, self.hardware.architecture) {
            (Some(Guest::Windows), _) => "window",
            (_, Some(Architecture::Arm)) => "chip",
            _ if self.name.as_str().to_ascii_lowercase().ends_with(".iso") => "disc",
            _ => "desktop",
        };
        self.icon.clone().unwrap_or_else(|| Icon::Shipped(kind()))
    }

    /// Takes a line `key=value`.
    pub(super) fn set(&mut self, key: &str, value: &str, line: usize) -> Result<(), String> {
        let Some((_, setter)) = KEYS.iter().find(|(known, _)| *known == key) else {
            let near = nearest(key, KEYS.map(|(known, _)| known));
            let hint = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
            return Err(format!("'{}' is not a key of a machine{hint}", key.escape_debug()));
        };
        if let Some((_, first)) = self.seen.iter().find(|(seen, _)| seen == key) {
            return Err(format!("'{key}' stands twice in [{}], first in line {first}", self.name));
        }
        self.seen.push((key.to_owned(), line));
        if value.is_empty() {
            return Err(format!("'{key}' has no value: give it one, or remove the line"));
        }
        setter(self, value).map_err(|text| format!("{key}: {text}"))
    }

    /// What does not fit together, with the key that it is said of.
    pub(super) fn contradictions(&self) -> Vec<(&'static str, String)> {
        let cpus = ordered(&self.cpus, "cpus_min", "cpus", "cpus_max");
        let memory = ordered(&self.memory, "memory_min", "memory", "memory_max");
        [cpus, memory].into_iter().flatten().collect()
    }
}

fn ordered<T: Copy + Ord + std::fmt::Display>(
    amounts: &Amounts<T>,
    least: &'static str,
    usual: &'static str,
    most: &'static str,
) -> Option<(&'static str, String)> {
    let more = |a: (&'static str, Option<T>), b: (&'static str, Option<T>)| {
        let (x, y) = (a.1?, b.1?);
        (x > y).then(|| (a.0, format!("{} is {x}, which is more than {}, {y}", a.0, b.0)))
    };
    let (low, middle, high) = ((least, amounts.least), (usual, amounts.usual), (most, amounts.most));
    more(low, high).or_else(|| more(low, middle)).or_else(|| more(middle, high))
}

fn put<T>(place: &mut Option<T>, value: Result<T, String>) -> Result<(), String> {
    *place = Some(value?);
    Ok(())
}

fn keep(place: &mut Option<String>, text: &str) -> Result<(), String> {
    put(place, Ok(text.to_owned()))
}

fn amount<T: FromStr<Err = Problem>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|p: Problem| p.message)
}

fn word<T: super::hardware::Word>(text: &str) -> Result<T, String> {
    super::hardware::of_words(text)
}

fn cpus(text: &str) -> Result<u32, String> {
    let number = text.parse().ok().filter(|n| (1..=255).contains(n));
    number.ok_or_else(|| "this takes a whole number from 1 to 255".to_owned())
}

fn memory(text: &str) -> Result<Bytes, String> {
    let bytes: Bytes = amount(text)?;
    if bytes.0 < 1 << 20 || bytes.0 > 1 << 46 {
        return Err("this takes 1M to 64T".to_owned());
    }
    // QEMU takes whole megabytes.
    Ok(Bytes(bytes.0 >> 20 << 20))
}

fn disk_size(text: &str) -> Result<Bytes, String> {
    let bytes: Bytes = amount(text)?;
    let fits = (1 << 20..=1 << 46).contains(&bytes.0);
    fits.then_some(bytes).ok_or_else(|| "this takes 1M to 64T".to_owned())
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("this takes yes or no".to_owned()),
    }
}

fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("this takes 64 hexadecimal digits, as sha256sum prints them".to_owned())
}

fn groups(text: &str) -> Result<Vec<String>, String> {
    let all: Vec<String> = text.split(',').map(|group| group.trim().to_owned()).collect();
    let good = |group: &String| !group.is_empty() && !group.chars().any(char::is_control);
    if all.iter().all(good) { Ok(all) } else { Err("this takes names of groups, with commas between them".to_owned()) }
}

pub(super) fn program(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/+".contains(c);
    let path = !text.contains('/') || text.starts_with('/') && !text.split('/').any(|part| part == "..");
    if text.is_empty() || text.starts_with('-') || !text.chars().all(plain) || !path {
        return Err("this takes a program's name such as qemu-system-x86_64, or its absolute path".to_owned());
    }
    Ok(text.to_owned())
}
