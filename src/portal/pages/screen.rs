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
    owner: &'a str,
    /// Seconds before the end that people are warned; zero: never.
    warn: u64,
}

/// GET sessions/ID/screen
pub fn screen(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let session = ask.app.launcher.ask(|l| l.get(asker.clone(), id.as_str()))?;
    let owner = if session.owner == asker.name { "" } else { session.owner.as_str() };
    let (session, machine, role) = (session.id.as_str(), session.title(), Role::Control.as_str());
    page(200, &ScreenPage { session, machine, role, owner, ..ScreenPage::of_nobody(ask) })
}

/// GET join: the secret stands behind `#`, where only the page's script sees it.
pub fn join(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    page(200, &ScreenPage::of_nobody(ask))
}

impl ScreenPage<'_> {
    fn of_nobody(ask: &Ask<'_>) -> Self {
        let warn = ask.settings.session.warn.0;
        Self { base: BASE, session: "", machine: "", csrf: ask.csrf(), role: "", owner: "", warn }
    }
}
