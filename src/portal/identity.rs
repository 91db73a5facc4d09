//! Who is asking. The one place that knows how people are recognised.
//!
//! While no sign-in method is configured the service is *open*: a name is typed and not checked, and
//! only clients on this machine are served. A sign-in remembers the method that made it and is worth
//! nothing once that method is not configured any more; so configuring one ends all that were typed.

use super::ask::Ask;
use super::cookie::Cookie;
use super::http::{Method, Request};
use super::refusal::Refusal;
use super::remote;
use super::signins::{SignIn, SignIns};
use super::site;
use crate::bus::Asker;
use crate::config::{self, Settings};
use crate::journal;
use crate::model::{Secret, UserName};
use crate::policy;
use std::net::IpAddr;

/// Of a sign-in that was typed and not checked.
const OPEN: &str = "open";
/// So many characters of a name that is refused, and of the reason, go into the journal.
const NAME_SHOWN: usize = 64;
const REASON_SHOWN: usize = 300;

/// True while a name is enough.
pub fn is_open(settings: &Settings) -> bool {
    settings.sign_in.methods.is_empty()
}

/// Refuses clients who are not to be served at all.
pub fn admit(settings: &Settings, request: &Request) -> Result<(), Refusal> {
    let client = site::client(request);
    if !is_open(settings) || client.is_some_and(|address| address.is_loopback()) {
        return Ok(());
    }
    // Looking is not an attempt to get in.
    if request.method != Method::Get {
        log::warn!(MESSAGE_ID = journal::id::LOGIN_FAILED;
            "A request from {} was refused: no sign-in method is configured.", named(client));
    }
    Err(Refusal::new(
        403,
        "not_allowed",
        "No sign-in method is configured, so this service answers browsers on the same machine only. \
         The administrator configures a sign-in method in /etc/qemu-web-desktop/config.toml.",
    ))
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who, and what they may.
    pub sign_in: SignIn,
    /// The value of their cookie; none if Apache says with each request who they are.
    pub cookie: Option<Secret>,
}

impl Person {
    /// The signed-in person behind a request.
    pub fn of(request: &Request, settings: &Settings, https: bool, store: &SignIns, now: u64) -> Option<Self> {
        if let Some(sign_in) = remote::user(request, settings, now) {
            return Some(Self { sign_in, cookie: None });
        }
        let cookie = Cookie::SignIn.read(request, https)?;
        let sign_in = store.get(&cookie, now).filter(|sign_in| counts(settings, sign_in))?;
        Some(Self { sign_in, cookie: Some(cookie) })
    }

    /// On whose behalf the launcher is called.
    pub fn asker(&self) -> Asker {
        let SignIn { name, groups, .. } = &self.sign_in;
        Asker { name: name.to_string(), groups: groups.clone() }
    }

    /// Whether to show what administrators may do. The launcher decides it again.
    pub fn is_admin(&self, settings: &Settings) -> bool {
        policy::is_admin(&settings.sign_in, &self.sign_in.name, &self.sign_in.groups)
    }
}

/// Whether a stored sign-in is worth anything under these settings.
fn counts(settings: &Settings, sign_in: &SignIn) -> bool {
    // Whom Apache signs in has no stored sign-in.
    let by = |method: &config::Method| *method != config::Method::RemoteUser && sign_in.method == method.as_str();
    if is_open(settings) { sign_in.method == OPEN } else { settings.sign_in.methods.iter().any(by) }
}

/// A sign-in by a typed name, not yet stored; only while the service is open.
pub fn typed(ask: &Ask<'_>, name: &str) -> Result<SignIn, Refusal> {
    if !is_open(ask.settings) {
        return Err(Refusal::not_signed_in());
    }
    let name: UserName = name.parse().inspect_err(|_| {
        refused(ask, name, "a name that the service does not take");
    })?;
    Ok(SignIn::new(name, OPEN, ask.now))
}

/// Stores a sign-in in the place of any that the browser had before: a cookie that somebody planted is
/// worth nothing afterwards.
pub fn enter(ask: &Ask<'_>, sign_in: SignIn) -> Result<Person, Refusal> {
    leave(ask);
    let cookie = ask.app.sign_ins.add(&sign_in, ask.now)?;
    ask.app.counters.accepted();
    log::info!("{} signed in from {} ({}).", sign_in.name, named(site::client(ask.request)), sign_in.method);
    Ok(Person { sign_in, cookie: Some(cookie) })
}

/// Ends the sign-in that came with the request, if one did.
pub fn leave(ask: &Ask<'_>) {
    if let Some(cookie) = ask.person.as_ref().and_then(|person| person.cookie.as_ref()) {
        ask.app.sign_ins.remove(cookie);
    }
}

/// Signs out, for whoever asked for it.
pub fn sign_out(ask: &Ask<'_>) {
    leave(ask);
    if let Some(Person { sign_in, cookie: Some(_) }) = &ask.person {
        log::info!("{} signed out from {}.", sign_in.name, named(site::client(ask.request)));
    }
}

/// The line in the journal for a sign-in that failed; fail2ban reads it. The address comes first and
/// what was typed is quoted, so that nobody can write another address there.
pub fn refused(ask: &Ask<'_>, name: &str, reason: &str) {
    ask.app.counters.refused();
    log::warn!(MESSAGE_ID = journal::id::LOGIN_FAILED; "{}", line(site::client(ask.request), name, reason));
}

fn line(client: Option<IpAddr>, name: &str, reason: &str) -> String {
    let (name, reason) = (journal::plain(name, NAME_SHOWN), journal::plain(reason, REASON_SHOWN));
    format!("Sign-in refused from {}: user \"{name}\" ({reason})", named(client))
}

/// An address for the journal.
pub fn named(client: Option<IpAddr>) -> String {
    client.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;

    fn from(client: Option<&str>) -> Request {
        let headers = client.map(|c| ("x-forwarded-for".to_owned(), c.to_owned())).into_iter().collect();
        Request::new(Method::Get, "/qemu-web-desktop/", headers, Vec::new())
    }

    fn with(methods: &[config::Method]) -> Settings {
        let mut settings = Settings::default();
        settings.sign_in.methods = methods.to_vec();
        settings
    }

    #[test]
    fn an_open_service_admits_this_machine_only() {
        let open = with(&[]);
        for client in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.1, 127.0.0.1"] {
            assert!(admit(&open, &from(Some(client))).is_ok(), "{client}");
        }
        for client in [None, Some(""), Some("192.0.2.1"), Some("127.0.0.1, 192.0.2.1"), Some("localhost")] {
            assert_eq!(admit(&open, &from(client)).unwrap_err().status, 403, "{client:?}");
            assert!(admit(&with(&[config::Method::Pam]), &from(client)).is_ok());
        }
    }

    #[test]
    fn a_sign_in_is_worth_nothing_without_its_method() {
        let folder = Scratch::new();
        let store = SignIns::open(folder.path()).unwrap();
        let person = |method: &str, settings: &Settings| {
            let cookie = store.add(&SignIn::new("alice".parse().unwrap(), method, 1), 1).unwrap();
            let headers = vec![("cookie".to_owned(), format!("qwd={}", cookie.expose()))];
            Person::of(&Request::new(Method::Get, "/", headers, Vec::new()), settings, false, &store, 1)
        };
        let both = with(&[config::Method::Imap, config::Method::Pam]);
        assert!(person("pam", &both).is_some() && person("imap", &both).is_some());
        assert!(person("pam", &with(&[config::Method::Imap])).is_none());
        assert!(person("pam", &with(&[])).is_none() && person(OPEN, &both).is_none());
        assert!(person(OPEN, &with(&[])).is_some());
    }

    #[test]
    fn a_name_cannot_forge_a_line_of_the_journal() {
        let client = "192.0.2.7".parse().ok();
        let forged = "x\" (imap: y)\nSign-in refused from 198.51.100.9: user \"z";
        let text = line(client, forged, "imap: no user \"\n");
        assert!(text.starts_with("Sign-in refused from 192.0.2.7: user \"x\\\" (imap: y)\\nSign-in"), "{text}");
        assert!(!text.contains('\n') && text.ends_with("(imap: no user \\\"\\n)"), "{text}");
        assert!(line(client, &"a".repeat(10_000), "").len() < 200);
    }
}
