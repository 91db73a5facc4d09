//! The records that cross the bus. A change here is a change of the interface's version.

use crate::config::MachineEntry;
use crate::model::{Bytes, Lifetime, Owner, Proof};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zbus::zvariant::Type;

/// On whose behalf a call is made. Believed from root and the portal; from anybody else the
/// launcher puts the caller's own identity in its place.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Type)]
pub struct Asker {
    /// `PROOF:NAME`; empty: somebody who is not signed in, or root.
    pub owner: String,
    /// The name as people read it. It counts while no sign-in method is configured only, as a label.
    pub name: String,
    /// Groups the sign-in method reported.
    pub groups: Vec<String>,
}

/// What is asked for. Zero stands for the configured default.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Type)]
pub struct NewSession {
    /// A machine of the catalogue, by name.
    pub machine: String,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory in bytes.
    pub memory_bytes: u64,
    /// Lifetime in seconds.
    pub lifetime_seconds: u64,
    /// Pass over the limits of the configuration; root only.
    pub force: bool,
}

/// A session as its owner may know it. The JSON API serves the same fields.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// The name of its owner as people read it. It proves nothing: see `owner_id`.
    pub owner: String,
    /// Its owner as `PROOF:NAME`. (Records of the first version lack this.)
    #[serde(default)]
    pub owner_id: String,
    /// The machine it runs.
    pub machine: String,
    /// What the catalogue says of it; else empty. (Records of the first version lack this.)
    #[serde(default)]
    pub description: String,
    /// `starting`, `running`, `stopping`, `ended` or `failed`.
    pub state: String,
    /// Why it ended or failed, as a sentence; else empty.
    pub message: String,
    /// Why its guest is paused: `disk_limit`, `server_disk_full` or `disk_error`; else empty. (Records lack this.)
    #[serde(default)]
    pub paused: String,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory in bytes.
    pub memory_bytes: u64,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Seconds since 1970; zero: it has no end.
    pub expires_at: u64,
    /// The latest `expires_at` that extending can reach; zero: no bound.
    pub extendable_until: u64,
    /// `kvm` or `tcg`.
    pub accel: String,
    /// `user`, `bridge` or `none`.
    pub network: String,
    /// Sentences the owner should read, such as why there is no network.
    pub notes: Vec<String>,
}

impl Session {
    /// What people read first: what the machine is, or else its name.
    pub fn title(&self) -> &str {
        if self.description.is_empty() { &self.machine } else { &self.description }
    }

    /// True once it has ended, well or not; it is known for some time after.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "ended" | "failed")
    }

    /// Return its owner, for comparisons.
    pub fn owner(&self) -> Owner {
        Owner::recorded(&self.owner_id, &self.owner)
    }

    /// Return its owner as other people should read it.
    pub fn owner_shown(&self) -> String {
        self.owner().proof().describe(&self.owner)
    }

    /// Return it as the JSON API and `qwdctl` print it.
    pub fn json(&self) -> Value {
        let mut value = json!(self);
        value["proof"] = json!(self.owner().proof().as_str());
        without_id(value, "owner_id")
    }
}

/// What compares people is for programs, and a browser's would only be noise.
fn without_id(mut value: Value, field: &str) -> Value {
    value.as_object_mut().map(|fields| fields.remove(field));
    value
}

/// Return how the name of a viewer or of a link's user was proven; `None`: somebody without a name.
fn proof_of(id: &str, name: &str) -> Option<Proof> {
    (!name.is_empty()).then(|| Owner::recorded(id, name).proof())
}

/// Return somebody's name as other people should read it; empty: somebody without one.
fn shown(id: &str, name: &str) -> String {
    proof_of(id, name).map_or(String::new(), |proof| proof.describe(name))
}

/// A machine of the catalogue. The least and the most are zero where its section says nothing.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// What `machines.conf` says about it.
    pub description: String,
    /// Empty if it can be started; else the sentence why not.
    pub problem: String,
    /// What it needs and cannot have now for the one who asks, as a sentence; else empty.
    pub unfit: String,
    /// Size of the image file in bytes; zero if there is none.
    pub image_bytes: u64,
    /// A picture, as a path on the web server.
    pub icon: String,
    /// Virtual CPUs that the one who asks gets where nothing else is asked for.
    pub cpus: u32,
    /// The fewest it takes.
    pub cpus_min: u32,
    /// The most it takes.
    pub cpus_max: u32,
    /// Guest memory where nothing else is asked for, in bytes.
    pub memory_bytes: u64,
    /// The least it takes, in bytes.
    pub memory_min: u64,
    /// The most it takes, in bytes.
    pub memory_max: u64,
    /// Lifetime where nothing else is asked for, in seconds; zero: no end.
    pub lifetime_seconds: u64,
    /// The kind of processor: `x86_64` or `aarch64`.
    pub architecture: String,
}

impl Machine {
    /// What its section says, and what its sessions usually get; whether it can be started is not known.
    pub fn of(entry: &MachineEntry, (cpus, memory, lifetime): (u32, Bytes, Lifetime)) -> Self {
        let bytes = |amount: Option<Bytes>| amount.map_or(0, |bytes| bytes.0);
        Self {
            name: entry.name.to_string(),
            description: entry.description.clone().unwrap_or_default(),
            icon: entry.icon().path(),
            cpus,
            cpus_min: entry.cpus.least.unwrap_or(0),
            cpus_max: entry.cpus.most.unwrap_or(0),
            memory_bytes: memory.0,
            memory_min: bytes(entry.memory.least),
            memory_max: bytes(entry.memory.most),
            lifetime_seconds: lifetime.0,
            ..Self::default()
        }
    }
}

/// What a new link is to allow.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Type)]
pub struct NewShare {
    /// `control` or `view`.
    pub role: String,
    /// How long it is good; zero: as long as the session.
    pub seconds: u64,
    /// Good for one browser: whoever comes first.
    pub once: bool,
}

/// What would be accepted at this moment from the one who asks. Zero but for the lifetime while
/// nothing at all would be.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
pub struct Offer {
    /// Sessions that can still be started.
    pub sessions: u32,
    /// The most virtual CPUs of the next one.
    pub cpus: u32,
    /// The most guest memory of the next one, in bytes.
    pub memory_bytes: u64,
    /// The longest it can be made to live, in seconds; zero: no bound.
    pub lifetime_seconds: u64,
    /// Why nothing can be started, as a sentence; else empty.
    pub reason: String,
}

/// A right to obtain tickets, without its secret.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
pub struct Share {
    /// Names the share among those of its session.
    pub id: String,
    /// `control` or `view`.
    pub role: String,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Seconds since 1970; zero: as long as the session.
    pub expires_at: u64,
    /// Good for one browser.
    pub once: bool,
    /// Somebody has come by it; where it is for one browser, nobody else can.
    pub used: bool,
    /// When the first did, in seconds since 1970; zero: nobody yet.
    pub used_at: u64,
    /// The name of the first, as people read it; empty: somebody without one.
    pub used_by: String,
    /// The first as `PROOF:NAME`.
    pub used_by_id: String,
}

impl Share {
    /// Return the name of the first as other people should read it.
    pub fn used_by_shown(&self) -> String {
        shown(&self.used_by_id, &self.used_by)
    }

    /// Return it as the JSON API and `qwdctl` print it.
    pub fn json(&self) -> Value {
        let mut value = json!(self);
        value["used_by_proof"] = json!(proof_of(&self.used_by_id, &self.used_by).map_or("", Proof::as_str));
        without_id(value, "used_by_id")
    }
}

/// What the holder of a link gets.
#[derive(Clone, Debug, Deserialize, Serialize, Type)]
pub struct Joined {
    /// The session they are let see.
    pub session: Session,
    /// `control` or `view`.
    pub role: String,
    /// For the display, at once.
    pub ticket: String,
    /// What to come with the next time: another one than before where the link is for one browser.
    pub secret: String,
}

/// What a redeemed ticket allows, for the display.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Type)]
pub struct Grant {
    /// The session on the screen.
    pub session: String,
    /// Its owner, for the journal.
    pub owner: String,
    /// Its machine, for the journal and the title.
    pub machine: String,
    /// `control` or `view`.
    pub role: String,
    /// The share it came from; empty for the owner's own.
    pub share: String,
    /// The name of the ticket's holder, as people read it; empty: somebody without one.
    pub name: String,
    /// The ticket's holder as `PROOF:NAME`.
    pub name_id: String,
    /// When the right ends, in seconds since 1970; zero: with the session.
    pub until: u64,
    /// The session's owner as `PROOF:NAME`.
    pub owner_id: String,
}

/// Somebody who has a session on the screen.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
pub struct Viewer {
    /// The session.
    pub session: String,
    /// The share they came by; empty: the owner's own right.
    pub share: String,
    /// Their name, as people read it; empty: somebody without one.
    pub name: String,
    /// They as `PROOF:NAME`.
    pub name_id: String,
    /// `control` or `view`.
    pub role: String,
    /// The address they come from, as Apache saw it; empty: not known.
    pub address: String,
    /// Seconds since 1970.
    pub since: u64,
}

impl Viewer {
    /// Return their name as other people should read it.
    pub fn shown(&self) -> String {
        shown(&self.name_id, &self.name)
    }

    /// Return it as the JSON API and `qwdctl` print it.
    pub fn json(&self) -> Value {
        let mut value = json!(self);
        value["proof"] = json!(proof_of(&self.name_id, &self.name).map_or("", Proof::as_str));
        without_id(value, "name_id")
    }
}

/// The service in figures.
#[derive(Clone, Debug, Default, Deserialize, Serialize, Type)]
pub struct Status {
    /// Version of the launcher.
    pub version: String,
    /// Sessions that exist.
    pub sessions: u32,
    /// As many as the configuration admits.
    pub sessions_max: u32,
    /// CPUs of the host.
    pub host_cpus: u32,
    /// Virtual CPUs given out.
    pub cpus_given: u32,
    /// As many as the configuration gives out.
    pub cpus_max: u32,
    /// Load of the host: 1.0 is all CPUs busy.
    pub load: f64,
    /// Memory of the host in bytes.
    pub memory_total: u64,
    /// Memory that could be had at once, in bytes.
    pub memory_available: u64,
    /// Guest memory given out, in bytes.
    pub memory_given: u64,
    /// `kvm` or `tcg`: what the next session gets.
    pub accel: String,
    /// `user`, `none` or `bridge`: what the next session gets, if its machine says nothing else.
    pub network: String,
    /// Why the configuration on disk is not the one in force; else empty.
    pub config_problem: String,
    /// Sentences the administrator should read.
    pub warnings: Vec<String>,
}
