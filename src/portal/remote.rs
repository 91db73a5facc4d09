//! People whom Apache has signed in: it says with each request who they are.
//!
//! The headers are believed because nobody but Apache can connect to the portal's socket, and Apache's
//! shipped configuration removes what clients send of the kind. Still, they count only where the
//! method is configured.

use super::chain;
use super::http::Request;
use super::signins::SignIn;
use crate::config::{Method, Settings};
use crate::journal;
use crate::model::UserName;

const USER: &str = "x-remote-user";
const GROUPS: &str = "x-remote-groups";
/// So much of a name that cannot be used is shown.
const SHOWN: usize = 128;

/// Who Apache says is there.
pub fn user(request: &Request, settings: &Settings, now: u64) -> Option<SignIn> {
    if !settings.sign_in.has(Method::RemoteUser) {
        return None;
    }
    // A header that comes twice names nobody.
    let name = request.header(USER).ok()??;
    // Letters that are not in the alphabet stay: they may be what tells two people apart there.
    let name = if settings.sign_in.remote_user_fold_case { name.to_ascii_lowercase() } else { name.to_owned() };
    let name = chain::usable(&name).ok()?;
    let groups = request.header(GROUPS).ok()?.unwrap_or_default();
    let groups = groups.split([',', ';']).map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned);
    Some(SignIn::new(name, Method::RemoteUser, now).of(groups.collect()))
}

/// Why nobody is there although Apache should have signed somebody in; else empty.
pub fn missing(request: &Request, settings: &Settings) -> String {
    if !settings.sign_in.has(Method::RemoteUser) || user(request, settings, 0).is_some() {
        return String::new();
    }
    match request.header(USER) {
        Ok(Some(name)) if !name.is_empty() => format!(
            "The web server says that you are \"{}\", which is no name that this service takes: a name {}. The \
             administrator lets the web server use another attribute as the name.",
            shown(name),
            UserName::RULE
        ),
        _ if settings.sign_in.methods.len() > 1 => String::new(),
        _ => "The web server should have signed you in, but does not say who you are. The administrator finds in \
              the manual page qwd-portal(8) how Apache is told to."
            .to_owned(),
    }
}

/// A name for a page: letters as they are, of all languages; the rest escaped.
pub(super) fn shown(name: &str) -> String {
    let letter =
        |c: char| if c.is_alphanumeric() { c.to_string() } else { journal::plain(c.encode_utf8(&mut [0; 4]), 1) };
    name.chars().take(SHOWN).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::http::Method as Verb;

    fn with(methods: &[Method]) -> Settings {
        let mut settings = Settings::default();
        settings.sign_in.methods = methods.to_vec();
        settings
    }

    fn request(headers: &[(&str, &str)]) -> Request {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Request::new(Verb::Get, "/", headers, Vec::new())
    }

    #[test]
    fn the_header_counts_where_the_method_is_configured_only() {
        let alice = request(&[(USER, "alice"), (GROUPS, "staff, wheel;x")]);
        let sign_in = user(&alice, &with(&[Method::RemoteUser]), 1).unwrap();
        assert_eq!((sign_in.name.as_str(), sign_in.method.as_str()), ("alice", "remote_user"));
        assert_eq!(sign_in.groups, ["staff", "wheel", "x"]);
        assert_eq!(user(&alice, &with(&[Method::Pam]), 1), None);
        assert_eq!(user(&alice, &with(&[]), 1), None);
    }

    #[test]
    fn a_capital_makes_no_second_person_unless_a_setting_says_so() {
        let mut settings = with(&[Method::RemoteUser]);
        let named = |text: &str, settings: &Settings| {
            user(&request(&[(USER, text)]), settings, 1).map(|sign_in| sign_in.name.to_string())
        };
        for text in ["alice", "ALICE", "Alice"] {
            assert_eq!(named(text, &settings).as_deref(), Some("alice"));
        }
        // Apache has proven this name, and no other.
        assert_eq!(named("Alice+x@Example.org", &settings).as_deref(), Some("alice+x@example.org"));
        assert_eq!(named("\u{212a}ate", &settings), None);
        settings.sign_in.remote_user_fold_case = false;
        assert_eq!(named("ALICE", &settings).as_deref(), Some("ALICE"));
    }

    #[test]
    fn a_header_that_is_no_name_is_nobody_and_the_page_says_why() {
        let settings = with(&[Method::RemoteUser]);
        let odd: [&[(&str, &str)]; 5] = [
            &[(USER, "")],
            &[(USER, "CN=Alice,O=Example")],
            &[(USER, "local:alice")],
            &[(USER, "alice"), (USER, "root")],
            &[("remote-user", "alice")],
        ];
        for headers in odd {
            assert_eq!(user(&request(headers), &settings, 1), None, "{headers:?}");
            assert!(missing(&request(headers), &settings).starts_with("The web server s"));
        }
        for name in ["CN=Alice,O=Example", "Alice Smith", "Jürgen Müller", "jürgen"] {
            let sentence = missing(&request(&[(USER, name)]), &settings);
            assert!(sentence.contains(&format!("you are \"{name}\", which is no name")), "{sentence}");
        }
        assert!(missing(&request(&[(USER, "a\u{85}\"b")]), &settings).contains("\"a\\u{85}\\\"b\""));
        assert_eq!(missing(&request(&[]), &with(&[Method::RemoteUser, Method::Pam])), "");
        assert_eq!(missing(&request(&[]), &with(&[Method::Pam])), "");
    }
}
