//! The JSON API, as scripts use it.

use super::{Browser, Method, header, value};
use crate::bus::tests::{a_share, a_viewer};
use crate::bus::{Share, Viewer};
use crate::portal::testing::{Bench, a_session};

const WISH: &str = r#"{"machine":"slax.iso","memory":"2G","lifetime":"4h","terms":true,"owner":"alice"}"#;

#[test]
fn a_script_starts_looks_at_and_stops_a_session() {
    let bench = Bench::new();
    let mut script = Browser::new(&bench);
    let (status, session) = script.json(Method::Post, "/sessions", WISH);
    assert_eq!((status, session["state"].as_str()), (201, Some("starting")));
    assert_eq!(session["url"], "http://localhost/qemu-web-desktop/sessions/newsessabc");
    for key in ["id", "owner", "machine", "state", "cpus", "memory_bytes", "created_at", "expires_at", "url"] {
        assert!(!session[key].is_null(), "{key}");
    }
    let (status, all) = script.json(Method::Get, "/sessions", "");
    assert_eq!((status, all["sessions"][0]["id"].as_str()), (200, Some("newsessabc")));
    assert_eq!(script.json(Method::Get, "/sessions/newsessabc?wait=starting", "").0, 200);
    let (status, session) = script.json(Method::Delete, "/sessions/newsessabc", "");
    assert_eq!((status, session["state"].as_str()), (202, Some("stopping")));
}

#[test]
fn what_is_missing_is_named() {
    let bench = Bench::new();
    let mut script = Browser::new(&bench);
    let (status, error) = script.json(Method::Post, "/sessions", r#"{"machine":"slax.iso","terms":true}"#);
    assert_eq!((status, error["error"].as_str()), (401, Some("not_signed_in")));
    let (status, error) = script.json(Method::Post, "/sessions", r#"{"machine":"slax.iso","owner":"alice"}"#);
    assert_eq!((status, error["error"].as_str()), (400, Some("bad_request")));
    assert!(error["message"].as_str().unwrap().contains("terms"));
    let (status, error) = script.json(Method::Get, "/nothing", "");
    assert_eq!((status, error["error"].as_str()), (404, Some("not_found")));
    let reply = script.send(Method::Other, "/api/v1/sessions", &[], "");
    assert_eq!((reply.status, header(&reply, "Allow")), (405, Some("GET, POST")));
    assert_eq!(script.json(Method::Post, "/sessions", "[1").0, 400);
}

#[test]
fn a_change_needs_our_origin_or_a_token() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let path = "/api/v1/sessions/abcdefghjk/extend";
    let body = r#"{"seconds":60}"#;
    let json = ("content-type", "application/json");
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost.evil.example",
        "https://localhost",
        "http://localhost:81",
        "http://localhost/",
    ] {
        assert_eq!(alice.send(Method::Post, path, &[json, ("origin", origin)], body).status, 403, "{origin}");
    }
    let refused = alice.send(Method::Post, path, &[json], body);
    assert_eq!(refused.status, 403);
    assert!(value(&refused)["message"].as_str().unwrap().contains("curl -b jar -c jar -H 'Origin: http://localhost'"));
    let origin = ("origin", "http://localhost");
    assert_eq!(alice.send(Method::Post, path, &[("content-type", "text/plain"), origin], body).status, 415);
    assert_eq!(alice.send(Method::Post, path, &[origin], "").status, 403);
    let csrf = alice.csrf("/");
    assert_eq!(alice.send(Method::Post, path, &[json, ("x-csrf-token", &csrf)], body).status, 200);
    assert_eq!(alice.send(Method::Post, path, &[json, ("x-csrf-token", "x")], body).status, 403);
}

#[test]
fn whatever_name_is_typed_the_session_is_the_browsers() {
    let bench = Bench::new();
    let mut bob = Browser::of(&bench, "bob");
    for name in ["bob", "alice", "root", "local:root", "pam:alice", "Ada Lovelace", ""] {
        let (status, made) = bob.json(Method::Post, "/sessions", &WISH.replace("alice", name));
        assert_eq!((status, made["owner"].as_str()), (201, Some(if name.is_empty() { "Guest" } else { name })));
    }
    let askers: Vec<_> = bench.world.lock().unwrap().created.iter().map(|(asker, _)| asker.owner.clone()).collect();
    assert!(askers[0].starts_with("open:") && askers.iter().all(|owner| *owner == askers[0]), "{askers:?}");
    Browser::new(&bench).json(Method::Post, "/sessions", WISH);
    assert_ne!(bench.world.lock().unwrap().created.last().unwrap().0.owner, askers[0]);
}

#[test]
fn one_cannot_start_in_another_name() {
    let bench = Bench::new();
    let mut bob = Browser::by_password(&bench, "bob");
    assert_eq!(bob.json(Method::Post, "/sessions", WISH).0, 400);
}

#[test]
fn people_are_shown_with_how_their_names_were_proven_and_browsers_without_their_digest() {
    let bench = Bench::new();
    let digest = "0a".repeat(32);
    let mut session = a_session("abcdefghjk", "alice");
    session.owner_id = format!("open:{digest}").parse().unwrap();
    let viewer = Viewer { name: "alice".into(), name_id: Some(session.owner_id.clone()), ..a_viewer("abcdefghjk") };
    let share = Share { used_by: "bob".into(), used_by_id: "pam:bob".parse().ok(), ..a_share("share1") };
    let mut world = bench.world.lock().unwrap();
    (world.sessions, world.viewers, world.shares) = (vec![session], vec![viewer], vec![share]);
    drop(world);
    let mut alice = Browser::of(&bench, "alice");
    let mut got = |path: &str| alice.json(Method::Get, path, "").1;
    let all = [got("/sessions/abcdefghjk"), got("/sessions/abcdefghjk/viewers"), got("/sessions/abcdefghjk/shares")];
    assert_eq!((all[0]["owner"].as_str(), all[0]["proof"].as_str()), (Some("alice"), Some("open")));
    assert_eq!(all[1]["viewers"][0]["proof"], "open");
    assert_eq!(all[2]["shares"][0]["used_by_proof"], "pam");
    assert!(all.iter().all(|answer| !answer.to_string().contains(&digest) && !answer.to_string().contains("_id")));
}

#[test]
fn shares_and_tickets_come_and_go() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let (status, made) = alice.json(Method::Post, "/sessions/abcdefghjk/shares", r#"{"role":"view","seconds":60}"#);
    assert_eq!((status, made["share"]["role"].as_str()), (201, Some("view")));
    let url = made["url"].as_str().unwrap();
    let secret = url.strip_prefix("http://localhost/qemu-web-desktop/join#").unwrap();
    assert_eq!(made["share"]["once"], false);
    let (_, listed) = alice.json(Method::Get, "/sessions/abcdefghjk/shares", "");
    assert!(listed["shares"][0]["id"] == "share1" && !listed.to_string().contains(secret));
    let (status, joined) = Browser::new(&bench).json(Method::Post, "/join", &format!(r#"{{"secret":"{secret}"}}"#));
    assert_eq!(
        (status, joined["role"].as_str(), joined["ticket"].as_str().map(str::len)),
        (200, Some("view"), Some(43))
    );
    // Another secret takes the place of the link's, and whoever is signed in comes under their name.
    assert_eq!(joined["secret"], "n".repeat(43));
    let holder = format!(r#"{{"secret":"{secret}"}}"#);
    assert_eq!(Browser::of(&bench, "bob").json(Method::Post, "/join", &holder).0, 200);
    let (_, viewers) = alice.json(Method::Get, "/sessions/abcdefghjk/viewers", "");
    assert_eq!((&viewers["viewers"][0]["name"], &viewers["viewers"][1]["name"]), (&"".into(), &"bob".into()));
    let (status, seen) = Browser::new(&bench).json(Method::Post, "/look", &holder);
    assert_eq!((status, &seen["session"]["owner"], &seen["ticket"]), (200, &"alice".into(), &serde_json::Value::Null));
    for path in ["/join", "/look"] {
        assert_eq!(Browser::new(&bench).json(Method::Post, path, r#"{"secret":"x"}"#).0, 403);
    }
    let (status, ticket) = alice.json(Method::Post, "/sessions/abcdefghjk/tickets", r#"{"role":"control"}"#);
    assert_eq!((status, ticket["ticket"].as_str().map(str::len)), (200, Some(43)));
    assert_eq!(alice.json(Method::Post, "/sessions/abcdefghjk/tickets", r#"{"role":"root"}"#).0, 400);
    assert_eq!(alice.json(Method::Delete, "/sessions/abcdefghjk/shares/share1", "").0, 204);
}

#[test]
fn machines_and_figures_are_readable() {
    let bench = Bench::new();
    let mut script = Browser::new(&bench);
    assert_eq!(script.json(Method::Get, "/machines", "").1["machines"][1]["name"], "slax.iso");
    assert_eq!(script.json(Method::Get, "/status", "").1["sessions_max"], 10);
}
