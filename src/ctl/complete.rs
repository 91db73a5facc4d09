//! What a shell offers for a word of the command line (clap_complete's engine), with machines and sessions as they are.
//!
//! The shell calls qwdctl itself, with `QWDCTL_COMPLETE` set. Nothing that goes wrong there is told: nobody has asked a question.

use super::args::Args;
use super::client::Client;
use crate::model::Problem;
use clap::CommandFactory;
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{CompletionCandidate, Shell};

/// What the shell's calls are known by.
const VARIABLE: &str = "QWDCTL_COMPLETE";

/// Answer a shell and end, if this is a shell's call.
pub(super) fn answer_shell() {
    CompleteEnv::with_factory(Args::command).var(VARIABLE).complete();
}

/// The script with which a shell learns to call.
pub(super) fn script(shell: Shell) -> Result<Vec<u8>, Problem> {
    let failed = |e: std::io::Error| Problem::failed(format!("There is no script for {shell}: {e}."));
    let shells = Shells::builtins();
    let completer =
        shells.completer(&shell.to_string()).ok_or_else(|| failed(std::io::ErrorKind::Unsupported.into()))?;
    let mut script = Vec::new();
    completer.write_registration(VARIABLE, "qwdctl", "qwdctl", "qwdctl", &mut script).map_err(failed)?;
    Ok(script)
}

/// The machines, each with its description.
pub(super) fn machines() -> Vec<CompletionCandidate> {
    let found = Client::connect().and_then(|client| client.ask(|launcher, asker| launcher.machines(asker)));
    let offer = |machine: crate::bus::Machine| {
        CompletionCandidate::new(machine.name.as_str()).help(Some(machine.description.into()))
    };
    found.unwrap_or_default().into_iter().map(offer).collect()
}

/// The sessions, each with its machine and owner. root sees everybody's.
pub(super) fn sessions() -> Vec<CompletionCandidate> {
    let found = Client::connect().and_then(|client| client.ask(|launcher, asker| launcher.list(asker, false)));
    let offer = |session: crate::bus::Session| {
        let help = format!("{} of {}", session.machine, session.owner_shown());
        CompletionCandidate::new(session.id.as_str()).help(Some(help.into()))
    };
    found.unwrap_or_default().into_iter().map(offer).collect()
}
