//! Who is calling, as the bus itself knows it, and for whom they may speak.

use crate::bus::{Asker, DISPLAY_USER, PORTAL_USER, USERS_GROUP};
use crate::config::{Method, Settings};
use crate::model::{Problem, UserName, Word};
use crate::policy::{self, Allowed};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use zbus::blocking::Connection;
use zbus::blocking::fdo::DBusProxy;
use zbus::names::UniqueName;

/// Kinds of caller. Everything else is refused, here as in the bus policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// The administrator, or one of our programs that runs as root.
    Root,
    /// Believed about who asks.
    Portal,
    /// Redeems tickets and does nothing else.
    Display,
    /// A member of the group `qwd-users`.
    Member(Account),
}

/// An account of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// Its name.
    pub name: String,
    /// Its groups, by name.
    pub groups: Vec<String>,
}

/// For whom a call is made, once that has been decided.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// Their name; whose sessions they get.
    pub name: UserName,
    /// Their groups, as their sign-in reported them.
    pub groups: Vec<String>,
    /// May see and end everybody's.
    pub admin: bool,
    /// May pass over limits.
    pub root: bool,
    /// Their limits.
    pub allowed: Allowed,
}

/// Remembers callers by their unique bus names, which are never used twice.
pub(super) struct Callers {
    bus: DBusProxy<'static>,
    known: Mutex<HashMap<String, Caller>>,
}

/// What the owner's name of a local account's session begins with.
const LOCAL: &str = "local:";
/// More connections than this are not remembered at once.
const REMEMBERED: usize = 256;

impl Callers {
    pub(super) fn new(connection: &Connection) -> Result<Self, Problem> {
        Ok(Self { bus: DBusProxy::new(connection)?, known: Mutex::default() })
    }

    /// Who sent this message.
    pub(super) fn identify(&self, sender: Option<UniqueName<'static>>) -> Result<Caller, Problem> {
        let sender = sender.ok_or_else(|| denied("an unnamed caller"))?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = known.get(sender.as_str()) {
            return Ok(caller.clone());
        }
        let credentials = self.bus.get_connection_credentials(sender.clone().into()).map_err(zbus::Error::from)?;
        let uid = credentials.unix_user_id().ok_or_else(|| denied("a caller without a user id"))?;
        let caller = classify(uid, credentials.unix_group_ids().map_or(&[][..], |g| g.as_slice()))?;
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(sender.to_string(), caller.clone());
        Ok(caller)
    }
}

fn classify(uid: u32, groups: &[u32]) -> Result<Caller, Problem> {
    if uid == 0 {
        return Ok(Caller::Root);
    }
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten().ok_or_else(|| denied("an unknown account"))?;
    if user.name == PORTAL_USER {
        return Ok(Caller::Portal);
    }
    if user.name == DISPLAY_USER {
        return Ok(Caller::Display);
    }
    let members = Group::from_name(USERS_GROUP).ok().flatten().map(|g| g.gid);
    let belongs = |gid: Gid| groups.contains(&gid.as_raw()) || user.gid == gid;
    if members.is_some_and(belongs) {
        let groups = groups_of(&user);
        return Ok(Caller::Member(Account { name: user.name, groups }));
    }
    Err(denied(&user.name))
}

/// The account's groups as the system's databases have them now. Those that cannot be named make
/// nobody an administrator.
fn groups_of(user: &User) -> Vec<String> {
    let name = CString::new(user.name.as_str()).unwrap_or_default();
    let gids = getgrouplist(&name, user.gid).unwrap_or_default();
    gids.into_iter().filter_map(|gid| Group::from_gid(gid).ok().flatten()).map(|group| group.name).collect()
}

fn denied(who: &str) -> Problem {
    Problem::new(
        Word::NotAllowed,
        format!("{who} may not use the launcher: it takes root or membership of the group {USERS_GROUP}."),
    )
}

impl Caller {
    /// Whom this caller may speak for, of those they say they do.
    pub(super) fn person(&self, asker: &Asker, settings: &Settings) -> Result<Person, Problem> {
        match self {
            Self::Root => {
                let name = if asker.name.is_empty() { "root" } else { &asker.name };
                Ok(Person { admin: true, root: true, ..nobodys_admin(name.parse()?, &asker.groups, settings) })
            }
            // Those sessions are reached by qwdctl alone, where the account is known and not typed.
            Self::Portal if asker.name.starts_with(LOCAL) => Err(Problem::new(
                Word::NotAllowed,
                format!("Names that begin with '{LOCAL}' are those of accounts on the server; sign in under another."),
            )),
            Self::Portal => Ok(signed_in(asker.name.parse()?, &asker.groups, settings)),
            // Whom PAM signs in on the page is the same person here.
            Self::Member(account) if settings.sign_in.has(Method::Pam) => {
                Ok(signed_in(account.name.parse()?, &account.groups, settings))
            }
            // Else a local account must not inherit the sessions, or the rights, of somebody else's
            // who signs in under that name on the page.
            Self::Member(Account { name, groups }) => {
                Ok(nobodys_admin(format!("{LOCAL}{name}").parse()?, groups, settings))
            }
            Self::Display => Err(self.not_for("this")),
        }
    }

    /// `Ok` for root alone.
    pub(super) fn must_be_root(&self, what: &str) -> Result<(), Problem> {
        if *self == Self::Root { Ok(()) } else { Err(self.not_for(what)) }
    }

    /// `Ok` for the display and root.
    pub(super) fn must_be_display(&self, what: &str) -> Result<(), Problem> {
        if matches!(self, Self::Root | Self::Display) { Ok(()) } else { Err(self.not_for(what)) }
    }

    /// `Ok` for the portal and root.
    pub(super) fn must_be_portal(&self, what: &str) -> Result<(), Problem> {
        if matches!(self, Self::Root | Self::Portal) { Ok(()) } else { Err(self.not_for(what)) }
    }

    fn not_for(&self, what: &str) -> Problem {
        let who = match self {
            Self::Root => "root",
            Self::Portal => PORTAL_USER,
            Self::Display => DISPLAY_USER,
            Self::Member(account) => &account.name,
        };
        Problem::new(Word::NotAllowed, format!("{who} may not do {what}."))
    }
}

/// Somebody whose name makes them an administrator if the configuration says so.
fn signed_in(name: UserName, groups: &[String], settings: &Settings) -> Person {
    let admin = policy::is_admin(&settings.sign_in, &name, groups);
    Person { admin, ..nobodys_admin(name, groups, settings) }
}

fn nobodys_admin(name: UserName, groups: &[String], settings: &Settings) -> Person {
    let allowed = Allowed::of(settings, &name, groups);
    Person { name, groups: groups.to_vec(), admin: false, root: false, allowed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Allowance, SignIn};

    fn asker(name: &str, groups: &[&str]) -> Asker {
        Asker { name: name.into(), groups: groups.iter().map(|g| (*g).to_owned()).collect() }
    }

    /// These methods; alice and the group wheel are administrators.
    fn settings(methods: &[Method]) -> Settings {
        let mut settings = Settings::default();
        settings.sign_in = SignIn {
            methods: methods.to_vec(),
            admins: vec!["alice".parse().unwrap()],
            admin_groups: vec!["wheel".to_owned()],
            ..settings.sign_in
        };
        settings
    }

    fn member(name: &str, groups: &[&str]) -> Caller {
        let Asker { name, groups } = asker(name, groups);
        Caller::Member(Account { name, groups })
    }

    /// Name, administrator, root.
    fn decided(caller: &Caller, asker: &Asker, methods: &[Method]) -> (String, bool, bool) {
        let person = caller.person(asker, &settings(methods)).unwrap();
        (person.name.to_string(), person.admin, person.root)
    }

    #[test]
    fn a_member_is_who_they_are_whatever_they_say() {
        let claim = asker("alice", &["wheel"]);
        for methods in [&[][..], &[Method::Imap]] {
            assert_eq!(decided(&member("carol", &["users"]), &claim, methods), ("local:carol".into(), false, false));
        }
        let pam = [Method::Imap, Method::Pam];
        assert_eq!(decided(&member("carol", &["users"]), &claim, &pam), ("carol".into(), false, false));
    }

    #[test]
    fn an_account_is_an_administrator_only_where_accounts_sign_in() {
        let nobody = asker("", &[]);
        for (name, groups) in [("alice", &[][..]), ("carol", &["wheel"])] {
            assert_eq!(decided(&member(name, groups), &nobody, &[Method::Pam]), (name.into(), true, false));
            for methods in [&[][..], &[Method::Ldap]] {
                assert_eq!(
                    decided(&member(name, groups), &nobody, methods),
                    (format!("local:{name}"), false, false),
                    "{methods:?}"
                );
            }
        }
    }

    #[test]
    fn the_portal_is_believed_about_who_but_is_not_root() {
        let imap = [Method::Imap];
        assert_eq!(decided(&Caller::Portal, &asker("bob", &["users"]), &imap), ("bob".into(), false, false));
        assert_eq!(decided(&Caller::Portal, &asker("bob", &["wheel"]), &imap), ("bob".into(), true, false));
        assert_eq!(decided(&Caller::Portal, &asker("alice", &[]), &imap), ("alice".into(), true, false));
        assert_eq!(decided(&Caller::Portal, &asker("alice", &["wheel"]), &[]), ("alice".into(), false, false));
        let refused = |name| Caller::Portal.person(&asker(name, &[]), &settings(&imap)).unwrap_err().word;
        assert_eq!(refused(""), Word::BadRequest);
        assert_eq!(refused("a/b"), Word::BadRequest);
        assert_eq!(refused("local:carol"), Word::NotAllowed);
    }

    #[test]
    fn root_is_an_administrator_whoever_they_act_for() {
        assert_eq!(decided(&Caller::Root, &asker("bob", &[]), &[]), ("bob".into(), true, true));
        assert_eq!(decided(&Caller::Root, &asker("", &[]), &[]), ("root".into(), true, true));
    }

    #[test]
    fn limits_follow_the_name_that_was_decided_and_the_groups_that_are_known() {
        let mut settings = settings(&[]);
        let sessions = |n| Allowance { sessions: Some(n), ..Allowance::default() };
        settings.limits.users.insert("alice".parse().unwrap(), sessions(7));
        settings.limits.groups.insert("staff".into(), sessions(5));
        let most = |caller: &Caller, asker: &Asker| caller.person(asker, &settings).unwrap().allowed.sessions.most;
        assert_eq!(most(&Caller::Portal, &asker("alice", &["staff"])), 7);
        assert_eq!(most(&Caller::Portal, &asker("bob", &["staff"])), 5);
        assert_eq!(most(&member("alice", &[]), &asker("alice", &["staff"])), 3);
        assert_eq!(most(&member("carol", &["staff"]), &asker("alice", &[])), 5);
        assert_eq!(most(&Caller::Root, &asker("alice", &[])), 7);
    }

    #[test]
    fn the_groups_of_an_account_have_names() {
        let root = User::from_uid(Uid::from_raw(0)).unwrap().unwrap();
        assert!(groups_of(&root).contains(&"root".to_owned()));
    }

    #[test]
    fn the_display_owns_nothing_and_sweeps_nothing() {
        assert!(Caller::Display.person(&asker("alice", &[]), &settings(&[])).is_err());
        assert!(Caller::Display.must_be_root("that").is_err());
        assert!(Caller::Portal.must_be_display("that").is_err());
        assert!(member("carol", &[]).must_be_portal("that").is_err());
    }

    #[test]
    fn an_account_outside_the_group_is_refused() {
        let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
        assert_eq!(classify(nobody.uid.as_raw(), &[]).unwrap_err().word, Word::NotAllowed);
        assert_eq!(classify(0, &[]).unwrap(), Caller::Root);
    }
}
