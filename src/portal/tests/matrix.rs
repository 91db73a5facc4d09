//! Every route of the table by everybody: nobody, another person, the owner, from elsewhere.

use super::{Browser, Method, text};
use crate::portal::router::{Guard, Route, Who};
use crate::portal::routes::ROUTES;
use crate::portal::testing::{Bench, a_session};

fn request(browser: &mut Browser<'_>, route: &Route, csrf: &str) -> u16 {
    let path = route.path.replace("{id}", "abcdefghjk").replace("{share}", "share1");
    let reply = match route.guard {
        Guard::Reading => browser.get(&path),
        Guard::Form => browser.post(&path, &[("csrf", csrf), ("seconds", "60"), ("role", "view"), ("name", "alice")]),
        Guard::Json => {
            let more = [("content-type", "application/json"), ("x-csrf-token", csrf)];
            let body = match path.rsplit('/').next().unwrap() {
                "extend" => r#"{"seconds":60}"#,
                "shares" | "tickets" => r#"{"role":"view"}"#,
                "join" | "look" => r#"{"secret":""}"#,
                "sessions" => r#"{"machine":"slax.iso","terms":true,"owner":"mallory"}"#,
                _ => "",
            };
            browser.send(route.method, &path, &more, body)
        }
    };
    assert!(!text(&reply).contains("alice") || reply.status < 300 || route.path == "/sign-in", "{}", route.path);
    reply.status
}

fn with_alices_session() -> Bench {
    let bench = Bench::new();
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    bench
}

#[test]
fn nobody_gets_at_what_needs_a_person() {
    let bench = with_alices_session();
    for route in ROUTES.iter().filter(|r| matches!(r.who, Who::SignedIn | Who::Administrator)) {
        let mut nobody = Browser::new(&bench);
        let csrf = nobody.csrf("/");
        assert_eq!(request(&mut nobody, route, &csrf), 401, "{:?} {}", route.method, route.path);
    }
}

#[test]
fn another_person_does_not_learn_that_a_session_exists() {
    let bench = with_alices_session();
    for route in ROUTES.iter().filter(|r| r.path.contains("{id}")) {
        let mut bob = Browser::of(&bench, "bob");
        let csrf = bob.csrf("/");
        let status = if route.who == Who::Administrator { 403 } else { 404 };
        assert_eq!(request(&mut bob, route, &csrf), status, "{:?} {}", route.method, route.path);
    }
    assert_eq!(bench.world.lock().unwrap().sessions[0].state, "running");
}

#[test]
fn the_owner_gets_in_everywhere() {
    for route in ROUTES.iter().filter(|r| r.path.contains("{id}") && r.who != Who::Administrator) {
        let bench = with_alices_session();
        let mut alice = Browser::of(&bench, "alice");
        let csrf = alice.csrf("/");
        let status = request(&mut alice, route, &csrf);
        assert!((200..400).contains(&status), "{:?} {}: {status}", route.method, route.path);
    }
}

#[test]
fn what_is_for_administrators_is_for_nobody_else() {
    for route in ROUTES.iter().filter(|r| r.who == Who::Administrator) {
        for (name, expected) in [("alice", [403; 3]), ("boss", [200, 303, 403])] {
            let bench = with_alices_session();
            let mut browser = Browser::by_password(&bench, name);
            let csrf = browser.csrf("/");
            let status = request(&mut browser, route, &csrf);
            assert!(expected.contains(&status), "{name}: {:?} {}: {status}", route.method, route.path);
            // Pictures are off by default, for administrators as well.
            assert_eq!(status == 403, name == "alice" || route.path.ends_with("picture"), "{name} {}", route.path);
        }
    }
}

#[test]
fn no_change_happens_without_a_guard() {
    for route in ROUTES.iter().filter(|r| r.method != Method::Get) {
        let bench = with_alices_session();
        let mut alice = Browser::of(&bench, "alice");
        assert_eq!(request(&mut alice, route, ""), 403, "{:?} {}", route.method, route.path);
    }
}

#[test]
fn from_elsewhere_everything_is_closed_while_the_service_is_open() {
    let bench = with_alices_session();
    let mut alice = Browser::of(&bench, "alice");
    let csrf = alice.csrf("/");
    for client in ["192.0.2.1", "127.0.0.1, 192.0.2.1"] {
        alice.set("x-forwarded-for", client);
        for route in ROUTES {
            assert_eq!(request(&mut alice, route, &csrf), 403, "{:?} {}", route.method, route.path);
        }
        assert!(text(&alice.get("/")).contains("/etc/qemu-web-desktop/config.toml"));
    }
}

#[test]
fn under_a_foreign_name_everything_is_closed() {
    let bench = with_alices_session();
    let mut alice = Browser::of(&bench, "alice");
    let csrf = alice.csrf("/");
    alice.set("host", "rebound.example");
    for route in ROUTES {
        assert_eq!(request(&mut alice, route, &csrf), 421, "{:?} {}", route.method, route.path);
    }
    assert!(text(&alice.get("/")).contains("public_url"));
}

#[test]
fn with_a_broken_configuration_from_the_start_everything_is_closed() {
    let bench = Bench::new();
    bench.root.write("etc/qemu-web-desktop/config.toml", "public_url = 7\n");
    let app = super::super::App::new(bench.root.path(), &bench.root.path().join("state"), bench.app.launcher.again());
    let bench = Bench { app: app.unwrap(), ..bench };
    for route in ROUTES {
        assert_eq!(request(&mut Browser::new(&bench), route, ""), 503, "{:?} {}", route.method, route.path);
    }
}
