//! Signing in by mail, against a stand-in for the unit that sends them.

use super::{Browser, header, text};
use crate::auth::MAIL_SOCKET;
use crate::model::{Problem, Word};
use crate::portal::http::Reply;
use crate::portal::testing::{Bench, Helper};

const CONFIG: &str = "public_url = 'http://localhost'\n[sign_in]\nmethods = ['email']\n\
    [sign_in.email]\nallowed_domains = ['Example.org']\n[mail]\nserver = 'mail.example.org'\nfrom = 'd@example.org'\n";

fn with_mail(verdict: &'static str) -> (Bench, Helper) {
    let bench = Bench::new();
    bench.root.write("etc/qemu-web-desktop/config.toml", CONFIG);
    let answer = format!(r#"{{"result":"{verdict}","message":"The mail server mail.example.org does not answer."}}"#);
    let helper = Helper::listen(bench.root.path(), MAIL_SOCKET, move |_| answer.clone());
    (bench, helper)
}

fn browser(bench: &Bench) -> Browser<'_> {
    let mut browser = Browser::new(bench);
    browser.set("x-forwarded-for", "192.0.2.7");
    browser
}

fn ask_for_link(browser: &mut Browser<'_>, address: &str) -> Reply {
    ask_for_link_at(browser, "/", address)
}

/// The same on the page that asks who is there in the place of another.
fn ask_for_link_at(browser: &mut Browser<'_>, page: &str, address: &str) -> Reply {
    let csrf = browser.csrf(page);
    browser.post("/sign-in/email", &[("csrf", &csrf), ("back", page), ("address", address)])
}

/// The secret in the last mail.
fn mailed(helper: &Helper) -> String {
    let letter = helper.asked.lock().unwrap().last().unwrap()["sign_in_link"].clone();
    let link = letter["link"].as_str().unwrap();
    let secret = link.strip_prefix("http://localhost/qemu-web-desktop/enter#").unwrap();
    assert_eq!((secret, letter["minutes"].as_u64()), (letter["code"].as_str().unwrap(), Some(30)));
    secret.to_owned()
}

/// Presses a button of the page that the link leads to.
fn press(browser: &mut Browser<'_>, code: &str, button: &str, terms: &str) -> Reply {
    let csrf = browser.csrf("/enter");
    let form = [("csrf", &csrf[..]), ("code", code), ("do", button), ("machine", "slax.iso"), ("terms", terms)];
    browser.post("/enter", &form)
}

#[test]
fn a_link_starts_a_session_once() {
    let (bench, helper) = with_mail("accept");
    let mut alice = browser(&bench);
    let told = ask_for_link(&mut alice, "Alice@EXAMPLE.org");
    assert!(told.status == 200 && text(&told).contains("a mail is on its way"));
    let code = mailed(&helper);
    let page = text(&alice.get("/enter"));
    assert!(page.contains("Code from the mail") && page.contains("slax.iso") && page.contains("Only sign in"));
    assert!(bench.world.lock().unwrap().created.is_empty(), "looking starts nothing");
    let reply = press(&mut alice, &code, "create", "on");
    assert_eq!((reply.status, header(&reply, "Location")), (303, Some("/qemu-web-desktop/sessions/newsessabc")));
    assert_eq!(bench.world.lock().unwrap().created[0].0.name, "alice@example.org");
    assert_eq!(alice.get("/sessions/newsessabc").status, 200);
    assert_eq!(press(&mut browser(&bench), &code, "create", "on").status, 403);
    assert_eq!(bench.world.lock().unwrap().created.len(), 1);
}

#[test]
fn the_code_or_the_whole_link_can_be_pasted_just_to_sign_in() {
    let (bench, helper) = with_mail("accept");
    for form in ["", "http://localhost/qemu-web-desktop/enter#"] {
        let mut alice = browser(&bench);
        ask_for_link(&mut alice, "alice@example.org");
        let reply = press(&mut alice, &format!(" {form}{} ", mailed(&helper)), "sign-in", "");
        assert_eq!((reply.status, header(&reply, "Location")), (303, Some("/qemu-web-desktop/")));
        assert!(text(&alice.get("/")).contains("alice@example.org"));
    }
    assert!(bench.world.lock().unwrap().created.is_empty());
}

#[test]
fn a_link_leads_on_to_the_page_it_was_asked_for_at_and_nowhere_else() {
    let (bench, helper) = with_mail("accept");
    for (page, place) in [("/monitor", "/qemu-web-desktop/monitor"), ("/sessions", "/qemu-web-desktop/sessions")] {
        ask_for_link_at(&mut browser(&bench), page, &format!("a{}@example.org", page.len()));
        // Who opens it elsewhere is led on as well: the page is remembered here, not by the browser.
        let reply = press(&mut browser(&bench), &mailed(&helper), "sign-in", "");
        assert_eq!(header(&reply, "Location"), Some(place));
    }
    let mut eve = browser(&bench);
    let csrf = eve.csrf("/");
    eve.post("/sign-in/email", &[("csrf", &csrf), ("back", "//evil.example"), ("address", "eve@example.org")]);
    let reply = press(&mut eve, &mailed(&helper), "sign-in", "");
    assert_eq!(header(&reply, "Location"), Some("/qemu-web-desktop/sessions"));
}

#[test]
fn what_is_wrong_with_the_form_does_not_use_the_link_up() {
    let (bench, helper) = with_mail("accept");
    let mut alice = browser(&bench);
    ask_for_link(&mut alice, "alice@example.org");
    let code = mailed(&helper);
    let reply = press(&mut alice, &code, "create", "");
    assert!(reply.status == 400 && text(&reply).contains("tick the box") && text(&reply).contains(&code));
    let csrf = alice.csrf("/enter");
    assert_eq!(alice.post("/enter", &[("csrf", "x"), ("code", &code), ("do", "sign-in")]).status, 403);
    assert_eq!(alice.post("/enter", &[("csrf", &csrf), ("code", ""), ("do", "sign-in")]).status, 403);
    assert_eq!(press(&mut alice, &code, "create", "on").status, 303);
}

#[test]
fn a_session_that_is_refused_leaves_the_person_signed_in() {
    let (bench, helper) = with_mail("accept");
    let mut alice = browser(&bench);
    ask_for_link(&mut alice, "alice@example.org");
    let code = mailed(&helper);
    bench.world.lock().unwrap().refusal = Some(Problem::new(Word::LimitReached, "All places are taken."));
    let reply = press(&mut alice, &code, "create", "on");
    assert!(reply.status == 409 && text(&reply).contains("All places are taken."));
    assert!(!text(&reply).contains(&code) && text(&reply).contains("alice@example.org"));
    let csrf = alice.csrf("/");
    assert_eq!(alice.post("/sessions", &[("csrf", &csrf), ("machine", "slax.iso"), ("terms", "on")]).status, 303);
}

#[test]
fn the_answer_is_the_same_for_every_address() {
    let (bench, helper) = with_mail("accept");
    let told: Vec<Reply> =
        ["alice@example.org", "alice@example.org.evil.example", "alice@evilexample.org", "alice@sub.example.org"]
            .iter()
            .map(|address| ask_for_link(&mut browser(&bench), address))
            .collect();
    assert!(told.iter().all(|reply| reply.status == 200 && reply.body == told[0].body));
    assert_eq!(helper.count(), 1);
    for wrong in ["", "alice", "a@b@example.org", "a b@example.org", "a@example.org,b@example.org"] {
        let reply = ask_for_link(&mut browser(&bench), wrong);
        assert!(reply.status == 400 && text(&reply).contains("written like"), "{wrong}");
    }
}

#[test]
fn links_are_few_for_an_address_and_for_a_client() {
    let (bench, helper) = with_mail("accept");
    for n in 0..6 {
        let mut browser = browser(&bench);
        browser.set("x-forwarded-for", &format!("192.0.2.{n}"));
        assert_eq!(ask_for_link(&mut browser, "Alice@example.org").status, 200);
    }
    assert_eq!(helper.count(), 3);
    for n in 0..10 {
        assert_eq!(ask_for_link(&mut browser(&bench), &format!("user{n}@example.org")).status, 200);
    }
    let reply = ask_for_link(&mut browser(&bench), "user10@example.org");
    assert_eq!((reply.status, header(&reply, "Retry-After")), (429, Some("3600")));
    assert_eq!(helper.count(), 13);
}

#[test]
fn sub_addresses_are_one_person_with_one_mailbox() {
    let (bench, helper) = with_mail("accept");
    let spellings = ["alice+1@example.org", "Alice+desk@EXAMPLE.org.", "ａlice@example。org", "alice+@example.org"];
    for (n, typed) in spellings.iter().enumerate() {
        let mut alice = browser(&bench);
        alice.set("x-forwarded-for", &format!("192.0.2.{n}"));
        assert_eq!(ask_for_link(&mut alice, typed).status, 200);
        // The mail goes to whom the link makes somebody.
        assert_eq!(helper.asked.lock().unwrap().last().unwrap()["sign_in_link"]["to"], "alice@example.org");
        if n == 0 {
            press(&mut alice, &mailed(&helper), "sign-in", "");
            assert!(text(&alice.get("/")).contains(">alice@example.org<"));
        }
    }
    assert_eq!(helper.count(), 3);
}

#[test]
fn where_a_plus_is_a_letter_each_address_is_a_person_and_has_its_own_link() {
    let (bench, helper) = with_mail("accept");
    bench.root.write(
        "etc/qemu-web-desktop/config.toml",
        &CONFIG.replace("[sign_in]", "[sign_in]\nfold_sub_addresses = false"),
    );
    let mut other = browser(&bench);
    ask_for_link(&mut other, "alice+x@example.org");
    let code = mailed(&helper);
    assert_eq!(helper.asked.lock().unwrap()[0]["sign_in_link"]["to"], "alice+x@example.org");
    press(&mut other, &code, "sign-in", "");
    assert!(text(&other.get("/")).contains(">alice+x@example.org<"));
    // Once they are folded, a link that went to another address makes nobody alice.
    ask_for_link(&mut browser(&bench), "alice+x@example.org");
    let code = mailed(&helper);
    bench.root.write("etc/qemu-web-desktop/config.toml", CONFIG);
    assert_eq!(press(&mut browser(&bench), &code, "sign-in", "").status, 403);
}

#[test]
fn a_domain_of_another_script_is_what_the_dns_has() {
    let (bench, helper) = with_mail("accept");
    bench.root.write("etc/qemu-web-desktop/config.toml", &CONFIG.replace("Example.org'", "exämple.org'"));
    for typed in ["alice@exämple.org", "alice@EXÄMPLE.org", "alice@xn--exmple-cua.org"] {
        assert_eq!(ask_for_link(&mut browser(&bench), typed).status, 200);
        assert_eq!(helper.asked.lock().unwrap().last().unwrap()["sign_in_link"]["to"], "alice@xn--exmple-cua.org");
    }
}

#[test]
fn a_mail_server_that_takes_no_mail_is_told_and_one_that_refuses_the_address_is_not() {
    let (bench, _helper) = with_mail("unavailable");
    for _ in 0..5 {
        let reply = ask_for_link(&mut browser(&bench), "alice@example.org");
        assert!(reply.status == 503 && text(&reply).contains("mail.example.org does not answer"));
    }
    let (bench, _helper) = with_mail("refuse");
    assert_eq!(ask_for_link(&mut browser(&bench), "alice@example.org").status, 200);
}

#[test]
fn a_link_is_worth_nothing_once_the_domain_or_the_method_is_gone() {
    let (bench, helper) = with_mail("accept");
    let mut alice = browser(&bench);
    ask_for_link(&mut alice, "alice@example.org");
    let code = mailed(&helper);
    let elsewhere = CONFIG.replace("Example.org", "example.net");
    bench.root.write("etc/qemu-web-desktop/config.toml", &elsewhere);
    assert_eq!(press(&mut alice, &code, "sign-in", "").status, 403);
    bench.root.write("etc/qemu-web-desktop/config.toml", "[sign_in]\nmethods = ['pam']\n");
    assert_eq!(alice.get("/enter").status, 404);
}
