//! Cookies: which names we use where, and how they are read and written.
//!
//! On HTTPS both carry the `__Host-` prefix, so that no other host or path of the site can set them.

use super::http::{BASE, Request};
use crate::model::Secret;

/// The cookies of the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// Names a sign-in.
    SignIn,
    /// What the hidden field of a form is bound to while nobody is signed in.
    Form,
    /// Shows that somebody has signed in by this browser before. It lets nobody in.
    Device,
}

/// Half a year; the others end with the browser.
const DEVICE_KEPT: &str = "Max-Age=15552000; ";

impl Cookie {
    fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Self::SignIn, true) => "__Host-qwd",
            (Self::SignIn, false) => "qwd",
            (Self::Form, true) => "__Host-qwd-form",
            (Self::Form, false) => "qwd-form",
            (Self::Device, true) => "__Host-qwd-device",
            (Self::Device, false) => "qwd-device",
        }
    }

    /// The value that the browser sent. Two different values of one name mean that somebody else has
    /// set one of them: then none counts.
    pub fn read(self, request: &Request, https: bool) -> Option<Secret> {
        let name = self.name(https);
        let pairs = request.headers.iter().filter(|(header, _)| header == "cookie").flat_map(|(_, v)| v.split(';'));
        let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(n, _)| *n == name);
        let first = values.next()?.1;
        if values.any(|(_, other)| other != first) {
            return None;
        }
        first.parse().ok()
    }

    /// The `Set-Cookie` value. Lax, so that a link in a mail leads to the page of a session; changes
    /// are guarded by tokens.
    pub fn write(self, value: &Secret, https: bool) -> String {
        let kept = if self == Self::Device { DEVICE_KEPT } else { "" };
        format!("{}={}; {kept}{}", self.name(https), value.expose(), attributes(https))
    }

    /// The `Set-Cookie` value that removes it.
    pub fn clear(self, https: bool) -> String {
        format!("{}=; Max-Age=0; {}", self.name(https), attributes(https))
    }
}

fn attributes(https: bool) -> String {
    if https {
        "Path=/; Secure; HttpOnly; SameSite=Lax".to_owned()
    } else {
        format!("Path={BASE}/; HttpOnly; SameSite=Lax")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portal::http::Method;

    fn with_cookie(text: &str) -> Request {
        Request::new(Method::Get, "/", vec![("cookie".into(), text.into())], Vec::new())
    }

    #[test]
    fn only_the_cookie_of_the_scheme_counts() {
        let a = "a".repeat(43);
        let request = with_cookie(&format!("other=1; qwd={a}"));
        assert_eq!(Cookie::SignIn.read(&request, false).unwrap().expose(), a);
        assert!(Cookie::SignIn.read(&request, true).is_none());
        assert!(Cookie::Form.read(&request, false).is_none());
    }

    #[test]
    fn a_planted_second_cookie_makes_none_count() {
        let (a, b) = ("a".repeat(43), "b".repeat(43));
        assert!(Cookie::SignIn.read(&with_cookie(&format!("qwd={a}; qwd={b}")), false).is_none());
        assert!(Cookie::SignIn.read(&with_cookie("qwd=short"), false).is_none());
        assert!(Cookie::SignIn.read(&with_cookie(&format!("qwd={a}; qwd={a}")), false).is_some());
    }

    #[test]
    fn on_https_cookies_are_host_only_and_secure() {
        let value: Secret = "a".repeat(43).parse().unwrap();
        let set = Cookie::SignIn.write(&value, true);
        assert!(set.starts_with("__Host-qwd=aaa") && set.contains("; Secure;") && set.contains("Path=/;"));
        assert!(set.contains("HttpOnly") && !set.contains("Domain"));
        assert!(!Cookie::SignIn.write(&value, false).contains("Secure"));
        // A browser that is closed forgets who has signed in, and that the person was there before it does not.
        assert!(!set.contains("Max-Age") && Cookie::Device.write(&value, true).contains("Max-Age="));
        assert!(Cookie::SignIn.clear(true).starts_with("__Host-qwd=; Max-Age=0; "));
    }
}
