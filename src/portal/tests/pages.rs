//! The pages, by forms and links alone.

use super::{Browser, Method, NOW, header, text};
use crate::auth::PAM_SOCKET;
use crate::bus::tests::a_viewer;
use crate::bus::{Session, Viewer};
use crate::model::{Owner, Problem, Role, State, Word};
use crate::portal::testing::{Bench, Helper, a_session};

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
    assert!(text(&browser.get("/")).contains("My sessions</h2>"));
}

#[test]
fn without_consent_nothing_starts_and_the_form_keeps_what_was_typed() {
    let bench = Bench::new();
    let mut browser = Browser::new(&bench);
    let csrf = browser.csrf("/");
    let reply = browser.post("/sessions", &wish(&csrf, &[("terms", "")]));
    let page = text(&reply);
    assert_eq!(reply.status, 400);
    assert!(page.contains("then tick the box") && page.contains("value=\"alice\""));
    assert!(page.contains("value=\"slax.iso\" required checked") && page.contains("value=\"2G\" selected"));
    assert!(bench.world.lock().unwrap().created.is_empty());
}

#[test]
fn all_that_is_wrong_with_a_form_is_said_at_once() {
    let bench = Bench::new();
    let mut browser = Browser::new(&bench);
    let csrf = browser.csrf("/");
    let bad = [("machine", ""), ("name", "ali\u{202e}ce"), ("cpus", "many"), ("memory", "1X"), ("lifetime", "x")];
    let reply = browser.post("/sessions", &wish(&csrf, &[&bad[..], &[("terms", "")]].concat()));
    let page = text(&reply);
    assert_eq!(reply.status, 400);
    assert!(page.contains("<title>Error: session not started – "));
    let (_, summary) = page.split_once("id=\"errors\" role=\"alert\" tabindex=\"-1\" autofocus").unwrap();
    let (summary, _) = summary.split_once("</div>").unwrap();
    for id in ["machine", "cpus", "memory", "lifetime", "terms", "name"] {
        assert!(summary.contains(&format!("<a href=\"#{id}\">")), "{id}: {summary}");
        assert!(page.contains(&format!(" id=\"{id}\"")) && page.contains(&format!(" id=\"{id}-error\"")), "{id}");
    }
    // Names of people are no errors, and neither is none.
    for name in ["Ada Lovelace", "Jürgen", ""] {
        let page = text(&browser.post("/sessions", &wish(&csrf, &[("name", name), ("terms", "")])));
        assert!(page.contains("terms-error") && !page.contains("name-error"), "{name}");
    }
}

#[test]
fn bad_fields_bring_the_form_back_with_a_sentence() {
    let bench = Bench::new();
    let mut browser = Browser::new(&bench);
    let csrf = browser.csrf("/");
    let long = "a".repeat(10_000);
    for (field, bad) in [
        ("name", "ali\u{202e}ce"),
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
    assert!(browser.cookie("qwd-browser").is_none());
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
    assert_eq!(bench.world.lock().unwrap().sessions[0].state, State::Running);
    assert_eq!(alice.post("/sessions/abcdefghjk/stop", &[("csrf", &csrf)]).status, 303);
    assert_eq!(bench.world.lock().unwrap().sessions[0].state, State::Stopping);
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
    // The page says so, for this end only.
    let page = text(&alice.get("/sessions/abcdefghjk?extended=1090000"));
    assert!(page.contains("id=\"done\"") && page.contains("The session was extended. It now ends <time"));
    for end in ["1090001", "x", ""] {
        assert!(!text(&alice.get(&format!("/sessions/abcdefghjk?extended={end}"))).contains("id=\"done\""));
    }
    for bad in ["0", "-1", "1e3", "99999999999999999999", ""] {
        assert_eq!(
            alice.post("/sessions/abcdefghjk/extend", &[("csrf", &csrf), ("seconds", bad)]).status,
            400,
            "{bad}"
        );
    }
}

#[test]
fn an_extension_that_is_refused_has_the_focus_and_the_title() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let csrf = alice.csrf("/sessions/abcdefghjk");
    let fields = [("csrf", csrf.as_str()), ("seconds", "3600")];
    bench.world.lock().unwrap().refusal = Some(Problem::new(Word::LimitReached, "It ends with the day."));
    let page = text(&alice.post("/sessions/abcdefghjk/extend", &fields));
    assert!(page.contains("<title>Error: ") && page.contains("id=\"errors\" role=\"alert\" tabindex=\"-1\" autofocus"));
}

#[test]
fn sessions_of_one_machine_are_told_apart_and_their_end_is_a_moment() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    for (id, created_at) in [("aaaaabbbbb", 1_000_000), ("cccccddddd", 1_000_300)] {
        bench.world.lock().unwrap().sessions.push(Session { created_at, ..a_session(id, "alice") });
    }
    for path in ["/", "/sessions"] {
        let page = text(&alice.get(path));
        for (id, started) in [("aaaaabbbbb", "1970-01-12 13:46 UTC"), ("cccccddddd", "1970-01-12 13:51 UTC")] {
            let (_, tile) = page.split_once(&format!("id=\"tile-{id}\"")).unwrap();
            let (tile, _) = tile.split_once("</li>").unwrap();
            assert!(tile.contains(&format!("<code>{id}</code>")) && tile.contains(started), "{path}: {tile}");
            assert!(tile.contains(&format!("data-src=\"/qemu-web-desktop/sessions/{id}/picture\"")));
            assert!(tile.contains(&format!("Open<span class=\"aside\"> Debian 12 with Xfce, session {id}</span>")));
            assert!(tile.contains(" left</time>, ends <time") && tile.contains(">1970-01-13 13:46 UTC</time>"));
        }
    }
    let page = text(&alice.get("/sessions/aaaaabbbbb"));
    assert!(page.contains("<dt>Ends</dt><dd><time class=\"moment\" datetime=\"1970-01-13T13:46:40Z\">"));
}

#[test]
fn a_session_that_has_ended_has_no_time_left_and_no_notes() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    for (id, state) in [("aaaaabbbbb", State::Stopping), ("cccccddddd", State::Ended)] {
        let notes = vec!["This desktop has no network access.".to_owned()];
        let session = Session { state, expires_at: NOW - 1, notes, ..a_session(id, "alice") };
        bench.world.lock().unwrap().sessions.push(session);
    }
    for path in ["/", "/sessions", "/sessions/aaaaabbbbb", "/sessions/cccccddddd"] {
        let page = text(&alice.get(path));
        assert!(!page.contains("over left") && !page.contains("class=\"left\""), "{path}");
        assert_eq!(page.contains("no network access"), path.ends_with("/aaaaabbbbb"), "{path}");
    }
}

#[test]
fn a_list_of_sessions_has_a_version_that_scripts_wait_by() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    for path in ["/", "/sessions"] {
        assert!(text(&alice.get(path)).contains("data-version=\"vabcdefghjkrunning\""), "{path}");
    }
    let mut ask = |version: &str| alice.json(Method::Get, &format!("/sessions?wait={version}"), "").1;
    let answer = ask("vold");
    assert_eq!(
        (&answer["version"], &answer["sessions"][0]["id"]),
        (&"vabcdefghjkrunning".into(), &"abcdefghjk".into())
    );
    assert_eq!(bench.world.lock().unwrap().waited, 0);
    ask("vabcdefghjkrunning");
    assert_eq!(bench.world.lock().unwrap().waited, 1);
    // Others who wait leave half of the places: then the answer comes at once.
    let _taken: Vec<_> =
        ["192.0.2.7", "198.51.100.9"].iter().filter_map(|a| bench.app.waiting.enter(a.parse().ok())).collect();
    ask("vabcdefghjkrunning");
    assert_eq!(bench.world.lock().unwrap().waited, 1);
    assert!(text(&Browser::new(&bench).get("/")).contains("<form") && bench.app.waiting.taken() == 2);
}

#[test]
fn an_owner_has_pictures_of_their_own_screens_and_one_client_takes_one_at_a_time() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let own = alice.cookie("qwd-browser").unwrap().parse().unwrap();
    let owner_id = Owner::browser(&crate::random::digest(&own)).unwrap();
    bench.world.lock().unwrap().sessions.push(Session { owner_id, ..a_session("abcdefghjk", "alice") });
    for _ in 0..2 {
        let picture = alice.get("/sessions/abcdefghjk/picture");
        assert_eq!((picture.status, header(&picture, "Content-Type")), (200, Some("image/png")));
    }
    assert_eq!(bench.world.lock().unwrap().pictures, 1);
    let _drawing = bench.app.drawing.enter("127.0.0.1".parse().ok());
    assert_eq!(alice.get("/sessions/abcdefghjk/picture").status, 503);
    assert_eq!(Browser::of(&bench, "bob").get("/sessions/abcdefghjk/picture").status, 404);
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
        page.contains("one browser</span>")
            && page.contains("not used yet")
            && page.contains(">3 h 59 min left</time>, until <time")
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
    let guest = Viewer { share: "share1".into(), since: NOW, ..a_viewer("abcdefghjk") };
    let own = alice.cookie("qwd-browser").unwrap().parse().unwrap();
    let name_id = Owner::browser(&crate::random::digest(&own)).ok();
    let own = Viewer { name: "alice".into(), name_id, role: Role::Control, ..a_viewer("abcdefghjk") };
    let own = Viewer { address: "::1".parse().ok(), ..own };
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
fn a_session_whose_guest_has_booted_says_so_while_it_runs() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    for (state, booted, says_so) in
        [(State::Running, true, true), (State::Running, false, false), (State::Ended, true, false)]
    {
        let session = crate::bus::Session { state, booted, ..a_session("abcdefghjk", "alice") };
        bench.world.lock().unwrap().sessions = vec![session];
        assert_eq!(text(&alice.get("/sessions/abcdefghjk")).contains("<dd>Booted</dd>"), says_so, "{state} {booted}");
    }
}

#[test]
fn a_session_that_failed_says_why_and_starts_again() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let mut failed = a_session("abcdefghjk", "alice");
    (failed.state, failed.message) = (State::Failed, "The machine ran out of memory.".into());
    bench.world.lock().unwrap().sessions.push(failed);
    let page = text(&alice.get("/sessions/abcdefghjk"));
    assert!(page.contains("The machine ran out of memory."));
    assert!(page.contains("?machine=Debian%2012%20%28desktop%29.qcow2&amp;cpus=1&amp;memory=1G&amp;lifetime=1d"));
    assert!(!page.contains("/screen\""));
}

#[test]
fn a_browser_stays_the_owner_whatever_name_is_typed_and_signing_out_ends_it() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let kept = alice.cookie("qwd-browser").unwrap().clone();
    let own = crate::random::digest(&kept.parse().unwrap());
    let session = Session { owner_id: Owner::browser(&own).unwrap(), ..a_session("abcdefghjk", "alice") };
    bench.world.lock().unwrap().sessions.push(session);
    let csrf = alice.csrf("/");
    let reply = alice.post("/sign-in", &[("csrf", &csrf), ("name", "Ada Lovelace")]);
    let set: Vec<_> = reply.headers.iter().filter(|(name, _)| *name == "Set-Cookie").map(|(_, v)| v).collect();
    assert!(set.iter().all(|set| set.contains("Max-Age=34560000") && set.ends_with("SameSite=Strict")), "{set:?}");
    assert_eq!(*alice.cookie("qwd-browser").unwrap(), kept);
    assert!(text(&alice.get("/sessions")).contains("Ada Lovelace"));
    let csrf = alice.csrf("/");
    assert_eq!(alice.post("/sign-out", &[("csrf", &csrf), ("sure", "yes")]).status, 303);
    assert_eq!(alice.cookie("qwd-browser").map(String::as_str), Some(""));
    let mut thief = Browser::new(&bench);
    thief.set("cookie", &format!("qwd-browser={kept}"));
    assert_eq!(thief.get("/sessions").status, 401);
}

#[test]
fn a_planted_cookie_that_owns_nothing_is_replaced_when_a_name_is_typed() {
    let bench = Bench::new();
    let planted = crate::random::secret();
    for by_script in [false, true] {
        let mut victim = Browser::new(&bench);
        victim.plant("qwd-browser", planted.expose());
        if by_script {
            assert_eq!(victim.json(Method::Post, "/sign-in", r#"{"name":"ada"}"#).0, 200);
        } else {
            let csrf = victim.csrf("/");
            assert_eq!(victim.post("/sign-in", &[("csrf", &csrf), ("name", "ada")]).status, 303);
        }
        assert_ne!(victim.cookie("qwd-browser").unwrap(), planted.expose());
    }
}

#[test]
fn browsers_that_own_nothing_are_not_remembered_when_they_sign_out() {
    let bench = Bench::new();
    let remembered = || std::fs::read_dir(bench.root.path().join("state/signed-out")).unwrap().count();
    for _ in 0..3 {
        assert_eq!(Browser::of(&bench, "ada").json(Method::Delete, "/sign-in", "").0, 204);
    }
    assert_eq!(remembered(), 0);
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    assert_eq!(alice.json(Method::Delete, "/sign-in", "").0, 204);
    assert_eq!(remembered(), 1);
}

#[test]
fn a_browser_is_asked_before_it_gives_its_sessions_up() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let csrf = alice.csrf("/");
    let asked = alice.post("/sign-out", &[("csrf", &csrf)]);
    assert!(asked.status == 200 && text(&asked).contains("A session belongs to this browser"));
    assert_eq!(alice.get("/sessions").status, 200);
    assert_eq!(alice.post("/sign-out", &[("csrf", &csrf), ("sure", "yes")]).status, 303);
    assert_eq!(alice.get("/sessions").status, 401);
}

#[test]
fn the_link_of_its_page_brings_a_session_to_another_browser() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let own = alice.cookie("qwd-browser").unwrap().parse().unwrap();
    let mut session = a_session("abcdefghjk", "alice");
    session.owner_id = Owner::browser(&crate::random::digest(&own)).unwrap();
    bench.world.lock().unwrap().sessions.push(session);
    let page = text(&alice.get("/sessions/abcdefghjk"));
    let (_, link) = page.split_once("id=\"continue-link\" class=\"copy\" readonly value=\"").unwrap();
    let link = link.split('"').next().unwrap().to_owned();
    let (path, secret) = link.split_once("/continue#").unwrap();
    assert!(path.ends_with("/sessions/abcdefghjk") && secret.len() == 43 + 1 + 64);
    let mut other = Browser::new(&bench);
    let csrf = other.csrf("/sessions/abcdefghjk/continue");
    let wrong = "a".repeat(43);
    for (token, code, status) in [("", secret, 403), (&csrf, "", 403), (&csrf, &wrong, 403), (&csrf, &link, 303)] {
        let reply = other.post("/sessions/abcdefghjk/continue", &[("csrf", token), ("code", code)]);
        assert_eq!(reply.status, status, "{code}");
    }
    let taken: crate::model::Secret = other.cookie("qwd-browser").unwrap().parse().unwrap();
    let owner = bench.world.lock().unwrap().sessions[0].owner_id.clone();
    assert_eq!(owner, Owner::browser(&crate::random::digest(&taken)).unwrap());
    // The link is spent, also for the one who was the owner; the session has another now.
    for browser in [&mut alice, &mut Browser::new(&bench)] {
        let csrf = browser.csrf("/sessions/abcdefghjk/continue");
        let reply = browser.post("/sessions/abcdefghjk/continue", &[("csrf", &csrf), ("code", &link)]);
        assert!(reply.status == 403 && text(&reply).contains("has moved to another browser"));
    }
    assert_eq!(bench.world.lock().unwrap().sessions[0].owner_id, owner);
    assert!(!text(&other.get("/sessions/abcdefghjk")).contains(secret));
    // It has no such link for anybody but its owner, and none where people sign in.
    assert!(!text(&alice.get("/sessions/abcdefghjk")).contains("continue-link"));
    let mut signed_in = Browser::by_password(&bench, "alice");
    assert!(!text(&signed_in.get("/sessions/abcdefghjk")).contains("continue-link"));
    assert_eq!(signed_in.get("/sessions/abcdefghjk/continue").status, 404);
}

#[test]
fn signing_in_rotates_the_cookie_and_signing_out_ends_it() {
    let bench = Bench::new();
    let _helper = Helper::of_alice(bench.root.path(), PAM_SOCKET);
    let mut alice = Browser::by_password(&bench, "alice");
    let first = alice.cookie("qwd").unwrap().clone();
    let csrf = alice.csrf("/");
    alice.post("/sign-in", &[("csrf", &csrf), ("name", "alice"), ("password", "right")]);
    assert_ne!(*alice.cookie("qwd").unwrap(), first);
    for old in [first, alice.cookie("qwd").unwrap().clone()] {
        if alice.cookie("qwd") == Some(&old) {
            let csrf = alice.csrf("/");
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
        let again = text(&browser.post("/sign-in", &[("csrf", &csrf), ("name", "a\u{202e}b"), ("back", page)]));
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
    assert!(page.contains("<title>Debian 12 with Xfce: ") && page.contains(">Debian 12 with Xfce</h1>"));
    assert!(page.contains("<dt>Machine</dt><dd>Debian 12 (desktop).qcow2</dd>"));
    assert!(read("/sessions").contains(">Debian 12 with Xfce</a>"));
    assert!(read("/sessions/abcdefghjk/screen").contains("<title>Debian 12 with Xfce</title>"));
    bench.world.lock().unwrap().sessions[0].description.clear();
    let page = read("/sessions/abcdefghjk");
    assert!(page.contains(">Debian 12 (desktop).qcow2</h1>") && !page.contains("<dt>Machine</dt>"));
    assert!(read("/sessions/abcdefghjk/screen").contains("<title>Debian 12 (desktop).qcow2</title>"));
}

#[test]
fn what_the_guest_or_the_catalogue_says_is_text() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let evil = "<script>alert(1)</script>\"'";
    let mut session = a_session("abcdefghjk", "alice");
    (session.description, session.message) = (evil.into(), evil.into());
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
    assert!(cookie.starts_with("__Host-qwd-browser=") && cookie.contains("Secure"), "{cookie}");
    assert_eq!(alice.get("/sessions").status, 200);
    alice.set("x-forwarded-proto", "http");
    assert_eq!(alice.get("/sessions").status, 401);
}

#[test]
fn links_are_absolute_by_public_url() {
    let bench = Bench::new();
    let config = "public_url = 'https://desktops.example.org/'\n[sign_in]\nmethods = ['remote_user']\n";
    bench.root.write("etc/qemu-web-desktop/config.toml", config);
    let mut alice = Browser::new(&bench);
    alice.set("host", "desktops.example.org");
    alice.set("x-remote-user", "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let reply = alice.get("/sessions/abcdefghjk");
    let location = "https://desktops.example.org/qemu-web-desktop/sessions/abcdefghjk?from=http";
    assert_eq!((reply.status, header(&reply, "Location")), (307, Some(location)));
    // What a proxy that speaks TLS and leaves no trace sends.
    alice.set("sec-fetch-mode", "navigate");
    let page = text(&alice.get("/sessions/abcdefghjk"));
    assert!(page.contains("value=\"https://desktops.example.org/qemu-web-desktop/sessions/abcdefghjk\""));
    assert!(page.contains("class=\"qr\"") && !page.contains("this computer only"));
}

#[test]
fn links_that_lead_nowhere_elsewhere_have_no_code_and_say_what_to_set() {
    let bench = Bench::new();
    bench.root.write("etc/qemu-web-desktop/config.toml", "[sign_in]\nmethods = ['remote_user']\n");
    let mut alice = Browser::new(&bench);
    alice.set("x-remote-user", "alice");
    bench.world.lock().unwrap().sessions.push(a_session("abcdefghjk", "alice"));
    let csrf = alice.csrf("/sessions/abcdefghjk");
    for host in ["localhost", "127.0.0.1:8080"] {
        alice.set("host", host);
        let page = text(&alice.get("/sessions/abcdefghjk"));
        assert!(!page.contains("class=\"qr\"") && !page.contains("id=\"page-link\""), "{page}");
        assert!(page.contains("<code>public_url</code>"));
        let made = text(&alice.post("/sessions/abcdefghjk/shares", &[("csrf", &csrf), ("role", "view")]));
        assert!(made.contains("id=\"share-link\"") && !made.contains("class=\"qr\""), "{made}");
        assert!(made.contains("This link works on this computer only."));
    }
    alice.set("host", "192.0.2.7");
    assert!(text(&alice.get("/sessions/abcdefghjk")).contains("class=\"qr\""));
}
