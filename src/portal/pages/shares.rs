//! Share links: made, shown once, taken back.

use super::session::show_session;
use super::sharing::NewLink;
use crate::bus::NewShare;
use crate::model::Role;
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::qr::qr;
use crate::portal::refusal::Refusal;
use crate::portal::{asked, share_link};

/// POST sessions/ID/shares: the session's page with the link, which is never shown again.
pub fn share(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let role: Role = ask.form.text("role").parse()?;
    let seconds: u64 = match ask.form.text("seconds") {
        "" => 0,
        text => text
            .parse()
            .map_err(|_| Refusal::bad_request("The time that a link is good for is a whole number of seconds."))?,
    };
    let wanted = NewShare { role: role.to_string(), seconds, once: ask.form.ticked("once") };
    let made = ask.app.launcher.change(|l| l.share(asker.clone(), id.as_str(), wanted.clone()));
    let session = ask.app.launcher.ask(|l| l.get(asker.clone(), id.as_str()))?;
    match made {
        Ok((_, secret)) => {
            asked(&asker, &session, format_args!("asked for a link to share it for {role}"));
            let url = share_link(&ask.site, &secret);
            let link = NewLink { role, once: wanted.once, qr: qr(&url).filter(|_| !ask.site.is_loopback()), url };
            show_session(ask, session, Some(link), None)
        }
        Err(problem) => show_session(ask, session, None, Some(&problem.into())),
    }
}

/// POST sessions/ID/shares/SHARE/revoke
pub fn revoke(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    ask.app.launcher.change(|l| l.unshare(asker.clone(), id.as_str(), ask.share_id()))?;
    Ok(Reply::see_other(&format!("/sessions/{id}#share")))
}
