//! Cookies: which names we use where, and how they are read and written.
//!
//! On HTTPS both carry the `__Host-` prefix, so that no other host or path of the site can set them.

use super::http::{BASE, Request};
use crate::model::{Label, Secret};
use data_encoding::BASE64URL_NOPAD;

/// The cookies of the portal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cookie {
    /// Names a sign-in.
    SignIn,
    /// What the hidden field of a form is bound to while nobody is signed in.
    Form,
    /// Shows that somebody has signed in by this browser before. It lets nobody in.
    Device,
    /// The browser that owns sessions while no sign-in method is configured.
    Browser,
    /// The name that was typed in it, for show.
    Label,
}

/// Half a year.
const DEVICE_KEPT: &str = "Max-Age=15552000; ";
/// The longest that browsers keep any. A session that lives must not lose its owner.
const BROWSER_KEPT: &str = "Max-Age=34560000; ";

impl Cookie {
    fn name(self, https: bool) -> &'static str {
        match (self, https) {
            (Self::SignIn, true) => "__Host-qwd",
            (Self::SignIn, false) => "qwd",
            (Self::Form, true) => "__Host-qwd-form",
            (Self::Form, false) => "qwd-form",
            (Self::Device, true) => "__Host-qwd-device",
            (Self::Device, false) => "qwd-device",
            (Self::Browser, true) => "__Host-qwd-browser",
            (Self::Browser, false) => "qwd-browser",
            (Self::Label, true) => "__Host-qwd-label",
            (Self::Label, false) => "qwd-label",
        }
    }

    /// The value that the browser sent. Two different values of one name mean that somebody else has
    /// set one of them: then none counts.
    pub fn read(self, request: &Request, https: bool) -> Option<Secret> {
        self.text(request, https)?.parse().ok()
    }

    fn text(self, request: &Request, https: bool) -> Option<&str> {
        let name = self.name(https);
        let pairs = request.headers.iter().filter(|(header, _)| header == "cookie").flat_map(|(_, v)| v.split(';'));
        let mut values = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(n, _)| *n == name);
        let first = values.next()?.1;
        if values.any(|(_, other)| other != first) {
            return None;
        }
        Some(first)
    }

    /// Return the label that the browser sent; none where it sent nothing that is one.
    pub fn label(request: &Request, https: bool) -> Option<Label> {
        let bytes = BASE64URL_NOPAD.decode(Self::Label.text(request, https)?.as_bytes()).ok()?;
        String::from_utf8(bytes).ok()?.parse().ok()
    }

    /// Return the `Set-Cookie` value of a label, which may have any letters.
    pub fn write_label(label: &Label, https: bool) -> String {
        Self::Label.with(&BASE64URL_NOPAD.encode(label.as_str().as_bytes()), https)
    }

    /// The `Set-Cookie` value. Lax, so that a link in a mail leads to the page of a session; changes
    /// are guarded by tokens.
    pub fn write(self, value: &Secret, https: bool) -> String {
        self.with(value.expose(), https)
    }

    fn with(self, value: &str, https: bool) -> String {
        format!("{}={value}; {}{}", self.name(https), self.kept(), self.attributes(https))
    }

    /// How long the browser keeps it: not at all, once it is closed, where nothing is said.
    fn kept(self) -> &'static str {
        match self {
            Self::SignIn | Self::Form => "",
            Self::Device => DEVICE_KEPT,
            Self::Browser | Self::Label => BROWSER_KEPT,
        }
    }

    /// The `Set-Cookie` value that removes it.
    pub fn clear(self, https: bool) -> String {
        format!("{}=; Max-Age=0; {}", self.name(https), self.attributes(https))
    }

    /// A browser that is an owner is sent along by our own pages only: no link leads to its sessions.
    fn attributes(self, https: bool) -> String {
        let site = if matches!(self, Self::Browser | Self::Label) { "Strict" } else { "Lax" };
        if https {
            format!("Path=/; Secure; HttpOnly; SameSite={site}")
        } else {
            format!("Path={BASE}/; HttpOnly; SameSite={site}")
        }
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
    fn a_browser_that_owns_sessions_is_known_after_it_was_closed() {
        let value: Secret = "a".repeat(43).parse().unwrap();
        for https in [false, true] {
            for set in [Cookie::Browser.write(&value, https), Cookie::write_label(&Label::default(), https)] {
                assert!(set.contains("Max-Age=34560000; ") && set.ends_with("; HttpOnly; SameSite=Strict"), "{set}");
            }
        }
    }

    #[test]
    fn a_label_travels_whatever_its_letters_and_a_planted_one_counts_only_if_it_is_one() {
        for text in ["Ada Lovelace", "Jürgen; x=y", "李雷"] {
            let set = Cookie::write_label(&text.parse().unwrap(), false);
            let sent = set.split(';').next().unwrap();
            assert_eq!(Cookie::label(&with_cookie(sent), false).unwrap().as_str(), text);
        }
        let planted = |bytes: &[u8]| format!("qwd-label={}", BASE64URL_NOPAD.encode(bytes));
        for sent in ["qwd-label=%%", "qwd-label=Zm9v; qwd-label=YmFy", &planted(b"a\nb"), &planted(b"\xff")] {
            assert_eq!(Cookie::label(&with_cookie(sent), false), None, "{sent}");
        }
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
