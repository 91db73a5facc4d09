//! What every page must keep, whatever it says: the content policy, labels, tokens.

use super::{Browser, NOW, text};
use crate::bus::tests::{a_share, a_viewer};
use crate::bus::{Share, Viewer};
use crate::model::{Problem, Word};
use crate::portal::testing::{Bench, a_session};
use std::collections::BTreeSet;

/// Every kind of page, by name.
fn pages() -> Vec<(String, String)> {
    let bench = Bench::new();
    for (id, state) in [
        ("runnabcdef", "running"),
        ("startabcde", "starting"),
        ("stppngabcd", "stopping"),
        ("endedabcde", "ended"),
        ("faiedabcde", "failed"),
    ] {
        let session = crate::bus::Session { state: state.parse().unwrap(), ..a_session(id, "alice") };
        bench.world.lock().unwrap().sessions.push(session);
    }
    {
        let mut world = bench.world.lock().unwrap();
        world.sessions.push(crate::bus::Session { expires_at: NOW + 60, ..a_session("abcdefghjk", "alice") });
        let viewer =
            Viewer { name: "alice".into(), since: NOW, address: "192.0.2.7".parse().ok(), ..a_viewer("abcdefghjk") };
        let guest = Viewer { name: String::new(), share: "share1".into(), ..viewer.clone() };
        world.viewers = vec![viewer.clone(), viewer, guest];
        let used = Share { once: true, used_at: Some(NOW), expires_at: NOW + 600, ..a_share("share0") };
        world.shares = vec![used];
    }
    let mut pages = Vec::new();
    let mut alice = Browser::of(&bench, "alice");
    let csrf = alice.csrf("/sessions/runnabcdef");
    let shared = alice.post("/sessions/runnabcdef/shares", &[("csrf", &csrf), ("role", "control")]);
    pages.push(("a new link".to_owned(), text(&shared)));
    for path in [
        "/",
        "/sessions",
        "/help",
        "/join",
        "/nothing",
        "/sessions/runnabcdef",
        "/sessions/abcdefghjk",
        "/sessions/startabcde",
        "/sessions/stppngabcd",
        "/sessions/endedabcde",
        "/sessions/faiedabcde",
        "/sessions/runnabcdef/screen",
    ] {
        pages.push((path.to_owned(), text(&alice.get(path))));
        pages.push((format!("{path}, by nobody"), text(&Browser::new(&bench).get(path))));
    }
    pages.push(("the monitor".to_owned(), monitor(&bench)));
    for methods in ["['pam']", "['imap', 'email']", "['remote_user']"] {
        let bench = Bench::new();
        let rest = "[sign_in.imap]\nserver = 'mail.example.org'\n[sign_in.email]\nallowed_domains = ['example.org']\n\
                    [mail]\nserver = 'mail.example.org'\nfrom = 'd@example.org'\n";
        let config = format!("public_url = 'http://localhost'\n[sign_in]\nmethods = {methods}\n{rest}");
        bench.root.write("etc/qemu-web-desktop/config.toml", &config);
        for path in ["/", "/sessions", "/help", "/enter"] {
            pages.push((format!("{path} with {methods}"), text(&Browser::new(&bench).get(path))));
        }
        if methods.contains("remote_user") {
            continue;
        }
        let mut browser = Browser::new(&bench);
        let csrf = browser.csrf("/");
        let wrong = browser.post("/sign-in", &[("csrf", &csrf), ("name", "alice"), ("password", "")]);
        pages.push((format!("wrong, with {methods}"), text(&wrong)));
    }
    bench.world.lock().unwrap().refusal = Some(Problem::new(Word::LimitReached, "All places are taken."));
    let fields = [("csrf", csrf.as_str()), ("machine", "slax.iso"), ("terms", "on")];
    pages.push(("a refused form".to_owned(), text(&alice.post("/sessions", &fields))));
    pages
}

/// With pictures, and sessions in every state.
fn monitor(bench: &Bench) -> String {
    bench.root.write("etc/qemu-web-desktop/config.d/pictures.toml", "[monitor]\npictures = true\n");
    text(&Browser::by_password(bench, "boss").get("/monitor"))
}

/// The tags of a page with their attributes, as they stand between `<` and `>`.
fn tags(page: &str) -> impl Iterator<Item = &str> {
    page.split('<').skip(1).filter_map(|rest| rest.split('>').next())
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

#[test]
fn no_page_needs_more_than_the_content_policy_allows() {
    for (name, page) in pages() {
        for tag in tags(&page) {
            assert!(!tag.contains(" style=") && !tag.starts_with("style") && !tag.contains(" on"), "{name}: {tag}");
            assert!(!tag.starts_with("script") || tag.contains(" src=\"/qemu-web-desktop/static/"), "{name}: {tag}");
            for link in ["src", "href", "action"].iter().filter_map(|a| attribute(tag, a)) {
                assert!(link.starts_with("/qemu-web-desktop/") || link.starts_with('#'), "{name}: {link}");
            }
        }
    }
}

#[test]
fn every_form_that_changes_something_carries_a_token() {
    for (name, page) in pages() {
        for form in page.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            let token =
                form.split_once("name=\"csrf\" value=\"").map(|(_, rest)| rest.split('"').next().unwrap().len());
            assert_eq!(token, Some(86), "{name}: {form}");
        }
    }
}

#[test]
fn ids_are_unique_and_every_field_has_a_label() {
    for (name, page) in pages() {
        let mut ids = BTreeSet::new();
        for id in tags(&page).filter_map(|tag| attribute(tag, "id")) {
            assert!(ids.insert(id), "{name}: {id}");
        }
        let labelled: BTreeSet<&str> = tags(&page).filter_map(|tag| attribute(tag, "for")).collect();
        for label in &labelled {
            assert!(ids.contains(label), "{name}: {label}");
        }
        for said in tags(&page).filter_map(|t| attribute(t, "aria-describedby").or(attribute(t, "aria-labelledby"))) {
            assert!(said.split(' ').all(|id| ids.contains(id)), "{name}: {said}");
        }
        let fields = tags(&page).filter(|t| t.starts_with("select") || t.starts_with("input id="));
        for field in fields {
            let id = attribute(field, "id").unwrap_or_default();
            assert!(labelled.contains(id) || field.contains("aria-label="), "{name}: {field}");
        }
    }
}

#[test]
fn headings_begin_with_the_first_level_and_skip_none() {
    for (name, page) in pages() {
        // The screen's page is a toolbar and a picture, and its panels are not sections of a text.
        if page.contains("id=\"screen\"") {
            continue;
        }
        let mut before = 0;
        for level in tags(&page).filter_map(|tag| tag.strip_prefix('h')?.chars().next()?.to_digit(10)) {
            assert!(level <= before + 1, "{name}: h{level} after h{before}");
            before = level;
        }
        assert!(before > 0, "{name}");
    }
}

#[test]
fn each_confirmation_can_be_cancelled() {
    for (name, page) in pages() {
        for confirm in page.split("<details class=\"confirm").skip(1) {
            let confirm = confirm.split("</details>").next().unwrap();
            assert!(confirm.contains("class=\"button cancel\" href=\"/qemu-web-desktop/"), "{name}: {confirm}");
        }
    }
}

#[test]
fn every_page_is_whole() {
    for (name, page) in pages() {
        assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\""), "{name}");
        assert!(page.trim_end().ends_with("</html>") && page.matches("<h1").count() <= 1, "{name}");
        for element in ["div", "section", "form", "ul", "li", "p", "details", "label", "select", "span", "a"] {
            let opened = tags(&page).filter(|t| *t == element || t.starts_with(&format!("{element} "))).count();
            let closed = page.matches(&format!("</{element}>")).count();
            assert_eq!(opened, closed, "{name}: {element}");
        }
    }
}
