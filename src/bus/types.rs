//! The records that cross the bus, each a dictionary `a{sv}`. An unknown key is refused. A key that is missing has the
//! default of its type, so that requests can grow; one of which there is no default, such as a session's id, must be
//! there. A key whose value is `None` is left out.

use super::{as_number, as_text};
use crate::config::{Architecture, MachineEntry};
use crate::model::{Acceleration, Bytes, Lifetime, MachineName, Owner, Pause, Proof, Role, SessionId, State};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use zbus::zvariant::{Type, as_value};

/// On whose behalf a call is made. Believed from root and the portal; from anybody else the
/// launcher puts the caller's own identity in its place.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(default, deny_unknown_fields)]
pub struct Asker {
    /// `PROOF:NAME`; empty: somebody who is not signed in, or root.
    #[serde(with = "as_value")]
    pub owner: String,
    /// The name as people read it. It counts while no sign-in method is configured only, as a label.
    #[serde(with = "as_value")]
    pub name: String,
    /// Groups the sign-in method reported.
    #[serde(with = "as_value")]
    pub groups: Vec<String>,
}

/// The request for a session; zero stands for the configured default.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(default, deny_unknown_fields)]
pub struct NewSession {
    /// A machine of the catalogue, by name.
    #[serde(with = "as_value")]
    pub machine: String,
    /// Virtual CPUs.
    #[serde(with = "as_value")]
    pub cpus: u32,
    /// Guest memory in bytes.
    #[serde(with = "as_value")]
    pub memory_bytes: u64,
    /// Lifetime in seconds.
    #[serde(with = "as_value")]
    pub lifetime_seconds: u64,
    /// Pass over the limits of the configuration; root only.
    #[serde(with = "as_value")]
    pub force: bool,
}

/// A session as its owner may know it.
#[derive(Clone, Debug, Deserialize, Hash, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Its id.
    #[serde(with = "as_text")]
    pub id: SessionId,
    /// The name of its owner as people read it. It proves nothing: see `owner_id`.
    #[serde(default, with = "as_value")]
    pub owner: String,
    /// Its owner, for comparisons.
    #[serde(with = "as_text")]
    pub owner_id: Owner,
    /// The machine it runs.
    #[serde(with = "as_text")]
    pub machine: MachineName,
    /// What the catalogue says of it; else empty.
    #[serde(default, with = "as_value")]
    pub description: String,
    /// Where it is in its life.
    #[serde(with = "as_text")]
    pub state: State,
    /// Why it ended or failed, as a sentence; else empty.
    #[serde(default, with = "as_value")]
    pub message: String,
    /// Why its guest is paused, if it is.
    #[serde(default, with = "as_text::optional", skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The agent in its guest has answered.
    #[serde(default, with = "as_value")]
    pub booted: bool,
    /// Virtual CPUs.
    #[serde(default, with = "as_value")]
    pub cpus: u32,
    /// Guest memory.
    #[serde(default, rename = "memory_bytes", with = "as_number")]
    pub memory: Bytes,
    /// Seconds since 1970.
    #[serde(default, with = "as_value")]
    pub created_at: u64,
    /// Seconds since 1970; zero: it has no end.
    #[serde(default, with = "as_value")]
    pub expires_at: u64,
    /// The latest `expires_at` that extending can reach; zero: no bound.
    #[serde(default, with = "as_value")]
    pub extendable_until: u64,
    /// What its processor is made of; absent for a session without a record.
    #[serde(default, with = "as_text::optional", skip_serializing_if = "Option::is_none")]
    pub accel: Option<Acceleration>,
    /// `user`, `bridge` or `none`; empty for a session without a record.
    #[serde(default, with = "as_value")]
    pub network: String,
    /// Sentences the owner should read, such as why there is no network.
    #[serde(default, with = "as_value")]
    pub notes: Vec<String>,
}

impl Session {
    /// Return what people read first: the machine's description, or else its name.
    pub fn title(&self) -> &str {
        if self.description.is_empty() { self.machine.as_str() } else { &self.description }
    }

    /// Return true once it has ended, well or not; it is known for some time after.
    pub fn is_over(&self) -> bool {
        self.state.is_final()
    }

    /// Return its owner as other people should read it.
    pub fn owner_shown(&self) -> String {
        self.owner_id.proof().describe(&self.owner)
    }
}

/// Return how the name of a viewer or of a link's user was proven; `None`: somebody without a name.
pub(super) fn proof_of(id: Option<&Owner>, name: &str) -> Option<Proof> {
    (!name.is_empty()).then(|| id.map_or(Proof::Unknown, Owner::proof))
}

/// Return somebody's name as other people should read it; empty: somebody without one.
fn shown(id: Option<&Owner>, name: &str) -> String {
    proof_of(id, name).map_or(String::new(), |proof| proof.describe(name))
}

/// A machine of the catalogue.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Its name.
    #[serde(with = "as_text")]
    pub name: MachineName,
    /// What `machines.conf` says about it.
    #[serde(default, with = "as_value")]
    pub description: String,
    /// Empty if it can be started; else the sentence why not.
    #[serde(default, with = "as_value")]
    pub problem: String,
    /// What it needs and cannot have now for the one who asks, as a sentence; else empty.
    #[serde(default, with = "as_value")]
    pub unfit: String,
    /// Size of the image file in bytes; zero if there is none.
    #[serde(default, with = "as_value")]
    pub image_bytes: u64,
    /// A picture, as a path on the web server.
    #[serde(default, with = "as_value")]
    pub icon: String,
    /// Virtual CPUs that the one who asks gets where nothing else is asked for.
    #[serde(default, with = "as_value")]
    pub cpus: u32,
    /// The fewest it takes, if its section says so.
    #[serde(default, with = "as_value::optional", skip_serializing_if = "Option::is_none")]
    pub cpus_min: Option<u32>,
    /// The most it takes, if its section says so.
    #[serde(default, with = "as_value::optional", skip_serializing_if = "Option::is_none")]
    pub cpus_max: Option<u32>,
    /// Guest memory where nothing else is asked for.
    #[serde(default, rename = "memory_bytes", with = "as_number")]
    pub memory: Bytes,
    /// The least it takes, if its section says so.
    #[serde(default, with = "as_number::optional", skip_serializing_if = "Option::is_none")]
    pub memory_min: Option<Bytes>,
    /// The most it takes, if its section says so.
    #[serde(default, with = "as_number::optional", skip_serializing_if = "Option::is_none")]
    pub memory_max: Option<Bytes>,
    /// Lifetime where nothing else is asked for; zero: no end.
    #[serde(default, rename = "lifetime_seconds", with = "as_number")]
    pub lifetime: Lifetime,
    /// The kind of processor; absent if its section contradicts itself.
    #[serde(default, with = "as_text::optional", skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
}

impl Machine {
    /// Return what its section says, and what its sessions usually get; whether it can be started is not known.
    pub fn of(entry: &MachineEntry, (cpus, memory, lifetime): (u32, Bytes, Lifetime)) -> Self {
        Self {
            name: entry.name.clone(),
            description: entry.description.clone().unwrap_or_default(),
            problem: String::new(),
            unfit: String::new(),
            image_bytes: 0,
            icon: entry.icon().path(),
            cpus,
            cpus_min: entry.cpus.least,
            cpus_max: entry.cpus.most,
            memory,
            memory_min: entry.memory.least,
            memory_max: entry.memory.most,
            lifetime,
            architecture: None,
        }
    }
}

/// The request for a link.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(default, deny_unknown_fields)]
pub struct NewShare {
    /// `control` or `view`.
    #[serde(with = "as_value")]
    pub role: String,
    /// How long it is good; zero: as long as the session.
    #[serde(with = "as_value")]
    pub seconds: u64,
    /// Good for one browser: whoever comes first.
    #[serde(with = "as_value")]
    pub once: bool,
}

/// The headroom of the asker at this moment. Zero but for the lifetime while nothing would be accepted.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(default, deny_unknown_fields)]
pub struct Offer {
    /// Sessions that can still be started.
    #[serde(with = "as_value")]
    pub sessions: u32,
    /// The most virtual CPUs of the next one.
    #[serde(with = "as_value")]
    pub cpus: u32,
    /// The most guest memory of the next one.
    #[serde(rename = "memory_bytes", with = "as_number")]
    pub memory: Bytes,
    /// The longest it can be made to live; zero: no bound.
    #[serde(rename = "lifetime_seconds", with = "as_number")]
    pub lifetime: Lifetime,
    /// Why nothing can be started, as a sentence; else empty.
    #[serde(with = "as_value")]
    pub reason: String,
}

/// A right to obtain tickets, without its secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// Names the share among those of its session.
    #[serde(with = "as_value")]
    pub id: String,
    /// What its holder may do.
    #[serde(with = "as_text")]
    pub role: Role,
    /// Seconds since 1970.
    #[serde(default, with = "as_value")]
    pub created_at: u64,
    /// Seconds since 1970; zero: as long as the session.
    #[serde(default, with = "as_value")]
    pub expires_at: u64,
    /// Good for one browser.
    #[serde(default, with = "as_value")]
    pub once: bool,
    /// When the first came by it, in seconds since 1970, if anybody has; where it is for one browser, nobody else can.
    #[serde(default, with = "as_value::optional", skip_serializing_if = "Option::is_none")]
    pub used_at: Option<u64>,
    /// The name of the first, as people read it; empty: somebody without one.
    #[serde(default, with = "as_value")]
    pub used_by: String,
    /// The first, for comparisons; absent: somebody without a name.
    #[serde(default, with = "as_text::optional", skip_serializing_if = "Option::is_none")]
    pub used_by_id: Option<Owner>,
}

impl Share {
    /// Return the name of the first as other people should read it.
    pub fn used_by_shown(&self) -> String {
        shown(self.used_by_id.as_ref(), &self.used_by)
    }
}

/// The answer to the holder of a link.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(deny_unknown_fields)]
pub struct Joined {
    /// The session they are let see.
    #[serde(with = "as_value")]
    pub session: Session,
    /// What they may do.
    #[serde(with = "as_text")]
    pub role: Role,
    /// For the display, at once.
    #[serde(with = "as_value")]
    pub ticket: String,
    /// What to come with the next time: another one than before where the link is for one browser.
    #[serde(with = "as_value")]
    pub secret: String,
}

/// The rights of a redeemed ticket, for the display.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The session on the screen.
    #[serde(with = "as_text")]
    pub session: SessionId,
    /// The name of the session's owner as other people should read it, for the journal.
    #[serde(default, with = "as_value")]
    pub owner: String,
    /// The session's owner, for comparisons.
    #[serde(with = "as_text")]
    pub owner_id: Owner,
    /// Its machine, for the journal and the title.
    #[serde(with = "as_text")]
    pub machine: MachineName,
    /// What the ticket's holder may do.
    #[serde(with = "as_text")]
    pub role: Role,
    /// The share it came from; empty for the owner's own.
    #[serde(default, with = "as_value")]
    pub share: String,
    /// The name of the ticket's holder, as people read it; empty: somebody without one.
    #[serde(default, with = "as_value")]
    pub name: String,
    /// The ticket's holder, for comparisons; absent: somebody without a name.
    #[serde(default, with = "as_text::optional", skip_serializing_if = "Option::is_none")]
    pub name_id: Option<Owner>,
    /// When the right ends, in seconds since 1970; absent: with the session.
    #[serde(default, with = "as_value::optional", skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// Somebody who has a session on the screen.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(deny_unknown_fields)]
pub struct Viewer {
    /// The session.
    #[serde(with = "as_text")]
    pub session: SessionId,
    /// The share they came by; empty: the owner's own right.
    #[serde(default, with = "as_value")]
    pub share: String,
    /// Their name, as people read it; empty: somebody without one.
    #[serde(default, with = "as_value")]
    pub name: String,
    /// Who they are, for comparisons; absent: somebody without a name.
    #[serde(default, with = "as_text::optional", skip_serializing_if = "Option::is_none")]
    pub name_id: Option<Owner>,
    /// What they may do.
    #[serde(with = "as_text")]
    pub role: Role,
    /// The address they come from, as Apache saw it, if that is known.
    #[serde(default, with = "as_text::optional", skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Seconds since 1970.
    #[serde(default, with = "as_value")]
    pub since: u64,
}

impl Viewer {
    /// Return their name as other people should read it.
    pub fn shown(&self) -> String {
        shown(self.name_id.as_ref(), &self.name)
    }

    /// Return their address as text; empty: it is not known.
    pub fn address_shown(&self) -> String {
        self.address.map_or_else(String::new, |address| address.to_string())
    }
}

/// The service in figures.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, Type)]
#[zvariant(signature = "dict")]
#[serde(default, deny_unknown_fields)]
pub struct Status {
    /// Version of the launcher.
    #[serde(with = "as_value")]
    pub version: String,
    /// Sessions that exist.
    #[serde(with = "as_value")]
    pub sessions: u32,
    /// As many as the configuration admits.
    #[serde(with = "as_value")]
    pub sessions_max: u32,
    /// CPUs of the host.
    #[serde(with = "as_value")]
    pub host_cpus: u32,
    /// Virtual CPUs given out.
    #[serde(with = "as_value")]
    pub cpus_given: u32,
    /// As many as the configuration gives out.
    #[serde(with = "as_value")]
    pub cpus_max: u32,
    /// Load of the host: 1.0 is all CPUs busy.
    #[serde(with = "as_value")]
    pub load: f64,
    /// Memory of the host in bytes.
    #[serde(with = "as_value")]
    pub memory_total: u64,
    /// Memory that could be had at once, in bytes.
    #[serde(with = "as_value")]
    pub memory_available: u64,
    /// Guest memory given out, in bytes.
    #[serde(with = "as_value")]
    pub memory_given: u64,
    /// What the next session's processor is made of.
    #[serde(with = "as_text")]
    pub accel: Acceleration,
    /// `user`, `none` or `bridge`: what the next session gets, if its machine says nothing else.
    #[serde(with = "as_value")]
    pub network: String,
    /// Why the configuration on disk is not the one in force; else empty.
    #[serde(with = "as_value")]
    pub config_problem: String,
    /// Sentences the administrator should read.
    #[serde(with = "as_value")]
    pub warnings: Vec<String>,
}
