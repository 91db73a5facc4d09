//! Problems as D-Bus errors, and back.

use super::ERROR_PREFIX;
use crate::model::{Problem, Word};
use zbus::message::{Header, Message};
use zbus::names::ErrorName;

impl zbus::DBusError for Problem {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name())?.build(&(self.message.as_str(),))
    }

    fn name(&self) -> ErrorName<'_> {
        let name = format!("{ERROR_PREFIX}{}", self.word.as_str());
        ErrorName::try_from(name).expect("our words make valid error names")
    }

    fn description(&self) -> Option<&str> {
        Some(&self.message)
    }
}

impl From<zbus::Error> for Problem {
    fn from(error: zbus::Error) -> Self {
        problem_of(&error)
    }
}

/// The problem behind a failed call: our own, or that the other side could not be reached or understood.
pub fn problem_of(error: &zbus::Error) -> Problem {
    let (name, text) = match error {
        zbus::Error::MethodError(name, text, _) => (name, text),
        zbus::Error::Variant(error) => {
            return Problem::failed(format!(
                "The launcher's answer cannot be read: {error}. If its version is another, 'systemctl restart qwd-launcher' mends that."
            ));
        }
        _ => return Problem::new(Word::Unavailable, format!("The system bus could not be used: {error}.")),
    };
    let text = text.as_deref().unwrap_or_default();
    if let Some(word) = name.as_str().strip_prefix(ERROR_PREFIX) {
        let word = Word::ALL.into_iter().find(|w| w.as_str() == word).unwrap_or(Word::Failed);
        return Problem::new(word, text);
    }
    match name.as_str() {
        "org.freedesktop.DBus.Error.AccessDenied" => Problem::new(
            Word::NotAllowed,
            "The launcher may not be used by this account: it takes root or membership of the group qwd-users.",
        ),
        "org.freedesktop.DBus.Error.InvalidArgs" => Problem::bad_request(text),
        _ => Problem::new(
            Word::Unavailable,
            format!("The launcher does not answer ({text}); 'systemctl status qwd-launcher' tells why."),
        ),
    }
}

/// Makes a call that changes nothing; once more if it may well succeed now: the launcher was just ending and
/// took the call with it, or the connection had broken. A call that took too long would take as long again.
pub fn asked_again<T>(call: impl Fn() -> zbus::Result<T>) -> zbus::Result<T> {
    match call() {
        Err(error) if passing(&error) => call(),
        answer => answer,
    }
}

fn passing(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::MethodError(name, ..) => name.as_str() == "org.freedesktop.DBus.Error.NoReply",
        zbus::Error::InputOutput(e) => e.kind() != std::io::ErrorKind::TimedOut,
        // An answer that cannot be read is the same the next time.
        zbus::Error::Variant(_) => false,
        _ => true,
    }
}
