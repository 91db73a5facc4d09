//! People whom Apache has signed in.

use super::{Browser, Method, text};
use crate::portal::testing::{Bench, a_session};

fn with_remote_user(more: &str) -> Bench {
    let bench = Bench::new();
    let config = format!("[sign_in]\nmethods = ['remote_user']\n{more}");
    bench.root.write("etc/qemu-web-desktop/config.toml", &config);
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    bench
}

fn signed_in_by_apache<'a>(bench: &'a Bench, name: &str) -> Browser<'a> {
    let mut browser = Browser::new(bench);
    browser.set("x-forwarded-for", "192.0.2.7");
    browser.set("x-remote-user", name);
    browser
}

#[test]
fn each_request_is_judged_by_its_header() {
    let bench = with_remote_user("");
    let mut alice = signed_in_by_apache(&bench, "alice");
    assert!(text(&alice.get("/")).contains("Start a session"));
    assert_eq!(alice.get("/sessions/abcdefghjk").status, 200);
    alice.set("x-remote-user", "bob");
    assert_eq!(alice.get("/sessions/abcdefghjk").status, 404);
    alice.set("x-remote-user", "");
    let page = alice.get("/sessions");
    assert!(page.status == 401 && text(&page).contains("qwd-portal(8)"));
}

#[test]
fn a_change_needs_a_token_of_the_same_browser_and_person() {
    let bench = with_remote_user("");
    let mut alice = signed_in_by_apache(&bench, "alice");
    let csrf = alice.csrf("/sessions/abcdefghjk");
    let foreign = signed_in_by_apache(&bench, "alice").csrf("/");
    alice.set("x-remote-user", "bob");
    let of_bob = alice.csrf("/");
    alice.set("x-remote-user", "alice");
    for token in ["", &foreign, &of_bob] {
        assert_eq!(alice.post("/sessions/abcdefghjk/stop", &[("csrf", token)]).status, 403);
    }
    assert_eq!(alice.post("/sessions/abcdefghjk/stop", &[("csrf", &csrf)]).status, 303);
    let wish = r#"{"machine":"slax.iso","terms":true}"#;
    assert_eq!(alice.json(Method::Post, "/sessions", wish).1["owner"], "alice");
}

#[test]
fn signing_out_is_the_web_servers() {
    let bench = with_remote_user("");
    let mut alice = signed_in_by_apache(&bench, "alice");
    let csrf = alice.csrf("/");
    assert!(text(&alice.post("/sign-out", &[("csrf", &csrf)])).contains("stays signed in"));
    assert_eq!(alice.json(Method::Delete, "/sign-in", "").0, 409);
    let bench = with_remote_user("[sign_in.remote_user]\nsign_out_url = '/oidc?logout=https%3A%2F%2Fexample.org'\n");
    let mut alice = signed_in_by_apache(&bench, "alice");
    let csrf = alice.csrf("/");
    let page = text(&alice.post("/sign-out", &[("csrf", &csrf)]));
    assert!(page.contains(r#"content="0; url=/oidc?logout=https%3A%2F%2Fexample.org""#));
}

#[test]
fn no_password_and_no_typed_name_helps() {
    let bench = with_remote_user("");
    let mut nobody = signed_in_by_apache(&bench, "");
    let body = r#"{"name":"alice","password":"x"}"#;
    assert_eq!(nobody.json(Method::Post, "/sign-in", body).0, 403);
    let csrf = crate::portal::keys::Purpose::Anonymous;
    let cookie = crate::random::secret();
    nobody.set("cookie", &format!("qwd-form={}", cookie.expose()));
    let csrf = bench.app.key.token(csrf, &cookie);
    let wish = [("csrf", csrf.as_str()), ("name", "alice"), ("machine", "slax.iso"), ("terms", "on")];
    assert_eq!(nobody.post("/sign-in", &wish).status, 403);
    assert_eq!(nobody.post("/sessions", &wish).status, 401);
    assert!(bench.world.lock().unwrap().created.is_empty());
}

#[test]
fn a_lost_header_of_groups_is_not_the_same_as_no_groups() {
    let bench = with_remote_user("");
    let mut alice = signed_in_by_apache(&bench, "alice");
    assert_eq!(alice.get("/").status, 200);
    for lost in ["x-remote-groups", "x-remote-user", "x-forwarded-for"] {
        let whole = alice.headers.clone();
        alice.headers.retain(|(name, _)| name != lost);
        let page = alice.get("/");
        assert!(page.status == 400 && text(&page).contains(lost), "{lost}");
        alice.headers = whole;
    }
}
