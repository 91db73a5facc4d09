//! The portal: pages and the JSON API, behind Apache. Starts nothing, reads no disk image.
//!
//! ```text
//! server ──> router ──> pages, api ──> launcher (by the bus)
//!              │
//!              └ live (settings), site (our names), identity (who asks), keys (tokens)
//! ```
//!
//! It holds nothing that a restart would lose: who is signed in stands in files, the rest is the
//! launcher's.

pub mod api;
pub mod ask;
pub mod back;
pub mod browsers;
pub mod chain;
pub mod check_slots;
pub mod cookie;
pub mod counters;
pub mod form;
pub mod http;
pub mod https;
pub mod identity;
pub mod keys;
pub mod launcher;
pub mod live;
pub mod mail_links;
pub mod mailing;
pub mod metrics;
pub mod pages;
pub mod password;
pub mod pictures;
pub mod places;
pub mod qr;
pub mod quota;
pub mod refusal;
pub mod remote;
pub mod router;
pub mod routes;
pub mod server;
pub mod signins;
pub mod site;
pub mod store;
pub mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod throttle;
pub mod typed_name;
pub mod watch;

pub use routes::ROUTES;

use crate::bus::{Asker, NewSession, Session};
use crate::journal::{self, LimitedLog};
use crate::model::{Owner, Proof};
use crate::policy::Readings;
use crate::proxy_headers::ProxySecret;
use ask::Ask;
use browsers::SignedOut;
use check_slots::CheckSlots;
use cookie::Cookie;
use counters::Counters;
use identity::Person;
use mail_links::MailLinks;
use pictures::Pictures;
use places::Places;
use quota::Hourly;
use refusal::Refusal;
use signins::SignIns;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use throttle::Throttle;
use typed_name::TypedName;

/// Checks of one client at the same time: two clients leave a slot.
const CHECKS_OF_ONE: usize = 3;

/// Lines of one client in a minute about names that cannot be used.
const ODD_NAMES: u32 = 3;

/// Readers of one client who wait for a change at the same time.
const WAITING_OF_ONE: usize = 2;

/// Owners' pictures that are made at the same time, of all clients and of one: a QEMU may take seconds for each.
const DRAWING: usize = 2;
const DRAWING_OF_ONE: usize = 1;

/// What all workers share.
pub struct App {
    live: live::Live,
    launcher: launcher::Launcher,
    sign_ins: SignIns,
    signed_out: SignedOut,
    key: keys::Key,
    own_names: Vec<String>,
    /// What Apache shows with each request.
    proxy_secret: ProxySecret,
    /// Files of the system are looked for below this.
    root: PathBuf,
    /// Readers who wait for a change.
    waiting: Places,
    /// Owners' pictures of screens that are being made.
    drawing: Places,
    /// Passwords that are being checked, and mails that are being sent.
    checking: CheckSlots,
    throttle: Mutex<Throttle>,
    mail_links: MailLinks,
    mails_of_addresses: Mutex<Hourly>,
    mails_of_clients: Mutex<Hourly>,
    /// The seconds that attempts and mails are counted by, of a request that came at this time of day.
    ticks: fn(u64) -> u64,
    counters: Counters,
    open_log: identity::OpenLog,
    /// Sign-ins under names that cannot be used.
    odd_names: Arc<LimitedLog>,
    /// Held while a session moves to another browser.
    continuing: Mutex<()>,
    /// For the monitor: what sessions used when it was last looked at, and how they looked.
    readings: Mutex<Readings>,
    pictures: Pictures,
}

impl App {
    /// Reads the configuration below `root` and keeps what must outlive a restart in `state`. Attempts and
    /// mails are counted by `ticks`.
    fn new(
        root: &Path,
        state: &Path,
        launcher: launcher::Launcher,
        proxy_secret: ProxySecret,
        ticks: fn(u64) -> u64,
    ) -> std::io::Result<Self> {
        let now = ticks(server::now());
        let counts = state.join("counts");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&counts)?;
        let sign_ins = SignIns::open(&state.join("sign-ins"))?;
        Ok(Self {
            live: live::Live::new(root),
            launcher,
            sign_ins,
            signed_out: SignedOut::open(&state.join("signed-out"))?,
            key: keys::Key::load(&state.join("csrf.key"))?,
            own_names: crate::host::names(root),
            proxy_secret,
            root: root.to_owned(),
            waiting: Places::new(server::WORKERS / 4, WAITING_OF_ONE),
            drawing: Places::new(DRAWING, DRAWING_OF_ONE),
            checking: CheckSlots::new(server::WORKERS / 2, CHECKS_OF_ONE),
            throttle: Mutex::new(Throttle::open(&counts, now)),
            mail_links: MailLinks::open(&state.join("mail-links"))?,
            mails_of_addresses: Mutex::new(Hourly::open(&counts.join("mails-of-addresses"), now)),
            mails_of_clients: Mutex::new(Hourly::open(&counts.join("mails-of-clients"), now)),
            ticks,
            counters: Counters::default(),
            open_log: identity::OpenLog::default(),
            odd_names: LimitedLog::start(ODD_NAMES, |line| log::info!("{line}")),
            continuing: Mutex::default(),
            readings: Mutex::default(),
            pictures: Pictures::default(),
        })
    }

    /// Where a program that is asked listens, below the root that tests may move.
    fn socket(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

/// Runs the program; the exit code says whether it ended as it should.
pub fn main() -> ExitCode {
    journal::init();
    match run() {
        Ok(never) => match never {},
        Err(sentence) => {
            log::error!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<std::convert::Infallible, String> {
    let listener = server::passed_socket()?;
    let proxy_secret = ProxySecret::from_credential();
    let app = App::new(Path::new("/"), &state_folder()?, launcher::Launcher::on_system_bus(), proxy_secret, uptime)
        .map_err(|e| format!("The folder for sign-ins cannot be used: {e}."))?;
    server::serve(listener, app)
}

/// Seconds since the server's start, as long as the files last: no step of the clock forgives a failure, or
/// makes anybody wait for days.
fn uptime(_: u64) -> u64 {
    rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec.unsigned_abs()
}

/// Where systemd says that state is to be kept.
fn state_folder() -> Result<PathBuf, String> {
    let named = ["STATE_DIRECTORY", "RUNTIME_DIRECTORY"].into_iter().find_map(std::env::var_os);
    let first = named.as_ref().and_then(|paths| std::env::split_paths(paths).next());
    first.ok_or_else(|| {
        "There is no folder to keep sign-ins in: start qwd-portal by systemd, whose unit sets RuntimeDirectory=.".into()
    })
}

/// A session that has just been started.
struct Started {
    session: Session,
    /// Of the sign-in that came with it.
    set_cookie: Vec<String>,
}

/// The cookies of somebody who has just signed in; `typed` is the name that was typed with a password.
fn cookies(ask: &Ask<'_>, person: &Person, typed: Option<&str>) -> Vec<String> {
    let https = ask.site.https();
    if person.owner.proof() == Proof::Open {
        return browser_cookies(person, https);
    }
    let signed_in = person.cookie.as_ref().map(|cookie| Cookie::SignIn.write(cookie, https));
    signed_in.into_iter().chain(typed.and_then(|name| device_cookie(ask, person, name))).collect()
}

/// Return the cookie of a browser that is new to the account which was asked about; the person's own name may be
/// another one, by which the account's password cannot be tried.
fn device_cookie(ask: &Ask<'_>, person: &Person, typed: &str) -> Option<String> {
    let (method, _) = person.owner.account()?;
    let account = TypedName::parse(typed, &ask.settings.sign_in)?.account(method)?;
    let fresh = ask.device_of(&account).is_none().then(|| ask.app.key.device(&account));
    fresh.map(|device| Cookie::Device.write(&device, ask.site.https()))
}

/// The `Set-Cookie` values that remove those of the one who signs out.
fn clear_cookies(ask: &Ask<'_>) -> Vec<String> {
    let which: &[Cookie] =
        if identity::is_open(ask.settings) { &[Cookie::Browser, Cookie::Label] } else { &[Cookie::SignIn] };
    which.iter().map(|cookie| cookie.clear(ask.site.https())).collect()
}

/// The cookies of a browser that owns sessions, which last from now on.
fn browser_cookies(person: &Person, https: bool) -> Vec<String> {
    let secret = person.cookie.as_ref().map(|secret| Cookie::Browser.write(secret, https));
    secret.into_iter().chain(person.name.parse().ok().map(|label| Cookie::write_label(&label, https))).collect()
}

/// Starts a session, for the person signed in or for a browser in which a name has just been typed.
fn start(ask: &Ask<'_>, typed: Option<Person>, wanted: NewSession) -> Result<Started, Refusal> {
    let person = typed.or_else(|| ask.person.clone()).ok_or_else(Refusal::not_signed_in)?;
    let asker = person.asker();
    let session = ask.app.launcher.change(|l| l.create(asker.clone(), wanted.clone())).map_err(Refusal::from);
    ask.app.counters.creation(&session);
    let session = session?;
    asked(&asker, &session, "asked for it");
    let set_cookie = if person.owner.proof() == Proof::Open {
        identity::welcome(ask, &person);
        browser_cookies(&person, ask.site.https())
    } else {
        Vec::new()
    };
    Ok(Started { session, set_cookie })
}

/// A line in the session's story: what somebody asked for. What became of it is the launcher's to tell.
fn asked(asker: &Asker, session: &Session, what: impl std::fmt::Display) {
    log::info!(QWD_SESSION = session.id.as_str(), QWD_OWNER = session.owner_shown().as_str(),
        QWD_MACHINE = session.machine.as_str(); "Session {}: {} {what}.", session.id, who(asker));
}

/// Somebody who asks, as the journal names them.
fn who(asker: &Asker) -> String {
    Owner::recorded(&asker.owner, &asker.name).proof().describe(&asker.name)
}

/// The link of a share. Browsers send nothing of what stands behind `#`.
fn share_link(site: &site::Site, secret: &str) -> String {
    site.link(&format!("/join#{secret}"))
}
