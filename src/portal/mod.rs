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
pub mod chain;
pub mod cookie;
pub mod counters;
pub mod form;
pub mod http;
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
pub mod watch;

pub use routes::ROUTES;

use crate::bus::{Asker, NewSession, Session};
use crate::journal;
use crate::policy::Readings;
use ask::Ask;
use cookie::Cookie;
use counters::Counters;
use identity::Person;
use mail_links::MailLinks;
use pictures::Pictures;
use places::Places;
use quota::Hourly;
use refusal::Refusal;
use signins::{SignIn, SignIns};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use throttle::Throttle;

/// What all workers share.
pub struct App {
    live: live::Live,
    launcher: launcher::Launcher,
    sign_ins: SignIns,
    key: keys::Key,
    own_names: Vec<String>,
    /// Files of the system are looked for below this.
    root: PathBuf,
    /// Readers who wait for a change.
    waiting: Places,
    /// Passwords that are being checked.
    checking: Places,
    throttle: Mutex<Throttle>,
    mail_links: MailLinks,
    mails_of_addresses: Mutex<Hourly>,
    mails_of_clients: Mutex<Hourly>,
    counters: Counters,
    /// For the monitor: what sessions used when it was last looked at, and how they looked.
    readings: Mutex<Readings>,
    pictures: Pictures,
}

impl App {
    /// Reads the configuration below `root` and keeps what must outlive a restart in `state`.
    fn new(root: &Path, state: &Path, launcher: launcher::Launcher) -> std::io::Result<Self> {
        let sign_ins = SignIns::open(&state.join("sign-ins"))?;
        Ok(Self {
            live: live::Live::new(root),
            launcher,
            sign_ins,
            key: keys::Key::load(&state.join("csrf.key"))?,
            own_names: crate::host::names(root),
            root: root.to_owned(),
            waiting: Places::new(server::WORKERS / 4, server::WORKERS / 4),
            checking: Places::new(server::WORKERS / 2, server::WORKERS / 4),
            throttle: Mutex::default(),
            mail_links: MailLinks::open(&state.join("mail-links"))?,
            mails_of_addresses: Mutex::default(),
            mails_of_clients: Mutex::default(),
            counters: Counters::default(),
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
    let app = App::new(Path::new("/"), &state_folder()?, launcher::Launcher::on_system_bus())
        .map_err(|e| format!("The folder for sign-ins cannot be used: {e}."))?;
    server::serve(listener, app)
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
    let fresh = typed.filter(|name| ask.known_device(name).is_none()).map(|name| ask.app.key.device(name));
    let device = fresh.map(|device| Cookie::Device.write(&device, https));
    let signed_in = person.cookie.as_ref().map(|cookie| Cookie::SignIn.write(cookie, https));
    signed_in.into_iter().chain(device).collect()
}

/// Starts a session, for the person signed in or for one who has just typed a name and is signed in by it.
fn start(ask: &Ask<'_>, typed: Option<SignIn>, wanted: NewSession) -> Result<Started, Refusal> {
    let asker = match &typed {
        Some(sign_in) => Asker { name: sign_in.name.to_string(), ..Asker::default() },
        None => ask.asker()?,
    };
    let session = ask.app.launcher.change(|l| l.create(asker.clone(), wanted.clone())).map_err(Refusal::from);
    ask.app.counters.creation(&session);
    let session = session?;
    asked(&asker, &session, "asked for it");
    let set_cookie = match typed {
        Some(sign_in) => cookies(ask, &identity::enter(ask, sign_in)?, None),
        None => Vec::new(),
    };
    Ok(Started { session, set_cookie })
}

/// A line in the session's story: what somebody asked for. What became of it is the launcher's to tell.
fn asked(asker: &Asker, session: &Session, what: impl std::fmt::Display) {
    log::info!(QWD_SESSION = session.id.as_str(), QWD_OWNER = session.owner.as_str(),
        QWD_MACHINE = session.machine.as_str(); "Session {}: {} {what}.", session.id, asker.name);
}

/// The link of a share. Browsers send nothing of what stands behind `#`.
fn share_link(site: &site::Site, secret: &str) -> String {
    site.link(&format!("/join#{secret}"))
}
