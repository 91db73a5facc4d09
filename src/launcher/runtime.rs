//! What a session gets on this host at this moment: network and accelerator.

use super::catalogue::Ready;
use super::core::Core;
use super::kvm;
use crate::config::{NetworkMode, Settings};
use crate::host;
use crate::model::Problem;
use crate::qemu::{self, Accel};
use std::net::IpAddr;
use std::path::PathBuf;

const OWN_RESOLV_CONF: &str = "/run/qemu-web-desktop/resolv.conf";

/// The decisions that depend on the host.
pub(super) struct Runtime {
    pub accel: Accel,
    /// What the guest must not reach; `None`: no network.
    pub denied: Option<Vec<IpAddr>>,
    /// The guests' name servers.
    pub resolv_conf: Option<PathBuf>,
    /// Sentences for the owner.
    pub notes: Vec<String>,
}

impl Runtime {
    pub(super) fn decide(core: &Core, settings: &Settings, ready: &Ready) -> Result<Self, Problem> {
        let architecture = ready.hardware.architecture;
        let (accel, why_not) = kvm::choose(core, settings, architecture)?;
        let mut runtime = Self { accel, denied: None, resolv_conf: None, notes: Vec::new() };
        if architecture != qemu::host() {
            runtime.notes.extend(why_not.map(|why| format!("This machine runs in software, and slowly: {why}.")));
        }
        match network(settings) {
            Ok(()) => {
                runtime.denied = Some(host::addresses());
                runtime.resolv_conf = Some(resolv_conf(settings)?);
            }
            Err(Some(why)) => runtime.notes.push(format!("This machine has no network: {why}.")),
            Err(None) => {}
        }
        Ok(runtime)
    }
}

/// `Ok` if guests get a network; else why not, unless that is the administrator's wish.
pub(super) fn network(settings: &Settings) -> Result<(), Option<String>> {
    if settings.network == NetworkMode::None {
        return Err(None);
    }
    if host::firewalls_units() {
        return Ok(());
    }
    Err(Some("on this server nothing could keep it from reaching the server itself (that takes cgroup v2)".to_owned()))
}

fn resolv_conf(settings: &Settings) -> Result<PathBuf, Problem> {
    let Some(server) = settings.dns else { return Ok(host::resolv_conf()) };
    let path = PathBuf::from(OWN_RESOLV_CONF);
    std::fs::write(&path, format!("nameserver {server}\n"))
        .map_err(|e| Problem::failed(format!("{OWN_RESOLV_CONF} cannot be written: {e}.")))?;
    Ok(path)
}
