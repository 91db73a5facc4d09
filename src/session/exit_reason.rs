//! Why a session ended, from what systemd reports and who asked.

use crate::model::{Event, Owner, Word};
use crate::vm::exit;

/// The actor who asked for the end, if any; the first one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nobody: the guest or an accident.
    Nobody,
    /// A person, and their name as others should read it.
    Person(Owner, String),
    /// The lifetime is over.
    Expiry,
    /// The launcher: the session could not be started.
    FailedStart,
    /// It filled the server's disk and could not be paused.
    DiskFull,
}

impl Outcome {
    /// Return the outcome of a session whose end no unit has reported: of one whose screen was up, or of another.
    pub fn unreported(was_up: bool) -> Self {
        let result = if was_up { "unknown" } else { "interrupted" };
        Self { result: result.to_owned(), ..Self::default() }
    }
}

/// How the main process went, in systemd's words (`MONITOR_*` of systemd.exec(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `success`, `exit-code`, `signal`, `oom-kill`, `timeout`, …
    pub result: String,
    /// `exited`, `killed` or `dumped`.
    pub code: String,
    /// The exit status as a number, or a signal's name without SIG.
    pub status: String,
    /// systemd tells a kill for want of memory from any other: on cgroup v2 alone.
    pub oom_is_told: bool,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitReason {
    /// `End` or `Fail`.
    pub event: Event,
    /// The journal's message id.
    pub message_id: &'static str,
    /// The kind of problem, where it is one.
    pub word: Option<Word>,
    /// The sentence for the owner.
    pub message: String,
}

/// Return why a session ended. The owner's own stop reads differently from another person's.
pub fn explain(owner: &Owner, asked: &Asked, outcome: &Outcome) -> ExitReason {
    use crate::journal::id;
    // A guest that had to be cut off when somebody asked is no accident.
    let cut_off = matches!(outcome.result.as_str(), "signal" | "timeout" | "exit-code" | "unknown" | "interrupted")
        && !matches!(asked, Asked::Nobody | Asked::FailedStart);
    let message = "It could not be started, and was ended by the server.".to_owned();
    if *asked == Asked::FailedStart && !explains_itself(outcome) {
        return ExitReason { event: Event::Fail, message_id: id::FAILED, word: Some(Word::Failed), message };
    }
    if !matches!(outcome.result.as_str(), "success" | "unknown") && !cut_off {
        let (word, message) = accident(outcome);
        return ExitReason { event: Event::Fail, message_id: id::FAILED, word: Some(word), message };
    }
    let (message_id, message) = match asked {
        Asked::Nobody | Asked::FailedStart if outcome.result == "unknown" => {
            (id::STOPPED, "It has ended. The server could not find out why.".to_owned())
        }
        // QEMU exits with 0 on SIGTERM too, so `systemctl stop` cannot be told from the guest's own end.
        Asked::Nobody | Asked::FailedStart => {
            (id::STOPPED, "It was shut down by its guest, or on the server.".to_owned())
        }
        Asked::Person(person, _) if person == owner => (id::STOPPED, "It was stopped by its owner.".to_owned()),
        Asked::Person(_, name) => (id::STOPPED, format!("It was stopped by {name}.")),
        Asked::DiskFull => {
            let text = "It filled the server's disk and could not be paused, so the server ended it.";
            return ExitReason {
                event: Event::Fail,
                message_id: id::FAILED,
                word: Some(Word::NoSpace),
                message: text.to_owned(),
            };
        }
        Asked::Expiry => (id::EXPIRED, "Its lifetime was over.".to_owned()),
    };
    ExitReason { event: Event::End, message_id, word: None, message }
}

/// Return whether QEMU or its start ended by itself, rather than by the launcher's stop.
fn explains_itself(outcome: &Outcome) -> bool {
    match outcome.result.as_str() {
        "exit-code" | "core-dump" | "oom-kill" => true,
        "signal" => !matches!(outcome.status.as_str(), "KILL" | "TERM"),
        _ => false,
    }
}

/// Return whether the work on a persistent disk is finished: the guest shut down, by itself or on request. After a
/// kill, an accident or the time limit that is unknown.
pub fn is_finished(asked: &Asked, outcome: &Outcome) -> bool {
    let cut_short = matches!(asked, Asked::Expiry | Asked::FailedStart | Asked::DiskFull);
    outcome.result == "success" && !cut_short
}

fn accident(outcome: &Outcome) -> (Word, String) {
    let status = outcome.status.parse::<i32>().unwrap_or(0);
    let last_words = "The server's journal has its last words.";
    if let Some(failure) = exit::failure(status).filter(|_| outcome.result == "exit-code") {
        return (failure.word, failure.message.to_owned());
    }
    let text = match (outcome.result.as_str(), status) {
        ("oom-kill", _) => {
            "It used more memory than it may have, and was ended by the server. Ask for more memory next time."
        }
        // cgroup v1 reports an out-of-memory kill as an ordinary SIGKILL.
        ("signal", _) if outcome.status == "KILL" && !outcome.oom_is_told => {
            "It was killed on the server, perhaps because it used more memory than it may have. \
             If that happens again, ask for more memory."
        }
        ("signal", _) if matches!(outcome.status.as_str(), "KILL" | "TERM" | "INT" | "HUP" | "QUIT") => {
            return (Word::Failed, format!("It was killed on the server (signal {}).", outcome.status));
        }
        ("timeout", _) => "It had reached the longest time a session can live, or could not be started in time.",
        ("exit-code", _) => {
            return (Word::Failed, format!("QEMU ended with exit status {}. {last_words}", outcome.status));
        }
        ("signal" | "core-dump", _) => {
            return (Word::Failed, format!("QEMU crashed (signal {}). {last_words}", outcome.status));
        }
        ("interrupted", _) => "Its start was interrupted on the server. It can be started again.",
        (other, _) => return (Word::Failed, format!("The server ended it ({other}).")),
    };
    (Word::Failed, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(result: &str, code: &str, status: &str) -> Outcome {
        Outcome { result: result.into(), code: code.into(), status: status.into(), oom_is_told: false }
    }

    fn owner(text: &str) -> Owner {
        text.parse().unwrap()
    }

    fn by(text: &str, shown: &str) -> Asked {
        Asked::Person(owner(text), shown.to_owned())
    }

    #[test]
    fn who_asked_decides_how_it_reads() {
        let done = outcome("success", "exited", "0");
        assert_eq!(
            explain(&owner("pam:alice"), &Asked::Nobody, &done).message,
            "It was shut down by its guest, or on the server."
        );
        assert_eq!(
            explain(&owner("pam:alice"), &by("pam:alice", "alice"), &done).message,
            "It was stopped by its owner."
        );
        assert_eq!(explain(&owner("pam:alice"), &by("local:root", "root"), &done).message, "It was stopped by root.");
        assert_eq!(explain(&owner("pam:alice"), &by("ldap:alice", "alice"), &done).message, "It was stopped by alice.");
        assert_eq!(explain(&owner("pam:alice"), &Asked::Expiry, &done).message_id, crate::journal::id::EXPIRED);
    }

    #[test]
    fn running_out_of_memory_is_told_on_both_kinds_of_cgroup() {
        for seen in [outcome("oom-kill", "killed", "KILL"), outcome("signal", "killed", "KILL")] {
            let reason = explain(&owner("pam:alice"), &Asked::Nobody, &seen);
            assert_eq!(reason.event, Event::Fail);
            assert!(reason.message.contains("more memory than it may have"), "{seen:?}");
        }
        let told = |seen: Outcome| explain(&owner("pam:alice"), &Asked::Nobody, &seen).message;
        let unified = |result: &str, status| Outcome { oom_is_told: true, ..outcome(result, "killed", status) };
        assert_eq!(told(unified("signal", "KILL")), "It was killed on the server (signal KILL).");
        assert_eq!(told(unified("signal", "TERM")), "It was killed on the server (signal TERM).");
        assert!(told(unified("oom-kill", "KILL")).contains("more memory than it may have"));
        let crashed = explain(&owner("pam:alice"), &Asked::Nobody, &outcome("signal", "killed", "SEGV"));
        assert_eq!(crashed.message, "QEMU crashed (signal SEGV). The server's journal has its last words.");
    }

    #[test]
    fn an_end_that_no_unit_has_reported_is_told_as_what_it_is() {
        let told = |asked: &Asked, was_up| explain(&owner("pam:alice"), asked, &Outcome::unreported(was_up));
        let unknown = told(&Asked::Nobody, true);
        assert_eq!((unknown.event, unknown.word), (Event::End, None));
        assert_eq!(unknown.message, "It has ended. The server could not find out why.");
        assert_eq!(told(&by("pam:alice", "alice"), true).message, "It was stopped by its owner.");
        assert_eq!(told(&Asked::Expiry, false).message, "Its lifetime was over.");
        let interrupted = told(&Asked::Nobody, false);
        assert_eq!(interrupted.event, Event::Fail);
        assert!(interrupted.message.contains("interrupted"));
    }

    #[test]
    fn a_failed_start_is_explained_by_qemu_or_by_us() {
        let told = |seen| explain(&owner("pam:alice"), &Asked::FailedStart, &seen);
        assert!(told(outcome("exit-code", "exited", "1")).message.contains("exit status 1"));
        for seen in [outcome("success", "exited", "0"), outcome("signal", "killed", "KILL"), Outcome::unreported(true)]
        {
            let reason = told(seen);
            assert_eq!((reason.event, reason.word), (Event::Fail, Some(Word::Failed)));
            assert_eq!(reason.message, "It could not be started, and was ended by the server.");
        }
    }

    #[test]
    fn a_guest_cut_off_on_request_did_not_fail() {
        let reason = explain(&owner("pam:alice"), &Asked::Expiry, &outcome("signal", "killed", "KILL"));
        assert_eq!(reason.event, Event::End);
    }

    #[test]
    fn only_what_was_stopped_in_good_order_is_finished() {
        let (done, killed) = (outcome("success", "exited", "0"), outcome("signal", "killed", "KILL"));
        let person = by("pam:alice", "alice");
        for (asked, outcome, finished) in [
            (&Asked::Nobody, &done, true),
            (&person, &done, true),
            (&Asked::Expiry, &done, false),
            (&Asked::Nobody, &killed, false),
            (&person, &killed, false),
            (&Asked::Nobody, &Outcome { result: "resources".into(), ..Outcome::default() }, false),
        ] {
            assert_eq!(is_finished(asked, outcome), finished, "{asked:?} {outcome:?}");
        }
    }

    #[test]
    fn a_full_disk_is_named() {
        let seen = outcome("exit-code", "exited", "120");
        assert!(explain(&owner("pam:alice"), &Asked::Nobody, &seen).message.contains("no room"));
    }
}
