//! The gates before every route of the table: token, client, host name, settings.

use super::{Browser, Method, text};
use crate::portal::http::Reply;
use crate::portal::router::{Guard, Route};
use crate::portal::routes::ROUTES;
use crate::portal::testing::{Bench, a_session};

fn request(browser: &mut Browser<'_>, route: &Route, csrf: &str) -> u16 {
    let reply = send(browser, route, csrf, "");
    assert!(!text(&reply).contains("alice") || reply.status < 300, "{}", route.path);
    reply.status
}

/// Sends what the route takes, with this secret of a share where one is asked for.
pub(super) fn send(browser: &mut Browser<'_>, route: &Route, csrf: &str, secret: &str) -> Reply {
    let path = route.path.replace("{id}", "abcdefghjk").replace("{share}", "share1");
    match route.guard {
        Guard::Reading => browser.get(&path),
        Guard::Form => browser.post(
            &path,
            &[
                ("csrf", csrf),
                ("seconds", "60"),
                ("role", "view"),
                ("name", "carol"),
                ("machine", "slax.iso"),
                ("terms", "on"),
            ],
        ),
        Guard::Json => {
            let more = [("content-type", "application/json"), ("x-csrf-token", csrf)];
            let secret = format!(r#"{{"secret":"{secret}"}}"#);
            let body = match path.rsplit('/').next().unwrap() {
                "extend" => r#"{"seconds":60}"#,
                "shares" | "tickets" => r#"{"role":"view"}"#,
                "join" | "look" => &secret,
                "sessions" => r#"{"machine":"slax.iso","terms":true}"#,
                "sign-in" if route.method == Method::Post => r#"{"name":"carol","password":"wrong"}"#,
                _ => "",
            };
            browser.send(route.method, &path, &more, body)
        }
    }
}

fn with_alices_session() -> Bench {
    let bench = Bench::new();
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    bench
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
fn the_first_visit_from_elsewhere_is_told_how_to_go_on() {
    let bench = Bench::new();
    let mut alice = Browser::new(&bench);
    alice.set("x-forwarded-for", "192.0.2.1");
    alice.set("host", "192.0.2.7:8080");
    let reply = alice.get("/");
    let page = text(&reply);
    assert_eq!(reply.status, 403);
    for line in
        ["ssh -L 8080:localhost:80 USER@192.0.2.7<", "[sign_in]\nmethods = ", "config.d/sign-in.toml", "qwdctl check"]
    {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert!(!page.contains("Go to the first page"));
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
    let (state, secret) = (bench.root.path().join("state"), crate::proxy_headers::testing::secret());
    let app = super::super::App::new(bench.root.path(), &state, bench.app.launcher.again(), secret, |now| now);
    let bench = Bench { app: app.unwrap(), ..bench };
    for route in ROUTES {
        assert_eq!(request(&mut Browser::new(&bench), route, ""), 503, "{:?} {}", route.method, route.path);
    }
}

#[test]
fn what_does_not_come_from_apache_is_closed_and_so_is_what_lost_a_header_on_the_way() {
    let bench = with_alices_session();
    let mut alice = Browser::of(&bench, "alice");
    let csrf = alice.csrf("/");
    let whole = alice.headers.clone();
    for (name, _) in crate::proxy_headers::testing::HEADERS {
        alice.headers.retain(|(n, _)| n != name);
        let status = if name == "x-qwd-secret" { 403 } else { 400 };
        for route in ROUTES {
            assert_eq!(request(&mut alice, route, &csrf), status, "{name}: {:?} {}", route.method, route.path);
        }
        alice.headers.clone_from(&whole);
    }
    alice.set("x-qwd-connection", "close, X-Remote-Groups");
    assert_eq!(alice.get("/").status, 400);
    alice.set("x-qwd-connection", "close");
    alice.set("x-qwd-secret", &"0".repeat(64));
    assert_eq!(alice.get("/").status, 403);
}

#[test]
fn through_another_proxy_everything_is_closed_while_the_service_is_open() {
    for (name, value) in [("x-qwd-forwarded", "yes"), ("x-forwarded-ssl", "on"), ("host", "192.0.2.7")] {
        let bench = with_alices_session();
        let mut alice = Browser::of(&bench, "alice");
        let csrf = alice.csrf("/");
        alice.set(name, value);
        for route in ROUTES {
            assert_eq!(request(&mut alice, route, &csrf), 403, "{name}: {:?} {}", route.method, route.path);
        }
    }
}
