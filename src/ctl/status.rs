//! `status`: the service in figures, what is wrong with it, and the state of its units.

use super::args::Args;
use super::client::Client;
use super::{old_version, out};
use crate::bus::Status;
use crate::config::{self, Catalogue};
use crate::model::Problem;
use crate::show;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The units that make up the service.
pub(super) const UNITS: [&str; 10] = [
    "qwd-portal.socket",
    "qwd-portal.service",
    "qwd-display.socket",
    "qwd-display.service",
    "qwd-auth-network.socket",
    "qwd-auth-pam.socket",
    "qwd-auth-command.socket",
    "qwd-mail.socket",
    "qwd-launcher.service",
    "qwd-reaper.timer",
];

#[derive(Serialize)]
struct Shown {
    #[serde(flatten, serialize_with = "fields")]
    status: Option<Status>,
    /// Why there are no figures; else empty.
    launcher_problem: String,
    /// What is wrong with the files of the configuration.
    config_problems: Vec<String>,
    /// Programs of the version before that still run, and how to end them; else empty.
    old_sessions: String,
    units: BTreeMap<String, String>,
}

fn fields<S: Serializer>(status: &Option<Status>, serializer: S) -> Result<S::Ok, S::Error> {
    status.as_ref().map(Status::json).serialize(serializer)
}

/// Shows all that can be found out; the status is 1 if the launcher does not answer.
pub(super) fn status(args: &Args) -> Result<u8, Problem> {
    let (status, problem) = match asked() {
        Ok(status) => (Some(status), None),
        Err(problem) => (None, Some(problem)),
    };
    let code = problem.as_ref().map_or(0, |p| p.word.exit_code());
    let shown = Shown {
        status,
        launcher_problem: problem.map_or(String::new(), |p| p.message),
        config_problems: config_problems(&args.root),
        old_sessions: old_version::find_old_sessions(&args.root).unwrap_or_default(),
        units: unit_states(&UNITS),
    };
    if args.json {
        out::json(&shown)?;
    } else {
        tell(&shown)?;
    }
    Ok(code)
}

fn asked() -> Result<Status, Problem> {
    Client::connect()?.ask(|launcher, asker| launcher.status(asker))
}

/// Everything that is wrong with the configuration on disk.
pub(super) fn config_problems(root: &Path) -> Vec<String> {
    let settings = config::load(root).err().into_iter();
    let machines = Catalogue::load(root).faults;
    settings.chain(machines).map(|e| e.to_string()).collect()
}

/// Return what the launcher says of the configuration, unless the files on disk say the same.
pub(super) fn stale_settings(status: &Status, reported: &[String]) -> Option<String> {
    let problem = Some(&status.config_problem).filter(|problem| !problem.is_empty())?;
    let why = if reported.contains(problem) { String::new() } else { format!(": {problem}") };
    Some(format!(
        "The launcher uses the settings from before the last change{why}. Correct the file; 'qwdctl config' shows all settings."
    ))
}

/// Units' states as systemd has them; none where there is no systemd to ask.
pub(super) fn unit_states(units: &[&str]) -> BTreeMap<String, String> {
    let asked = Command::new("systemctl").args(["show", "--property=Id,ActiveState,LoadState"]).args(units).output();
    let Ok(answer) = asked else { return BTreeMap::new() };
    states_of(&String::from_utf8_lossy(&answer.stdout))
}

/// Reads blocks of `Id=`, `ActiveState=`, `LoadState=`, an empty line between them.
fn states_of(text: &str) -> BTreeMap<String, String> {
    let block = |block: &str| {
        let value = |key: &str| block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let state = match value("LoadState")? {
            "loaded" => value("ActiveState")?,
            other => other,
        };
        Some((value("Id")?.to_owned(), state.to_owned()))
    };
    text.split("\n\n").filter_map(block).collect()
}

fn tell(shown: &Shown) -> Result<(), Problem> {
    for fault in &shown.config_problems {
        out::complain(&format!("CONFIGURATION: {fault}"));
    }
    if !shown.old_sessions.is_empty() {
        out::complain(&shown.old_sessions);
    }
    if let Some(status) = &shown.status {
        stale_settings(status, &shown.config_problems).iter().for_each(|text| out::complain(text));
        status.warnings.iter().for_each(|warning| out::complain(warning));
        out::bytes(out::pairs(&figures(status)).as_bytes())?;
    } else {
        out::complain(&shown.launcher_problem);
    }
    let units: Vec<(&str, String)> = shown.units.iter().map(|(unit, state)| (unit.as_str(), state.clone())).collect();
    out::bytes(out::pairs(&units).as_bytes())
}

fn figures(s: &Status) -> Vec<(&'static str, String)> {
    let memory = format!(
        "{} of {} available, {} given to sessions",
        show::bytes(s.memory_available),
        show::bytes(s.memory_total),
        show::bytes(s.memory_given)
    );
    vec![
        ("Version", s.version.clone()),
        ("Sessions", format!("{} of {}", s.sessions, s.sessions_max)),
        ("CPUs", format!("{}, {} given to sessions", s.host_cpus, s.cpus_given)),
        ("Load", show::load(s.load, s.host_cpus)),
        ("Memory", memory),
        ("Acceleration", s.accel.to_string()),
        ("Network", s.network.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_not_there_says_so() {
        let text = "Id=a.socket\nLoadState=loaded\nActiveState=active\n\nId=b.service\nLoadState=not-found\nActiveState=inactive\n";
        let states = states_of(text);
        assert_eq!(states["a.socket"], "active");
        assert_eq!(states["b.service"], "not-found");
        assert!(states_of("System has not been booted with systemd.\n").is_empty());
    }
}
