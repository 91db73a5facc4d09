//! Signing in by a password, as browsers and scripts do it, against stand-in helpers.

use super::{Browser, Method, header, text, value};
use crate::auth::{COMMAND_SOCKET, NETWORK_SOCKET, PAM_SOCKET};
use crate::bus::Session;
use crate::model::State;
use crate::portal::testing::{Bench, Helper, a_session};
use std::time::{Duration, Instant};

const CONFIG: &str = "etc/qemu-web-desktop/config.toml";

/// A portal whose people are checked by IMAP.
fn with_imap() -> (Bench, Helper) {
    let bench = Bench::new();
    bench.root.write(
        CONFIG,
        "[sign_in]\nmethods = ['imap']\nadmins = ['alice']\n[sign_in.imap]\nserver = 'mail.example.org'\n",
    );
    let helper = Helper::of_alice(bench.root.path(), NETWORK_SOCKET);
    (bench, helper)
}

/// A browser from elsewhere.
fn from<'a>(bench: &'a Bench, address: &str) -> Browser<'a> {
    let mut browser = Browser::new(bench);
    browser.set("x-forwarded-for", address);
    browser
}

fn try_to_sign_in(browser: &mut Browser<'_>, name: &str, password: &str) -> crate::portal::http::Reply {
    let csrf = browser.csrf("/");
    browser.post("/sign-in", &[("csrf", &csrf), ("back", "/"), ("name", name), ("password", password)])
}

#[test]
fn the_first_page_asks_who_is_there() {
    let (bench, _helper) = with_imap();
    let mut browser = from(&bench, "192.0.2.7");
    let page = browser.get("/");
    assert_eq!(page.status, 200);
    let page = text(&page);
    assert!(page.contains(r#"autocomplete="username""#) && page.contains(r#"autocomplete="current-password""#));
    assert!(!page.contains("slax.iso") && page.contains("not encrypted"));
    browser.set("x-forwarded-proto", "https");
    assert!(!text(&browser.get("/")).contains("not encrypted"));
}

#[test]
fn a_right_password_signs_in_and_leads_to_the_form() {
    let (bench, helper) = with_imap();
    let mut alice = from(&bench, "192.0.2.7");
    let reply = try_to_sign_in(&mut alice, "alice", "right");
    assert_eq!((reply.status, header(&reply, "Location")), (303, Some("/qemu-web-desktop/")));
    assert!(alice.cookie("qwd").is_some() && alice.cookie("qwd-device").is_some());
    let page = text(&alice.get("/"));
    assert!(page.contains("Start a session") && !page.contains("name=\"name\"") && page.contains("alice"));
    let question = helper.asked.lock().unwrap()[0].clone();
    assert_eq!(question, serde_json::json!({"method": "imap", "user": "alice", "password": "right"}));
}

#[test]
fn starting_again_after_the_sign_in_has_ended_leads_to_the_same_form() {
    let (bench, _helper) = with_imap();
    bench.world.lock().unwrap().sessions.push(Session { state: State::Ended, ..a_session("abcdefghjk", "alice") });
    let mut alice = from(&bench, "192.0.2.7");
    try_to_sign_in(&mut alice, "alice", "right");
    let page = text(&alice.get("/sessions/abcdefghjk"));
    let (_, again) = page.split_once("href=\"/qemu-web-desktop/?").expect("it can be started again");
    let again = format!("/?{}", again.split_once('"').unwrap().0.replace("&amp;", "&"));

    let mut later = from(&bench, "192.0.2.7");
    let asked = text(&later.get(&again));
    assert!(asked.contains(&format!("name=\"back\" value=\"{}\"", again.replace('&', "&#38;"))), "{asked}");
    let csrf = later.csrf(&again);
    let form = [("csrf", &csrf[..]), ("back", &again), ("name", "alice"), ("password", "right")];
    let reply = later.post("/sign-in", &form);
    assert_eq!(header(&reply, "Location"), Some(format!("/qemu-web-desktop{again}").as_str()));
}

#[test]
fn a_wrong_password_is_told_once_and_the_name_stays() {
    let (bench, _helper) = with_imap();
    let mut alice = from(&bench, "192.0.2.7");
    let reply = try_to_sign_in(&mut alice, "alice", "wr<ng");
    let page = text(&reply);
    assert_eq!(reply.status, 401);
    assert!(page.contains("is not right") && page.contains("value=\"alice\"") && !page.contains("wr&#60;ng"));
    assert!(!page.contains("imap") && alice.cookie("qwd").is_none());
    assert_eq!(alice.get("/sessions").status, 401);
}

#[test]
fn an_empty_password_is_no_sign_in() {
    let (bench, helper) = with_imap();
    let mut alice = from(&bench, "192.0.2.7");
    assert_eq!(try_to_sign_in(&mut alice, "alice", "").status, 401);
    assert_eq!(try_to_sign_in(&mut alice, "", "right").status, 400);
    assert_eq!(helper.count(), 0);
}

#[test]
fn a_name_that_nobody_has_is_asked_about_nowhere() {
    let (bench, helper) = with_imap();
    let odd =
        ["alice\u{7f}", "alice\u{85}", "alice\u{200b}", "al\u{ad}ice", "alıce", "alice\u{301}", "*", "local:alice"];
    for name in odd.map(str::to_owned).into_iter().chain(["a".repeat(129), "a".repeat(9999)]) {
        let reply = try_to_sign_in(&mut from(&bench, "192.0.2.9"), &name, "right");
        assert!([400, 401, 429].contains(&reply.status), "{}", reply.status);
    }
    assert_eq!(helper.count(), 0);
    assert_eq!(try_to_sign_in(&mut from(&bench, "192.0.2.7"), &"a".repeat(128), "right").status, 401);
    assert_eq!(helper.count(), 1);
}

#[test]
fn a_name_that_cannot_be_used_is_no_failure_and_the_page_says_what_names_are() {
    let (bench, helper) = with_imap();
    for attempt in 0..12 {
        let reply = try_to_sign_in(&mut from(&bench, "192.0.2.9"), "ünal", "right");
        assert_eq!(reply.status, 401, "{attempt}");
        assert!(text(&reply).contains("letters from a to z"), "{}", text(&reply));
    }
    assert_eq!(helper.count(), 0);
    assert_eq!(try_to_sign_in(&mut from(&bench, "192.0.2.9"), "alice", "right").status, 303);
}

#[test]
fn a_right_password_is_no_failure_whatever_name_the_server_has() {
    let bench = Bench::new();
    bench
        .root
        .write(CONFIG, "[sign_in]\nmethods = ['ldap']\n[sign_in.ldap]\nserver = 'localhost'\nsearch_base = 'o=x'\n");
    let _helper = Helper::listen(bench.root.path(), NETWORK_SOCKET, |question| {
        let user = if question["user"] == "unal" { "Ünal" } else { "" };
        format!(r#"{{"result":"accept","message":"","user":"{user}"}}"#)
    });
    for attempt in 0..12 {
        let reply = try_to_sign_in(&mut from(&bench, "192.0.2.9"), "unal", "right");
        assert_eq!(reply.status, 403, "{attempt}");
        let page = text(&reply);
        assert!(page.contains("Your password is right") && page.contains("Ünal"), "{page}");
    }
    let mut brien = from(&bench, "192.0.2.9");
    assert_eq!(try_to_sign_in(&mut brien, "O'Brien@example.org", "right").status, 303);
    assert!(text(&brien.get("/")).contains("o&#39;brien@example.org"), "{}", text(&brien.get("/")));
}

#[test]
fn spellings_of_a_name_are_one_person_with_one_throttle() {
    let (bench, helper) = with_imap();
    for spelling in ["ALICE", "ａlice", "ⓐlice", "alice+1"] {
        let mut alice = from(&bench, "192.0.2.7");
        assert_eq!(try_to_sign_in(&mut alice, spelling, "right").status, 303, "{spelling}");
        assert!(text(&alice.get("/")).contains(">alice<"), "{spelling}");
    }
    assert!(helper.asked.lock().unwrap().iter().all(|question| question["user"] == "alice"));
    let spellings =
        ["alice", "Alice", "ａlice", "EXP\\alice", "alice@example.org", "alice+7@example.org", "𝐚lice", "alice."];
    let statuses = spellings.map(|name| try_to_sign_in(&mut from(&bench, "198.51.100.9"), name, "wrong").status);
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429, 429, 429]);
    assert_eq!(helper.count(), 4 + 3);
}

#[test]
fn a_password_is_checked_as_it_was_typed() {
    let (bench, helper) = with_imap();
    let mut alice = from(&bench, "192.0.2.7");
    try_to_sign_in(&mut alice, " alice ", " right\u{e9} ");
    let question = helper.asked.lock().unwrap()[0].clone();
    assert_eq!((question["user"].as_str(), question["password"].as_str()), (Some("alice"), Some(" right\u{e9} ")));
}

#[test]
fn nothing_starts_for_somebody_who_is_not_signed_in() {
    let (bench, _helper) = with_imap();
    let mut nobody = from(&bench, "192.0.2.7");
    let csrf = nobody.csrf("/");
    let wish = [("csrf", csrf.as_str()), ("machine", "slax.iso"), ("terms", "on"), ("name", "alice")];
    assert_eq!(nobody.post("/sessions", &wish).status, 401);
    let wish = r#"{"machine":"slax.iso","terms":true,"owner":"alice"}"#;
    assert_eq!(nobody.json(Method::Post, "/sessions", wish).0, 401);
    assert_eq!(nobody.json(Method::Get, "/machines", "").0, 401);
    assert!(bench.world.lock().unwrap().created.is_empty());
}

#[test]
fn a_script_signs_in_starts_a_session_and_signs_out() {
    let (bench, _helper) = with_imap();
    let mut script = from(&bench, "192.0.2.7");
    let (status, wrong) = script.json(Method::Post, "/sign-in", r#"{"name":"alice","password":"wrong"}"#);
    assert_eq!((status, wrong["error"].as_str()), (401, Some("not_signed_in")));
    assert_eq!(script.json(Method::Post, "/sign-in", r#"{"name":"alice"}"#).0, 400);
    let (status, who) = script.json(Method::Post, "/sign-in", r#"{"name":"alice","password":"right"}"#);
    assert_eq!((status, who["name"].as_str(), who["admin"].as_bool()), (200, Some("alice"), Some(true)));
    let with_owner = r#"{"machine":"slax.iso","terms":true,"owner":"alice"}"#;
    assert_eq!(script.json(Method::Post, "/sessions", with_owner).0, 400);
    let (status, session) = script.json(Method::Post, "/sessions", r#"{"machine":"slax.iso","terms":true}"#);
    assert_eq!((status, session["owner"].as_str()), (201, Some("alice")));
    let stolen = script.cookie("qwd").unwrap().clone();
    assert_eq!(script.json(Method::Delete, "/sign-in", "").0, 204);
    script.set("cookie", &format!("qwd={stolen}"));
    assert_eq!(script.json(Method::Get, "/sign-in", "").0, 401);
}

#[test]
fn while_the_service_is_open_a_script_signs_in_by_a_name() {
    let bench = Bench::new();
    let mut script = Browser::new(&bench);
    assert_eq!(script.json(Method::Post, "/sign-in", r#"{"name":"alice","password":"x"}"#).0, 400);
    assert_eq!(script.json(Method::Post, "/sign-in", r#"{"name":"alice"}"#).1["method"], "open");
}

#[test]
fn a_sign_in_from_another_site_is_refused() {
    let (bench, helper) = with_imap();
    let mut browser = from(&bench, "192.0.2.7");
    let wish = [("csrf", "x"), ("name", "alice"), ("password", "right")];
    assert_eq!(browser.post("/sign-in", &wish).status, 403);
    let body = r#"{"name":"alice","password":"right"}"#;
    let evil = [("content-type", "application/json"), ("origin", "http://evil.example")];
    assert_eq!(browser.send(Method::Post, "/api/v1/sign-in", &evil, body).status, 403);
    assert_eq!(helper.count(), 0);
}

#[test]
fn a_method_that_is_taken_away_ends_its_sign_ins() {
    let (bench, _helper) = with_imap();
    let mut alice = from(&bench, "192.0.2.7");
    try_to_sign_in(&mut alice, "alice", "right");
    assert_eq!(alice.get("/sessions").status, 200);
    bench.root.write(CONFIG, "[sign_in]\nmethods = ['pam']\n");
    assert_eq!(alice.get("/sessions").status, 401);
}

#[test]
fn a_server_that_is_down_is_named_and_the_next_method_is_tried() {
    let bench = Bench::new();
    bench.root.write(CONFIG, "[sign_in]\nmethods = ['imap', 'pam']\n[sign_in.imap]\nserver = 'mail.example.org'\n");
    let down = r#"{"result":"unavailable","message":"The mail server mail.example.org does not answer."}"#;
    let _imap = Helper::listen(bench.root.path(), NETWORK_SOCKET, move |_| down.to_owned());
    let _pam = Helper::of_alice(bench.root.path(), PAM_SOCKET);
    let mut alice = from(&bench, "192.0.2.7");
    let reply = try_to_sign_in(&mut alice, "alice", "wrong");
    assert_eq!(reply.status, 503);
    let page = text(&reply);
    assert!(page.contains("were not accepted, and not everybody could be asked. The mail server mail.example.org"));
    assert_eq!(try_to_sign_in(&mut alice, "alice", "right").status, 303);
}

#[test]
fn who_is_refused_by_one_method_waits_though_another_is_down() {
    let bench = Bench::new();
    bench.root.write(CONFIG, "[sign_in]\nmethods = ['imap', 'pam']\n[sign_in.imap]\nserver = 'mail.example.org'\n");
    let _pam = Helper::of_alice(bench.root.path(), PAM_SOCKET);
    let mut alice = from(&bench, "192.0.2.7");
    for _ in 0..3 {
        assert_eq!(try_to_sign_in(&mut alice, "alice", "wrong").status, 503);
    }
    assert_eq!(try_to_sign_in(&mut alice, "alice", "right").status, 429);
}

#[test]
fn a_helper_that_is_not_there_lets_nobody_in() {
    let bench = Bench::new();
    bench.root.write(CONFIG, "[sign_in]\nmethods = ['pam']\n");
    let mut alice = from(&bench, "192.0.2.7");
    for _ in 0..20 {
        let reply = try_to_sign_in(&mut alice, "alice", "right");
        assert_eq!(reply.status, 503);
    }
}

#[test]
fn the_program_of_the_administrator_may_object() {
    let bench = Bench::new();
    let config = "[sign_in]\nmethods = ['pam', 'command']\n[sign_in.command]\nprogram = '/usr/local/bin/check'\n";
    bench.root.write(CONFIG, config);
    let _pam = Helper::of_alice(bench.root.path(), PAM_SOCKET);
    let command = Helper::listen(bench.root.path(), COMMAND_SOCKET, |question| {
        let result = if question["user"] == "bob" { "refuse" } else { "pass" };
        format!(r#"{{"result":"{result}","message":"not in the course"}}"#)
    });
    let mut alice = from(&bench, "192.0.2.7");
    assert_eq!(try_to_sign_in(&mut alice, "alice", "right").status, 303);
    let mut bob = from(&bench, "192.0.2.8");
    let reply = try_to_sign_in(&mut bob, "bob", "bob's");
    assert_eq!(reply.status, 401);
    assert!(!text(&reply).contains("course"));
    assert_eq!(command.asked.lock().unwrap()[1]["previous"][0]["result"], "accept");
}

#[test]
fn who_fails_often_waits_and_nobody_else_does() {
    let (bench, helper) = with_imap();
    let mut alice = from(&bench, "192.0.2.7");
    for _ in 0..3 {
        assert_eq!(try_to_sign_in(&mut alice, "alice", "wrong").status, 401);
    }
    let reply = try_to_sign_in(&mut alice, "alice", "right");
    assert_eq!((reply.status, header(&reply, "Retry-After")), (429, Some("2")));
    assert!(text(&reply).contains("Wait 2 seconds") && helper.count() == 3);
    let (status, error) = alice.json(Method::Post, "/sign-in", r#"{"name":"alice","password":"right"}"#);
    assert_eq!((status, error["error"].as_str()), (429, Some("too_many_attempts")));
    assert_eq!(try_to_sign_in(&mut from(&bench, "192.0.2.7"), "bob", "bob's").status, 303);
    assert_eq!(try_to_sign_in(&mut from(&bench, "198.51.100.9"), "alice", "right").status, 303);
}

#[test]
fn a_right_password_is_no_failure_however_often_it_is_given() {
    let (bench, helper) = with_imap();
    for _ in 0..6 {
        assert_eq!(try_to_sign_in(&mut from(&bench, "192.0.2.7"), "alice", "right").status, 303);
    }
    assert_eq!(helper.count(), 6);
}

#[test]
fn a_browser_that_has_signed_in_before_is_not_kept_out_by_others() {
    let (bench, _helper) = with_imap();
    let mut alice = from(&bench, "192.0.2.7");
    try_to_sign_in(&mut alice, "alice", "right");
    let csrf = alice.csrf("/");
    alice.post("/sign-out", &[("csrf", &csrf)]);
    let mut mallory = from(&bench, "192.0.2.7");
    for _ in 0..4 {
        try_to_sign_in(&mut mallory, "alice", "wrong");
    }
    assert_eq!(try_to_sign_in(&mut mallory, "alice", "wrong").status, 429);
    assert_eq!(try_to_sign_in(&mut alice, "alice", "right").status, 303);
}

#[test]
fn a_known_browser_is_known_for_no_account_that_is_spelled_alike() {
    let bench = Bench::new();
    bench.root.write(CONFIG, "[sign_in]\nmethods = ['pam']\n");
    let _pam = Helper::of_alice(bench.root.path(), PAM_SOCKET);
    let _imap = Helper::of_alice(bench.root.path(), NETWORK_SOCKET);
    let mut alice = from(&bench, "192.0.2.7");
    assert_eq!(try_to_sign_in(&mut alice, "alice", "right").status, 303);
    let known = |method: &str, name: &str| {
        bench.root.write(CONFIG, &format!("[sign_in]\nmethods = ['{method}']\n[sign_in.imap]\nserver = 'x.example'\n"));
        let mut mallory = from(&bench, "198.51.100.9");
        mallory.set("cookie", &format!("qwd-device={}", alice.cookie("qwd-device").unwrap()));
        for _ in 0..3 {
            try_to_sign_in(&mut from(&bench, "198.51.100.9"), name, "wrong");
        }
        try_to_sign_in(&mut mallory, name, "wrong").status != 429
    };
    assert_eq!([known("imap", "alice"), known("pam", "Alice"), known("pam", "alice")], [false, false, true]);
}

#[test]
fn while_a_server_is_slow_pages_are_quick_and_places_few() {
    let bench = Bench::new();
    bench.root.write(CONFIG, "[sign_in]\nmethods = ['pam']\n");
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let helper = Helper::listen(bench.root.path(), PAM_SOCKET, move |_| {
        let _ = wait.lock().unwrap().recv();
        r#"{"result":"refuse"}"#.to_owned()
    });
    std::thread::scope(|scope| {
        let waiting = |n: usize| {
            let mut browser = from(&bench, &format!("192.0.2.{}", n / 3));
            try_to_sign_in(&mut browser, &format!("user{n}"), "x").status
        };
        let busy: Vec<_> = (0..7).map(|n| scope.spawn(move || waiting(n))).collect();
        let end = Instant::now() + Duration::from_secs(60);
        while bench.app.checking.taken() < 7 {
            assert!(Instant::now() < end, "not all have come");
            std::thread::yield_now();
        }
        let refused = try_to_sign_in(&mut from(&bench, "192.0.2.99"), "late", "x");
        assert_eq!((refused.status, header(&refused, "Retry-After")), (503, Some("5")));
        assert_eq!(from(&bench, "192.0.2.99").get("/help").status, 200);
        drop(go);
        assert!(busy.into_iter().all(|thread| thread.join().unwrap() == 401));
    });
    assert_eq!(helper.count(), 7);
}

#[test]
fn the_others_sessions_stay_hidden_from_who_signs_in() {
    let (bench, _helper) = with_imap();
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let mut bob = from(&bench, "192.0.2.8");
    try_to_sign_in(&mut bob, "bob", "bob's");
    assert_eq!(bob.get("/sessions/abcdefghjk").status, 404);
    assert_eq!(value(&bob.send(Method::Get, "/api/v1/sessions?all=1", &[], ""))["sessions"], serde_json::json!([]));
}
