//! The pages, by forms and links alone.

use super::{Browser, NOW, header, text};
use crate::bus::Viewer;
use crate::model::{Problem, Word};
use crate::portal::testing::{Bench, a_session};

const WISH: [(&str, &str); 6] =
    [("machine", "slax.iso"), ("cpus", "2"), ("memory", "2G"), ("lifetime", "12h"), ("name", "alice"), ("terms", "on")];

fn wish<'a>(csrf: &'a str, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields: Vec<(&str, &str)> =
        WISH.into_iter().filter(|(n, _)| !changes.iter().any(|(c, _)| c == n)).collect();
    fields.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    fields.push(("csrf", csrf));
    fields
}

#[test]
fn a_form_starts_a_session_and_signs_in() {
    let bench = Bench::new();
    let mut browser = Browser::new(&bench);
    let csrf = browser.csrf("/");
    let reply = browser.post("/sessions", &wish(&csrf, &[]));
    assert_eq!((reply.status, header(&reply, "Location")), (303, Some("/qemu-web-desktop/sessions/newsessabc")));
    let (asker, wanted) = bench.world.lock().unwrap().created[0].clone();
    assert_eq!((asker.name.as_str(), wanted.machine.as_str()), ("alice", "slax.iso"));
    assert_eq!((wanted.cpus, wanted.memory_bytes, wanted.lifetime_seconds, wanted.force), (2, 2 << 30, 43_200, false));
    let page = text(&browser.get("/sessions/newsessabc"));
    assert!(page.contains("Starting") && page.contains("http-equiv=\"refresh\""));
    assert!(text(&browser.get("/")).contains("Your sessions"));
}

#[test]
fn without_consent_nothing_starts_and_the_form_keeps_what_was_typed() {
    let bench = Bench::new();
    let mut browser = Browser::new(&bench);
    let csrf = browser.csrf("/");
    let reply = browser.post("/sessions", &wish(&csrf, &[("terms", "")]));
    let page = text(&reply);
    assert_eq!(reply.status, 400);
    assert!(page.contains("tick the box") && page.contains("value=\"alice\""));
    assert!(page.contains("value=\"slax.iso\" required checked") && page.contains("value=\"2G\" selected"));
    assert!(bench.world.lock().unwrap().created.is_empty());
}

#[test]
fn bad_fields_bring_the_form_back_with_a_sentence() {
    let bench = Bench::new();
    let mut browser = Browser::new(&bench);
    let csrf = browser.csrf("/");
    let long = "a".repeat(10_000);
    for (field, bad) in [
        ("name", "../alice"),
        ("name", &long),
        ("cpus", "99999999999999999999"),
        ("cpus", "-1"),
        ("memory", "1X"),
        ("lifetime", "forever"),
    ] {
        let reply = browser.post("/sessions", &wish(&csrf, &[(field, bad)]));
        assert_eq!(reply.status, 400, "{field}");
        assert!(text(&reply).contains("class=\"error\""), "{field}");
    }
    assert_eq!(browser.post("/sessions", &wish(&csrf, &[("machine", "/etc/passwd")])).status, 404);
    assert_eq!(browser.post("/sessions", &wish(&csrf, &[("name", "a\nb")])).status, 400);
    assert!(bench.world.lock().unwrap().created.is_empty());
}

#[test]
fn a_limit_is_told_on_the_form() {
    let bench = Bench::new();
    let mut browser = Browser::new(&bench);
    let csrf = browser.csrf("/");
    bench.world.lock().unwrap().refusal = Some(Problem::new(Word::LimitReached, "All <10> places are taken."));
    let reply = browser.post("/sessions", &wish(&csrf, &[]));
    assert_eq!(reply.status, 409);
    assert!(text(&reply).contains("All &#60;10&#62; places are taken."));
    assert!(browser.cookie("qwd").is_none());
}

#[test]
fn a_form_without_its_token_does_nothing() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let foreign = Browser::of(&bench, "bob").csrf("/");
    let before_sign_in = Browser::new(&bench).csrf("/");
    for token in ["", "x", foreign.as_str(), before_sign_in.as_str()] {
        assert_eq!(alice.post("/sessions/abcdefghjk/stop", &[("csrf", token)]).status, 403, "{token}");
    }
    let csrf = alice.csrf("/sessions/abcdefghjk");
    let plain = alice.send(
        super::Method::Post,
        "/sessions/abcdefghjk/stop",
        &[("content-type", "text/plain")],
        &format!("csrf={csrf}"),
    );
    assert_eq!(plain.status, 415);
    assert_eq!(bench.world.lock().unwrap().sessions[0].state, "running");
    assert_eq!(alice.post("/sessions/abcdefghjk/stop", &[("csrf", &csrf)]).status, 303);
    assert_eq!(bench.world.lock().unwrap().sessions[0].state, "stopping");
}

#[test]
fn where_administrators_see_pictures_the_owner_is_told() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let told = |alice: &mut Browser<'_>| {
        text(&alice.get("/sessions/abcdefghjk")).contains("Administrators of this service can see a small picture")
    };
    assert!(!told(&mut alice));
    bench.root.write("etc/qemu-web-desktop/config.toml", "[monitor]\npictures = true\n");
    assert!(told(&mut alice));
}

#[test]
fn a_session_is_extended_by_what_is_offered() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let csrf = alice.csrf("/sessions/abcdefghjk");
    assert_eq!(alice.post("/sessions/abcdefghjk/extend", &[("csrf", &csrf), ("seconds", "3600")]).status, 303);
    assert_eq!(bench.world.lock().unwrap().sessions[0].expires_at, 1_090_000);
    for bad in ["0", "-1", "1e3", "99999999999999999999", ""] {
        assert_eq!(
            alice.post("/sessions/abcdefghjk/extend", &[("csrf", &csrf), ("seconds", bad)]).status,
            400,
            "{bad}"
        );
    }
}

#[test]
fn a_share_link_is_shown_once_and_can_be_revoked() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let csrf = alice.csrf("/sessions/abcdefghjk");
    let link = format!("http://localhost/qemu-web-desktop/join#{}", "s".repeat(43));
    let wanted = [("csrf", csrf.as_str()), ("role", "view"), ("seconds", "14400"), ("once", "on")];
    let made = text(&alice.post("/sessions/abcdefghjk/shares", &wanted));
    assert!(made.contains(&link) && made.contains("whoever opens it first"));
    // It must not be lost by a page that reloads itself.
    assert!(!made.contains("http-equiv"));
    let page = text(&alice.get("/sessions/abcdefghjk"));
    assert!(!page.contains(&"s".repeat(43)) && page.contains("shares/share1/revoke"));
    assert!(
        page.contains("one browser</span>") && page.contains("not used yet") && page.contains(">3 h 59 min</time>")
    );
    assert_eq!(alice.post("/sessions/abcdefghjk/shares/share1/revoke", &[("csrf", &csrf)]).status, 303);
    assert!(!text(&alice.get("/sessions/abcdefghjk")).contains("share1"));
    assert_eq!(alice.post("/sessions/abcdefghjk/shares", &[("csrf", &csrf), ("role", "root")]).status, 400);
}

#[test]
fn the_owner_sees_who_is_on_the_screen_and_by_which_link() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    assert!(text(&alice.get("/sessions/abcdefghjk")).contains("Nobody has it open"));
    let guest = Viewer { share: "share1".into(), role: "view".into(), since: NOW, ..Viewer::default() };
    let own = Viewer { name: "alice".into(), role: "control".into(), address: "::1".into(), ..Viewer::default() };
    bench.world.lock().unwrap().viewers = vec![own, guest];
    let page = text(&alice.get("/sessions/abcdefghjk"));
    let (_, there) = page.split_once("On the screen now").unwrap();
    for fact in ["<strong>alice (you)</strong>", "works on it", "from ::1", "<strong>A guest</strong>", "link share1"] {
        assert!(there.contains(fact), "{fact}");
    }
}

#[test]
fn a_session_warns_before_its_end_and_offers_what_is_possible() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let mut page = |left, extendable_until| {
        let expires_at = NOW + left;
        let session = crate::bus::Session { expires_at, extendable_until, ..a_session("abcdefghjk", "alice") };
        bench.world.lock().unwrap().sessions = vec![session];
        text(&alice.get("/sessions/abcdefghjk"))
    };
    assert!(!page(901, 0).contains("This session"));
    let soon = page(900, 0);
    assert!(soon.contains("This session ends soon") && soon.contains(">15 min</time>"));
    assert!(soon.contains("value=\"3600\">\n        <button id=\"extend-now\">Extend by 1 hour</button>"), "{soon}");
    assert!(page(300, NOW + 900).contains("This session is about to end"));
    assert!(page(300, NOW + 900).contains("Extend by 10 min"));
    let last = page(300, NOW + 300);
    assert!(last.contains("cannot be extended any further") && !last.contains("extend-now"));
    bench.root.write("etc/qemu-web-desktop/config.toml", "[session]\nwarn = '0'\n");
    assert!(!page(300, 0).contains("This session"));
}

#[test]
fn a_session_that_failed_says_why_and_starts_again() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let mut failed = a_session("abcdefghjk", "alice");
    (failed.state, failed.message) = ("failed".into(), "The machine ran out of memory.".into());
    bench.world.lock().unwrap().sessions.push(failed);
    let page = text(&alice.get("/sessions/abcdefghjk"));
    assert!(page.contains("The machine ran out of memory."));
    assert!(page.contains("?machine=Debian%2012%20%28desktop%29.qcow2&amp;cpus=1&amp;memory=1G&amp;lifetime=1d"));
    assert!(!page.contains("/screen\""));
}

#[test]
fn signing_in_rotates_the_cookie_and_signing_out_ends_it() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let first = alice.cookie("qwd").unwrap().clone();
    let csrf = alice.csrf("/");
    alice.post("/sign-in", &[("csrf", &csrf), ("name", "alice")]);
    assert_ne!(*alice.cookie("qwd").unwrap(), first);
    for old in [first, alice.cookie("qwd").unwrap().clone()] {
        let csrf = alice.csrf("/");
        if alice.cookie("qwd") == Some(&old) {
            assert_eq!(alice.post("/sign-out", &[("csrf", &csrf)]).status, 303);
        }
        let mut thief = Browser::new(&bench);
        thief.set("cookie", &format!("qwd={old}"));
        assert_eq!(thief.get("/sessions").status, 401);
    }
}

#[test]
fn signing_in_leads_back_to_the_page_that_was_asked_for() {
    let bench = Bench::new();
    let pages =
        ["/", "/sessions", "/sessions/abcdefghjk", "/sessions/abcdefghjk/screen", "/monitor", "/monitor?still=1"];
    for page in pages {
        let mut browser = Browser::new(&bench);
        let asked = text(&browser.get(if page == "/" { "/sessions" } else { page }));
        assert!(page == "/" || asked.contains(&format!("name=\"back\" value=\"{page}\"")), "{asked}");
        let csrf = browser.csrf("/sessions");
        // A name that is not taken does not lose the way.
        let again = text(&browser.post("/sign-in", &[("csrf", &csrf), ("name", "../x"), ("back", page)]));
        assert!(again.contains(&format!("name=\"back\" value=\"{page}\"")), "{again}");
        let reply = browser.post("/sign-in", &[("csrf", &csrf), ("name", "alice"), ("back", page)]);
        assert_eq!(header(&reply, "Location"), Some(format!("/qemu-web-desktop{page}").as_str()));
    }
}

#[test]
fn signing_in_leads_nowhere_else() {
    let bench = Bench::new();
    for back in ["//evil.example", "https://evil.example/", "/\\evil.example", "../help", "/sign-out"] {
        let mut browser = Browser::new(&bench);
        let csrf = browser.csrf("/sessions");
        let reply = browser.post("/sign-in", &[("csrf", &csrf), ("name", "alice"), ("back", back)]);
        assert_eq!((reply.status, header(&reply, "Location")), (303, Some("/qemu-web-desktop/sessions")), "{back}");
    }
}

#[test]
fn a_session_is_called_what_the_catalogue_calls_its_machine_or_by_its_file() {
    let bench = Bench::new();
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let mut alice = Browser::of(&bench, "alice");
    let mut read = |path: &str| text(&alice.get(path));
    let page = read("/sessions/abcdefghjk");
    assert!(page.contains("<title>Debian 12 with Xfce: ") && page.contains("<h1>Debian 12 with Xfce</h1>"));
    assert!(page.contains("<dt>Machine</dt><dd>Debian 12 (desktop).qcow2</dd>"));
    assert!(read("/sessions").contains(">Debian 12 with Xfce</a>"));
    assert!(read("/sessions/abcdefghjk/screen").contains("<title>Debian 12 with Xfce</title>"));
    bench.world.lock().unwrap().sessions[0].description.clear();
    let page = read("/sessions/abcdefghjk");
    assert!(page.contains("<h1>Debian 12 (desktop).qcow2</h1>") && !page.contains("<dt>Machine</dt>"));
    assert!(read("/sessions/abcdefghjk/screen").contains("<title>Debian 12 (desktop).qcow2</title>"));
}

#[test]
fn what_the_guest_or_the_catalogue_says_is_text() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let evil = "<script>alert(1)</script>\"'";
    let mut session = a_session("abcdefghjk", "alice");
    (session.machine, session.description, session.message) = (evil.into(), evil.into(), evil.into());
    session.notes = vec![evil.into()];
    {
        let mut world = bench.world.lock().unwrap();
        world.sessions.push(session);
        (world.machines[0].description, world.machines[2].problem) = (evil.into(), evil.into());
    }
    for path in
        ["/", "/sessions", "/sessions/abcdefghjk", "/sessions/abcdefghjk/screen", "/?machine=%3Cscript%3E&name=%22%3E"]
    {
        let page = text(&alice.get(path));
        assert!(!page.contains("<script>alert") && !page.contains("\"'") && !page.contains("\">\""), "{path}");
    }
}

#[test]
fn an_empty_catalogue_names_the_command() {
    let bench = Bench::new();
    bench.world.lock().unwrap().machines.clear();
    let page = text(&Browser::new(&bench).get("/"));
    assert!(page.contains("sudo qwdctl download") && page.contains("/etc/qemu-web-desktop/machines.conf"));
}

#[test]
fn a_broken_connection_to_the_launcher_is_made_anew() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    assert_eq!(alice.get("/").status, 200);
    for server in bench.connections.lock().unwrap().drain(..) {
        server.close().unwrap();
    }
    assert_eq!(alice.get("/").status, 200);
}

#[test]
fn on_https_the_cookie_is_another_one() {
    let bench = Bench::new();
    let mut alice = Browser::new(&bench);
    alice.set("x-forwarded-proto", "https");
    let csrf = alice.csrf("/sessions");
    let reply = alice.post("/sign-in", &[("csrf", &csrf), ("name", "alice")]);
    let cookie = header(&reply, "Set-Cookie").unwrap();
    assert!(cookie.starts_with("__Host-qwd=") && cookie.contains("Secure"), "{cookie}");
    assert_eq!(alice.get("/sessions").status, 200);
    alice.set("x-forwarded-proto", "http");
    assert_eq!(alice.get("/sessions").status, 401);
}

#[test]
fn links_are_absolute_by_public_url() {
    let bench = Bench::new();
    bench.root.write("etc/qemu-web-desktop/config.toml", "public_url = 'https://desktops.example.org/'\n");
    let mut alice = Browser::new(&bench);
    alice.set("host", "desktops.example.org");
    let csrf = alice.csrf("/sessions");
    alice.post("/sign-in", &[("csrf", &csrf), ("name", "alice")]);
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let page = text(&alice.get("/sessions/abcdefghjk"));
    assert!(page.contains("value=\"https://desktops.example.org/qemu-web-desktop/sessions/abcdefghjk\""));
}
