//! Signing in by mail: who gives an address gets a link there.
//!
//! What is told is the same for every address, so that nobody learns from it whom the service lets in;
//! what happened stands in the journal. The one exception is a mail server that takes no mail at all.

use super::ask::Ask;
use super::back::Back;
use super::check_slots::Request;
use super::identity::{self, Person};
use super::mail_links::Link;
use super::refusal::Refusal;
use super::signins::SignIn;
use super::site;
use super::throttle::{Attempt, client_keys};
use crate::config::{Email, Method, Settings};
use crate::journal;
use crate::mail::{self, Letter};
use crate::model::{MailAddress, Secret, UserName, Word};
use crate::spelling;
use std::net::IpAddr;
use std::sync::PoisonError;

/// The method's settings, where it is configured.
pub fn settings(settings: &Settings) -> Option<&Email> {
    settings.sign_in.email.as_ref().filter(|_| settings.sign_in.has(Method::Email))
}

/// Sends a link to an address, if it may have one. Fine says nothing about that.
pub fn send(ask: &Ask<'_>, typed: &str) -> Result<(), Refusal> {
    let email = settings(ask.settings).ok_or_else(Refusal::not_found)?;
    let client = site::client(ask.request);
    let address: MailAddress = folded(ask, typed).parse()?;
    count_mail_of(ask, email, client).map_err(|seconds| {
        let minutes = seconds.div_ceil(60);
        let sentence = format!("Many links have been asked for from your address. Try again in {minutes} minutes.");
        Refusal::new(429, "too_many_attempts", sentence).after(seconds)
    })?;
    let Some(_place) = ask.app.checking.enter(client, Request::Mail) else { return Err(Refusal::busy()) };
    match may_have(ask, email, &address) {
        Ok(()) => post(ask, email, &address, client),
        Err(why) => {
            identity::refused(ask, address.as_str(), why);
            Ok(())
        }
    }
}

/// Count a mail for a client, or return how many seconds it has to wait.
fn count_mail_of(ask: &Ask<'_>, email: &Email, client: Option<IpAddr>) -> Result<(), u64> {
    let mut mails = ask.app.mails_of_clients.lock().unwrap_or_else(PoisonError::into_inner);
    let keys = client_keys(client);
    for (at, (key, allowance)) in keys.iter().enumerate() {
        let most = email.per_client.saturating_mul(u32::try_from(*allowance).unwrap_or(u32::MAX));
        if let Err(seconds) = mails.take(key, most, ask.ticks()) {
            keys[..at].iter().for_each(|(key, _)| mails.give_back(key, ask.ticks()));
            return Err(seconds);
        }
    }
    Ok(())
}

/// Return the one spelling of an address: the link goes there, and so proves that one and no other.
fn folded(ask: &Ask<'_>, typed: &str) -> String {
    let folded = spelling::fold(typed);
    if ask.settings.sign_in.fold_sub_addresses { spelling::without_tag(&folded) } else { folded }
}

/// Why no link is sent to an address.
fn may_have(ask: &Ask<'_>, email: &Email, address: &MailAddress) -> Result<(), &'static str> {
    if !allowed(email, address) {
        return Err("email: the domain is not allowed");
    }
    let mut mails = ask.app.mails_of_addresses.lock().unwrap_or_else(PoisonError::into_inner);
    mails
        .take(mailbox(address).as_bytes(), email.per_address, ask.ticks())
        .map_err(|_| "email: the address has had its links of this hour")
}

/// Return whose mailbox an address leads to, as far as links are counted.
fn mailbox(address: &MailAddress) -> String {
    spelling::without_tag(address.as_str())
}

fn allowed(email: &Email, address: &MailAddress) -> bool {
    email.allowed_domains.iter().any(|domain| domain == address.domain())
}

fn post(ask: &Ask<'_>, email: &Email, address: &MailAddress, client: Option<IpAddr>) -> Result<(), Refusal> {
    let Some(settings) = &ask.settings.mail else { return Err(Refusal::not_found()) };
    let secret = ask.app.mail_links.add(address, Back::of(ask).path(), ask.now + email.lifetime.0, ask.now)?;
    let letter = Letter::SignInLink {
        to: address.clone(),
        link: ask.site.link(&format!("/enter#{}", secret.expose())),
        code: secret.expose().to_owned(),
        minutes: email.lifetime.0.div_ceil(60),
    };
    let socket = ask.app.socket(crate::auth::MAIL_SOCKET);
    let Err(problem) = mail::send_through(&socket, &letter, settings.server.timeout) else {
        log::info!("A link to sign in was sent to {address}, asked for from {}.", identity::named(client));
        return Ok(());
    };
    ask.app.mail_links.remove(&secret);
    let reason = journal::plain(&problem.message, 300);
    log::warn!("The link to sign in could not be sent to {address}: {reason}");
    if problem.word == Word::BadRequest {
        return Ok(());
    }
    ask.app
        .mails_of_addresses
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .give_back(mailbox(address).as_bytes(), ask.ticks());
    Err(Refusal::new(503, "unavailable", format!("The mail could not be sent. {} Try again later.", problem.message)))
}

/// Uses a link up, and says who came by it and where they go on to; `code` is its secret, or the whole link.
pub fn redeem(ask: &Ask<'_>, code: &str) -> Result<(Person, Back), Refusal> {
    let email = settings(ask.settings).ok_or_else(Refusal::not_found)?;
    let secret = code.rsplit('#').next().unwrap_or_default().parse::<Secret>().ok();
    let link = secret.and_then(|secret| ask.app.mail_links.redeem(&secret, ask.now));
    // The domain may have been taken from the list since the mail was sent, and sub-addresses may be folded now.
    let is_good =
        |link: &Link| allowed(email, &link.address) && folded(ask, link.address.as_str()) == link.address.as_str();
    let good = link.filter(is_good);
    let named = good.and_then(|link| Some((link.address.as_str().parse::<UserName>().ok()?, Back::to(&link.back))));
    let Some((name, back)) = named else {
        note_bad_link(ask);
        let sentence = "This link is not good any more: each is good once and for a while. Ask for a new one on the \
                        first page.";
        return Err(Refusal::new(403, "bad_ticket", sentence));
    };
    Ok((identity::enter(ask, SignIn::new(name, Method::Email, ask.now))?, back))
}

/// Write down that somebody came with a link that is not good, as often as a client may fail to sign in.
fn note_bad_link(ask: &Ask<'_>) {
    let attempt = Attempt { names: &[String::new()], client: site::client(ask.request), device: None };
    let counted = ask.app.throttle.lock().unwrap_or_else(PoisonError::into_inner).begin(&attempt, ask.ticks());
    if counted.is_ok() {
        identity::refused(ask, "", "email: no link, or one that is used up or over");
    }
}
