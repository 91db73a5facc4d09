//! Shares, tickets, and joining by a share's secret.

use super::input::{self, parse};
use super::object;
use super::sessions::visitor;
use crate::bus::{Joined, Share, Viewer};
use crate::portal::ask::Ask;
use crate::portal::http::Reply;
use crate::portal::refusal::Refusal;
use crate::portal::{asked, share_link, site};
use serde_json::json;

/// GET sessions/ID/shares
pub fn shares(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let shares = ask.app.launcher.ask(|l| l.shares(asker.clone(), id.as_str()))?;
    Ok(Reply::json(200, &json!({"shares": shares.iter().map(Share::json).collect::<Vec<_>>()})))
}

/// POST sessions/ID/shares: the only answer in which the link stands.
pub fn share(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let wanted = parse::<input::Share>(&ask.request.body)?.wanted();
    let (share, secret) = ask.app.launcher.change(|l| l.share(asker.clone(), id.as_str(), wanted.clone()))?;
    if let Ok(session) = ask.app.launcher.ask(|l| l.get(asker.clone(), id.as_str())) {
        asked(&asker, &session, format_args!("asked for a link to share it for {}", share.role));
    }
    Ok(Reply::json(201, &json!({"share": share.json(), "url": share_link(&ask.site, &secret)})))
}

/// DELETE sessions/ID/shares/SHARE
pub fn revoke(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    ask.app.launcher.change(|l| l.unshare(asker.clone(), id.as_str(), ask.share_id()))?;
    Ok(Reply { status: 204, headers: Vec::new(), body: Vec::new() })
}

/// GET sessions/ID/viewers: who has it on the screen.
pub fn viewers(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let viewers = ask.app.launcher.ask(|l| l.viewers(asker.clone(), id.as_str()))?;
    Ok(Reply::json(200, &json!({"viewers": viewers.iter().map(Viewer::json).collect::<Vec<_>>()})))
}

/// POST sessions/ID/tickets
pub fn ticket(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let (asker, id) = (ask.asker()?, ask.session_id()?);
    let role = parse::<input::Ticket>(&ask.request.body)?.role;
    let ticket = ask.app.launcher.change(|l| l.ticket(asker.clone(), id.as_str(), role.as_str()))?;
    Ok(Reply::json(200, &json!({"ticket": ticket})))
}

/// POST join: whoever holds the secret, signed in or not. The `secret` of the answer is good the next time.
pub fn join(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let secret = parse::<input::Join>(&ask.request.body)?.secret()?;
    let guest = visitor(ask);
    let address = site::client(ask.request).map_or_else(String::new, |address| address.to_string());
    let Joined { session, role, ticket, secret } =
        ask.app.launcher.change(|l| l.join_from(guest.clone(), secret.expose(), &address))?;
    let session = object(&session, &ask.site);
    Ok(Reply::json(200, &json!({"session": session, "role": role, "ticket": ticket, "secret": secret})))
}

/// POST look: the session that a link's holder may see, without a ticket for it.
pub fn look(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    let secret = parse::<input::Join>(&ask.request.body)?.secret()?;
    let session = ask.app.launcher.ask(|l| l.look(secret.expose()))?;
    Ok(Reply::json(200, &json!({"session": object(&session, &ask.site)})))
}
