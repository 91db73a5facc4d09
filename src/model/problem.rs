//! What can go wrong, as a stable word for programs and a sentence for people.
//!
//! The word travels over the bus (as an error name), through the JSON API (`error`) and into the
//! exit status of `qwdctl`; the sentence says what happened and what to do.

use std::fmt;

/// The kinds of problem a caller can act on. The text of each is part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The request itself is malformed or out of range.
    BadRequest,
    /// Known caller, but not theirs to do.
    NotAllowed,
    /// No session of that id, or none that the caller may know of.
    NoSuchSession,
    /// No machine of that name in the catalogue.
    NoSuchMachine,
    /// The machine is listed, but its image is missing, damaged or of a kind we refuse.
    MachineUnusable,
    /// A limit of the configuration says no.
    LimitReached,
    /// The session exists, but is in a state in which this cannot be done.
    WrongState,
    /// A ticket or share link that is used up, expired, revoked or invented.
    BadTicket,
    /// No room on a file system.
    NoSpace,
    /// A part of the service does not answer.
    Unavailable,
    /// Anything else that failed on our side.
    Failed,
}

impl Word {
    /// Every word, for look-up by text.
    pub const ALL: [Self; 11] = [
        Self::BadRequest,
        Self::NotAllowed,
        Self::NoSuchSession,
        Self::NoSuchMachine,
        Self::MachineUnusable,
        Self::LimitReached,
        Self::WrongState,
        Self::BadTicket,
        Self::NoSpace,
        Self::Unavailable,
        Self::Failed,
    ];

    /// The stable text of the JSON API's `error`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotAllowed => "not_allowed",
            Self::NoSuchSession => "no_such_session",
            Self::NoSuchMachine => "no_such_machine",
            Self::MachineUnusable => "machine_unusable",
            Self::LimitReached => "limit_reached",
            Self::WrongState => "wrong_state",
            Self::BadTicket => "bad_ticket",
            Self::NoSpace => "no_space",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }

    /// The HTTP status that goes with it.
    pub fn http_status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::NotAllowed | Self::BadTicket => 403,
            Self::NoSuchSession | Self::NoSuchMachine => 404,
            Self::LimitReached | Self::WrongState | Self::MachineUnusable => 409,
            Self::NoSpace => 507,
            Self::Unavailable => 503,
            Self::Failed => 500,
        }
    }

    /// The exit status of `qwdctl`: 1 it failed, 2 wrong usage, 3 refused by a limit, 4 no such thing.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::BadRequest => 2,
            Self::LimitReached => 3,
            Self::NoSuchSession | Self::NoSuchMachine => 4,
            _ => 1,
        }
    }
}

/// A problem with the sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What a program can act on.
    pub word: Word,
    /// What a person reads: one or two whole sentences.
    pub message: String,
}

impl Problem {
    /// A problem from its word and sentence.
    pub fn new(word: Word, message: impl Into<String>) -> Self {
        Self { word, message: message.into() }
    }

    /// A malformed request.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Word::BadRequest, message)
    }

    /// Something that failed on our side.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Word::Failed, message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}
