//! A request that has come through the gates, as the handlers see it, and the tokens that keep other
//! sites from sending one through somebody's browser.

use super::App;
use super::chain;
use super::cookie::Cookie;
use super::form::Form;
use super::http::{Reply, Request};
use super::identity::Person;
use super::keys::Purpose;
use super::refusal::Refusal;
use super::router::Guard;
use super::site::Site;
use super::typed_name::TypedName;
use crate::bus::{Asker, Session};
use crate::config::Settings;
use crate::model::{Owner, Secret, SessionId};
use crate::random;
use std::cell::Cell;

/// What a handler knows about the request it answers.
pub struct Ask<'a> {
    /// The portal.
    pub app: &'a App,
    /// In force for this request.
    pub settings: &'a Settings,
    /// As it came.
    pub request: &'a Request,
    /// Under which name we were asked.
    pub site: Site,
    /// Who asks, if anybody is signed in.
    pub person: Option<Person>,
    /// The body, if the guard is [`Guard::Form`].
    pub form: Form,
    /// Seconds since 1970.
    pub now: u64,
    id: &'a str,
    share: &'a str,
    anonymous: FormCookie,
}

/// What forms are bound to while nobody is signed in.
struct FormCookie {
    value: Secret,
    fresh: bool,
    used: Cell<bool>,
}

impl FormCookie {
    fn of(request: &Request, https: bool) -> Self {
        let old = Cookie::Form.read(request, https);
        let fresh = old.is_none();
        Self { value: old.unwrap_or_else(random::secret), fresh, used: Cell::new(false) }
    }
}

impl<'a> Ask<'a> {
    /// About nothing in particular yet.
    pub(super) fn new(
        app: &'a App,
        settings: &'a Settings,
        request: &'a Request,
        site: Site,
        person: Option<Person>,
        now: u64,
    ) -> Self {
        let anonymous = FormCookie::of(request, site.https());
        Self { app, settings, request, site, person, form: Form::default(), now, id: "", share: "", anonymous }
    }

    /// About the session and the share that the path names.
    pub(super) fn about(self, id: &'a str, share: &'a str) -> Self {
        Self { id, share, ..self }
    }

    /// The same request by somebody who has just signed in by it.
    pub(super) fn by(&self, person: Person) -> Ask<'a> {
        let form = self.form.clone();
        Ask { form, ..Ask::new(self.app, self.settings, self.request, self.site.clone(), Some(person), self.now) }
    }

    /// The reply with the cookie that the forms on it are bound to.
    pub(super) fn with_cookie(&self, reply: Reply) -> Reply {
        if self.anonymous.fresh && self.anonymous.used.get() {
            return reply.with("Set-Cookie", Cookie::Form.write(&self.anonymous.value, self.site.https()));
        }
        reply
    }
}

impl Ask<'_> {
    /// The session that the path names.
    pub fn session_id(&self) -> Result<SessionId, Refusal> {
        Ok(self.id.parse()?)
    }

    /// The share that the path names; the launcher knows whether there is one.
    pub fn share_id(&self) -> &str {
        self.share
    }

    /// On whose behalf the launcher is called.
    pub fn asker(&self) -> Result<Asker, Refusal> {
        self.person.as_ref().map(Person::asker).ok_or_else(Refusal::not_signed_in)
    }

    /// Whether to show what administrators may do.
    pub fn is_admin(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.is_admin(self.settings))
    }

    /// Return whether a session that the person may see is their own: only administrators see those of others.
    pub fn owns(&self, session: &Session) -> bool {
        !self.is_admin() || self.person.as_ref().is_some_and(|person| person.owner == session.owner_id)
    }

    /// Return what shows that this browser has signed in before to an account that this name may spell.
    pub fn known_device(&self, name: &str) -> Option<Secret> {
        let typed = TypedName::parse(name, &self.settings.sign_in)?;
        let mut methods = self.settings.sign_in.methods.iter().filter(|method| chain::takes_password(**method));
        methods.find_map(|method| self.device_of(&typed.account(*method)?))
    }

    /// Return what shows that this browser has signed in to this account before.
    pub fn device_of(&self, account: &Owner) -> Option<Secret> {
        let device = Cookie::Device.read(self.request, self.site.https())?;
        self.app.key.knows_device(account, &device).then_some(device)
    }

    /// The seconds by which attempts and mails are counted.
    pub fn ticks(&self) -> u64 {
        (self.app.ticks)(self.now)
    }

    /// The query's fields.
    pub fn query(&self) -> Result<Form, Refusal> {
        Form::parse(self.request.query.as_bytes())
    }

    /// The hidden field for a form on the page that is being made.
    pub fn csrf(&self) -> String {
        let (purpose, cookie) = self.bound_to();
        self.anonymous.used.set(!matches!(purpose, Purpose::SignedIn));
        self.app.key.token(purpose, cookie)
    }

    fn bound_to(&self) -> (Purpose<'_>, &Secret) {
        match &self.person {
            Some(Person { cookie: Some(cookie), .. }) => (Purpose::SignedIn, cookie),
            Some(Person { name, .. }) => (Purpose::Remote(name), &self.anonymous.value),
            None => (Purpose::Anonymous, &self.anonymous.value),
        }
    }

    fn token_fits(&self, token: &str) -> bool {
        let (purpose, cookie) = self.bound_to();
        self.app.key.verify(purpose, cookie, token)
    }

    /// Refuses what another site may have sent through somebody's browser.
    pub(super) fn check_guard(&mut self, guard: Guard) -> Result<(), Refusal> {
        match guard {
            Guard::Reading => Ok(()),
            Guard::Form => self.check_form(),
            Guard::Json => self.check_json(),
        }
    }

    fn check_form(&mut self) -> Result<(), Refusal> {
        if self.request.media_type()? != "application/x-www-form-urlencoded" {
            return Err(Refusal::new(415, "unsupported_media_type", "This address takes the forms of this site only."));
        }
        self.form = Form::parse(&self.request.body)?;
        if self.token_fits(self.form.text("csrf")) {
            return Ok(());
        }
        Err(Refusal::new(
            403,
            "not_allowed",
            "This form has expired, or cookies are switched off in your browser. Go back, reload the page and try again.",
        ))
    }

    fn check_json(&self) -> Result<(), Refusal> {
        let json = self.request.media_type()? == "application/json";
        if !json && !self.request.body.is_empty() {
            let message = "The JSON API takes Content-Type: application/json only.";
            return Err(Refusal::new(415, "unsupported_media_type", message));
        }
        let token = self.request.header("x-csrf-token")?;
        let own_origin = json && self.request.header("origin")? == Some(self.site.origin());
        if own_origin || token.is_some_and(|token| self.token_fits(token)) {
            return Ok(());
        }
        Err(Refusal::new(
            403,
            "not_allowed",
            format!(
                "A change needs the header X-CSRF-Token, or Content-Type: application/json together with this \
                 site's own Origin. From a command line: curl -b jar -c jar -H 'Origin: {}' \
                 -H 'Content-Type: application/json' …",
                self.site.origin()
            ),
        ))
    }
}
