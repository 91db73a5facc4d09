//! What a session's page shows of sharing: the links there are, and who has it on the screen.

use crate::bus::{Share, Viewer};
use crate::portal::ask::Ask;
use crate::portal::qr::Qr;
use crate::portal::refusal::Refusal;
use crate::show;

/// A link that was just made, and is shown once.
pub(super) struct NewLink {
    pub(super) role: String,
    pub(super) once: bool,
    pub(super) url: String,
    pub(super) qr: Option<Qr>,
}

/// The links of a session and the people on its screen.
#[derive(Default)]
pub(super) struct Sharing {
    pub(super) links: Vec<Link>,
    pub(super) people: Vec<Person>,
}

/// A link, without its secret.
pub(super) struct Link {
    pub(super) share: Share,
    pub(super) remaining: String,
    pub(super) ends: String,
    /// The moment of its end, for people.
    pub(super) ends_at: String,
    /// Who came first by it.
    pub(super) by: String,
    pub(super) used: String,
    pub(super) used_utc: String,
}

/// Somebody on the screen.
pub(super) struct Person {
    pub(super) viewer: Viewer,
    pub(super) who: String,
    /// Tells them from the others, as long as they are there.
    pub(super) key: String,
    pub(super) since: String,
    pub(super) since_utc: String,
}

impl Sharing {
    /// Asks the launcher.
    pub(super) fn of(ask: &Ask<'_>, session: &str) -> Result<Self, Refusal> {
        let asker = ask.asker()?;
        let shares = ask.app.launcher.ask(|l| l.shares(asker.clone(), session))?;
        let viewers = ask.app.launcher.ask(|l| l.viewers(asker.clone(), session))?;
        let links = shares.into_iter().map(|share| Link::new(share, &asker.owner, ask.now)).collect();
        Ok(Self { links, people: people(viewers, &asker.owner) })
    }
}

impl Link {
    fn new(share: Share, reader: &str, now: u64) -> Self {
        Self {
            remaining: show::remaining(share.expires_at, now),
            ends: show::utc(share.expires_at),
            ends_at: show::moment(share.expires_at),
            by: who((&share.used_by, share.used_by_shown(), &share.used_by_id), reader, "a guest"),
            used: show::moment(share.used_at),
            used_utc: show::utc(share.used_at),
            share,
        }
    }
}

fn people(viewers: Vec<Viewer>, reader: &str) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::with_capacity(viewers.len());
    for viewer in viewers {
        let before = people.iter().filter(|p| p.viewer.since == viewer.since).count();
        people.push(Person {
            who: who((&viewer.name, viewer.shown(), &viewer.name_id), reader, "A guest"),
            key: format!("{}-{before}", viewer.since),
            since: show::moment(viewer.since),
            since_utc: show::utc(viewer.since),
            viewer,
        });
    }
    people
}

/// Return how the reader reads somebody: a name, how others read it, and the owner.
fn who((name, shown, id): (&str, String, &str), reader: &str, nobody: &str) -> String {
    match name {
        "" => nobody.to_owned(),
        name if id == reader => format!("{name} (you)"),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_apart_and_one_finds_oneself() {
        let by = |proof: &str, name: &str, since| {
            let name_id = format!("{proof}:{name}");
            Viewer { name: name.into(), name_id, since, ..Viewer::default() }
        };
        let all = vec![
            by("pam", "alice", 5),
            Viewer { since: 5, ..Viewer::default() },
            by("pam", "bob", 7),
            by("ldap", "alice", 9),
            by("open", "alice", 9),
        ];
        let people = people(all, "pam:alice");
        let found: Vec<_> = people.iter().map(|p| (p.who.as_str(), p.key.as_str())).collect();
        assert_eq!(
            found,
            [
                ("alice (you)", "5-0"),
                ("A guest", "5-1"),
                ("bob", "7-0"),
                ("alice", "9-0"),
                ("alice (not verified)", "9-1")
            ]
        );
    }
}
