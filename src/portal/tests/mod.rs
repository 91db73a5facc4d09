//! The portal as a browser and a script see it, against a launcher that speaks the real interface.

mod api;
mod bus;
mod gates;
mod mail;
mod markup;
mod matrix;
mod monitor;
mod offers;
mod pages;
mod remote;
mod server;
mod sign_in;

use super::http::{BASE, Method, Reply, Request};
use super::router;
use super::signins::SignIn;
use super::testing::Bench;
use std::collections::BTreeMap;

/// The moment at which everything happens.
pub(super) const NOW: u64 = 1_000_060;

/// A browser on the same machine, with its cookies.
pub(super) struct Browser<'a> {
    bench: &'a Bench,
    cookies: BTreeMap<String, String>,
    pub(super) headers: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    pub(super) fn new(bench: &'a Bench) -> Self {
        let of_apache = crate::proxy_headers::testing::HEADERS;
        let headers = [("host", "localhost")].into_iter().chain(of_apache);
        let headers = headers.map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        Self { bench, cookies: BTreeMap::new(), headers }
    }

    /// Signed in under this name, by the form.
    pub(super) fn of(bench: &'a Bench, name: &str) -> Self {
        let mut browser = Self::new(bench);
        let csrf = browser.csrf("/sessions");
        let reply = browser.post("/sign-in", &[("csrf", &csrf), ("name", name)]);
        assert_eq!(reply.status, 303);
        browser
    }

    /// Signed in under this name by a password, where `boss` is the administrator.
    pub(super) fn by_password(bench: &'a Bench, name: &str) -> Self {
        bench
            .root
            .write("etc/qemu-web-desktop/config.d/admins.toml", "[sign_in]\nmethods = ['pam']\nadmins = ['boss']\n");
        bench.world.lock().unwrap().admins = vec!["boss".into()];
        Self::signed_in(bench, &SignIn::new(name.parse().unwrap(), crate::model::Method::Pam, NOW))
    }

    /// With the cookie of this sign-in.
    pub(super) fn signed_in(bench: &'a Bench, sign_in: &SignIn) -> Self {
        let cookie = bench.app.sign_ins.add(sign_in, NOW).unwrap();
        let mut browser = Self::new(bench);
        browser.cookies.insert("qwd".into(), cookie.expose().to_owned());
        browser
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Have a cookie that somebody else has set.
    pub(super) fn plant(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&String> {
        self.cookies.get(name)
    }

    pub(super) fn send(&mut self, method: Method, path: &str, more: &[(&str, &str)], body: &str) -> Reply {
        let mut headers = self.headers.clone();
        let jar: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !jar.is_empty() {
            headers.push(("cookie".into(), jar.join("; ")));
        }
        headers.extend(more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        let request = Request::new(method, &format!("{BASE}{path}"), headers, body.as_bytes().to_vec());
        let reply = router::answer(&self.bench.app, &request, NOW);
        for (_, cookie) in reply.headers.iter().filter(|(name, _)| *name == "Set-Cookie") {
            let (name, rest) = cookie.split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        reply
    }

    pub(super) fn get(&mut self, path: &str) -> Reply {
        self.send(Method::Get, path, &[], "")
    }

    pub(super) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let body: Vec<String> = fields.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
        self.send(Method::Post, path, &[("content-type", "application/x-www-form-urlencoded")], &body.join("&"))
    }

    /// The hidden field of the first form on a page that has a name or an owner in it.
    pub(super) fn csrf(&mut self, path: &str) -> String {
        let page = text(&self.get(path));
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("the page has a form");
        rest.split('"').next().unwrap().to_owned()
    }

    /// A change by the API, as a script on one of our pages makes it.
    pub(super) fn json(&mut self, method: Method, path: &str, body: &str) -> (u16, serde_json::Value) {
        let more = [("content-type", "application/json"), ("origin", "http://localhost")];
        let reply = self.send(method, &format!("/api/v1{path}"), &more, body);
        (reply.status, value(&reply))
    }
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { (b as char).to_string() } else { format!("%{b:02X}") })
        .collect()
}

pub(super) fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

pub(super) fn value(reply: &Reply) -> serde_json::Value {
    serde_json::from_slice(&reply.body).unwrap_or(serde_json::Value::Null)
}

pub(super) fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
}
