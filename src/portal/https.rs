//! From plain http to the address of `public_url`, where that is https.
//!
//! A proxy that speaks TLS in front of Apache makes all requests look like plain http. One that leaves a trace is
//! recognised by that, and one that leaves none by the browser, which sends `Sec-Fetch-*` over TLS only. For clients
//! that send neither, a mark in the address keeps a redirect from being answered by another one.

use super::http::{Method, Reply, Request};
use super::site;
use crate::config::Settings;
use crate::proxy_headers::Verified;

/// The mark: a request with it has been redirected already.
const MARK: &str = "from=http";

/// Return the redirect for a request over plain http to a service whose address is https, if it is one.
pub fn redirect(settings: &Settings, request: &Request, verified: Verified) -> Option<Reply> {
    let public = settings.public_url.as_deref().filter(|_| !settings.sign_in.methods.is_empty())?;
    let is_plain = request.header("x-forwarded-proto").ok()? == Some("http");
    if !is_plain && request.method == Method::Get {
        return without_mark(request);
    }
    let host = request.header("host").ok()??;
    let is_direct = !verified.forwarded && !request.headers.iter().any(|(name, _)| name.starts_with("sec-fetch-"));
    let leads_elsewhere = public.starts_with("https://") && site::is_same_name(host, public) && !is_marked(request);
    if !(request.method == Method::Get && is_direct && leads_elsewhere) {
        return None;
    }
    let query = if request.query.is_empty() { MARK.to_owned() } else { format!("{}&{MARK}", request.query) };
    let target = format!("{public}{}?{query}", request.path);
    temporarily(target)
}

/// Once TLS is reached, the mark goes out of the address.
fn without_mark(request: &Request) -> Option<Reply> {
    let rest = request.query.strip_suffix(MARK)?;
    let query = rest.strip_suffix('&').map_or(String::new(), |rest| format!("?{rest}"));
    (rest.is_empty() || !query.is_empty()).then(|| temporarily(format!("{}{query}", request.path)))?
}

fn temporarily(target: String) -> Option<Reply> {
    let is_safe = target.bytes().all(|byte| byte.is_ascii_graphic()) && !target.starts_with("//");
    let reply = Reply { status: 307, headers: Vec::new(), body: Vec::new() };
    is_safe.then(|| reply.with("Location", target).with("Cache-Control", "no-store"))
}

fn is_marked(request: &Request) -> bool {
    request.query.split('&').any(|part| part == MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADERS: [(&str, &str); 2] = [("host", "desk.example.org"), ("x-forwarded-proto", "http")];

    fn location(
        public: &str,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        forwarded: bool,
    ) -> Option<String> {
        let mut settings = Settings { public_url: Some(public.to_owned()), ..Settings::default() };
        settings.sign_in.methods = vec![crate::config::Method::Pam];
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let request = Request::new(method, target, headers, Vec::new());
        let reply = redirect(&settings, &request, Verified { forwarded })?;
        reply.headers.into_iter().find(|(name, _)| *name == "Location").map(|(_, target)| target)
    }

    #[test]
    fn plain_http_leads_to_the_public_address_once() {
        let url = "https://desk.example.org";
        let to = |target: &str| location(url, Method::Get, target, &HEADERS, false);
        assert_eq!(to("/qemu-web-desktop/").unwrap(), format!("{url}/qemu-web-desktop/?from=http"));
        assert_eq!(to("/qemu-web-desktop/help?x=1").unwrap(), format!("{url}/qemu-web-desktop/help?x=1&from=http"));
        // Behind a proxy that hides itself, this is what comes back.
        assert_eq!(to("/qemu-web-desktop/?from=http"), None);
        assert_eq!(to("/qemu-web-desktop/help?x=1&from=http"), None);
        let port = [("host", "Desk.example.org:80"), HEADERS[1]];
        let other = "https://desk.example.org:8443";
        assert_eq!(location(other, Method::Get, "/x", &port, false).unwrap(), format!("{other}/x?from=http"));
    }

    #[test]
    fn over_tls_the_mark_goes() {
        let headers = [HEADERS[0], ("x-forwarded-proto", "https")];
        let to = |target: &str| location("https://desk.example.org", Method::Get, target, &headers, false);
        assert_eq!(to("/qemu-web-desktop/?from=http").unwrap(), "/qemu-web-desktop/");
        assert_eq!(to("/qemu-web-desktop/help?x=1&from=http").unwrap(), "/qemu-web-desktop/help?x=1");
        assert_eq!(to("/qemu-web-desktop/?xfrom=http"), None);
        assert_eq!(to("//evil.example/?from=http"), None);
    }

    #[test]
    fn what_came_over_tls_or_is_no_page_stays() {
        let url = "https://desk.example.org";
        assert_eq!(location(url, Method::Get, "/x", &HEADERS, true), None);
        assert_eq!(location(url, Method::Post, "/x", &HEADERS, false), None);
        assert_eq!(location("http://desk.example.org", Method::Get, "/x", &HEADERS, false), None);
        for more in [("sec-fetch-mode", "navigate"), ("host", "evil.example"), ("x-forwarded-proto", "https")] {
            let mut headers = HEADERS.to_vec();
            headers.retain(|(name, _)| *name != more.0);
            headers.push(more);
            assert_eq!(location(url, Method::Get, "/x", &headers, false), None, "{more:?}");
        }
    }
}
