//! `share`: links with which others reach a session's screen.

use super::args::{Args, Share as Wanted};
use super::client::{Client, checked};
use super::{out, site};
use crate::bus::Share;
use crate::model::Problem;
use serde::Serialize;

#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    share: Share,
    url: String,
}

/// Makes, lists or revokes links, as asked.
pub(super) fn share(args: &Args, wanted: &Wanted) -> Result<(), Problem> {
    let id = checked(&wanted.id)?;
    let client = Client::connect()?;
    if let Some(share) = &wanted.revoke {
        return revoke(args, &client, id, share);
    }
    if wanted.list {
        return list(args, &client, id);
    }
    let seconds = wanted.lifetime.map_or(0, |l| l.0);
    let (share, secret) = client.launcher.share(client.asker.clone(), id, wanted.role().as_str(), seconds)?;
    let url = site::join(&site::base(&args.root), &secret);
    if args.json { out::json(&Made { share, url }) } else { out::line(&url) }
}

fn revoke(args: &Args, client: &Client, id: &str, share: &str) -> Result<(), Problem> {
    client.launcher.unshare(client.asker.clone(), id, share)?;
    if args.json { out::json(&serde_json::json!({ "revoked": share })) } else { Ok(()) }
}

fn list(args: &Args, client: &Client, id: &str) -> Result<(), Problem> {
    let shares = client.launcher.shares(client.asker.clone(), id)?;
    if args.json {
        return out::json(&shares);
    }
    if shares.is_empty() {
        return out::line("The session is not shared.");
    }
    let now = out::now();
    // A share without an end of its own ends with its session.
    let left = |s: &Share| if s.expires_at == 0 { "with the session".to_owned() } else { out::left(s.expires_at, now) };
    let row = |s: &Share| vec![s.id.clone(), s.role.clone(), out::span(now.saturating_sub(s.created_at)), left(s)];
    let rows: Vec<_> = shares.iter().map(row).collect();
    out::bytes(out::table(&["SHARE", "ROLE", "AGE", "LEFT"], &rows, out::width()).as_bytes())
}
