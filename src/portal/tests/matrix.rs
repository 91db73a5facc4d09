//! Every route of the table, asked by everybody, against what is expected of each: a route that is not
//! listed here fails, and so does a line without its route.
//!
//! Once while the service is open and once with a sign-in method; each question on a portal of its own.

use super::gates;
use super::{Browser, Method, NOW, SignIn};
use crate::auth::PAM_SOCKET;
use crate::portal::router::Route;
use crate::portal::routes::ROUTES;
use crate::portal::testing::{Bench, CONTROL, Helper, VIEW, a_session};

/// Who asks, in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Nobody,
    OtherUser,
    ViewGuest,
    ControlGuest,
    Owner,
    Administrator,
}

use Caller::{Administrator, ControlGuest, Nobody, OtherUser, Owner, ViewGuest};

const CALLERS: [Caller; 6] = [Nobody, OtherUser, ViewGuest, ControlGuest, Owner, Administrator];

/// method, path; then the status for nobody, another user, a guest who may look, a guest who may
/// control, the owner of the session, an administrator.
///
/// While the service is open nobody is an administrator, whatever name is typed.
const OPEN: &str = "
    GET    /                                              200 200 200 200 200 200
    GET    /help                                          200 200 200 200 200 200
    GET    /join                                          200 200 200 200 200 200
    GET    /sign-in                                       401 200 401 401 200 200
    POST   /sign-in                                       303 303 303 303 303 303
    GET    /sign-in/email                                 200 200 200 200 200 200
    POST   /sign-in/email                                 404 404 404 404 404 404
    GET    /enter                                         404 404 404 404 404 404
    POST   /enter                                         404 404 404 404 404 404
    POST   /sign-out                                      401 303 401 401 200 303
    GET    /sessions                                      401 200 401 401 200 200
    POST   /sessions                                      303 303 303 303 303 303
    GET    /sessions/{id}                                 401 404 401 401 200 404
    GET    /sessions/{id}/picture                         401 404 401 401 200 404
    GET    /sessions/{id}/screen                          401 404 401 401 200 404
    GET    /sessions/{id}/continue                        200 200 200 200 200 200
    POST   /sessions/{id}/continue                        403 403 403 403 403 403
    GET    /sessions/{id}/stop                            401 404 401 401 200 404
    POST   /sessions/{id}/stop                            401 404 401 401 303 404
    POST   /sessions/{id}/kill                            401 404 401 401 303 404
    GET    /sessions/{id}/extend                          401 404 401 401 200 404
    POST   /sessions/{id}/extend                          401 404 401 401 303 404
    GET    /sessions/{id}/shares                          401 404 401 401 200 404
    POST   /sessions/{id}/shares                          401 404 401 401 200 404
    POST   /sessions/{id}/shares/{share}/revoke           401 404 401 401 303 404
    GET    /monitor                                       401 403 401 401 403 403
    GET    /monitor/stop                                  401 403 401 401 403 403
    POST   /monitor/stop                                  401 403 401 401 403 403
    GET    /monitor/{id}/picture                          401 403 401 401 403 403
    GET    /metrics                                       200 200 200 200 200 200
    GET    /api/v1/sign-in                                401 200 401 401 200 200
    POST   /api/v1/sign-in                                400 400 400 400 400 400
    DELETE /api/v1/sign-in                                401 204 401 401 204 204
    GET    /api/v1/sessions                               401 200 401 401 200 200
    POST   /api/v1/sessions                               401 201 401 401 201 201
    GET    /api/v1/sessions/{id}                          401 404 401 401 200 404
    DELETE /api/v1/sessions/{id}                          401 404 401 401 202 404
    POST   /api/v1/sessions/{id}/extend                   401 404 401 401 200 404
    GET    /api/v1/sessions/{id}/shares                   401 404 401 401 200 404
    POST   /api/v1/sessions/{id}/shares                   401 404 401 401 201 404
    DELETE /api/v1/sessions/{id}/shares/{share}           401 404 401 401 204 404
    GET    /api/v1/sessions/{id}/viewers                  401 404 401 401 200 404
    POST   /api/v1/sessions/{id}/tickets                  401 404 401 401 200 404
    POST   /api/v1/join                                   403 403 200 200 403 403
    POST   /api/v1/look                                   403 403 200 200 403 403
    GET    /api/v1/machines                               200 200 200 200 200 200
    GET    /api/v1/monitor                                401 403 401 401 403 403
    GET    /api/v1/status                                 200 200 200 200 200 200
";

/// The same with a sign-in method configured.
const SIGN_IN: &str = "
    GET    /                                              200 200 200 200 200 200
    GET    /help                                          200 200 200 200 200 200
    GET    /join                                          200 200 200 200 200 200
    GET    /sign-in                                       401 200 401 401 200 200
    POST   /sign-in                                       401 401 401 401 401 401
    GET    /sign-in/email                                 200 200 200 200 200 200
    POST   /sign-in/email                                 400 400 400 400 400 400
    GET    /enter                                         200 200 200 200 200 200
    POST   /enter                                         403 403 403 403 403 403
    POST   /sign-out                                      401 303 401 401 303 303
    GET    /sessions                                      401 200 401 401 200 200
    POST   /sessions                                      401 303 401 401 303 303
    GET    /sessions/{id}                                 401 404 401 401 200 200
    GET    /sessions/{id}/picture                         401 404 401 401 200 403
    GET    /sessions/{id}/screen                          401 404 401 401 200 200
    GET    /sessions/{id}/continue                        404 404 404 404 404 404
    POST   /sessions/{id}/continue                        404 404 404 404 404 404
    GET    /sessions/{id}/stop                            401 404 401 401 200 200
    POST   /sessions/{id}/stop                            401 404 401 401 303 303
    POST   /sessions/{id}/kill                            401 404 401 401 303 303
    GET    /sessions/{id}/extend                          401 404 401 401 200 200
    POST   /sessions/{id}/extend                          401 404 401 401 303 303
    GET    /sessions/{id}/shares                          401 404 401 401 200 200
    POST   /sessions/{id}/shares                          401 404 401 401 200 200
    POST   /sessions/{id}/shares/{share}/revoke           401 404 401 401 303 303
    GET    /monitor                                       401 403 401 401 403 200
    GET    /monitor/stop                                  401 403 401 401 403 200
    POST   /monitor/stop                                  401 403 401 401 403 303
    GET    /monitor/{id}/picture                          401 403 401 401 403 403
    GET    /metrics                                       200 200 200 200 200 200
    GET    /api/v1/sign-in                                401 200 401 401 200 200
    POST   /api/v1/sign-in                                401 401 401 401 401 401
    DELETE /api/v1/sign-in                                401 204 401 401 204 204
    GET    /api/v1/sessions                               401 200 401 401 200 200
    POST   /api/v1/sessions                               401 201 401 401 201 201
    GET    /api/v1/sessions/{id}                          401 404 401 401 200 200
    DELETE /api/v1/sessions/{id}                          401 404 401 401 202 202
    POST   /api/v1/sessions/{id}/extend                   401 404 401 401 200 200
    GET    /api/v1/sessions/{id}/shares                   401 404 401 401 200 200
    POST   /api/v1/sessions/{id}/shares                   401 404 401 401 201 201
    DELETE /api/v1/sessions/{id}/shares/{share}           401 404 401 401 204 204
    GET    /api/v1/sessions/{id}/viewers                  401 404 401 401 200 200
    POST   /api/v1/sessions/{id}/tickets                  401 404 401 401 200 200
    POST   /api/v1/join                                   403 403 200 200 403 403
    POST   /api/v1/look                                   403 403 200 200 403 403
    GET    /api/v1/machines                               401 200 401 401 200 200
    GET    /api/v1/monitor                                401 403 401 401 403 200
    GET    /api/v1/status                                 401 200 401 401 200 200
";

const PEOPLE: &str = "admins = ['boss']\n[sign_in.email]\nallowed_domains = ['example.org']\n\
    [mail]\nserver = 'mail.example.org'\nfrom = 'd@example.org'\n";

impl Caller {
    fn name(self) -> Option<&'static str> {
        match self {
            OtherUser => Some("bob"),
            Owner => Some("zelda"),
            Administrator => Some("boss"),
            Nobody | ViewGuest | ControlGuest => None,
        }
    }

    /// The secret that came with a link.
    fn secret(self) -> String {
        match self {
            ViewGuest => VIEW.repeat(43),
            ControlGuest => CONTROL.repeat(43),
            _ => "n".repeat(43),
        }
    }

    /// A browser in which this caller has done what makes them so.
    fn browser<'a>(self, bench: &'a Bench, methods: &[&str]) -> Browser<'a> {
        let mut browser = match self.name() {
            None => Browser::new(bench),
            Some(name) if methods.is_empty() => Browser::of(bench, name),
            Some(name) => {
                let (_, method) = crate::model::METHODS.iter().find(|(word, _)| *word == methods[0]).unwrap();
                Browser::signed_in(bench, &SignIn::new(name.parse().unwrap(), *method, NOW))
            }
        };
        if matches!(self, ViewGuest | ControlGuest) {
            let (status, joined) = browser.json(Method::Post, "/join", &format!(r#"{{"secret":"{}"}}"#, self.secret()));
            let role = if self == ViewGuest { "view" } else { "control" };
            assert_eq!((status, joined["role"].as_str()), (200, Some(role)));
        }
        browser
    }
}

/// A portal with a session of somebody's, and who checks passwords.
fn portal(methods: &[&str]) -> (Bench, Helper) {
    let bench = Bench::new();
    let config = format!("public_url = 'http://localhost'\n[sign_in]\nmethods = {methods:?}\n{PEOPLE}");
    bench.root.write("etc/qemu-web-desktop/config.d/people.toml", &config);
    let pam = Helper::of_alice(bench.root.path(), PAM_SOCKET);
    let mut world = bench.world.lock().unwrap();
    world.sessions.push(a_session("abcdefghjk", "zelda"));
    // The launcher reads the same configuration.
    world.admins = methods.first().map(|_| "boss".to_owned()).into_iter().collect();
    drop(world);
    (bench, pam)
}

fn ask(bench: &Bench, caller: Caller, methods: &[&str], route: &Route) -> u16 {
    let mut browser = caller.browser(bench, methods);
    let csrf = browser.csrf("/");
    let reply = gates::send(&mut browser, route, &csrf, &caller.secret());
    // The names of others, and what they have, are nobody's business.
    let told = String::from_utf8_lossy(&reply.body).contains("zelda");
    assert!(!told || !matches!(caller, Nobody | OtherUser), "{caller:?}: {}", route.path);
    reply.status
}

/// What everybody gets, as lines of the tables.
fn seen(methods: &[&str]) -> Vec<String> {
    let (reading, _pam) = portal(methods);
    let line = |route: &Route| {
        let statuses = CALLERS.map(|caller| {
            let fresh = (route.method != Method::Get).then(|| portal(methods));
            let bench = fresh.as_ref().map_or(&reading, |(bench, _)| bench);
            ask(bench, caller, methods, route).to_string()
        });
        format!("{} {} {}", route.method.as_str(), route.path, statuses.join(" "))
    };
    ROUTES.iter().map(line).collect()
}

fn hold(seen: &[String], expected: &str) {
    let expected: Vec<String> = expected
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|l| !l.is_empty())
        .collect();
    let lacks: Vec<_> = seen.iter().filter(|line| !expected.contains(line)).collect();
    let extra: Vec<_> = expected.iter().filter(|line| !seen.contains(line)).collect();
    assert!(
        lacks.is_empty() && extra.is_empty(),
        "seen and not expected: {lacks:#?}\nexpected and not seen: {extra:#?}"
    );
}

#[test]
fn while_the_service_is_open() {
    hold(&seen(&[]), OPEN);
}

#[test]
fn where_people_sign_in() {
    hold(&seen(&["pam", "email"]), SIGN_IN);
}
