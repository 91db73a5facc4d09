//! Who is asking. The one place that knows how people are recognised.
//!
//! While no sign-in method is configured the service is *open*: only clients on this machine are served,
//! and sessions belong to the browser that starts them, which is known by a secret in its cookie. The name
//! that is typed is a label. A sign-in remembers the method that made it and is worth nothing once that
//! method is not configured any more.

use super::App;
use super::ask::Ask;
use super::cookie::Cookie;
use super::http::{Method, Request};
use super::refusal::{Refusal, Snippet};
use super::remote;
use super::signins::SignIn;
use super::site::{self, Site};
use super::throttle::network;
use crate::bus::Asker;
use crate::config::{self, Settings};
use crate::journal::{self, LimitedLog, OncePerMinute};
use crate::model::{Label, Owner, Secret};
use crate::policy;
use crate::proxy_headers::{Verified, is_loopback};
use crate::random;
use std::net::IpAddr;
use std::sync::Arc;

/// So many characters of a name that is refused, and of the reason, go into the journal.
pub(super) const NAME_SHOWN: usize = 64;
pub(super) const REASON_SHOWN: usize = 300;

/// Lines of one cause in a minute while the service is open.
const OPEN_LINES: u32 = 10;
/// Clients are one then: each on this machine has all addresses of 127.0.0.0/8.
const OPEN_CLIENT: &str = "this machine";

/// What people on this machine can cause as often as they like while the service is open.
pub struct OpenLog {
    visits: Arc<LimitedLog>,
    refusals: Arc<LimitedLog>,
}

impl Default for OpenLog {
    fn default() -> Self {
        Self {
            visits: LimitedLog::start(OPEN_LINES, |line| log::info!("{line}")),
            refusals: LimitedLog::start(
                OPEN_LINES,
                |line| log::warn!(MESSAGE_ID = journal::id::LOGIN_FAILED; "{line}"),
            ),
        }
    }
}

/// True while a name is enough.
pub fn is_open(settings: &Settings) -> bool {
    settings.sign_in.methods.is_empty()
}

/// Refuses clients who are not to be served at all.
pub fn admit(settings: &Settings, request: &Request, site: &Site, verified: Verified) -> Result<(), Refusal> {
    static LOG: OncePerMinute = OncePerMinute::new();
    if !is_open(settings) {
        return Ok(());
    }
    let Some(why) = why_not_local(request, site, verified)? else { return Ok(()) };
    // Looking is not an attempt to get in.
    if request.method != Method::Get {
        if let Some(more) = LOG.due() {
            log::warn!(MESSAGE_ID = journal::id::LOGIN_FAILED;
                "A request from {} was refused, and {more} more since the last such line: no sign-in method is \
                 configured. {why}", named(site::client(request)));
        }
    }
    let message = format!(
        "No sign-in method is configured, so this service answers browsers on the same machine only, at \
         http://localhost/qemu-web-desktop/. {why} The administrator configures a sign-in method in \
         /etc/qemu-web-desktop/config.toml."
    );
    Err(Refusal { snippets: first_steps(site), ..Refusal::new(403, "not_allowed", message) })
}

/// The first visit after the installation comes from the administrator's own desk.
fn first_steps(site: &Site) -> Vec<Snippet> {
    let server = if site.is_loopback() { "SERVER" } else { site.host() };
    let step = |purpose: &str, text: String| Snippet { purpose: purpose.to_owned(), text };
    vec![
        step(
            "To look around from your desk now, run this there, with your account on the server, and open \
             http://localhost:8080/qemu-web-desktop/ while it runs:",
            format!("ssh -L 8080:localhost:80 USER@{server}"),
        ),
        step(
            "To let people in, write this into /etc/qemu-web-desktop/config.d/sign-in.toml on the server. They sign in \
             with their accounts there; 'man qemu-web-desktop-config' has the other methods:",
            "[sign_in]\nmethods = [\"pam\"]\nadmins = [\"USER\"]".to_owned(),
        ),
        step("This shows what is still missing, such as encryption:", "sudo qwdctl check".to_owned()),
    ]
}

/// Return why a request does not come from a page of ours in a browser on this machine, if it does not.
fn why_not_local(request: &Request, site: &Site, verified: Verified) -> Result<Option<&'static str>, Refusal> {
    let is_here = site::client(request).is_some_and(|address| address.is_loopback());
    let is_own = request.header("origin")?.is_none_or(|origin| origin.eq_ignore_ascii_case(site.origin()));
    Ok(if !is_here {
        Some("Your browser runs on another machine.")
    } else if verified.forwarded {
        Some("This request came through another proxy.")
    } else if !is_loopback(request.header("host")?.unwrap_or_default()) {
        Some("This request names another host.")
    } else if !is_own {
        Some("This request comes from a page of another site; reload the page.")
    } else {
        None
    })
}

/// Somebody who is signed in, or a browser while the service is open.
#[derive(Clone, Debug)]
pub struct Person {
    /// Who they are.
    pub owner: Owner,
    /// Their name as people read it.
    pub name: String,
    /// As the sign-in method reported.
    pub groups: Vec<String>,
    /// The value of their cookie; none if Apache says with each request who they are.
    pub cookie: Option<Secret>,
}

impl Person {
    /// Return the person behind a request.
    pub fn of(request: &Request, settings: &Settings, https: bool, app: &App, now: u64) -> Option<Self> {
        if is_open(settings) {
            return known_browser(request, https, app);
        }
        if let Some(sign_in) = remote::user(request, settings, now) {
            return Self::signed_in(sign_in, None);
        }
        let cookie = Cookie::SignIn.read(request, https)?;
        let sign_in = app.sign_ins.get(&cookie, now).filter(|sign_in| counts(settings, sign_in))?;
        Self::signed_in(sign_in, Some(cookie))
    }

    fn signed_in(sign_in: SignIn, cookie: Option<Secret>) -> Option<Self> {
        let owner = sign_in.owner()?;
        Some(Self { name: owner.plain(), owner, groups: sign_in.groups, cookie })
    }

    /// On whose behalf the launcher is called.
    pub fn asker(&self) -> Asker {
        Asker { owner: self.owner.to_string(), name: self.name.clone(), groups: self.groups.clone() }
    }

    /// Whether to show what administrators may do. The launcher decides it again.
    pub fn is_admin(&self, settings: &Settings) -> bool {
        policy::is_admin(&settings.sign_in, &self.owner, &self.groups)
    }

    /// Return the name as others should read it.
    pub fn shown(&self) -> String {
        self.owner.proof().describe(&self.name)
    }
}

/// Whether a stored sign-in is worth anything under these settings.
fn counts(settings: &Settings, sign_in: &SignIn) -> bool {
    // Whom Apache signs in has no stored sign-in.
    let by = |method: &config::Method| *method != config::Method::RemoteUser && sign_in.method == method.as_str();
    settings.sign_in.methods.iter().any(by)
}

/// Return the browser behind a request, unless it has signed out.
fn known_browser(request: &Request, https: bool, app: &App) -> Option<Person> {
    let secret = Cookie::Browser.read(request, https).filter(|secret| !app.signed_out.has(secret))?;
    browser(secret, &Cookie::label(request, https).unwrap_or_default())
}

fn browser(secret: Secret, label: &Label) -> Option<Person> {
    let owner = Owner::browser(&random::digest(&secret)).ok()?;
    Some(Person { owner, name: label.as_str().to_owned(), groups: Vec::new(), cookie: Some(secret) })
}

/// Return the browser that asks, under the name that was typed in it; only while the service is open. A
/// browser that owns sessions already stays who it is; any other gets a secret that nobody can have planted.
pub fn typed(ask: &Ask<'_>, name: &str) -> Result<Person, Refusal> {
    if !is_open(ask.settings) {
        return Err(Refusal::not_signed_in());
    }
    let label: Label = name.parse().inspect_err(|_| {
        ask.app.counters.refused();
        let line = line(site::client(ask.request), name, "a name that the service does not take");
        ask.app.open_log.refusals.note(OPEN_CLIENT, "name", &line);
    })?;
    let known =
        ask.person.as_ref().filter(|person| owns_sessions(ask, person)).and_then(|person| person.cookie.clone());
    browser(known.unwrap_or_else(random::secret), &label).ok_or_else(Refusal::not_signed_in)
}

/// Return whether sessions, also ended ones, belong to this person; true where nobody can say.
fn owns_sessions(ask: &Ask<'_>, person: &Person) -> bool {
    let asker = person.asker();
    let sessions = ask.app.launcher.ask(|l| l.sessions(asker.clone(), false));
    sessions.map_or(true, |(running, ended)| !running.is_empty() || !ended.is_empty())
}

/// Note in the journal that a browser has come.
pub fn welcome(ask: &Ask<'_>, person: &Person) {
    if ask.person.is_none() {
        ask.app.counters.accepted();
        let line = format!("{} signed in from {} (open).", person.shown(), named(site::client(ask.request)));
        ask.app.open_log.visits.note(OPEN_CLIENT, "sign-in", &line);
    }
}

/// Stores a sign-in in the place of any that the browser had before: a cookie that somebody planted is
/// worth nothing afterwards.
pub fn enter(ask: &Ask<'_>, sign_in: SignIn) -> Result<Person, Refusal> {
    leave(ask);
    let client = site::client(ask.request);
    let sign_in = sign_in.from(client.map(network));
    let cookie = ask.app.sign_ins.add(&sign_in, ask.now)?;
    ask.app.counters.accepted();
    log::info!("{} signed in from {} ({}).", sign_in.name, named(client), sign_in.method);
    Person::signed_in(sign_in, Some(cookie)).ok_or_else(Refusal::not_signed_in)
}

/// Ends the sign-in that came with the request, if one did.
pub fn leave(ask: &Ask<'_>) {
    let Some(person) = &ask.person else { return };
    let Some(cookie) = &person.cookie else { return };
    if !is_open(ask.settings) {
        ask.app.sign_ins.remove(cookie);
    } else if owns_sessions(ask, person) {
        // A copy of any other cookie is worth nothing anyway, and everybody can invent as many as they like.
        ask.app.signed_out.add(cookie, ask.now);
    }
}

/// Signs out, for whoever asked for it.
pub fn sign_out(ask: &Ask<'_>) {
    leave(ask);
    if let Some(person) = ask.person.as_ref().filter(|person| person.cookie.is_some()) {
        let line = format!("{} signed out from {}.", person.shown(), named(site::client(ask.request)));
        if is_open(ask.settings) {
            ask.app.open_log.visits.note(OPEN_CLIENT, "sign-out", &line);
        } else {
            log::info!("{line}");
        }
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
    use crate::portal::testing::Bench;

    fn request(headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Request::new(Method::Get, "/qemu-web-desktop/", headers, Vec::new())
    }

    /// The status of a request with these headers.
    fn admitted(settings: &Settings, headers: &[(&str, &str)], forwarded: bool) -> u16 {
        let request = request(headers);
        let site = Site::of(&request, None, &["desk".to_owned()]).unwrap();
        admit(settings, &request, &site, Verified { forwarded }).map_or_else(|refusal| refusal.status, |()| 200)
    }

    fn with(methods: &[config::Method]) -> Settings {
        let mut settings = Settings::default();
        settings.sign_in.methods = methods.to_vec();
        settings
    }

    #[test]
    fn an_open_service_admits_this_machine_only() {
        let open = with(&[]);
        let from = |settings: &Settings, client| {
            admitted(settings, &[("host", "localhost"), ("x-forwarded-for", client)], false)
        };
        for client in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "192.0.2.1, 127.0.0.1"] {
            assert_eq!(from(&open, client), 200, "{client}");
        }
        for client in ["", "192.0.2.1", "127.0.0.1, 192.0.2.1", "localhost"] {
            assert_eq!(from(&open, client), 403, "{client:?}");
            assert_eq!(from(&with(&[config::Method::Pam]), client), 200);
        }
        assert_eq!(admitted(&open, &[("host", "localhost")], false), 403);
    }

    #[test]
    fn an_open_service_answers_under_loopback_names_to_its_own_pages_and_through_no_proxy() {
        let open = with(&[]);
        let at = |host: &str, origin: Option<&str>, forwarded| {
            let client = ("x-forwarded-for", "127.0.0.1");
            let headers: Vec<_> = [("host", host), client].into_iter().chain(origin.map(|o| ("origin", o))).collect();
            admitted(&open, &headers, forwarded)
        };
        for host in ["localhost", "LocalHost:8080", "localhost.", "127.0.0.1", "127.1.2.3:1", "[::1]:8443"] {
            assert_eq!(at(host, None, false), 200, "{host}");
            assert_eq!(at(host, Some(&format!("http://{host}").to_lowercase()), false), 200, "{host}");
        }
        for host in ["desk", "192.0.2.7", "[2001:db8::1]"] {
            assert_eq!(at(host, None, false), 403, "{host}");
        }
        for origin in
            ["null", "", "http://evil.example", "http://127.0.0.1", "https://localhost", "http://localhost:81"]
        {
            assert_eq!(at("localhost", Some(origin), false), 403, "{origin}");
        }
        assert_eq!(at("localhost", None, true), 403);
    }

    fn with_cookies(text: &str) -> Request {
        Request::new(Method::Get, "/", vec![("cookie".to_owned(), text.to_owned())], Vec::new())
    }

    #[test]
    fn a_sign_in_is_worth_nothing_without_its_method() {
        let bench = Bench::new();
        let person = |method: config::Method, settings: &Settings| {
            let cookie = bench.app.sign_ins.add(&SignIn::new("alice".parse().unwrap(), method, 1), 1).unwrap();
            Person::of(&with_cookies(&format!("qwd={}", cookie.expose())), settings, false, &bench.app, 1)
        };
        let both = with(&[config::Method::Imap, config::Method::Pam]);
        assert_eq!(person(config::Method::Pam, &both).unwrap().owner.to_string(), "pam:alice");
        assert_eq!(person(config::Method::Imap, &both).unwrap().owner.to_string(), "imap:alice");
        assert!(person(config::Method::Pam, &with(&[config::Method::Imap])).is_none());
        assert!(person(config::Method::Pam, &with(&[])).is_none());
    }

    #[test]
    fn a_sign_in_that_an_older_version_stored_for_a_typed_name_is_nobody() {
        let bench = Bench::new();
        let cookie = random::secret();
        let stored = r#"{"name":"alice","groups":[],"method":"open","created":1,"used":1}"#;
        std::fs::write(bench.root.path().join("state/sign-ins").join(random::digest(&cookie)), stored).unwrap();
        for settings in [with(&[]), with(&[config::Method::Pam])] {
            let request = with_cookies(&format!("qwd={}", cookie.expose()));
            assert!(Person::of(&request, &settings, false, &bench.app, 1).is_none());
        }
    }

    #[test]
    fn while_the_service_is_open_a_browser_is_its_secret_and_a_name_is_a_label() {
        let bench = Bench::new();
        let open = with(&[]);
        let of = |secret: &Secret, label: &str| {
            let label = Cookie::write_label(&label.parse().unwrap(), false);
            let request =
                with_cookies(&format!("qwd-browser={}; {}", secret.expose(), label.split(';').next().unwrap()));
            Person::of(&request, &open, false, &bench.app, 1)
        };
        let (one, other) = (random::secret(), random::secret());
        let ada = of(&one, "ada").unwrap();
        assert_eq!(ada.owner, of(&one, "root").unwrap().owner);
        assert_ne!(ada.owner, of(&other, "ada").unwrap().owner);
        assert!(!ada.owner.to_string().contains(one.expose()) && !ada.is_admin(&open));
        assert_eq!(of(&one, "Ada Lovelace").unwrap().name, "Ada Lovelace");
        let request = with_cookies(&format!("qwd-browser={}", one.expose()));
        assert_eq!(Person::of(&request, &open, false, &bench.app, 1).unwrap().name, "Guest");
        assert!(Person::of(&request, &with(&[config::Method::Pam]), false, &bench.app, 1).is_none());
        bench.app.signed_out.add(&one, 1);
        assert!(of(&one, "ada").is_none() && of(&other, "ada").is_some());
    }

    #[test]
    fn while_the_service_is_open_each_cause_has_a_few_lines_in_a_minute() {
        use crate::portal::tests::Browser;
        let bench = Bench::new();
        for _ in 0..OPEN_LINES {
            let mut script = Browser::new(&bench);
            assert_eq!(script.json(Method::Post, "/sign-in", "{\"name\":\"\u{202e}\"}").0, 400);
            assert_eq!(script.json(Method::Post, "/sign-in", r#"{"name":"ada"}"#).0, 200);
            assert_eq!(script.json(Method::Delete, "/sign-in", "").0, 204);
        }
        let OpenLog { visits, refusals } = &bench.app.open_log;
        for (log, cause) in [(visits, "sign-in"), (visits, "sign-out"), (refusals, "name")] {
            assert!(!log.admit(OPEN_CLIENT, cause, ""), "{cause}");
        }
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
