//! Who is calling, as the bus itself knows it, and for whom they may speak.

use super::calls::{Call, Calls};
use crate::bus::{Asker, DISPLAY_USER, PORTAL_USER, USERS_GROUP};
use crate::config::{Method, Settings};
use crate::model::{Label, Owner, Problem, Proof, UserName, Word};
use crate::policy::{self, Allowed};
use nix::unistd::{Gid, Group, Uid, User, getgrouplist};
use std::collections::HashMap;
use std::ffi::CString;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zbus::blocking::Connection;
use zbus::fdo::DBusProxy;
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
    /// Who they are; whose sessions they get.
    pub owner: Owner,
    /// Their name as people read it: for show.
    pub name: String,
    /// Their groups, as their sign-in reported them.
    pub groups: Vec<String>,
    /// May see and end everybody's.
    pub admin: bool,
    /// May pass over limits.
    pub root: bool,
    /// Their limits.
    pub allowed: Allowed,
}

/// What the bus knows of a connection.
#[derive(Clone, Debug)]
struct Credentials {
    user: u32,
    groups: Vec<u32>,
}

/// Remembers callers by their unique bus names, which are never used twice.
pub(super) struct Callers {
    connection: Connection,
    calls: Arc<Calls>,
    known: Mutex<Known>,
}

/// A call that is worked on; who makes it is found out on a thread, since that may take a while.
pub(super) struct Admitted {
    callers: Arc<Callers>,
    name: UniqueName<'static>,
    credentials: Credentials,
    _call: Call,
}

/// More connections than this are not remembered at once.
const REMEMBERED: usize = 256;

type Known = HashMap<String, (Credentials, Option<Caller>)>;

impl Callers {
    pub(super) fn new(connection: &Connection) -> Self {
        Self { connection: connection.clone(), calls: Calls::new(), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admit a call, if its user has not too many already.
    pub(super) async fn admit(self: &Arc<Self>, sender: Option<UniqueName<'static>>) -> Result<Admitted, Problem> {
        let name = sender.ok_or_else(|| denied("an unnamed caller"))?;
        let known = self.known().get(name.as_str()).map(|(credentials, _)| credentials.clone());
        let credentials = match known {
            Some(credentials) => credentials,
            None => self.ask_bus(&name).await?,
        };
        let call = self.calls.enter(credentials.user)?;
        Ok(Admitted { callers: Arc::clone(self), name, credentials, _call: call })
    }

    async fn ask_bus(&self, name: &UniqueName<'static>) -> Result<Credentials, Problem> {
        let bus = DBusProxy::new(self.connection.inner()).await?;
        let found = bus.get_connection_credentials(name.clone().into()).await.map_err(zbus::Error::from)?;
        let user = found.unix_user_id().ok_or_else(|| denied("a caller without a user id"))?;
        let groups = found.unix_group_ids().cloned().unwrap_or_default();
        let credentials = Credentials { user, groups };
        self.remember(name, &credentials, None);
        Ok(credentials)
    }

    fn remember(&self, name: &UniqueName<'static>, credentials: &Credentials, caller: Option<Caller>) {
        let mut known = self.known();
        if known.len() >= REMEMBERED && !known.contains_key(name.as_str()) {
            known.clear();
        }
        known.insert(name.to_string(), (credentials.clone(), caller));
    }
}

impl Admitted {
    /// Find out who calls.
    pub(super) fn caller(&self) -> Result<Caller, Problem> {
        let known = self.callers.known().get(self.name.as_str()).and_then(|(_, caller)| caller.clone());
        if let Some(caller) = known {
            return Ok(caller);
        }
        let caller = classify(self.credentials.user, &self.credentials.groups)?;
        self.callers.remember(&self.name, &self.credentials, Some(caller.clone()));
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
                let owner = named_by_root(&asker.owner, settings)?;
                Ok(Person { admin: true, root: true, ..nobodys_admin(owner, &asker.groups, settings) })
            }
            Self::Portal => named_by_portal(asker, settings),
            // The account that PAM signs in on the page is the same person here.
            Self::Member(Account { name, groups }) if settings.sign_in.has(Method::Pam) => {
                Ok(signed_in(Owner::signed_in(Method::Pam, name.parse()?), groups, settings))
            }
            // Else a local account must not inherit the sessions, or the rights, of somebody else's
            // who signs in under that name on the page.
            Self::Member(Account { name, groups }) => Ok(nobodys_admin(Owner::local(name.parse()?), groups, settings)),
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

impl fmt::Display for Person {
    /// The name as others should read it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.owner.proof().describe(&self.name))
    }
}

/// Return the person for whom the portal asks: of those it says, only a browser while the service is open,
/// and only somebody whom a method signed in that is configured now.
fn named_by_portal(asker: &Asker, settings: &Settings) -> Result<Person, Problem> {
    let owner: Owner = asker.owner.parse()?;
    let is_open = settings.sign_in.methods.is_empty();
    match (owner.proof(), owner.account()) {
        (Proof::Open, _) if is_open => {
            let name = asker.name.parse::<Label>()?.as_str().to_owned();
            Ok(Person { name, ..nobodys_admin(owner, &[], settings) })
        }
        (_, Some((method, name))) if settings.sign_in.has(method) && !looks_local(name) => {
            Ok(signed_in(owner, &asker.groups, settings))
        }
        _ => Err(Problem::new(
            Word::NotAllowed,
            "This sign-in does not count any more: the ways to sign in have changed. Sign in again.",
        )),
    }
}

fn looks_local(name: &UserName) -> bool {
    name.as_str().to_ascii_lowercase().starts_with("local:")
}

/// Return the person for whom root acts: root, an account of this host, or whom a configured method signs
/// in. A name alone is enough where it can mean one person only.
fn named_by_root(text: &str, settings: &Settings) -> Result<Owner, Problem> {
    let methods = &settings.sign_in.methods;
    if text.is_empty() {
        return Ok(Owner::root());
    }
    let owner = match (text.parse::<Owner>(), methods.as_slice()) {
        (Ok(owner), _) => owner,
        (Err(_), [only]) => Owner::signed_in(*only, text.parse()?),
        (Err(_), _) => return Err(say_whom(text, methods)),
    };
    let good = match owner.proof() {
        // Root is the same person everywhere; any other account signs in by PAM where that is configured.
        Proof::Local => owner == Owner::root() || !methods.contains(&Method::Pam),
        Proof::Method(method) => methods.contains(&method),
        Proof::Open | Proof::Unknown => false,
    };
    if good { Ok(owner) } else { Err(say_whom(owner.name().as_str(), methods)) }
}

fn say_whom(name: &str, methods: &[Method]) -> Problem {
    let mut forms: Vec<String> = methods.iter().map(|method| format!("{}:{name}", method.as_str())).collect();
    if !methods.contains(&Method::Pam) {
        forms.push(format!("local:{name}"));
    }
    let forms = forms.join(" or ");
    let text = if methods.is_empty() {
        format!(
            "Say {forms} for an account of this host. While no sign-in method is configured, other sessions belong to the browser that starts them."
        )
    } else {
        format!("Say how the owner signs in: {forms}.")
    };
    Problem::bad_request(text)
}

/// Return somebody whose name makes them an administrator if the configuration says so.
fn signed_in(owner: Owner, groups: &[String], settings: &Settings) -> Person {
    let admin = policy::is_admin(&settings.sign_in, &owner, groups);
    Person { admin, ..nobodys_admin(owner, groups, settings) }
}

fn nobodys_admin(owner: Owner, groups: &[String], settings: &Settings) -> Person {
    let allowed = Allowed::of(settings, &owner, groups);
    Person { name: owner.plain(), owner, groups: groups.to_vec(), admin: false, root: false, allowed }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::{Allowance, SignIn};

    const BROWSER: &str = "open:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a";

    /// A browser whose digest is this pair of digits, many times over.
    pub(in crate::launcher) fn browser(pair: &str) -> Person {
        nobodys_admin(Owner::browser(&pair.repeat(32)).unwrap(), &[], &settings(&[]))
    }

    pub(in crate::launcher) fn signed_in_by_pam(name: &str) -> Person {
        signed_in(Owner::signed_in(Method::Pam, name.parse().unwrap()), &[], &settings(&[Method::Pam]))
    }

    fn strings(groups: &[&str]) -> Vec<String> {
        groups.iter().map(|g| (*g).to_owned()).collect()
    }

    fn asker(owner: &str, groups: &[&str]) -> Asker {
        Asker { owner: owner.into(), name: String::new(), groups: strings(groups) }
    }

    /// These methods; alice, root and the group wheel are administrators.
    fn settings(methods: &[Method]) -> Settings {
        let mut settings = Settings::default();
        settings.sign_in = SignIn {
            methods: methods.to_vec(),
            admins: vec!["alice".parse().unwrap(), "root".parse().unwrap()],
            admin_groups: vec!["wheel".to_owned()],
            ..settings.sign_in
        };
        settings
    }

    fn member(name: &str, groups: &[&str]) -> Caller {
        Caller::Member(Account { name: name.to_owned(), groups: strings(groups) })
    }

    /// Owner, administrator, root.
    fn decided(caller: &Caller, asker: &Asker, methods: &[Method]) -> (String, bool, bool) {
        let person = caller.person(asker, &settings(methods)).unwrap();
        (person.owner.to_string(), person.admin, person.root)
    }

    fn refused(caller: &Caller, owner: &str, methods: &[Method]) -> Problem {
        caller.person(&asker(owner, &["wheel"]), &settings(methods)).unwrap_err()
    }

    #[test]
    fn a_member_is_who_they_are_whatever_they_say() {
        for claim in [asker("pam:alice", &["wheel"]), asker("local:root", &[]), asker(BROWSER, &[])] {
            for methods in [&[][..], &[Method::Imap]] {
                assert_eq!(
                    decided(&member("carol", &["users"]), &claim, methods),
                    ("local:carol".into(), false, false)
                );
            }
            let pam = [Method::Imap, Method::Pam];
            assert_eq!(decided(&member("carol", &["users"]), &claim, &pam), ("pam:carol".into(), false, false));
        }
    }

    #[test]
    fn an_account_is_an_administrator_only_where_accounts_sign_in() {
        let nobody = asker("", &[]);
        for (name, groups) in [("alice", &[][..]), ("carol", &["wheel"])] {
            assert_eq!(decided(&member(name, groups), &nobody, &[Method::Pam]), (format!("pam:{name}"), true, false));
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
        let portal = |owner, groups| decided(&Caller::Portal, &asker(owner, groups), &imap);
        assert_eq!(portal("imap:bob", &["users"]), ("imap:bob".into(), false, false));
        assert_eq!(portal("imap:bob", &["wheel"]), ("imap:bob".into(), true, false));
        assert_eq!(portal("imap:alice", &[]), ("imap:alice".into(), true, false));
        for (owner, word) in [("", Word::BadRequest), ("bob", Word::BadRequest), ("imap:a/b", Word::BadRequest)] {
            assert_eq!(refused(&Caller::Portal, owner, &imap).word, word, "{owner}");
        }
        for owner in
            ["local:root", "local:carol", "unknown:alice", "pam:alice", BROWSER, "imap:local:carol", "imap:LOCAL:x"]
        {
            assert_eq!(refused(&Caller::Portal, owner, &imap).word, Word::NotAllowed, "{owner}");
        }
    }

    #[test]
    fn while_the_service_is_open_the_portal_names_browsers_only() {
        for owner in ["local:root", "pam:root", "unknown:root"] {
            assert_eq!(refused(&Caller::Portal, owner, &[]).word, Word::NotAllowed, "{owner}");
        }
        for label in ["root", "alice", "local:root", "Ada Lovelace", ""] {
            let asker = Asker { name: label.into(), ..asker(BROWSER, &["wheel"]) };
            let person = Caller::Portal.person(&asker, &settings(&[])).unwrap();
            assert_eq!((person.owner.to_string().as_str(), person.admin, person.root), (BROWSER, false, false));
            assert!(person.groups.is_empty() && person.owner != Owner::root());
            assert!(person.to_string().ends_with(" (not verified)"), "{person}");
        }
        let asker = Asker { name: "a\nb".into(), ..asker(BROWSER, &[]) };
        assert_eq!(Caller::Portal.person(&asker, &settings(&[])).unwrap_err().word, Word::BadRequest);
    }

    #[test]
    fn root_is_an_administrator_whoever_they_act_for() {
        let root = |owner, methods: &[Method]| decided(&Caller::Root, &asker(owner, &[]), methods);
        for methods in [&[][..], &[Method::Pam], &[Method::Imap, Method::Ldap]] {
            assert_eq!(root("", methods), ("local:root".into(), true, true));
            assert_eq!(root("local:root", methods), ("local:root".into(), true, true));
        }
        assert_eq!(root("bob", &[Method::Pam]).0, "pam:bob");
        assert_eq!(root("root", &[Method::Pam]).0, "pam:root");
        assert_eq!(root("EXP\\bob", &[Method::Ldap]).0, "ldap:EXP\\bob");
        assert_eq!(root("imap:bob", &[Method::Imap, Method::Ldap]).0, "imap:bob");
        assert_eq!(root("local:bob", &[]).0, "local:bob");
    }

    #[test]
    fn root_is_asked_how_the_owner_signs_in_where_that_is_not_clear() {
        let two = [Method::Pam, Method::Ldap];
        assert_eq!(refused(&Caller::Root, "bob", &two).message, "Say how the owner signs in: pam:bob or ldap:bob.");
        assert!(refused(&Caller::Root, "bob", &[]).message.starts_with("Say local:bob for an account of this host."));
        for (owner, methods) in
            [("imap:bob", &two[..]), ("local:bob", &two), (BROWSER, &[]), ("unknown:bob", &two), ("pam:bob", &[])]
        {
            assert_eq!(refused(&Caller::Root, owner, methods).word, Word::BadRequest, "{owner}");
        }
    }

    #[test]
    fn limits_follow_the_name_that_was_proven_and_the_groups_that_are_known() {
        let with = |methods: &[Method]| {
            let mut settings = settings(methods);
            let sessions = |n| Allowance { sessions: Some(n), ..Allowance::default() };
            settings.limits.users.insert("alice".parse().unwrap(), sessions(7));
            settings.limits.groups.insert("staff".into(), sessions(5));
            settings
        };
        let most = |caller: &Caller, asker: &Asker, methods: &[Method]| {
            caller.person(asker, &with(methods)).unwrap().allowed.sessions.most
        };
        let imap = [Method::Imap];
        assert_eq!(most(&Caller::Portal, &asker("imap:alice", &["staff"]), &imap), 7);
        assert_eq!(most(&Caller::Portal, &asker("imap:bob", &["staff"]), &imap), 5);
        assert_eq!(most(&Caller::Root, &asker("alice", &[]), &imap), 7);
        let typed = Asker { name: "alice".into(), ..asker(BROWSER, &["staff"]) };
        assert_eq!(most(&Caller::Portal, &typed, &[]), 3);
        assert_eq!(most(&member("alice", &[]), &asker("pam:alice", &["staff"]), &[]), 3);
        assert_eq!(most(&member("carol", &["staff"]), &asker("pam:alice", &[]), &[]), 5);
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
