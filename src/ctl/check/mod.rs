//! `check`: is everything in order, here and on this server?
//!
//! An error is what keeps the service from doing what the configuration says; a warning is all else
//! an administrator should know, with the command that mends it. Nothing is changed.

mod files;
mod host;
mod limits;
mod local;
mod servers;
mod web;

use super::args::Args;
use super::client::Client;
use super::{out, status};
use crate::bus::Status;
use crate::config::{self, Catalogue};
use crate::model::{Problem, Word};
use serde::Serialize;

/// What has been found, as sentences.
#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, sentence: impl Into<String>) {
        self.errors.push(sentence.into());
    }

    fn warn(&mut self, sentence: impl Into<String>) {
        self.warnings.push(sentence.into());
    }
}

/// Looks at everything; the status is 1 only if there are errors.
pub(super) fn check(args: &Args) -> Result<u8, Problem> {
    let mut found = Findings { errors: status::config_problems(&args.root), ..Findings::default() };
    // With a broken configuration the defaults are the best guess at what is meant.
    let settings = config::load(&args.root).map(|loaded| loaded.settings).unwrap_or_default();
    let catalogue = Catalogue::load(&args.root);
    files::folders(&mut found, &args.root, &settings);
    files::machines(&mut found, &args.root, &settings, &catalogue);
    limits::offers(&mut found, &settings, &catalogue, &crate::host::figures());
    limits::names(&mut found, &settings);
    host::programs(&mut found, &args.root, &settings);
    web::web(&mut found, &args.root);
    web::sign_in(&mut found, &settings);
    servers::servers(&mut found, &settings);
    local::local(&mut found, &settings);
    host::units(&mut found, &status::unit_states(&[&status::UNITS[..], &[web::UNIT]].concat()));
    let running = launcher(&mut found);
    host::acceleration(&mut found, &settings, running.as_ref());
    host::network(&mut found, &settings, &catalogue, running.as_ref());
    tell(args, &found)
}

/// What the launcher says about itself.
fn launcher(found: &mut Findings) -> Option<Status> {
    let asked = Client::connect().and_then(|client| client.ask(|launcher, asker| launcher.status(asker)));
    match asked {
        Ok(status) => {
            if !status.config_problem.is_empty() {
                found.warn(format!("The last good configuration is in force: {}", status.config_problem));
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
