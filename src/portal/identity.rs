//! Who is asking. The one place that knows how people sign in.
//!
//! While no sign-in method is configured the service is *open*: a name is typed and not checked, and
//! only clients on this machine are served. A sign-in remembers the method that made it and is worth
//! nothing under another, so that configuring a method ends all that were merely typed.

use super::cookie::Cookie;
use super::http::{Method, Request};
use super::refusal::Refusal;
use super::signins::{SignIn, SignIns};
use super::site;
use crate::bus::Asker;
use crate::config::Settings;
use crate::journal;
use crate::model::{Secret, UserName};
use crate::policy;

/// How people sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By typing a name.
    Open,
}

impl Mode {
    /// What the settings ask for.
    pub fn of(_: &Settings) -> Self {
        Self::Open
    }

    /// The name under which a sign-in remembers it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
        }
    }

    /// Refuses clients who are not to be served at all.
    pub fn admit(self, request: &Request) -> Result<(), Refusal> {
        let client = site::client(request);
        if client.is_some_and(|address| address.is_loopback()) {
            return Ok(());
        }
        // Looking is not an attempt to get in.
        if request.method != Method::Get {
            let client = client.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
            log::warn!(MESSAGE_ID = journal::id::LOGIN_FAILED;
                "A request from {client} was refused: no sign-in method is configured.");
        }
        Err(Refusal::new(
            403,
            "not_allowed",
            "No sign-in method is configured, so this service answers browsers on the same machine only. \
             The administrator configures a sign-in method in /etc/qemu-web-desktop/config.toml.",
        ))
    }
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who, and what they may.
    pub sign_in: SignIn,
    /// The value of their cookie.
    pub cookie: Secret,
}

impl Person {
    /// The signed-in person behind a request.
    pub fn of(request: &Request, mode: Mode, https: bool, store: &SignIns, now: u64) -> Option<Self> {
        let cookie = Cookie::SignIn.read(request, https)?;
        let sign_in = store.get(&cookie, now).filter(|sign_in| sign_in.method == mode.as_str())?;
        Some(Self { sign_in, cookie })
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

/// A sign-in by a typed name, not yet stored.
pub fn typed(name: &str, now: u64) -> Result<SignIn, Refusal> {
    let name: UserName = name.parse().inspect_err(|problem: &crate::model::Problem| {
        log::warn!(MESSAGE_ID = journal::id::LOGIN_FAILED; "A sign-in was refused: {problem}");
    })?;
    Ok(SignIn::new(name, Mode::Open.as_str(), now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::testing::Scratch;

    fn from(client: Option<&str>) -> Request {
        let headers = client.map(|c| ("x-forwarded-for".to_owned(), c.to_owned())).into_iter().collect();
        Request::new(Method::Get, "/qemu-web-desktop/", headers, Vec::new())
    }

    #[test]
    fn an_open_service_admits_this_machine_only() {
        for client in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.1, 127.0.0.1"] {
            assert!(Mode::Open.admit(&from(Some(client))).is_ok(), "{client}");
        }
        for client in [None, Some(""), Some("192.0.2.1"), Some("127.0.0.1, 192.0.2.1"), Some("localhost")] {
            assert_eq!(Mode::Open.admit(&from(client)).unwrap_err().status, 403, "{client:?}");
        }
    }

    #[test]
    fn a_sign_in_of_another_method_is_worth_nothing() {
        let folder = Scratch::new();
        let store = SignIns::open(folder.path()).unwrap();
        let cookie = store.add(&SignIn::new("alice".parse().unwrap(), "pam", 1), 1).unwrap();
        let headers = vec![("cookie".to_owned(), format!("qwd={}", cookie.expose()))];
        let request = Request::new(Method::Get, "/", headers, Vec::new());
        assert!(Person::of(&request, Mode::Open, false, &store, 1).is_none());
    }
}
