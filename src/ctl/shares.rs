//! `share`: links with which others reach a session's screen, and who is there.

use super::args::{Args, Share as Wanted};
use super::client::{Client, parse_id};
use super::out;
use crate::bus::{Share, Viewer};
use crate::host;
use crate::model::{Problem, SessionId};
use crate::show;
use crate::site;
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    share: Value,
    url: String,
}

/// Makes, lists or revokes links, as asked.
pub(super) fn share(args: &Args, wanted: &Wanted) -> Result<(), Problem> {
    let id = parse_id(&wanted.id)?;
    let client = Client::connect()?;
    if let Some(share) = &wanted.revoke {
        return revoke(args, &client, &id, share);
    }
    if wanted.list {
        return list(args, &client, &id);
    }
    let (share, secret) = client.change(|launcher, asker| launcher.share(asker, id.as_str(), wanted.record()))?;
    let base = site::base(&args.root);
    site::only_here(&base).into_iter().for_each(out::complain);
    let url = site::join(&base, &secret);
    if args.json { out::json(&Made { share: share.json(), url }) } else { out::line(&url) }
}

fn revoke(args: &Args, client: &Client, id: &SessionId, share: &str) -> Result<(), Problem> {
    client.change(|launcher, asker| launcher.unshare(asker, id.as_str(), share))?;
    if args.json { out::json(&json!({ "revoked": share })) } else { Ok(()) }
}

fn list(args: &Args, client: &Client, id: &SessionId) -> Result<(), Problem> {
    let shares = client.ask(|launcher, asker| launcher.shares(asker, id.as_str()))?;
    let viewers = client.ask(|launcher, asker| launcher.viewers(asker, id.as_str()))?;
    if args.json {
        let shares: Vec<Value> = shares.iter().map(Share::json).collect();
        let viewers: Vec<Value> = viewers.iter().map(Viewer::json).collect();
        return out::json(&json!({ "shares": shares, "viewers": viewers }));
    }
    let now = host::now();
    let links = match shares.as_slice() {
        [] => "The session is not shared.\n".to_owned(),
        shares => links(shares, now, out::width()),
    };
    let there = match viewers.as_slice() {
        [] => "Nobody has it on the screen.\n".to_owned(),
        viewers => people(viewers, now, out::width()),
    };
    out::bytes(format!("{links}\n{there}").as_bytes())
}

fn links(shares: &[Share], now: u64, width: Option<usize>) -> String {
    let row = |s: &Share| {
        // A share without an end of its own ends with its session.
        let left = if s.expires_at == 0 { "with the session".to_owned() } else { show::left(s.expires_at, now) };
        let good = if s.once { "one browser" } else { "anybody" };
        let used = match s.used_at {
            None => "no".to_owned(),
            Some(at) => format!("by {}, {} ago", who(s.used_by_shown()), show::span(now.saturating_sub(at))),
        };
        vec![
            s.id.clone(),
            s.role.to_string(),
            show::span(now.saturating_sub(s.created_at)),
            left,
            good.to_owned(),
            used,
        ]
    };
    let rows: Vec<_> = shares.iter().map(row).collect();
    out::table(&["SHARE", "ROLE", "AGE", "LEFT", "FOR", "USED"], &rows, width)
}

fn people(viewers: &[Viewer], now: u64, width: Option<usize>) -> String {
    let row = |v: &Viewer| {
        let by = if v.share.is_empty() { "own right" } else { &v.share };
        let since = show::span(now.saturating_sub(v.since));
        vec![who(v.shown()), v.role.to_string(), by.to_owned(), v.address_shown(), since]
    };
    let rows: Vec<_> = viewers.iter().map(row).collect();
    out::table(&["ON THE SCREEN", "ROLE", "BY", "FROM", "FOR"], &rows, width)
}

/// Somebody by their name, or without one.
fn who(name: String) -> String {
    if name.is_empty() { "a guest".to_owned() } else { name }
}

/// One viewer in a line.
pub(super) fn viewer(viewer: &Viewer, now: u64) -> String {
    let Viewer { share, role, address, since, .. } = viewer;
    let by = if share.is_empty() { String::new() } else { format!(" by link {share}") };
    let from = address.map_or_else(String::new, |address| format!(" from {address}"));
    format!("{} ({role}){by}{from}, for {}", who(viewer.shown()), show::span(now.saturating_sub(*since)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::tests::{a_share, a_viewer};

    #[test]
    fn a_guest_is_told_from_somebody_with_a_name() {
        let guest = Viewer { share: "s1".into(), since: 5, ..a_viewer("abcdefghij") };
        assert_eq!(viewer(&guest, 65), "a guest (view) by link s1, for 1 min");
        let alice = Viewer { name: "alice".into(), share: String::new(), address: "192.0.2.7".parse().ok(), ..guest };
        let browser = format!("open:{}", "0a".repeat(32));
        for (id, shown) in [("pam:alice", "alice"), (&browser, "alice (not verified)"), ("", "alice (not verified)")] {
            let viewer = super::viewer(&Viewer { name_id: id.parse().ok(), ..alice.clone() }, 65);
            assert_eq!(viewer, format!("{shown} (view) from 192.0.2.7, for 1 min"));
        }
    }

    #[test]
    fn a_used_link_says_by_whom() {
        let once = Share { once: true, used_at: Some(5), used_by: "bob".into(), ..a_share("s1") };
        let once = Share { used_by_id: "pam:bob".parse().ok(), ..once };
        let table = links(&[once, a_share("s2")], 65, None);
        assert!(table.contains("one browser  by bob, 1 min ago"), "{table}");
        assert!(table.contains("anybody      no"), "{table}");
    }
}
