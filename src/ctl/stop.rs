//! `stop`: asks guests to shut down and waits until their sessions are gone.
//!
//! All are asked before any is waited for. Interrupting qwdctl only ends the waiting.

use super::args::{Args, Stop};
use super::client::{Client, parse_id};
use super::out;
use super::sessions::Shown;
use crate::bus::Session;
use crate::model::{Problem, State, Word};
use crate::site;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Stops sessions; problems with some do not keep the others running.
pub(super) fn stop(args: &Args, wanted: &Stop) -> Result<u8, Problem> {
    let client = Client::connect()?;
    let mut code = 0;
    let mut gone = Vec::new();
    for asked in if wanted.all { ask_all(&client, wanted.kill)? } else { ask_each(&client, wanted) } {
        match asked.and_then(|session| until_gone(&client, session)) {
            Ok(session) => gone.push(session),
            Err(problem) => code = complained(&problem, code),
        }
    }
    report(args, gone)?;
    Ok(code)
}

/// Says the problem; the first one decides the exit status.
fn complained(problem: &Problem, code: u8) -> u8 {
    out::complain(&problem.message);
    if code == 0 { problem.word.exit_code() } else { code }
}

fn ask_each(client: &Client, wanted: &Stop) -> Vec<Result<Session, Problem>> {
    let ask = |id: &String| {
        let id = parse_id(id)?;
        let id = id.as_str();
        client.change(|launcher, asker| if wanted.kill { launcher.kill(asker, id) } else { launcher.stop(asker, id) })
    };
    wanted.ids.iter().map(ask).collect()
}

fn ask_all(client: &Client, kill: bool) -> Result<Vec<Result<Session, Problem>>, Problem> {
    client.change(|launcher, asker| launcher.stop_all(asker))?;
    let asked = client.ask(|launcher, asker| launcher.list(asker, true))?.into_iter();
    Ok(asked.map(|session| if kill { kill_asked(client, session) } else { Ok(session) }).collect())
}

/// End a session at once that is shutting down. It may be gone already.
fn kill_asked(client: &Client, session: Session) -> Result<Session, Problem> {
    match client.change(|launcher, asker| launcher.kill(asker, session.id.as_str())) {
        Err(problem) if problem.word == Word::NoSuchSession => Ok(session),
        answer => answer,
    }
}

fn until_gone(client: &Client, mut session: Session) -> Result<Session, Problem> {
    let bar = spinner(&session);
    while !session.is_over() {
        session = match client.wait(&session) {
            // Forgotten already: it is as gone as can be.
            Err(problem) if problem.word == Word::NoSuchSession => Session { state: State::Ended, ..session },
            answer => answer?,
        };
    }
    bar.finish_and_clear();
    Ok(session)
}

/// A line on a terminal, nothing elsewhere.
fn spinner(session: &Session) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}").expect("the shape of the line is valid");
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar.set_message(format!("The guest of {} shuts down (Ctrl-C ends the waiting only)", session.id));
    bar
}

fn report(args: &Args, gone: Vec<Session>) -> Result<(), Problem> {
    if args.json {
        let base = site::base(&args.root);
        return out::json(&gone.into_iter().map(|s| Shown::new(s, &base)).collect::<Vec<_>>());
    }
    for session in gone {
        out::line(format!("{} has ended. {}", session.id, session.message).trim_end())?;
    }
    Ok(())
}
