//! The screen's page, for the owner and for the holder of a share link. What happens on it is the
//! display's matter; here stands only what its script must know.

use super::page;
use crate::model::Role;
use crate::portal::ask::Ask;
use crate::portal::http::{BASE, Reply};
use crate::portal::refusal::Refusal;
use askama::Template;

#[derive(Template)]
#[template(path = "screen.html")]
struct ScreenPage<'a> {
    base: &'static str,
    session: &'a str,
    machine: &'a str,
    csrf: String,
    role: &'a str,
    /// Whose it is, where that is somebody else.
    owner: String,
    /// It is another person's session, which an administrator may control.
    takes_control: bool,
    /// Seconds before the end that people are warned; zero: never.
    warn: u64,
}

/// GET sessions/ID/screen
pub fn screen(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let session = ask.app.launcher.ask(|l| l.get(asker.clone(), id.as_str()))?;
    let own = ask.person.as_ref().is_some_and(|person| person.owner == session.owner_id);
    let owner = if own { String::new() } else { session.owner_shown() };
    // An administrator looks on until they take control, of which everybody on the screen is told.
    let role = if own { Role::Control } else { Role::View }.as_str();
    let (session, machine, takes_control) = (session.id.as_str(), session.title(), !own);
    page(200, &ScreenPage { session, machine, role, owner, takes_control, ..ScreenPage::of_nobody(ask) })
}

/// GET join: the secret stands behind `#`, where only the page's script sees it.
pub fn join(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    page(200, &ScreenPage::of_nobody(ask))
}

impl ScreenPage<'_> {
    fn of_nobody(ask: &Ask<'_>) -> Self {
        let warn = ask.settings.session.warn.0;
        Self {
            base: BASE,
            session: "",
            machine: "",
            csrf: ask.csrf(),
            role: "",
            owner: String::new(),
            takes_control: false,
            warn,
        }
    }
}
