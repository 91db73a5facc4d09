//! Every address that the portal answers, in one table.

use super::http::Method::{Delete, Get, Post};
use super::router::Guard::{Form, Json, Reading};
use super::router::Who::{Administrator, Anyone, Reader, SignedIn, Visitor};
use super::router::{Guard, Handler, Route, Who};
use super::{api, metrics, pages};

const fn route(method: super::http::Method, path: &'static str, who: Who, guard: Guard, handler: Handler) -> Route {
    Route { method, path, who, guard, handler }
}

/// The table.
pub const ROUTES: &[Route] = &[
    route(Get, "/", Anyone, Reading, pages::first),
    route(Get, "/help", Anyone, Reading, pages::help),
    route(Get, "/join", Anyone, Reading, pages::join),
    // A form that comes back stands at the address it was sent to, and people reload that.
    route(Get, "/sign-in", SignedIn, Reading, pages::sessions),
    route(Post, "/sign-in", Anyone, Form, pages::sign_in_post),
    route(Get, "/sign-in/email", Anyone, Reading, pages::first),
    route(Post, "/sign-in/email", Anyone, Form, pages::ask_for_link),
    route(Get, "/enter", Anyone, Reading, pages::enter),
    route(Post, "/enter", Anyone, Form, pages::enter_post),
    route(Post, "/sign-out", SignedIn, Form, pages::sign_out),
    route(Get, "/sessions", SignedIn, Reading, pages::sessions),
    route(Post, "/sessions", Visitor, Form, pages::create),
    route(Get, "/sessions/{id}", SignedIn, Reading, pages::session),
    route(Get, "/sessions/{id}/picture", SignedIn, Reading, pages::own_picture),
    route(Get, "/sessions/{id}/screen", SignedIn, Reading, pages::screen),
    route(Get, "/sessions/{id}/continue", Anyone, Reading, pages::continuing),
    route(Post, "/sessions/{id}/continue", Anyone, Form, pages::continue_here),
    route(Get, "/sessions/{id}/stop", SignedIn, Reading, pages::session),
    route(Post, "/sessions/{id}/stop", SignedIn, Form, pages::stop),
    route(Post, "/sessions/{id}/kill", SignedIn, Form, pages::kill),
    route(Get, "/sessions/{id}/extend", SignedIn, Reading, pages::session),
    route(Post, "/sessions/{id}/extend", SignedIn, Form, pages::extend),
    route(Get, "/sessions/{id}/shares", SignedIn, Reading, pages::session),
    route(Post, "/sessions/{id}/shares", SignedIn, Form, pages::share),
    route(Post, "/sessions/{id}/shares/{share}/revoke", SignedIn, Form, pages::revoke),
    route(Get, "/monitor", Administrator, Reading, pages::monitor),
    route(Get, "/monitor/stop", Administrator, Reading, pages::monitor),
    route(Post, "/monitor/stop", Administrator, Form, pages::stop_all),
    route(Get, "/monitor/{id}/picture", Administrator, Reading, pages::picture),
    route(Get, "/metrics", Reader, Reading, metrics::metrics),
    route(Get, "/api/v1/sign-in", SignedIn, Reading, api::who),
    route(Post, "/api/v1/sign-in", Anyone, Json, api::sign_in),
    route(Delete, "/api/v1/sign-in", SignedIn, Json, api::sign_out),
    route(Get, "/api/v1/sessions", SignedIn, Reading, api::list),
    route(Post, "/api/v1/sessions", Visitor, Json, api::create),
    route(Get, "/api/v1/sessions/{id}", SignedIn, Reading, api::get),
    route(Delete, "/api/v1/sessions/{id}", SignedIn, Json, api::stop),
    route(Post, "/api/v1/sessions/{id}/extend", SignedIn, Json, api::extend),
    route(Get, "/api/v1/sessions/{id}/shares", SignedIn, Reading, api::shares),
    route(Post, "/api/v1/sessions/{id}/shares", SignedIn, Json, api::share),
    route(Delete, "/api/v1/sessions/{id}/shares/{share}", SignedIn, Json, api::revoke),
    route(Get, "/api/v1/sessions/{id}/viewers", SignedIn, Reading, api::viewers),
    route(Post, "/api/v1/sessions/{id}/tickets", SignedIn, Json, api::ticket),
    route(Post, "/api/v1/join", Anyone, Json, api::join),
    route(Post, "/api/v1/look", Anyone, Json, api::look),
    route(Get, "/api/v1/machines", Visitor, Reading, api::machines),
    route(Get, "/api/v1/monitor", Administrator, Reading, api::monitor),
    route(Get, "/api/v1/status", Visitor, Reading, api::status),
];
