//! What a session's page shows of sharing: the links there are, and who has it on the screen.

use crate::bus::{Share, Viewer};
use crate::model::{Owner, Role, SessionId};
use crate::portal::ask::Ask;
use crate::portal::qr::Qr;
use crate::portal::refusal::Refusal;
use crate::show;

/// A link that was just made, and is shown once.
pub(super) struct NewLink {
    pub(super) role: Role,
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
    pub(super) fn of(ask: &Ask<'_>, session: &SessionId) -> Result<Self, Refusal> {
        let asker = ask.asker()?;
        let reader = ask.person.as_ref().map(|person| &person.owner);
        let shares = ask.app.launcher.ask(|l| l.shares(asker.clone(), session.as_str()))?;
        let viewers = ask.app.launcher.ask(|l| l.viewers(asker.clone(), session.as_str()))?;
        let links = shares.into_iter().map(|share| Link::new(share, reader, ask.now)).collect();
        Ok(Self { links, people: people(viewers, reader) })
    }
}

impl Link {
    fn new(share: Share, reader: Option<&Owner>, now: u64) -> Self {
        Self {
            remaining: show::remaining(share.expires_at, now),
            ends: show::utc(share.expires_at),
            ends_at: show::moment(share.expires_at),
            by: who((&share.used_by, share.used_by_shown(), share.used_by_id.as_ref()), reader, "a guest"),
            used: share.used_at.map_or_else(String::new, show::moment),
            used_utc: share.used_at.map_or_else(String::new, show::utc),
            share,
        }
    }
}

fn people(viewers: Vec<Viewer>, reader: Option<&Owner>) -> Vec<Person> {
    let mut people: Vec<Person> = Vec::with_capacity(viewers.len());
    for viewer in viewers {
        let before = people.iter().filter(|p| p.viewer.since == viewer.since).count();
        people.push(Person {
            who: who((&viewer.name, viewer.shown(), viewer.name_id.as_ref()), reader, "A guest"),
            key: format!("{}-{before}", viewer.since),
            since: show::moment(viewer.since),
            since_utc: show::utc(viewer.since),
            viewer,
        });
    }
    people
}

/// Return how the reader reads somebody: a name, how others read it, and the owner.
fn who((name, shown, id): (&str, String, Option<&Owner>), reader: Option<&Owner>, nobody: &str) -> String {
    match name {
        "" => nobody.to_owned(),
        name if id.is_some() && id == reader => format!("{name} (you)"),
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::tests::a_viewer;

    #[test]
    fn people_are_told_apart_and_one_finds_oneself() {
        let by = |proof: &str, name: &str, since| {
            let name_id = Some(Owner::recorded(&format!("{proof}:{name}"), name));
            Viewer { name: name.into(), name_id, since, ..a_viewer("abcdefghij") }
        };
        let all = vec![
            by("pam", "alice", 5),
            Viewer { since: 5, ..a_viewer("abcdefghij") },
            by("pam", "bob", 7),
            by("ldap", "alice", 9),
            by("open", "alice", 9),
        ];
        let people = people(all, Some(&"pam:alice".parse().unwrap()));
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
