//! Where somebody who has to sign in first goes on to: the page they had asked for.
//!
//! It travels through the sign-in form, so it is a stranger's text until it is found in the table of
//! routes, and made anew from what stands there: no form and no link leads anywhere else. Of its query, the
//! fields that the page knows go along, as when a link chooses a machine.

use super::ask::Ask;
use super::form::Form;
use super::http::{BASE, Method};
use super::router::{Found, Who, find};
use crate::model::SessionId;
use askama::filters::urlencode_strict;

/// The fields of a query that a page knows.
const FIELDS: [(&str, &[&str]); 3] =
    [("/", &["machine", "cpus", "memory", "lifetime"]), ("/sessions", &["all"]), ("/monitor", &["still"])];
/// A longer query, in bytes, is none that a page of ours has made: it stays behind.
const QUERY_MAX: usize = 1024;

/// A page of ours that needs to know who is there, or the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back(String);

impl Default for Back {
    fn default() -> Self {
        Self("/sessions".to_owned())
    }
}

impl Back {
    /// The page that was asked for, at once or before the form that has been sent now.
    pub fn of(ask: &Ask<'_>) -> Self {
        let request = ask.request;
        match request.method {
            Method::Get => Self::page(request.path.strip_prefix(BASE).unwrap_or_default(), &request.query),
            _ => Self::to(ask.form.text("back")),
        }
    }

    /// The page at this path below [`BASE`], with its query; of what is no such page, the list of one's sessions.
    pub fn to(target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Self::page(path, query)
    }

    fn page(path: &str, query: &str) -> Self {
        let Self(page) = match path {
            // A form that came back stands at the address it was sent to.
            "/" | "/sign-in/email" => Self("/".to_owned()),
            "/sign-in" => Self::default(),
            _ => Self::listed(path).unwrap_or_default(),
        };
        let fields = known(&page, query);
        Self(if fields.is_empty() { page } else { format!("{page}?{fields}") })
    }

    fn listed(path: &str) -> Option<Self> {
        let whole = format!("{BASE}{path}");
        let Found { route, id, .. } = find(Method::Get, &whole).ok()?;
        if route.path.starts_with("/api/") || !matches!(route.who, Who::SignedIn | Who::Administrator) {
            return None;
        }
        if !route.path.contains("{id}") {
            return Some(Self(route.path.to_owned()));
        }
        let id: SessionId = id.parse().ok()?;
        Some(Self(route.path.replace("{id}", id.as_str())))
    }

    /// Its path below [`BASE`], with its query.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// Whether it is the first page.
    pub fn is_first(&self) -> bool {
        self.0 == "/" || self.0.starts_with("/?")
    }
}

/// What the page knows of a query, written anew.
fn known(page: &str, query: &str) -> String {
    let names = FIELDS.iter().find(|(path, _)| *path == page).map_or(&[][..], |(_, names)| names);
    if query.len() > QUERY_MAX {
        return String::new();
    }
    let Ok(form) = Form::parse(query.as_bytes()) else { return String::new() };
    let given = names.iter().filter(|name| !form.text(name).is_empty());
    given.map(|name| format!("{name}={}", encoded(form.text(name)))).collect::<Vec<_>>().join("&")
}

fn encoded(value: &str) -> String {
    let Ok(text) = urlencode_strict(value);
    text.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::routes::ROUTES;

    #[test]
    fn every_page_of_a_signed_in_person_is_come_back_to() {
        for page in ["/", "/sessions", "/sessions/abcdefghjk", "/sessions/abcdefghjk/screen", "/monitor"] {
            assert_eq!(Back::to(page).path(), page);
        }
        assert!(Back::to("/sign-in/email").is_first() && !Back::default().is_first());
    }

    #[test]
    fn what_a_page_knows_of_a_query_goes_along() {
        for (target, page) in [
            ("/sessions?all=1", "/sessions?all=1"),
            ("/monitor?still=1&x=//evil.example", "/monitor?still=1"),
            ("/monitor?x=//evil.example", "/monitor"),
            ("/?machine=Debian+12.qcow2&cpus=2&terms=on&name=eve", "/?machine=Debian%2012.qcow2&cpus=2"),
            ("/?machine=%22%3E%26cpus%3D9%23x", "/?machine=%22%3E%26cpus%3D9%23x"),
            ("/?machine=//evil.example", "/?machine=%2F%2Fevil.example"),
            ("/?machine=", "/"),
            ("/?", "/"),
            ("/sessions/abcdefghjk?all=1", "/sessions/abcdefghjk"),
            // What the page itself would refuse.
            ("/?machine=a&machine=b", "/"),
            ("/?machine=x%0d%0aSet-Cookie:%20x", "/"),
            ("/?machine=%ff", "/"),
        ] {
            let back = Back::to(target);
            assert_eq!(back.path(), page, "{target}");
            assert_eq!(Back::to(back.path()), back, "{target}");
            assert_eq!(back.is_first(), page.starts_with("/?") || page == "/", "{target}");
        }
        assert_eq!(Back::to(&format!("/?machine={}", "x".repeat(QUERY_MAX))).path(), "/");
    }

    #[test]
    fn nothing_else_is() {
        for elsewhere in [
            "",
            "//evil.example",
            "https://evil.example/",
            "/\\evil.example",
            "/monitor/",
            "/monitor//evil.example",
            "/monitor#x",
            "/monitor#?still=1",
            "/help?machine=x",
            "/sign-in?back=/monitor",
            "/../monitor",
            "/sessions/../help",
            "/sessions/abcdefghjk\r\nSet-Cookie: x",
            "/sessions/%0d%0a",
            "/sessions/ABCDEFGHJK",
            "/sign-in",
            "/sign-out",
            "/help",
            "/metrics",
            "/api/v1/monitor",
            "/qemu-web-desktop/monitor",
        ] {
            assert_eq!(Back::to(elsewhere), Back::default(), "{elsewhere}");
        }
    }

    #[test]
    fn what_is_come_back_to_stands_in_the_table_and_changes_nothing() {
        for route in ROUTES {
            let path = route.path.replace("{id}", "abcdefghjk").replace("{share}", "x");
            let back = Back::to(&path);
            let get = |r: &&super::super::router::Route| r.method == Method::Get;
            let found = ROUTES.iter().filter(get).any(|r| r.path.replace("{id}", "abcdefghjk") == back.path());
            assert!(found, "{path} leads to {back:?}");
        }
    }
}
