//! The states of a session, and the events that lead from one to another. No other file knows which follows which.
//!
//! ```text
//!           Place             Answer              Pause
//!  Queued ────────> Starting ────────> Running ─────────> Paused
//!                      ▲                │   ▲    Resume    │  │
//!                      │ Restore        │   └──────────────┘  │
//!                      │                ▼       Suspend       │
//!                      └──────────  Suspended <───────────────┘
//!
//!  Starting, Running, Paused ── Stop ──> Stopping
//!  each of the six before    ── End ───> Ended
//!                            ── Fail ──> Failed
//! ```
//!
//! `Pause` of a paused session gives another reason, `Stop` of a stopping one is repeated; both lead nowhere else.
//! Nothing follows `Ended` and `Failed`: a notice tells the owner for a day. `Queued` and `Suspended` have no unit, and
//! only `Suspended` outlives a boot.

use super::session::words;
use super::{Problem, text_newtype};
use std::{fmt, str::FromStr};

/// Where a session is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Accepted, and waiting for resources.
    Queued,
    /// The unit is being started; the screen does not answer yet.
    Starting,
    /// The screen answers.
    Running,
    /// The same, while the guest is paused (`Pause` has the reason).
    Paused,
    /// The guest is saved on disk.
    Suspended,
    /// The guest has been asked to shut down.
    Stopping,
    /// Ended, as requested or at its time.
    Ended,
    /// Ended by an accident, which a message explains.
    Failed,
}
words!(State {
    Queued = "queued",
    Starting = "starting",
    Running = "running",
    Paused = "paused",
    Suspended = "suspended",
    Stopping = "stopping",
    Ended = "ended",
    Failed = "failed"
} "A state");

/// An event in the life of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It got its resources, and its unit is going to be started.
    Place,
    /// Its screen has answered.
    Answer,
    /// Its guest was paused.
    Pause,
    /// Its guest continues.
    Resume,
    /// Its guest was saved, and its unit has ended.
    Suspend,
    /// Its unit is going to be started from the saved guest.
    Restore,
    /// Its unit is being stopped.
    Stop,
    /// It has ended, as requested or at its time.
    End,
    /// It has ended by an accident.
    Fail,
}

/// An event that cannot happen to a session in this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImpossibleEvent {
    /// The state of the session.
    pub state: State,
    /// What cannot happen in it.
    pub event: Event,
}

impl fmt::Display for ImpossibleEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The state of the session is '{}', which {:?} does not apply to.", self.state, self.event)
    }
}

impl From<ImpossibleEvent> for Problem {
    fn from(impossible: ImpossibleEvent) -> Self {
        Self::failed(impossible.to_string())
    }
}

impl State {
    /// Return the state that the event leads to.
    pub fn after(self, event: Event) -> Result<Self, ImpossibleEvent> {
        match (self, event) {
            (Self::Queued, Event::Place) | (Self::Suspended, Event::Restore) => Ok(Self::Starting),
            (Self::Starting, Event::Answer) | (Self::Paused, Event::Resume) => Ok(Self::Running),
            (Self::Running | Self::Paused, Event::Pause) => Ok(Self::Paused),
            (Self::Running | Self::Paused, Event::Suspend) => Ok(Self::Suspended),
            (Self::Starting | Self::Running | Self::Paused | Self::Stopping, Event::Stop) => Ok(Self::Stopping),
            (state, Event::End) if !state.is_final() => Ok(Self::Ended),
            (state, Event::Fail) if !state.is_final() => Ok(Self::Failed),
            (state, event) => Err(ImpossibleEvent { state, event }),
        }
    }

    /// Return whether nothing can follow.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Ended | Self::Failed)
    }

    /// Return whether the screen answers, and the guest has not been asked to shut down.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// Return whether the session exists although it has no unit.
    pub fn needs_no_unit(self) -> bool {
        matches!(self, Self::Queued | Self::Suspended)
    }

    /// Return whether the session exists after the host's next boot.
    pub fn outlives_boot(self) -> bool {
        self == Self::Suspended
    }

    /// Return the state that people and programs are given: of a paused session that it runs, beside the reason.
    pub fn reported(self) -> Self {
        if self == Self::Paused { Self::Running } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 8] = [
        State::Queued,
        State::Starting,
        State::Running,
        State::Paused,
        State::Suspended,
        State::Stopping,
        State::Ended,
        State::Failed,
    ];

    const EVENTS: [Event; 9] = [
        Event::Place,
        Event::Answer,
        Event::Pause,
        Event::Resume,
        Event::Suspend,
        Event::Restore,
        Event::Stop,
        Event::End,
        Event::Fail,
    ];

    #[test]
    fn nothing_follows_an_end_and_an_end_follows_everything_else() {
        for (state, event) in STATES.into_iter().flat_map(|state| EVENTS.map(|event| (state, event))) {
            let next = state.after(event);
            if state.is_final() {
                assert_eq!(next, Err(ImpossibleEvent { state, event }));
            } else if matches!(event, Event::End | Event::Fail) {
                assert!(next.unwrap().is_final(), "{state} {event:?}");
            }
        }
    }

    #[test]
    fn the_words_read_back() {
        for state in STATES {
            assert_eq!(state.as_str().parse::<State>().unwrap(), state);
        }
        assert_eq!((State::Paused.reported(), State::Stopping.reported()), (State::Running, State::Stopping));
        let impossible = State::Suspended.after(Event::Pause).unwrap_err();
        assert_eq!(impossible.to_string(), "The state of the session is 'suspended', which Pause does not apply to.");
    }
}
