//! The form and the API offer what the launcher would accept, and say why where it is nothing.

use super::{Browser, header, text, value};
use crate::bus::Offer;
use crate::model::{Bytes, Lifetime, Problem, Word};
use crate::portal::testing::Bench;

const FULL: &str = "All 10 places of this service are taken (limits.service_max_session_nb). Try again later.";

fn offering(offer: Offer) -> Bench {
    let bench = Bench::new();
    bench.world.lock().unwrap().offer = offer;
    bench
}

fn nothing() -> Bench {
    offering(Offer { reason: FULL.into(), ..Offer::default() })
}

#[test]
fn the_form_has_only_values_that_would_be_accepted() {
    let offer =
        Offer { sessions: 1, cpus: 2, memory: Bytes(2 << 30), lifetime: Lifetime(86_400), reason: String::new() };
    let bench = offering(offer);
    let page = text(&Browser::of(&bench, "alice").get("/?cpus=4&memory=4G&lifetime=3d"));
    for there in ["value=\"1\"", "value=\"2\"", "value=\"2G\"", "value=\"1d\" selected"] {
        assert!(page.contains(there), "{there}");
    }
    for gone in ["value=\"4\"", "value=\"4G\"", "value=\"2d\"", "value=\"3d\""] {
        assert!(!page.contains(gone), "{gone}");
    }
}

#[test]
fn where_nothing_can_be_started_the_page_says_why_and_has_no_form_for_it() {
    let bench = nothing();
    let mut alice = Browser::of(&bench, "alice");
    let page = text(&alice.get("/"));
    assert!(page.contains(FULL) && page.contains("Debian 12 with Xfce"));
    assert!(!page.contains("Start the session") && !page.contains("<select"));
    assert_eq!(page.matches("value=\"slax.iso\" required disabled").count(), 1);
}

#[test]
fn an_empty_catalogue_is_told_whatever_else_stands_in_the_way() {
    let bench = nothing();
    bench.world.lock().unwrap().machines.clear();
    let page = text(&Browser::of(&bench, "alice").get("/"));
    assert!(page.contains("There are no machines yet") && page.contains("qwdctl download") && !page.contains(FULL));
}

#[test]
fn a_refusal_that_is_also_the_reason_is_said_once() {
    let bench = Bench::new();
    let mut alice = Browser::of(&bench, "alice");
    let csrf = alice.csrf("/");
    {
        let mut world = bench.world.lock().unwrap();
        world.refusal = Some(Problem::new(Word::LimitReached, FULL));
        world.offer = Offer { reason: FULL.into(), ..Offer::default() };
    }
    let reply = alice.post("/sessions", &[("csrf", &csrf), ("machine", "slax.iso"), ("terms", "on")]);
    assert_eq!((reply.status, header(&reply, "Location")), (409, None));
    assert_eq!(text(&reply).matches(FULL).count(), 1);
}

#[test]
fn the_api_says_what_would_be_accepted() {
    let (memory, lifetime) = (Bytes(5 << 20), Lifetime(60));
    let bench = offering(Offer { sessions: 2, cpus: 3, memory, lifetime, ..Offer::default() });
    let mut alice = Browser::of(&bench, "alice");
    let offer = serde_json::json!(
        {"sessions": 2, "cpus": 3, "memory_bytes": 5 << 20, "lifetime_seconds": 60, "reason": ""}
    );
    let machines = value(&alice.get("/api/v1/machines"));
    assert_eq!((&machines["offer"], machines["machines"][1]["name"].as_str()), (&offer, Some("slax.iso")));
    let status = value(&alice.get("/api/v1/status"));
    assert_eq!((&status["offer"], status["version"].as_str()), (&offer, Some("1")));
}

#[test]
fn each_machine_says_what_it_needs_and_why_it_does_not_fit_now() {
    let bench = Bench::new();
    {
        let mut world = bench.world.lock().unwrap();
        world.machines[0].unfit = "It needs 8 GiB of memory. The server has 3 GiB free.".into();
        world.machines[0].memory_min = Some(Bytes(8 << 30));
        world.machines[1].cpus = 2;
        world.machines[1].cpus_min = Some(2);
        world.machines[1].cpus_max = Some(4);
    }
    let page = text(&Browser::of(&bench, "alice").get("/"));
    assert!(page.contains("It needs 8 GiB of memory. The server has 3 GiB free.") && page.contains("at least 8 GiB"));
    assert!(page.contains("2 to 4 CPUs"));
    let radio = |name: &str| {
        let (_, rest) = page.split_once(&format!("name=\"machine\" value=\"{name}\"")).unwrap();
        rest.split('>').next().unwrap().to_owned()
    };
    assert!(radio("Debian 12 (desktop).qcow2").contains(" disabled"));
    assert!(radio("slax.iso").contains(" checked") && radio("slax.iso").contains("data-cpus=\"2 4 2\""));
}

#[test]
fn a_long_list_can_be_searched_and_a_short_one_needs_no_search() {
    let bench = Bench::new();
    let page = |bench: &Bench| text(&Browser::of(bench, "alice").get("/"));
    assert!(!page(&bench).contains("type=\"search\""));
    let mut world = bench.world.lock().unwrap();
    let one = world.machines[0].clone();
    world.machines.extend(vec![one; 27]);
    drop(world);
    assert!(page(&bench).contains("type=\"search\"") && page(&bench).contains("Search 30 machines"));
}
