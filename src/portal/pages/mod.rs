//! The pages. Each works without JavaScript; what is typed or configured is escaped by the templates.

pub mod continuing;
pub mod create;
pub mod enter;
pub mod first;
mod machines;
pub mod monitor;
pub mod person;
pub mod picture;
pub mod screen;
pub mod session;
pub mod sessions;
pub mod shares;
pub mod sharing;
mod values;

pub use continuing::{continue_here, continuing};
pub use create::create;
pub use enter::{ask_for_link, enter, enter_post};
pub use first::first;
pub use monitor::{monitor, stop_all};
pub use person::{sign_in, sign_in_post, sign_out};
pub use picture::{own_picture, picture};
pub use screen::{join, screen};
pub use session::{extend, kill, session, stop};
pub use sessions::sessions;
pub use shares::{revoke, share};

use super::ask::Ask;
use super::http::{BASE, Reply};
use super::refusal::Refusal;
use super::{identity, password};
use crate::config::raw;
use askama::Template;

/// What surrounds every page.
struct Frame<'a> {
    base: &'static str,
    version: &'static str,
    texts: &'a raw::Page,
    /// Who is signed in; empty: nobody.
    person: &'a str,
    /// Whether that is an administrator.
    admin: bool,
    /// For the sign-out button.
    csrf: String,
    /// The page that the navigation marks as the present one.
    here: &'static str,
}

impl<'a> Frame<'a> {
    fn of(ask: &'a Ask<'_>, here: &'static str) -> Self {
        let person = ask.person.as_ref().map_or("", |p| p.name.as_str());
        let csrf = if person.is_empty() { String::new() } else { ask.csrf() };
        Self { person, csrf, admin: ask.is_admin(), ..Self::plain(&ask.settings.page.texts, here) }
    }

    fn plain(texts: &'a raw::Page, here: &'static str) -> Self {
        Self {
            base: BASE,
            version: env!("CARGO_PKG_VERSION"),
            texts,
            person: "",
            admin: false,
            csrf: String::new(),
            here,
        }
    }
}

fn page(status: u16, template: &impl Template) -> Result<Reply, Refusal> {
    let html = template.render();
    html.map(|html| Reply::html(status, html))
        .map_err(|e| Refusal::new(500, "failed", format!("The page could not be made ({e}); try again.")))
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame<'a>,
    refusal: &'a Refusal,
}

/// A refusal as a page.
pub fn error(texts: Option<&raw::Page>, refusal: &Refusal) -> Reply {
    let default = raw::Page::default();
    let frame = Frame::plain(texts.unwrap_or(&default), "");
    page(refusal.status, &ErrorPage { frame, refusal })
        .unwrap_or_else(|_| Reply::html(refusal.status, refusal.title().to_owned()))
}

#[derive(Template)]
#[template(path = "help.html")]
struct HelpPage<'a> {
    frame: Frame<'a>,
    origin: &'a str,
    /// A name is enough.
    open: bool,
    passwords: bool,
}

/// GET help
pub fn help(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let template = HelpPage {
        frame: Frame::of(ask, "help"),
        origin: ask.site.origin(),
        open: identity::is_open(ask.settings),
        passwords: password::wanted(ask.settings),
    };
    page(200, &template)
}
