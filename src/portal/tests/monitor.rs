//! The monitor and the metrics, as administrators and machines see them.

use super::{Browser, Method, header, text};
use crate::bus::Session;
use crate::model::State;
use crate::portal::testing::{Bench, a_session};

const CONFIG: &str = "etc/qemu-web-desktop/config.toml";

fn with_sessions() -> Bench {
    let bench = Bench::new();
    let mut world = bench.world.lock().unwrap();
    world.sessions.push(a_session("abcdefghjk", "alice"));
    world.sessions.push(Session { state: State::Stopping, ..a_session("bbbbbbbbbb", "bob") });
    drop(world);
    bench
}

#[test]
fn an_administrator_sees_what_everybody_uses() {
    let bench = with_sessions();
    let mut boss = Browser::by_password(&bench, "boss");
    assert!(text(&boss.get("/")).contains("href=\"/qemu-web-desktop/monitor\""));
    let page = text(&boss.get("/monitor"));
    for words in ["alice", "bob", "200 MiB of 1 GiB", "0.5 (2 CPUs)", "KVM", "1 min old", "… of 1", "Stop all…"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(page.contains("sessions/abcdefghjk/stop") && page.contains("sessions/bbbbbbbbbb/kill"));
    assert!(!page.contains("/picture"));
    // The second reading makes a rate.
    assert!(text(&boss.get("/monitor")).contains("0.50 of 1"));
    let (status, value) = boss.json(Method::Get, "/monitor", "");
    assert_eq!(
        (status, value["sessions"][0]["cpus_busy"].as_f64(), value["status"]["sessions_max"].as_u64()),
        (200, Some(0.5), Some(10))
    );
    for key in ["id", "owner", "url", "cpu_seconds", "memory_used_bytes", "memory_limit_bytes", "tasks", "viewers"] {
        assert!(!value["sessions"][0][key].is_null(), "{key}");
    }
}

#[test]
fn an_administrator_reads_titles_and_whose_a_session_is() {
    let bench = with_sessions();
    let mut boss = Browser::by_password(&bench, "boss");
    let mine = a_session("cccccccccc", "boss");
    bench.world.lock().unwrap().sessions.push(mine);
    let monitor = text(&boss.get("/monitor"));
    assert!(monitor.contains(">Debian 12 with Xfce</a>") && !monitor.contains("Debian 12 (desktop).qcow2"));
    let marked = "/sessions\" aria-current=\"page\"";
    let all = text(&boss.get("/sessions?all=1"));
    assert!(all.contains("<title>All sessions") && !all.contains(marked) && all.contains("data-all"));
    assert!(all.contains("<strong>alice</strong>") && all.contains("The session of alice shuts down"));
    assert!(text(&boss.get("/sessions")).contains(marked));
    let (theirs, own) = (text(&boss.get("/sessions/abcdefghjk")), text(&boss.get("/sessions/cccccccccc")));
    assert!(theirs.contains("<title>alice: Debian 12 with Xfce") && theirs.contains("This session belongs to alice."));
    assert!(!theirs.contains(marked) && own.contains(marked) && !own.contains("This session belongs to"));
}

#[test]
fn an_ordinary_user_is_not_even_shown_the_way() {
    let bench = with_sessions();
    let mut alice = Browser::by_password(&bench, "alice");
    assert!(!text(&alice.get("/")).contains("/monitor"));
    let refused = alice.get("/monitor");
    assert!(refused.status == 403 && !text(&refused).contains("bbbbbbbbbb"));
    assert_eq!(alice.json(Method::Get, "/monitor", "").1["error"], "not_allowed");
}

#[test]
fn one_or_all_are_stopped_and_the_monitor_comes_back() {
    let bench = with_sessions();
    let mut boss = Browser::by_password(&bench, "boss");
    let csrf = boss.csrf("/monitor");
    let back = Some("/qemu-web-desktop/monitor");
    let one = boss.post("/sessions/abcdefghjk/stop", &[("csrf", &csrf), ("back", "monitor")]);
    assert_eq!((one.status, header(&one, "Location")), (303, back));
    let elsewhere = boss.post("/sessions/abcdefghjk/stop", &[("csrf", &csrf), ("back", "//evil.example")]);
    assert_eq!(header(&elsewhere, "Location"), Some("/qemu-web-desktop/sessions/abcdefghjk"));
    bench.world.lock().unwrap().sessions.push(a_session("cccccccccc", "carol"));
    assert_eq!(boss.post("/monitor/stop", &[("csrf", "x")]).status, 403);
    let all = boss.post("/monitor/stop", &[("csrf", &csrf)]);
    assert_eq!((all.status, header(&all, "Location")), (303, back));
    assert!(bench.world.lock().unwrap().sessions.iter().all(|s| s.state == State::Stopping));
}

#[test]
fn an_idle_service_says_so() {
    let bench = Bench::new();
    let page = text(&Browser::by_password(&bench, "boss").get("/monitor"));
    assert!(page.contains("Nothing is running.") && !page.contains("Stop all"));
}

#[test]
fn without_a_script_the_page_refreshes_itself_until_it_is_held_still() {
    let bench = with_sessions();
    let mut boss = Browser::by_password(&bench, "boss");
    assert!(text(&boss.get("/monitor")).contains("<noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>"));
    assert!(!text(&boss.get("/monitor?still=1")).contains("http-equiv"));
}

#[test]
fn pictures_are_shown_where_they_are_on_and_taken_seldom() {
    let bench = with_sessions();
    let mut boss = Browser::by_password(&bench, "boss");
    let address = "/monitor/abcdefghjk/picture";
    assert_eq!((boss.get(address).status, bench.world.lock().unwrap().pictures), (403, 0));
    bench.root.write(CONFIG, "[monitor]\npictures = true\n");
    let page = text(&boss.get("/monitor"));
    assert!(page.contains(address) && !page.contains("/monitor/bbbbbbbbbb/picture"));
    for _ in 0..5 {
        let picture = boss.get(address);
        assert_eq!((picture.status, header(&picture, "Content-Type")), (200, Some("image/png")));
        assert!(picture.body.starts_with(b"\x89PNG"));
    }
    assert_eq!(bench.world.lock().unwrap().pictures, 1);
    assert_eq!(boss.get("/monitor/nosuchsess/picture").status, 404);
    bench.root.write(CONFIG, "[monitor]\npictures = false\n");
    assert_eq!(boss.get(address).status, 403);
}

#[test]
fn metrics_are_for_programs_here_and_where_the_configuration_says() {
    let bench = with_sessions();
    let mut program = Browser::by_password(&bench, "alice");
    program.set("cookie", "");
    let ours = program.get("/metrics");
    assert_eq!(header(&ours, "Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let metrics = text(&ours);
    assert!(metrics.contains("qwd_sessions{state=\"running\"} 7\n") && !metrics.contains("alice"));
    program.set("x-forwarded-for", "127.0.0.1, 192.0.2.7");
    let refused = program.get("/metrics");
    assert!(refused.status == 403 && text(&refused).contains("metrics_clients"));
    bench.root.write(CONFIG, "[monitor]\nmetrics_clients = ['192.0.2.0/24']\n");
    assert_eq!(program.get("/metrics").status, 200);
    program.set("x-forwarded-for", "192.0.3.7");
    assert_eq!(program.get("/metrics").status, 403);
}

#[test]
fn what_happens_is_counted() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let wish = r#"{"machine":"slax.iso","terms":true}"#;
    assert_eq!(alice.json(Method::Post, "/sessions", wish).0, 201);
    bench.world.lock().unwrap().refusal =
        Some(crate::model::Problem::new(crate::model::Word::LimitReached, "All places are taken."));
    assert_eq!(alice.json(Method::Post, "/sessions", wish).0, 409);
    let csrf = Browser::new(&bench).csrf("/sessions");
    assert_eq!(Browser::new(&bench).post("/sign-in", &[("csrf", &csrf), ("name", "a\u{202e}b")]).status, 403);
    let mut other = Browser::new(&bench);
    let csrf = other.csrf("/sessions");
    assert_eq!(other.post("/sign-in", &[("csrf", &csrf), ("name", "a\u{202e}b")]).status, 400);
    let metrics = text(&Browser::new(&bench).get("/metrics"));
    for line in [
        "qwd_sign_ins_total{result=\"accepted\"} 1",
        "qwd_sign_ins_total{result=\"refused\"} 1",
        "qwd_creations_total{result=\"accepted\"} 1",
        "qwd_creations_total{result=\"limit_reached\"} 1",
        "qwd_http_requests_total{status=\"5xx\"} 0",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line} in\n{metrics}");
    }
}
