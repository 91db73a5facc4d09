//! Whether KVM really works here. A device that exists proves nothing: it is tried, once a boot.

use super::core::Core;
use crate::config::Architecture;
use crate::config::{Accel as Wish, Settings};
use crate::model::Problem;
use crate::systemd::Job;
use crate::unit;
use crate::vm::{self, Accel};
use rustix::pipe::{PipeFlags, pipe_with};
use std::fs;
use std::io::Write;
use std::path::Path;

/// What the trial found, for the rest of this boot: "works", or why not.
const VERDICT: &str = "/run/qemu-web-desktop/kvm";
const WORKS: &str = "works";
/// What makes a stopped QEMU end by itself at once, with exit status 0.
const QUIT: &[u8] = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n";

/// The accelerator of the next session, and why it is not KVM where it is not.
pub(super) fn choose(
    core: &Core,
    settings: &Settings,
    guest: Architecture,
) -> Result<(Accel, Option<String>), Problem> {
    let tcg = Accel::Tcg(settings.qemu.tb_size);
    if guest != vm::host() {
        return Ok((tcg, Some("its processor is of another kind than the server's".to_owned())));
    }
    match settings.qemu.accel {
        Wish::Kvm => Ok((Accel::Kvm, None)),
        Wish::Tcg => Ok((tcg, Some("the configuration says so (qemu.accel)".to_owned()))),
        Wish::Auto => Ok(match verdict(core, &settings.qemu.program)? {
            None => (Accel::Kvm, None),
            Some(why) => (tcg, Some(why)),
        }),
    }
}

/// `None` if KVM works, else why not.
fn verdict(core: &Core, program: &str) -> Result<Option<String>, Problem> {
    if !Path::new("/dev/kvm").exists() {
        return Ok(Some("this server has no /dev/kvm".to_owned()));
    }
    let known = fs::read_to_string(VERDICT).unwrap_or_default();
    let text = if known.is_empty() { remember(trial(core, program)?) } else { known };
    Ok(Some(text).filter(|t| t != WORKS))
}

fn remember(text: String) -> String {
    if let Err(e) = fs::write(VERDICT, &text) {
        log::warn!("{VERDICT} cannot be written, so KVM will be tried again: {e}.");
    }
    text
}

fn trial(core: &Core, program: &str) -> Result<String, Problem> {
    let broken = |e: std::io::Error| Problem::failed(format!("A pipe for the trial of KVM cannot be used: {e}."));
    let (input, commands) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| broken(e.into()))?;
    fs::File::from(commands).write_all(QUIT).map_err(broken)?;
    let name = format!("qwd-kvm-{}.service", crate::random::label());
    let fds = vec![("StandardInputFileDescriptor", input)];
    Ok(
        match core.systemd.start_transient(
            &name,
            &unit::kvm_probe(program, vm::Chipset::of(vm::host()).machine_type()),
            fds,
        )? {
            Job::Done => WORKS.to_owned(),
            Job::Not(result) => {
                format!("a trial of /dev/kvm did not work here ({result}; 'journalctl -u {name}' says more)")
            }
        },
    )
}
