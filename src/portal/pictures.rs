//! The pictures of the monitor, kept for some seconds: however many look, a screen is read no more often.

use crate::model::{Problem, Word};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// A picture is as good as new for so long.
const FRESH: Duration = Duration::from_secs(5);
/// A QEMU that gave none is left alone for so long: each attempt may hold up a worker.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// What nobody has asked for since is forgotten.
const KEPT: Duration = Duration::from_secs(60);

/// A picture as PNG, or why there is none.
type Made = Result<Arc<Vec<u8>>, Problem>;

/// A picture's place, held while it is being made.
#[derive(Default)]
struct Slot(Mutex<Option<(Instant, Made)>>);

/// By session.
#[derive(Default)]
pub struct Pictures(Mutex<HashMap<String, (Instant, Arc<Slot>)>>);

impl Pictures {
    /// The picture of a session, made now if there is no fresh one.
    pub fn get(&self, session: &str, make: impl FnOnce() -> Result<Vec<u8>, Problem>) -> Made {
        self.get_at(session, Instant::now(), make)
    }

    fn get_at(&self, session: &str, now: Instant, make: impl FnOnce() -> Result<Vec<u8>, Problem>) -> Made {
        let slot = self.slot(session, now);
        // A QEMU that does not answer holds up the one who asks it, and nobody else.
        let mut kept = match slot.0.try_lock() {
            Ok(kept) => kept,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Problem::new(
                    Word::Unavailable,
                    "This picture is just being taken. Try again in a second.",
                ));
            }
        };
        if let Some((at, made)) = &*kept {
            let good = if made.is_ok() { FRESH } else { LEFT_ALONE };
            if now.saturating_duration_since(*at) < good {
                return made.clone();
            }
        }
        let made = make().map(Arc::new);
        *kept = Some((now, made.clone()));
        made
    }

    fn slot(&self, session: &str, now: Instant) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, (used, _)| now.saturating_duration_since(*used) < KEPT);
        let (used, slot) = slots.entry(session.to_owned()).or_insert_with(|| (now, Arc::default()));
        *used = now;
        Arc::clone(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Result<Vec<u8>, Problem> {
        Ok(text.as_bytes().to_vec())
    }

    #[test]
    fn a_screen_is_read_no_more_often_than_every_few_seconds() {
        let (pictures, start) = (Pictures::default(), Instant::now());
        let get = |session, seconds, text| {
            let answer = pictures.get_at(session, start + Duration::from_secs(seconds), || made(text));
            String::from_utf8(answer.unwrap().to_vec()).unwrap()
        };
        assert_eq!(get("a", 0, "first"), "first");
        assert_eq!((get("a", 4, "second"), get("b", 4, "other")), ("first".into(), "other".into()));
        assert_eq!(get("a", 5, "third"), "third");
    }

    #[test]
    fn a_failure_is_kept_for_longer() {
        let (pictures, now) = (Pictures::default(), Instant::now());
        assert!(pictures.get_at("a", now, || Err(Problem::failed("No."))).is_err());
        let later = |seconds| pictures.get_at("a", now + Duration::from_secs(seconds), || made("x"));
        assert_eq!(later(29).unwrap_err().message, "No.");
        assert!(later(30).is_ok());
    }

    #[test]
    fn nobody_waits_for_a_picture_that_another_waits_for() {
        let (pictures, now) = (Pictures::default(), Instant::now());
        let inner = |_: ()| pictures.get_at("a", now, || made("inner")).unwrap_err().word;
        let mut seen = None;
        let outer = pictures.get_at("a", now, || {
            seen = Some(inner(()));
            made("outer")
        });
        assert_eq!((outer.unwrap().as_slice(), seen), (&b"outer"[..], Some(Word::Unavailable)));
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let (pictures, now) = (Pictures::default(), Instant::now());
        pictures.get_at("a", now, || made("x")).unwrap();
        pictures.get_at("b", now + KEPT, || made("x")).unwrap();
        assert_eq!(pictures.0.lock().unwrap().len(), 1);
    }
}
