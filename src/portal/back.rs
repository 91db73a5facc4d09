//! Where somebody who has to sign in first goes on to: the page they had asked for.
//!
//! It travels through the sign-in form, so it is a stranger's text until it is found in the table of
//! routes, and made anew from what stands there: no form and no link leads anywhere else.

use super::ask::Ask;
use super::http::{BASE, Method};
use super::router::{Found, Who, find};
use crate::model::SessionId;

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
        match ask.request.method {
            Method::Get => Self::to(ask.request.path.strip_prefix(BASE).unwrap_or_default()),
            _ => Self::to(ask.form.text("back")),
        }
    }

    /// The page at this path below [`BASE`]; of what is no such page, the list of one's sessions.
    pub fn to(path: &str) -> Self {
        match path {
            // A form that came back stands at the address it was sent to.
            "/" | "/sign-in/email" => Self("/".to_owned()),
            "/sign-in" => Self::default(),
            _ => Self::listed(path).unwrap_or_default(),
        }
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

    /// Its path below [`BASE`].
    pub fn path(&self) -> &str {
        &self.0
    }

    /// Whether it is the first page.
    pub fn is_first(&self) -> bool {
        self.0 == "/"
    }
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
    fn nothing_else_is() {
        for elsewhere in [
            "",
            "//evil.example",
            "https://evil.example/",
            "/\\evil.example",
            "/monitor/",
            "/monitor//evil.example",
            "/monitor?x=//evil.example",
            "/monitor#x",
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
