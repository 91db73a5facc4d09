//! From a request to an answer: every gate in one place, in one order, for every route.
//!
//! settings → Apache → https → host name → client → route → person → token against other sites → handler.
//!
//! The gates up to the route are passed before a body is read, and again with it.

use super::App;
use super::ask::Ask;
use super::http::{BASE, Method, Reply, Request};
use super::https;
use super::identity::{self, Person};
use super::refusal::Refusal;
use super::routes::ROUTES;
use super::site::{self, Site};
use super::{api, pages};
use crate::config::Settings;
use crate::journal::{self, OncePerMinute};
use crate::proxy_headers::Verified;
use std::net::IpAddr;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever the service admits.
    Anyone,
    /// Whoever is let in at all: anybody while the service is open, else somebody signed in.
    Visitor,
    /// Somebody who is signed in.
    SignedIn,
    /// An administrator who is signed in.
    Administrator,
    /// Programs that read the metrics: on this machine, or where the configuration says.
    Reader,
}

/// What keeps other sites from using a route through somebody's browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Nothing: it changes nothing.
    Reading,
    /// The hidden field of our own forms.
    Form,
    /// The header `X-CSRF-Token`, or JSON with our own `Origin`.
    Json,
}

/// What a route does.
pub type Handler = fn(&Ask<'_>) -> Result<Reply, Refusal>;

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path below [`BASE`]; `{id}` and `{share}` stand for one segment.
    pub path: &'static str,
    /// Who may use it.
    pub who: Who,
    /// What guards it.
    pub guard: Guard,
    /// What it does.
    pub handler: Handler,
}

/// Answers a request, whatever it is.
pub fn answer(app: &App, request: &Request, now: u64) -> Reply {
    let reply = answered(app, request, now);
    app.counters.answered(reply.status);
    reply
}

fn answered(app: &App, request: &Request, now: u64) -> Reply {
    let Some(loaded) = app.live.current() else {
        return refused(None, request, &Refusal::no_configuration());
    };
    let settings = &loaded.settings;
    admitted(app, settings, request, now).unwrap_or_else(|refusal| refused(Some(settings), request, &refusal))
}

/// Decide by its head alone whether the body of a request is worth reading: a stranger's is not.
pub fn judge(app: &App, request: &Request) -> Result<(), Refusal> {
    let loaded = app.live.current().ok_or_else(Refusal::no_configuration)?;
    if https::redirect(&loaded.settings, request, verify(app, request)?).is_some() {
        return Ok(());
    }
    pass_gates(app, &loaded.settings, request)?;
    find(request.method, &request.path).map(|_| ())
}

/// Answers a request that could not even be read.
pub fn refuse(app: &App, request: &Request, refusal: &Refusal) -> Reply {
    app.counters.answered(refusal.status);
    refused(app.live.current().as_ref().map(|l| &l.settings), request, refusal)
}

/// An error as a page, or as JSON below `api/`.
fn refused(settings: Option<&Settings>, request: &Request, refusal: &Refusal) -> Reply {
    let page = || pages::error(settings.map(|s| &s.page.texts), refusal);
    refusal.on(if request.is_api() { api::error(refusal) } else { page() })
}

fn admitted(app: &App, settings: &Settings, request: &Request, now: u64) -> Result<Reply, Refusal> {
    if let Some(reply) = https::redirect(settings, request, verify(app, request)?) {
        return Ok(reply);
    }
    let (site, verified) = pass_gates(app, settings, request)?;
    if request.path == BASE && request.method == Method::Get {
        return Ok(Reply::see_other("/"));
    }
    let Found { route, id, share } = find(request.method, &request.path)?;
    let person = Person::of(request, settings, site.https(), app, now);
    let mut ask = Ask::new(app, settings, request, site, person, now).about(id, share);
    let reply = run(route, &mut ask, verified)?;
    Ok(ask.with_cookie(reply))
}

/// Check where a request comes from: Apache, under which name, from which client.
fn pass_gates(app: &App, settings: &Settings, request: &Request) -> Result<(Site, Verified), Refusal> {
    let verified = verify(app, request)?;
    // Nobody reaches an open service under its public address.
    let public_url = settings.public_url.as_deref().filter(|_| !identity::is_open(settings));
    let site = Site::of(request, public_url, &app.own_names)?;
    identity::admit(settings, request, &site, verified)?;
    Ok((site, verified))
}

/// Refuse a request that does not come from Apache, or not with all that Apache says of it.
fn verify(app: &App, request: &Request) -> Result<Verified, Refusal> {
    static LOG: OncePerMinute = OncePerMinute::new();
    let headers: Vec<_> = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    app.proxy_secret.verify(&headers).map_err(|error| {
        if let Some(more) = LOG.due() {
            log::warn!(MESSAGE_ID = journal::id::REFUSED;
                "A request was refused, and {more} more since the last such line: {error}");
        }
        let code = match error.status() {
            503 => "unavailable",
            400 => "bad_request",
            _ => "not_allowed",
        };
        Refusal::new(error.status(), code, error.to_string())
    })
}

fn run(route: &Route, ask: &mut Ask<'_>, verified: Verified) -> Result<Reply, Refusal> {
    let known = match route.who {
        Who::Anyone => true,
        Who::Visitor => ask.person.is_some() || identity::is_open(ask.settings),
        Who::SignedIn | Who::Administrator => ask.person.is_some(),
        Who::Reader => return reader(route, ask, verified),
    };
    if !known {
        // A page asks who is there, and comes back.
        if route.guard == Guard::Reading && !ask.request.is_api() {
            return pages::sign_in(ask, None);
        }
        let api = ask.request.is_api();
        return Err(if api { Refusal::not_signed_in_script() } else { Refusal::not_signed_in() });
    }
    if route.who == Who::Administrator && !ask.is_admin() {
        return Err(Refusal::not_for_others());
    }
    ask.check_guard(route.guard)?;
    (route.handler)(ask)
}

/// Where the client is decides, and not who it is: programs do not sign in.
fn reader(route: &Route, ask: &Ask<'_>, verified: Verified) -> Result<Reply, Refusal> {
    // Behind another proxy, every client seems to be on this machine.
    let is_known = |client: IpAddr| !(verified.forwarded && client.is_loopback());
    let client = site::client(ask.request).filter(|client| is_known(*client));
    if !client.is_some_and(|client| ask.settings.monitor.is_reader(client)) {
        let sentence = "The metrics are for programs on this machine, and for those that the administrator lists as \
                        'metrics_clients' in [monitor] of /etc/qemu-web-desktop/config.toml.";
        return Err(Refusal::new(403, "not_allowed", sentence));
    }
    (route.handler)(ask)
}

/// The route that a path leads to, and what the path names.
pub(super) struct Found<'a> {
    pub(super) route: &'static Route,
    pub(super) id: &'a str,
    share: &'a str,
}

/// Looks the path up in the table.
pub(super) fn find<'a>(method: Method, path: &'a str) -> Result<Found<'a>, Refusal> {
    let below = path.strip_prefix(BASE).ok_or_else(Refusal::not_found)?;
    let fitting: Vec<Found<'a>> = ROUTES.iter().filter_map(|route| fit(route, below)).collect();
    if fitting.is_empty() {
        return Err(Refusal::not_found());
    }
    let mut methods: Vec<&str> = fitting.iter().map(|found| found.route.method.as_str()).collect();
    methods.dedup();
    let allow = methods.join(", ");
    fitting.into_iter().find(|found| found.route.method == method).ok_or_else(|| Refusal::method_not_allowed(allow))
}

fn fit<'a>(route: &'static Route, path: &'a str) -> Option<Found<'a>> {
    let (mut id, mut share) = ("", "");
    let mut segments = path.split('/');
    for wanted in route.path.split('/') {
        let segment = segments.next()?;
        match wanted {
            "{id}" => id = segment,
            "{share}" => share = segment,
            fixed if fixed == segment => {}
            _ => return None,
        }
        if wanted.starts_with('{') && segment.is_empty() {
            return None;
        }
    }
    segments.next().is_none().then_some(Found { route, id, share })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_routes() {
        let found = find(Method::Post, "/qemu-web-desktop/sessions/abc/shares/x1/revoke").unwrap();
        assert_eq!((found.id, found.share), ("abc", "x1"));
        assert_eq!(find(Method::Get, "/qemu-web-desktop/").unwrap().route.path, "/");
        for path in [
            "/",
            "/qemu-web-desktopx/",
            "/qemu-web-desktop/nothing",
            "/qemu-web-desktop//",
            "/qemu-web-desktop/sessions/",
        ] {
            assert_eq!(find(Method::Get, path).err().unwrap().status, 404, "{path}");
        }
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let refusal = find(Method::Post, "/qemu-web-desktop/api/v1/sessions/abc").err().unwrap();
        assert_eq!((refusal.status, refusal.allow.as_deref()), (405, Some("GET, DELETE")));
    }

    #[test]
    fn every_route_that_changes_something_is_guarded() {
        for route in ROUTES {
            let is_api = route.path.starts_with("/api/");
            match route.method {
                Method::Get => assert_eq!(route.guard, Guard::Reading, "{}", route.path),
                _ if is_api => assert_eq!(route.guard, Guard::Json, "{}", route.path),
                _ => assert_eq!(route.guard, Guard::Form, "{}", route.path),
            }
        }
    }
}
