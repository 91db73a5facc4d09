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
    let name = chain::usable(request.header(USER).ok()??).ok()?;
    let groups = request.header(GROUPS).ok()?.unwrap_or_default();
    let groups = groups.split([',', ';']).map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned);
    Some(SignIn::new(name, Method::RemoteUser.as_str(), now).of(groups.collect()))
}

/// Why nobody is there although Apache should have signed somebody in; else empty.
pub fn missing(request: &Request, settings: &Settings) -> String {
    if !settings.sign_in.has(Method::RemoteUser) || user(request, settings, 0).is_some() {
        return String::new();
    }
    match request.header(USER) {
        Ok(Some(name)) if !name.is_empty() => format!(
            "The web server says that you are \"{}\", which is no name that this service takes. The administrator \
             lets the web server use another attribute as the name.",
            journal::plain(name, SHOWN)
        ),
        _ if settings.sign_in.methods.len() > 1 => String::new(),
        _ => "The web server should have signed you in, but does not say who you are. The administrator finds in \
              the manual page qwd-portal(8) how Apache is told to."
            .to_owned(),
    }
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
        assert!(missing(&request(&[(USER, "CN=Alice,O=Example")]), &settings).contains("\"CN=Alice,O=Example\""));
        assert_eq!(missing(&request(&[]), &with(&[Method::RemoteUser, Method::Pam])), "");
        assert_eq!(missing(&request(&[]), &with(&[Method::Pam])), "");
    }
}
