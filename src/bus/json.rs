//! The records as the JSON API and `qwdctl` print them. An amount or a word that is absent is zero or empty there, and
//! the owners that compare people stay inside: they are for programs, and a browser's would only be noise.

use super::figures::{Usage, seconds};
use super::types::{Machine, Offer, Session, Share, Status, Viewer, proof_of};
use crate::config::Word;
use crate::model::{Acceleration, Bytes, Owner, Pause, Proof};
use serde_json::{Value, json};

impl Session {
    /// Return it as the JSON API and `qwdctl` print it.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "owner": self.owner,
            "proof": self.owner_id.proof().as_str(),
            "machine": self.machine,
            "description": self.description,
            "state": self.state,
            "message": self.message,
            "paused": self.paused.map_or("", Pause::as_str),
            "booted": self.booted,
            "cpus": self.cpus,
            "memory_bytes": self.memory.0,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "extendable_until": self.extendable_until,
            "accel": self.accel.map_or("", Acceleration::as_str),
            "network": self.network,
            "notes": self.notes,
        })
    }
}

impl Machine {
    /// Return it as the JSON API and `qwdctl` print it.
    pub fn json(&self) -> Value {
        let bytes = |amount: Option<Bytes>| amount.unwrap_or_default().0;
        json!({
            "name": self.name,
            "description": self.description,
            "problem": self.problem,
            "unfit": self.unfit,
            "image_bytes": self.image_bytes,
            "icon": self.icon,
            "cpus": self.cpus,
            "cpus_min": self.cpus_min.unwrap_or(0),
            "cpus_max": self.cpus_max.unwrap_or(0),
            "memory_bytes": self.memory.0,
            "memory_min": bytes(self.memory_min),
            "memory_max": bytes(self.memory_max),
            "lifetime_seconds": self.lifetime.0,
            "architecture": self.architecture.map_or("", Word::word),
        })
    }
}

impl Offer {
    /// Return it as the JSON API prints it.
    pub fn json(&self) -> Value {
        json!({
            "sessions": self.sessions,
            "cpus": self.cpus,
            "memory_bytes": self.memory.0,
            "lifetime_seconds": self.lifetime.0,
            "reason": self.reason,
        })
    }
}

impl Share {
    /// Return it as the JSON API and `qwdctl` print it.
    pub fn json(&self) -> Value {
        json!({
            "id": self.id,
            "role": self.role,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "once": self.once,
            "used": self.used_at.is_some(),
            "used_at": self.used_at.unwrap_or(0),
            "used_by": self.used_by,
            "used_by_proof": proof_text(self.used_by_id.as_ref(), &self.used_by),
        })
    }
}

impl Viewer {
    /// Return it as the JSON API and `qwdctl` print it.
    pub fn json(&self) -> Value {
        json!({
            "session": self.session,
            "share": self.share,
            "name": self.name,
            "proof": proof_text(self.name_id.as_ref(), &self.name),
            "role": self.role,
            "address": self.address_shown(),
            "since": self.since,
        })
    }
}

/// Return the word for how a name was proven; empty: somebody without one.
fn proof_text(id: Option<&Owner>, name: &str) -> &'static str {
    proof_of(id, name).map_or("", Proof::as_str)
}

impl Status {
    /// Return it as the JSON API and `qwdctl` print it.
    pub fn json(&self) -> Value {
        json!({
            "version": self.version,
            "sessions": self.sessions,
            "sessions_max": self.sessions_max,
            "host_cpus": self.host_cpus,
            "cpus_given": self.cpus_given,
            "cpus_max": self.cpus_max,
            "load": self.load,
            "memory_total": self.memory_total,
            "memory_available": self.memory_available,
            "memory_given": self.memory_given,
            "accel": self.accel,
            "network": self.network,
            "config_problem": self.config_problem,
            "warnings": self.warnings,
        })
    }
}

impl Usage {
    /// Return what the JSON says of it beside the session itself; `busy` is how many CPUs it keeps busy.
    pub fn figures(&self, busy: Option<f64>) -> Value {
        json!({
            "cpus_busy": busy,
            "cpu_seconds": seconds(self.cpu_microseconds),
            "memory_used_bytes": self.memory_used,
            "memory_limit_bytes": self.memory_limit,
            "tasks": self.tasks,
            "viewers": self.viewers,
        })
    }
}
