//! Small pictures of screens: for administrators on the monitor, and for owners in their lists of sessions.

use crate::model::{Problem, SessionId};
use crate::picture::thumbnail;
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::refusal::Refusal;
use crate::portal::site;
use std::fs::File;

/// GET monitor/ID/picture
pub fn picture(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    // Kept pictures are worth nothing once they are switched off.
    if !ask.settings.monitor.pictures {
        return Err(Refusal::new(403, "not_allowed", "Pictures of the screens are switched off."));
    }
    reply(ask, &ask.session_id()?)
}

/// GET sessions/ID/picture
pub fn own_picture(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    // A kept picture is shown only to those who may see the session.
    let session = ask.app.launcher.ask(|l| l.get(asker.clone(), id.as_str()))?;
    if !ask.owns(&session) {
        return Err(Refusal::new(403, "not_allowed", "Only the owner of a session can see its picture here."));
    }
    let Some(_place) = ask.app.drawing.enter(site::client(ask.request)) else {
        let sentence = "Too many pictures of screens are being made. Try again in a few seconds.";
        return Err(Refusal::new(503, "unavailable", sentence).after(5));
    };
    reply(ask, &id)
}

fn reply(ask: &Ask<'_>, id: &SessionId) -> Result<Reply, Refusal> {
    let asker = ask.asker()?;
    let make = || {
        let ppm = ask.app.launcher.ask(|l| l.picture(asker.clone(), id.as_str()))?;
        thumbnail(File::from(std::os::fd::OwnedFd::from(ppm)))
    };
    let png = ask.app.pictures.get(id.as_str(), make).map_err(|problem: Problem| Refusal::from(problem))?;
    Ok(Reply { status: 200, headers: vec![("Content-Type", "image/png".to_owned())], body: png.to_vec() })
}
