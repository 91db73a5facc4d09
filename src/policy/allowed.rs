//! Which limits hold for one person: their own entry, key by key; else the most generous entry of
//! their groups; else what holds for everybody.

use crate::config::{Allowance, Session, Settings, Whose};
use crate::model::{Bytes, Lifetime, MachineName, Owner, Problem, Word};
use std::collections::BTreeSet;

/// A limit, and the key of the configuration that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound<T> {
    /// The most.
    pub most: T,
    /// As `qwdctl config` shows it.
    pub key: String,
}

/// What one person may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Sessions at the same time.
    pub sessions: Bound<u32>,
    /// CPUs of all sessions together; `None`: a share of the host.
    pub cpus: Option<Bound<u32>>,
    /// Memory of all sessions together; `None`: a share of the host.
    pub memory: Option<Bound<Bytes>>,
    /// The longest a session can be made to live; zero: no bound.
    pub lifetime: Bound<Lifetime>,
    /// The only machines they may use; `None`: all.
    pub machines: Option<Bound<BTreeSet<MachineName>>>,
}

impl Allowed {
    /// The limits of this person, who is of these groups.
    pub fn of(settings: &Settings, person: &Owner, groups: &[String]) -> Self {
        let limits = &settings.limits;
        let own = person.limits_name().and_then(|name| limits.users.get_key_value(&name));
        let known = groups.iter().filter_map(|group| limits.groups.get_key_value(group));
        let groups = known.map(|(name, entry)| (Whose::Group, name.as_str(), entry)).collect();
        let entries = Entries { own: own.map(|(name, entry)| (Whose::User, name.as_str(), entry)), groups };
        let anybody = Self::anybody(settings);
        Self {
            sessions: entries.most("sessions", |e| e.sessions, |n| u64::from(*n)).unwrap_or(anybody.sessions),
            cpus: entries.most("cpus", |e| e.cpus, |n| u64::from(*n)),
            memory: entries.most("memory", |e| e.memory, |b| b.0),
            lifetime: entries.most("lifetime", |e| e.lifetime, endless).unwrap_or(anybody.lifetime),
            machines: entries.machines(),
        }
    }

    /// The limits of somebody about whom nothing is said.
    pub fn anybody(settings: &Settings) -> Self {
        Self {
            sessions: Bound {
                most: settings.limits.service_max_session_nb_per_user,
                key: "limits.service_max_session_nb_per_user".to_owned(),
            },
            cpus: None,
            memory: None,
            lifetime: Bound { most: settings.session.lifetime_max, key: "session.snapshot_lifetime".to_owned() },
            machines: None,
        }
    }

    /// `Ok` if they may use this machine.
    pub fn machine(&self, name: &MachineName) -> Result<(), Problem> {
        self.any_machine()?;
        let Some(bound) = self.machines.as_ref().filter(|bound| !bound.most.contains(name)) else { return Ok(()) };
        let theirs: Vec<&str> = bound.most.iter().map(MachineName::as_str).collect();
        let text = format!("You may not use the machine '{name}' ({}), but {}.", bound.key, theirs.join(", "));
        Err(Problem::new(Word::LimitReached, text))
    }

    /// `Ok` if there may be a machine for them.
    pub(super) fn any_machine(&self) -> Result<(), Problem> {
        match &self.machines {
            Some(bound) if bound.most.is_empty() => {
                Err(Problem::new(Word::LimitReached, format!("You may use none of the machines ({}).", bound.key)))
            }
            _ => Ok(()),
        }
    }

    /// What a session gets where nothing is asked for: the usual, or their limit if that is less.
    pub fn usual(&self, session: &Session) -> (u32, Bytes, Lifetime) {
        let cpus = self.cpus.as_ref().map_or(session.cpus, |bound| bound.most.min(session.cpus));
        let memory = self.memory.as_ref().map_or(session.memory, |bound| bound.most.min(session.memory));
        (cpus, memory, [session.lifetime, self.lifetime.most].into_iter().min_by_key(endless).unwrap_or_default())
    }
}

/// Orders lifetimes, of which zero is the longest.
fn endless(lifetime: &Lifetime) -> u64 {
    lifetime.0.wrapping_sub(1)
}

/// An entry of the configuration, and whose it is.
type Entry<'a> = (Whose, &'a str, &'a Allowance);

/// The entries that are about one person.
struct Entries<'a> {
    own: Option<Entry<'a>>,
    groups: Vec<Entry<'a>>,
}

impl<'a> Entries<'a> {
    /// What the own entry says, else the entry of a group that has the most, by `rank`.
    fn most<T>(
        &self,
        setting: &str,
        get: impl Fn(&Allowance) -> Option<T>,
        rank: impl Fn(&T) -> u64,
    ) -> Option<Bound<T>> {
        let said =
            |(whose, name, entry): &Entry<'a>| get(entry).map(|most| Bound { most, key: whose.key(name, setting) });
        let of_groups = || self.groups.iter().filter_map(said).max_by_key(|bound| rank(&bound.most));
        self.own.as_ref().and_then(said).or_else(of_groups)
    }

    /// The machines of the own entry, else those of all groups that name any, together.
    fn machines(&self) -> Option<Bound<BTreeSet<MachineName>>> {
        let says = |entry: &&Entry<'a>| entry.2.machines.is_some();
        let saying: Vec<&Entry<'a>> = match self.own.as_ref().filter(says) {
            Some(own) => vec![own],
            None => self.groups.iter().filter(says).collect(),
        };
        let keys: Vec<String> = saying.iter().map(|(whose, name, _)| whose.key(name, "machines")).collect();
        let most = saying.iter().filter_map(|(_, _, entry)| entry.machines.as_ref()).flatten().cloned().collect();
        (!keys.is_empty()).then(|| Bound { most, key: keys.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Raw;

    fn allowed(text: &str, name: &str, groups: &[&str]) -> Allowed {
        let raw: Raw = toml::from_str(text).unwrap();
        let groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        Allowed::of(&Settings::try_from(&raw).unwrap(), &format!("pam:{name}").parse().unwrap(), &groups)
    }

    const SITE: &str = r#"
        [limits.user.alice]
        sessions = 1
        cpus = 2
        [limits.group.students]
        sessions = 2
        memory = "512M"
        lifetime = "4h"
        machines = ["a.iso", "b.iso"]
        [limits.group.staff]
        sessions = 5
        memory = "4G"
        lifetime = "0"
        machines = ["b.iso", "c.iso"]
        [limits.group.others]
    "#;

    #[test]
    fn nothing_said_is_as_for_everybody() {
        let settings = Settings::default();
        let nobody = allowed(SITE, "bob", &["others", "unknown", "alice"]);
        assert_eq!(nobody, Allowed::anybody(&settings));
        assert_eq!((nobody.sessions.most, nobody.sessions.key.as_str()), (3, "limits.service_max_session_nb_per_user"));
        assert_eq!(nobody.lifetime.key, "session.snapshot_lifetime");
        assert_eq!(nobody.usual(&settings.session), (1, Bytes(1 << 30), Lifetime(86_400)));
    }

    #[test]
    fn the_own_entry_wins_key_by_key_even_where_it_is_less() {
        let alice = allowed(SITE, "alice", &["staff"]);
        assert_eq!(alice.sessions, Bound { most: 1, key: "limits.user.alice.sessions".into() });
        assert_eq!(alice.cpus, Some(Bound { most: 2, key: "limits.user.alice.cpus".into() }));
        assert_eq!(alice.memory, Some(Bound { most: Bytes(4 << 30), key: "limits.group.staff.memory".into() }));
    }

    #[test]
    fn of_several_groups_the_most_generous_counts_in_any_order() {
        for groups in [["students", "staff"], ["staff", "students"]] {
            let bob = allowed(SITE, "bob", &groups);
            assert_eq!(bob.sessions, Bound { most: 5, key: "limits.group.staff.sessions".into() });
            assert_eq!(bob.lifetime, Bound { most: Lifetime(0), key: "limits.group.staff.lifetime".into() });
            let machines = bob.machines.unwrap();
            assert_eq!(machines.most.len(), 3);
            assert!(machines.key.contains("limits.group.staff.machines") && machines.key.contains("students.machines"));
        }
        let student = allowed(SITE, "bob", &["students", "others"]);
        assert_eq!((student.sessions.most, student.cpus), (2, None));
    }

    #[test]
    fn names_and_groups_are_compared_whole() {
        for (name, groups) in [("alic", &["student"][..]), ("alice2", &["Staff"]), ("Alice", &["staff2"])] {
            assert_eq!(allowed(SITE, name, groups), Allowed::anybody(&Settings::default()), "{name}");
        }
    }

    #[test]
    fn a_machine_that_is_not_theirs_is_refused_with_those_that_are() {
        let student = allowed(SITE, "bob", &["students"]);
        assert!(student.machine(&"a.iso".parse().unwrap()).is_ok());
        let refusal = student.machine(&"c.iso".parse().unwrap()).unwrap_err();
        assert_eq!(refusal.word, Word::LimitReached);
        assert_eq!(
            refusal.message,
            "You may not use the machine 'c.iso' (limits.group.students.machines), but a.iso, b.iso."
        );
        let none = allowed("[limits.user.bob]\nmachines = []", "bob", &["staff"]);
        let refusal = none.machine(&"b.iso".parse().unwrap()).unwrap_err();
        assert_eq!(refusal.message, "You may use none of the machines (limits.user.bob.machines).");
    }

    #[test]
    fn what_is_not_asked_for_is_no_more_than_is_allowed() {
        let session = Settings::default().session;
        assert_eq!(allowed(SITE, "bob", &["students"]).usual(&session), (1, Bytes(512 << 20), Lifetime(4 * 3600)));
        let endless = crate::config::Session { lifetime: Lifetime(0), ..session };
        assert_eq!(allowed(SITE, "bob", &["students"]).usual(&endless).2, Lifetime(4 * 3600));
        assert_eq!(allowed(SITE, "bob", &["staff"]).usual(&endless).2, Lifetime(0));
    }
}
