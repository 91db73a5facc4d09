//! The record of a session, from which the bus, the JSON and the file are made at the edges alone.

use super::Spec;
use crate::journal::Story;
use crate::model::{Acceleration, Bytes, Event, ImpossibleEvent, Owner, Role, SessionId, State, Word};
use crate::policy::Span;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A session that exists.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its id.
    pub id: SessionId,
    /// Its owner, for comparisons.
    pub owner: Owner,
    /// The owner's name as people read it. It proves nothing.
    pub owner_name: String,
    /// The request, with every default filled in.
    pub spec: Spec,
    /// The last state that had to be recorded; [`Record::apply`] alone changes it.
    pub(super) state: State,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Seconds since 1970; zero: it has no end.
    pub expires_at: u64,
    /// The latest `expires_at` that was granted at the start; zero: no limit.
    pub extendable_until: u64,
    /// Its share links.
    pub shares: Vec<ShareRecord>,
    /// The resources and facts of its placement.
    pub run: Option<Run>,
}

/// The part of a record that exists only once the session was placed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// QEMU's versioned machine type.
    pub machine_type: String,
    /// The acceleration; `None`: not known.
    pub accel: Option<Acceleration>,
    /// `user`, `bridge` or `none`.
    pub network: String,
    /// Messages for the owner, such as why there is no network.
    pub notes: Vec<String>,
    /// The directory of a scratch disk that is not private to the unit.
    pub disk_directory: Option<PathBuf>,
    /// The directory of a persistent disk (`images::Kept`).
    pub persistent_disk: Option<PathBuf>,
    /// The maximum size of the disk.
    pub disk_max: Option<Bytes>,
}

/// A right to obtain tickets, with its secret only as SHA-256.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShareRecord {
    /// Names it among the shares of its session.
    pub id: String,
    /// What its holder may do.
    pub role: Role,
    /// SHA-256 of the secret in hexadecimal.
    pub secret_sha256: String,
    /// Seconds since 1970.
    pub created_at: u64,
    /// Seconds since 1970; zero: as long as the session.
    pub expires_at: u64,
    /// Valid for one browser.
    pub once: bool,
    /// SHA-256 of the link's own secret, once a browser has used it up and has another.
    pub spent_sha256: Option<String>,
    /// When it was first used, in seconds since 1970; zero: never.
    pub used_at: u64,
    /// The name of its first user, as people read it; empty: a guest without a name.
    pub used_by: String,
    /// Its first user as `PROOF:NAME`.
    pub used_by_id: String,
}

/// How a session ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// The session with its last state, and without its shares.
    pub record: Record,
    /// Why it ended.
    pub message: String,
    /// Seconds since 1970.
    pub ended_at: u64,
    /// The kind of problem, where it was one.
    pub word: Option<String>,
}

impl Notice {
    /// Return the kind of problem, where it was one.
    pub fn word(&self) -> Option<Word> {
        Word::ALL.into_iter().find(|w| self.word.as_deref() == Some(w.as_str()))
    }
}

impl Record {
    /// Return the record of a session that was accepted.
    pub fn new(id: SessionId, (owner, owner_name): (Owner, String), spec: Spec, span: Span) -> Self {
        Self {
            id,
            owner,
            owner_name,
            spec,
            state: State::Queued,
            created_at: span.created_at,
            expires_at: span.expires_at,
            extendable_until: span.latest,
            shares: Vec::new(),
            run: None,
        }
    }

    /// Record the placement; the unit is going to be started.
    pub fn place(&mut self, run: Run) -> Result<(), ImpossibleEvent> {
        self.apply(Event::Place)?;
        self.run = Some(run);
        Ok(())
    }

    /// Record an event.
    pub fn apply(&mut self, event: Event) -> Result<(), ImpossibleEvent> {
        self.state = self.state.after(event)?;
        Ok(())
    }

    /// Return the last state that had to be recorded.
    pub fn state(&self) -> State {
        self.state
    }

    /// Return whether its screen has ever answered.
    pub fn was_up(&self) -> bool {
        !matches!(self.state, State::Queued | State::Starting)
    }

    /// Return when it began and ends.
    pub fn span(&self) -> Span {
        Span { created_at: self.created_at, expires_at: self.expires_at, latest: self.extendable_until }
    }

    /// Return its owner as other people should read it.
    pub fn owner_shown(&self) -> String {
        self.owner.proof().describe(&self.owner_name)
    }

    /// Return the fields of its lines in the journal; `owner` is [`Record::owner_shown`].
    pub fn story<'a>(&'a self, owner: &'a str) -> Story<'a> {
        Story { session: self.id.as_str(), owner, machine: self.spec.machine.as_str() }
    }

    /// Return the directory of its scratch disk, where that is not private to its unit.
    pub fn disk_directory(&self) -> Option<&Path> {
        self.run.as_ref()?.disk_directory.as_deref()
    }

    /// Return the directory of its persistent disk, if it has one.
    pub fn persistent_disk(&self) -> Option<&Path> {
        self.run.as_ref()?.persistent_disk.as_deref()
    }

    /// Return the maximum size of its disk, if there is one.
    pub fn disk_max(&self) -> Option<Bytes> {
        self.run.as_ref()?.disk_max
    }
}
