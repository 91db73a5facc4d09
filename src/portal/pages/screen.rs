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
}

/// GET sessions/ID/screen
pub fn screen(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let session = ask.app.launcher.ask(|l| l.get(asker.clone(), id.as_str()))?;
    let role = Role::Control.as_str();
    page(200, &ScreenPage { base: BASE, session: &session.id, machine: &session.machine, csrf: ask.csrf(), role })
}

/// GET join: the secret stands behind `#`, where only the page's script sees it.
pub fn join(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    page(200, &ScreenPage { base: BASE, session: "", machine: "", csrf: ask.csrf(), role: "" })
}
