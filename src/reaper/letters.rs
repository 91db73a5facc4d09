//! Mails to owners before their sessions end: one for each end, so another one after an extension.
//!
//! Sent after everything else the sweep has to do. A mail server that does not answer is told in the
//! journal and asked again by the next sweep; it holds up nobody but those who wait for a mail.

use crate::config::{self, Mail, Settings};
use crate::host;
use crate::mail::{self, Letter};
use crate::model::{Lifetime, MailAddress, Problem, SessionId, Word};
use crate::policy::mail_due;
use crate::session::{Asked, Record, Store};
use crate::site;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is not sent in this time waits for the next sweep.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends the letters that are due. Without settings none is: they wait until the configuration is corrected.
pub(super) fn send(root: &Path, store: &Store) {
    let loaded = match config::load(root) {
        Ok(loaded) => loaded,
        // No session, no letter, and no line each minute.
        Err(_) if store.ids().is_ok_and(|ids| ids.is_empty()) => return,
        Err(e) => return log::warn!("No mail is sent before a session ends, if mails are configured: {e}"),
    };
    let Some((mail, ahead)) = wanted(&loaded.settings) else { return };
    let end = Instant::now() + PATIENCE;
    let base = site::base(root);
    let Ok(sessions) = store.all() else { return };
    for (id, record) in sessions {
        let Some(letter) = due(store, &base, mail, ahead, (&id, &record), host::now()) else { continue };
        if Instant::now() > end || !post(store, &id, &record, &letter, || mail::send(&letter, mail.server.timeout)) {
            break;
        }
    }
}

/// How mails are sent, and how long before the end. While names are only typed and nobody signs in, a
/// name that looks like an address may be anybody's.
fn wanted(settings: &Settings) -> Option<(&Mail, Lifetime)> {
    let mail = settings.mail.as_ref().filter(|_| !settings.sign_in.methods.is_empty())?;
    (mail.warn_before_end.0 > 0).then_some((mail, mail.warn_before_end))
}

/// The letter that is due for a session.
fn due(
    store: &Store,
    base: &str,
    mail: &Mail,
    ahead: Lifetime,
    (id, record): (&SessionId, &Record),
    now: u64,
) -> Option<Letter> {
    let minutes = mail_due(record.created_at, record.expires_at, ahead, now)?;
    if store.mailed(id) == record.expires_at || store.asked(id) != Asked::Nobody {
        return None;
    }
    // An address follows from a name that somebody has signed in with, and from no other.
    let owner = record.owner.account().map(|(_, name)| name.clone())?;
    Some(Letter::Ending {
        to: MailAddress::of(&owner, mail.domain.as_deref())?,
        owner,
        machine: record.spec.machine.clone(),
        id: id.clone(),
        link: site::session(base, id),
        minutes,
    })
}

/// Send a mail and report how that went; `false` if no other mail would go either. That it was sent is written down
/// first, and taken back where it is to be sent again: if nothing can be written, it would go out each minute.
fn post(
    store: &Store,
    id: &SessionId,
    record: &Record,
    letter: &Letter,
    send: impl FnOnce() -> Result<(), Problem>,
) -> bool {
    if let Err(e) = store.mail(id, record.expires_at) {
        log::error!(QWD_SESSION = id.as_str();
            "The owner of session {id} gets no mail, since that cannot be written down: {e}.");
        return false;
    }
    let sent = send();
    let (owner, machine, to) = (record.owner_shown(), record.spec.machine.as_str(), letter.to());
    match &sent {
        Ok(()) => log::info!(QWD_SESSION = id.as_str(), QWD_OWNER = owner.as_str(), QWD_MACHINE = machine;
            "{owner} was told by mail to {to} that session {id} ends soon."),
        Err(problem) => log::warn!(QWD_SESSION = id.as_str(), QWD_OWNER = owner.as_str(), QWD_MACHINE = machine;
            "{owner} could not be told by mail to {to} that session {id} ends soon: {problem}"),
    }
    let word = sent.as_ref().err().map(|problem| problem.word);
    if word.is_some_and(|word| word != Word::BadRequest) {
        if let Err(e) = store.unmail(id) {
            log::error!(QWD_SESSION = id.as_str(); "The mail about session {id} will not be sent again: {e}.");
        }
    }
    word != Some(Word::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Raw;
    use crate::session::testing::{record, store};
    use std::fs;

    const ID: &str = "abcdefghij";

    fn settings(methods: &[&str], warn: &str) -> Settings {
        let mut raw = Raw::default();
        raw.sign_in.methods = methods.iter().map(|m| (*m).to_owned()).collect();
        raw.mail.server = "localhost".into();
        raw.mail.from = "desktops@example.org".into();
        raw.mail.domain = "example.org".into();
        raw.mail.warn_before_end = warn.into();
        Settings::try_from(&raw).unwrap()
    }

    fn long(owner: &str) -> Record {
        let mut record = record(ID, owner);
        record.created_at = 1000;
        record.expires_at = 8200;
        record
    }

    #[test]
    fn nothing_is_sent_where_nobody_wants_it_or_signs_in() {
        assert!(wanted(&settings(&["pam"], "30m")).is_some());
        assert!(wanted(&settings(&["pam"], "0")).is_none());
        assert!(wanted(&settings(&[], "30m")).is_none());
        assert!(wanted(&Settings::default()).is_none());
    }

    #[test]
    fn each_end_has_one_letter() {
        let (root, store) = store("letters");
        let id: SessionId = ID.parse().unwrap();
        let all = settings(&["pam"], "30m");
        let (mail, ahead) = wanted(&all).unwrap();
        let due = |record: &Record, now| due(&store, "https://desk.example.org/x", mail, ahead, (&id, record), now);
        let mut session = long("alice");
        store.create(&id, &session).unwrap();
        assert!(due(&session, 6000).is_none());
        let letter = due(&session, 6500).unwrap();
        let Letter::Ending { to, link, minutes, .. } = &letter else { panic!("another letter") };
        assert_eq!((to.as_str(), *minutes), ("alice@example.org", 29));
        assert_eq!(link, "https://desk.example.org/x/sessions/abcdefghij");
        assert!(post(&store, &id, &session, &letter, || Ok(())));
        assert!(due(&session, 6500).is_none());
        session.expires_at = 9000;
        assert!(due(&session, 6500).is_none() && due(&session, 7500).is_some());
        store.ask(&id, &Asked::Expiry).unwrap();
        assert!(due(&session, 7500).is_none());
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_dead_server_is_asked_again_and_a_refused_address_is_not() {
        let (root, store) = store("again");
        let id: SessionId = ID.parse().unwrap();
        let session = long("alice");
        store.create(&id, &session).unwrap();
        let all = settings(&["pam"], "30m");
        let (mail, ahead) = wanted(&all).unwrap();
        let letter = due(&store, "http://x", mail, ahead, (&id, &session), 6500).unwrap();
        let post = |result| post(&store, &id, &session, &letter, || result);
        assert!(!post(Err(Problem::new(Word::Unavailable, "No answer."))));
        assert!(post(Err(Problem::failed("Later."))));
        assert_eq!(store.mailed(&id), 0);
        assert!(post(Err(Problem::new(Word::BadRequest, "No such mailbox."))));
        assert_eq!(store.mailed(&id), 8200);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn nothing_is_sent_that_cannot_be_written_down() {
        let (root, store) = store("full");
        let id: SessionId = ID.parse().unwrap();
        let session = long("alice");
        store.create(&id, &session).unwrap();
        let all = settings(&["pam"], "30m");
        let (mail, ahead) = wanted(&all).unwrap();
        let letter = due(&store, "http://x", mail, ahead, (&id, &session), 6500).unwrap();
        fs::create_dir(store.folder().join(format!("{ID}.mailed"))).unwrap();
        assert!(!post(&store, &id, &session, &letter, || panic!("a mail goes out each minute")));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn whoever_has_no_address_gets_no_letter() {
        let (root, store) = store("address");
        let id: SessionId = ID.parse().unwrap();
        let all = settings(&["pam"], "30m");
        let (mail, ahead) = wanted(&all).unwrap();
        assert!(due(&store, "http://x", mail, ahead, (&id, &long("local:alice")), 6500).is_none());
        assert!(due(&store, "http://x", mail, ahead, (&id, &long("alice@other.org")), 6500).is_some());
        fs::remove_dir_all(root).unwrap();
    }
}
