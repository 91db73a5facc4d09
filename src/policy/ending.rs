//! Why a session ended, from what systemd reports and who asked.

use crate::model::{State, Word};
use crate::qemu::exit;

/// Who asked for the end, if anybody did. Written down by the first who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nobody: the guest or an accident.
    Nobody,
    /// A person, by name.
    Person(String),
    /// The lifetime is over.
    Expiry,
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
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// `Ended` or `Failed`.
    pub state: State,
    /// The journal's message id.
    pub message_id: &'static str,
    /// The kind of problem, where it is one.
    pub word: Option<Word>,
    /// The sentence for the owner.
    pub message: String,
}

/// Puts both together. `owner` tells a person's own stop from somebody else's.
pub fn explain(owner: &str, asked: &Asked, outcome: &Outcome) -> Ending {
    use crate::journal::id;
    // A guest that had to be cut off when somebody asked is no accident.
    let cut_off = matches!(outcome.result.as_str(), "signal" | "timeout" | "exit-code") && *asked != Asked::Nobody;
    if outcome.result != "success" && !cut_off {
        let (word, message) = accident(outcome);
        return Ending { state: State::Failed, message_id: id::FAILED, word: Some(word), message };
    }
    let (message_id, message) = match asked {
        // QEMU exits with 0 on SIGTERM too, so `systemctl stop` cannot be told from the guest's own end.
        Asked::Nobody => (id::STOPPED, "It was shut down by its guest, or on the server.".to_owned()),
        Asked::Person(name) if name == owner => (id::STOPPED, "It was stopped by its owner.".to_owned()),
        Asked::Person(name) => (id::STOPPED, format!("It was stopped by {name}.")),
        Asked::Expiry => (id::EXPIRED, "Its lifetime was over.".to_owned()),
    };
    Ending { state: State::Ended, message_id, word: None, message }
}

/// Whether what a session did to a disk that is to be kept is finished: its guest shut down, or somebody asked
/// for it and it could. Of one that was killed, had an accident or ran out of time, nobody knows.
pub fn is_finished(asked: &Asked, outcome: &Outcome) -> bool {
    outcome.result == "success" && *asked != Asked::Expiry
}

fn accident(outcome: &Outcome) -> (Word, String) {
    let status = outcome.status.parse::<i32>().unwrap_or(0);
    let last_words = "The server's journal has its last words.";
    let text = match (outcome.result.as_str(), status) {
        ("oom-kill", _) => {
            "It used more memory than it may have, and was ended by the server. Ask for more memory next time."
        }
        // cgroup v1 reports an out-of-memory kill as an ordinary SIGKILL.
        ("signal", _) if outcome.status == "KILL" => {
            "It was killed, most likely because it used more memory than it may have. Ask for more memory next time."
        }
        ("timeout", _) => "It had reached the longest time a session can live, or could not be started in time.",
        (_, exit::NO_SPACE) => {
            let text = "There is no room on the server for its disk. The administrator can make room.";
            return (Word::NoSpace, text.to_owned());
        }
        (_, exit::NO_DISK) => "Its disk could not be made on the server. The server's journal says why.",
        (_, exit::NO_QEMU) => "QEMU is not installed on the server; the administrator can install it.",
        (_, exit::NO_TPM) => "Its trusted platform module could not be started. The server's journal says why.",
        (_, exit::NO_CARD) => "Its network card was not handed over. The server's journal says why.",
        (_, exit::NO_SOCKET) => "Its monitor sockets could not be made on the server.",
        ("exit-code", _) => {
            return (Word::Failed, format!("QEMU ended with exit status {}. {last_words}", outcome.status));
        }
        ("signal" | "core-dump", _) => {
            return (Word::Failed, format!("QEMU crashed (signal {}). {last_words}", outcome.status));
        }
        (other, _) => return (Word::Failed, format!("The server ended it ({other}).")),
    };
    (Word::Failed, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(result: &str, code: &str, status: &str) -> Outcome {
        Outcome { result: result.into(), code: code.into(), status: status.into() }
    }

    #[test]
    fn who_asked_decides_how_it_reads() {
        let done = outcome("success", "exited", "0");
        assert_eq!(explain("alice", &Asked::Nobody, &done).message, "It was shut down by its guest, or on the server.");
        assert_eq!(explain("alice", &Asked::Person("alice".into()), &done).message, "It was stopped by its owner.");
        assert_eq!(explain("alice", &Asked::Person("root".into()), &done).message, "It was stopped by root.");
        assert_eq!(explain("alice", &Asked::Expiry, &done).message_id, crate::journal::id::EXPIRED);
    }

    #[test]
    fn running_out_of_memory_is_told_on_both_kinds_of_cgroup() {
        for seen in [outcome("oom-kill", "killed", "KILL"), outcome("signal", "killed", "KILL")] {
            let ending = explain("alice", &Asked::Nobody, &seen);
            assert_eq!(ending.state, State::Failed);
            assert!(ending.message.contains("more memory than it may have"), "{seen:?}");
        }
        let crashed = explain("alice", &Asked::Nobody, &outcome("signal", "killed", "SEGV"));
        assert_eq!(crashed.message, "QEMU crashed (signal SEGV). The server's journal has its last words.");
    }

    #[test]
    fn a_guest_cut_off_on_request_did_not_fail() {
        let ending = explain("alice", &Asked::Expiry, &outcome("signal", "killed", "KILL"));
        assert_eq!(ending.state, State::Ended);
    }

    #[test]
    fn only_what_was_stopped_in_good_order_is_finished() {
        let (done, killed) = (outcome("success", "exited", "0"), outcome("signal", "killed", "KILL"));
        let person = Asked::Person("alice".into());
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
        assert!(explain("alice", &Asked::Nobody, &seen).message.contains("no room"));
    }
}
