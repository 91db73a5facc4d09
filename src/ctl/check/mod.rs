//! `check`: is everything in order, here and on this server?
//!
//! An error is what keeps the service from doing what the configuration says; a warning is all else
//! an administrator should know, with the command that mends it. Nothing is changed.

mod files;
mod host;
mod limits;
mod local;
mod own_address;
mod servers;
mod web;

use super::args::Args;
use super::client::Client;
use super::{old_version, out, status};
use crate::bus::Status;
use crate::config::{self, Catalogue};
use crate::model::{Problem, Word};
use serde::Serialize;

/// Where an administrator changes settings.
const CONFIG: &str = "/etc/qemu-web-desktop/config.toml";

/// What has been found, as sentences, each with the command that shows or changes what it is about.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, sentence: impl Into<String>) {
        self.errors.push(with_command(sentence.into()));
    }

    fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(with_command(sentence.into()));
    }
}

/// Commands that sentences quote.
const COMMANDS: [&str; 33] = [
    "a2dismod",
    "a2enconf",
    "a2enmod",
    "apachectl",
    "apt",
    "chmod",
    "chown",
    "cp",
    "dpkg-reconfigure",
    "du",
    "editor",
    "getent",
    "ip",
    "journalctl",
    "kill",
    "ln",
    "ls",
    "man",
    "mkdir",
    "modprobe",
    "mv",
    "openssl",
    "ping",
    "qwdctl",
    "rm",
    "setfacl",
    "sha256sum",
    "ss",
    "sudo",
    "systemctl",
    "timedatectl",
    "update-grub",
    "usermod",
];

/// Return true if a sentence says what to type.
fn has_command(sentence: &str) -> bool {
    sentence.split('\'').skip(1).any(|quoted| {
        let word = quoted.split_ascii_whitespace().next().unwrap_or_default();
        COMMANDS.contains(&word)
    })
}

/// Add what to type to a sentence that comes from elsewhere and does not say it: where the setting is, or at the line
/// of a file that it names.
fn with_command(sentence: String) -> String {
    if has_command(&sentence) {
        return sentence;
    }
    let end = if sentence.ends_with(['.', '?']) { "" } else { "." };
    match place_of(&sentence) {
        Some((file, line)) => format!("{sentence}{end} 'editor +{line} {file}' opens it there."),
        None => format!("{sentence}{end} 'editor {CONFIG}' opens the settings."),
    }
}

/// The file and line with which a mistake in the configuration begins.
fn place_of(sentence: &str) -> Option<(&str, &str)> {
    let (place, _) = sentence.split_once(": ")?;
    let (file, line) = place.rsplit_once(':')?;
    let is_place = file.starts_with('/') && !file.contains(' ') && line.bytes().all(|b| b.is_ascii_digit());
    (is_place && !line.is_empty()).then_some((file, line))
}

/// Looks at everything; the status is 1 only if there are errors.
pub(super) fn check(args: &Args) -> Result<u8, Problem> {
    let mut found = Findings::default();
    let problems = status::config_problems(&args.root);
    problems.iter().for_each(|problem| found.error(problem));
    // With a broken configuration the defaults are the best guess at what is meant.
    let settings = config::load(&args.root).map(|loaded| loaded.settings).unwrap_or_default();
    let catalogue = Catalogue::load(&args.root);
    files::folders(&mut found, &args.root, &settings);
    files::machines(&mut found, &args.root, &settings, &catalogue);
    limits::offers(&mut found, &settings, &catalogue, &crate::host::figures());
    limits::names(&mut found, &settings);
    host::programs(&mut found, &args.root, &settings);
    host::emulators(&mut found, &args.root, &settings, &catalogue);
    old_version::find_old_sessions(&args.root).into_iter().for_each(|sentence| found.error(sentence));
    web::web(&mut found, &args.root);
    own_address::own_address(&mut found, &args.root, &settings);
    web::proxy_secret(&mut found, &args.root);
    web::sign_in(&mut found, &settings);
    web::counts(&mut found, &args.root);
    servers::servers(&mut found, &settings);
    local::local(&mut found, &settings);
    host::units(&mut found, &status::unit_states(&[&status::UNITS[..], &[web::UNIT]].concat()));
    let running = launcher(&mut found, &problems);
    host::acceleration(&mut found, &settings, running.as_ref());
    host::network(&mut found, &settings, &catalogue, running.as_ref());
    tell(args, &found)
}

/// What the launcher says about itself.
fn launcher(found: &mut Findings, problems: &[String]) -> Option<Status> {
    let asked = Client::connect().and_then(|client| client.ask(|launcher, asker| launcher.status(asker)));
    match asked {
        Ok(status) => {
            if let Some(text) = status::stale_settings(&status, problems) {
                found.warn(text);
            }
            status.warnings.iter().for_each(|warning| found.warn(warning));
            Some(status)
        }
        Err(problem) if problem.word == Word::NotAllowed => {
            found.warn(format!("The launcher was not looked at. {} 'sudo qwdctl check' sees more.", problem.message));
            None
        }
        Err(problem) => {
            found.warn(problem.message);
            None
        }
    }
}

fn tell(args: &Args, found: &Findings) -> Result<u8, Problem> {
    if args.json {
        out::json(found)?;
    } else {
        let marked = |mark: &str, all: &[String]| all.iter().map(|s| format!("{mark}: {s}\n")).collect::<String>();
        let counts = format!("{} and {}.\n", count(&found.errors, "error"), count(&found.warnings, "warning"));
        let text = marked("error", &found.errors) + &marked("warning", &found.warnings) + &counts;
        out::bytes(out::plain(&text).as_bytes())?;
    }
    Ok((!found.errors.is_empty()).into())
}

fn count(all: &[String], what: &str) -> String {
    match all.len() {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sentence_says_what_to_type() {
        let mut found = Findings::default();
        found.warn("QEMU is missing: 'apt install qemu-system-x86'.");
        found.error("/etc/qemu-web-desktop/config.d/x.toml:7: 'limits.lod' is not a setting; did you mean 'a'?");
        found.error("/etc/qemu-web-desktop/machines.conf: [a.iso]: cpus = 0");
        found.warn("the machine 'apt.iso' is odd");
        let all = [&found.errors[..], &found.warnings].concat();
        assert!(all.iter().all(|sentence| has_command(sentence)), "{all:#?}");
        assert!(all[0].ends_with("'a'? 'editor +7 /etc/qemu-web-desktop/config.d/x.toml' opens it there."), "{all:#?}");
        assert_eq!(all[2], "QEMU is missing: 'apt install qemu-system-x86'.");
        assert!(all[3].ends_with("is odd. 'editor /etc/qemu-web-desktop/config.toml' opens the settings."));
    }
}
