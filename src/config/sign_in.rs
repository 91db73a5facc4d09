//! The validated settings of signing in. Only what is switched on has to be complete: a server that no
//! method names may stay empty.

use super::raw;
use super::settings::{Fault, absolute, choice, fault, optional, parsed};
use crate::model::{Lifetime, METHODS, Method, UserName};
use crate::spelling;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How the connection to a server is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the first byte.
    Tls,
    /// TLS after a few words in plain text; a server that does not offer it is not talked to.
    StartTls,
    /// None; to this machine itself only.
    Plain,
}

/// A server that is talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept private.
    pub encryption: Encryption,
    /// Certificate authorities to trust, if not the system's.
    pub ca_file: Option<PathBuf>,
    /// For the whole conversation.
    pub timeout: Duration,
}

/// A directory and how a user is found in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ldap {
    /// Where it is.
    pub server: Server,
    /// The rest, as in the file.
    pub raw: raw::Ldap,
}

/// `[sign_in.email]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    /// As the DNS has them.
    pub allowed_domains: Vec<String>,
    /// How long a link is good for.
    pub lifetime: Lifetime,
    /// Links to one address within an hour.
    pub per_address: u32,
    /// Links for one client within an hour.
    pub per_client: u32,
}

/// How people sign in. No method: the service is open.
#[derive(Clone, Debug, PartialEq)]
pub struct SignIn {
    /// In the order in which they are tried.
    pub methods: Vec<Method>,
    /// Administrators by name.
    pub admins: Vec<UserName>,
    /// Administrators by group.
    pub admin_groups: Vec<String>,
    /// Whether an address with a sub-address is the address without it, where people type it.
    pub fold_sub_addresses: bool,
    /// Set if the method is used.
    pub imap: Option<Server>,
    /// Set if the method is used.
    pub smtp: Option<Server>,
    /// Set if the method is used.
    pub ldap: Option<Ldap>,
    /// Set if the method is used.
    pub email: Option<Email>,
    /// The PAM service.
    pub pam_service: String,
    /// How long PAM is waited for.
    pub pam_timeout: Duration,
    /// The administrator's program, if the method is used.
    pub command: Option<PathBuf>,
    /// Whether the program's people are known in lower case.
    pub command_fold_case: bool,
    /// How long that is waited for.
    pub command_timeout: Duration,
    /// Whether Apache's people are known in lower case.
    pub remote_user_fold_case: bool,
    /// Where "Sign out" leads for those whom Apache signs in.
    pub sign_out_url: Option<String>,
}

impl SignIn {
    /// Whether this method is switched on.
    pub fn has(&self, method: Method) -> bool {
        self.methods.contains(&method)
    }
}

/// The usual ports: of TLS from the first byte, and of everything else.
pub(super) struct Ports(pub(super) u16, pub(super) u16);

const IMAP: Ports = Ports(993, 143);
pub(super) const SUBMISSION: Ports = Ports(465, 587);
const LDAP: Ports = Ports(636, 389);

pub(super) fn sign_in(raw: &raw::SignIn) -> Result<SignIn, Fault> {
    let methods: Vec<Method> =
        raw.methods.iter().map(|word| choice("sign_in.methods", word, &METHODS)).collect::<Result<_, _>>()?;
    for (at, method) in methods.iter().enumerate() {
        if methods[..at].contains(method) {
            return Err(fault("sign_in.methods", "each method once"));
        }
    }
    let used = |method| methods.contains(&method);
    let when = |method, f: &dyn Fn() -> Result<Server, Fault>| used(method).then(f).transpose();
    Ok(SignIn {
        admins: raw.admins.iter().map(|name| parsed("sign_in.admins", name)).collect::<Result<_, _>>()?,
        admin_groups: raw.admin_groups.clone(),
        fold_sub_addresses: raw.fold_sub_addresses,
        imap: when(Method::Imap, &|| server(IMAP_KEYS, &raw.imap, IMAP))?,
        smtp: when(Method::Smtp, &|| server(SMTP_KEYS, &raw.smtp, SUBMISSION))?,
        ldap: used(Method::Ldap).then(|| ldap(&raw.ldap)).transpose()?,
        email: used(Method::Email).then(|| email(&raw.email)).transpose()?,
        pam_service: pam_service(&raw.pam.service)?,
        pam_timeout: time("sign_in.pam.timeout", &raw.pam.timeout)?,
        command: used(Method::Command)
            .then(|| absolute("sign_in.command.program", &raw.command.program))
            .transpose()?,
        command_fold_case: raw.command.fold_case,
        command_timeout: time("sign_in.command.timeout", &raw.command.timeout)?,
        remote_user_fold_case: raw.remote_user.fold_case,
        sign_out_url: optional(&raw.remote_user.sign_out_url).map(sign_out_url).transpose()?,
        methods,
    })
}

/// The keys of a server, for the sentences about them.
pub(super) struct Keys {
    server: &'static str,
    encryption: &'static str,
    ca_file: &'static str,
    timeout: &'static str,
}

macro_rules! keys {
    ($section:literal) => {
        Keys {
            server: concat!($section, ".server"),
            encryption: concat!($section, ".encryption"),
            ca_file: concat!($section, ".ca_file"),
            timeout: concat!($section, ".timeout"),
        }
    };
}

const IMAP_KEYS: Keys = keys!("sign_in.imap");
const SMTP_KEYS: Keys = keys!("sign_in.smtp");
const LDAP_KEYS: Keys = keys!("sign_in.ldap");
pub(super) const MAIL_KEYS: Keys = keys!("mail");

pub(super) fn server(keys: Keys, raw: &raw::Server, ports: Ports) -> Result<Server, Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
    if raw.server.is_empty() || raw.server.starts_with('-') || !raw.server.chars().all(plain) {
        return Err(fault(keys.server, "the server's host name or address"));
    }
    let known = [("tls", Encryption::Tls), ("starttls", Encryption::StartTls), ("plain", Encryption::Plain)];
    let encryption = choice(keys.encryption, &raw.encryption, &known)?;
    if encryption == Encryption::Plain && !is_this_machine(&raw.server) {
        let text = "\"plain\" would send passwords readably; it is for \"localhost\" and loopback addresses only";
        return Err((keys.encryption, text.to_owned()));
    }
    let usual = if encryption == Encryption::Tls { ports.0 } else { ports.1 };
    Ok(Server {
        host: raw.server.clone(),
        port: if raw.port == 0 { usual } else { raw.port },
        encryption,
        ca_file: optional(&raw.ca_file).map(|path| absolute(keys.ca_file, path)).transpose()?,
        timeout: time(keys.timeout, &raw.timeout)?,
    })
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn time(key: &'static str, text: &str) -> Result<Duration, Fault> {
    let Lifetime(seconds) = parsed(key, text)?;
    if (1..=60).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(fault(key, "1s to 60s"))
}

fn ldap(raw: &raw::Ldap) -> Result<Ldap, Fault> {
    if raw.bind_dn.is_empty() && raw.search_base.is_empty() {
        let text = "set this, or sign_in.ldap.search_base: without either nobody can be found";
        return Err(("sign_in.ldap.bind_dn", text.to_owned()));
    }
    if !raw.bind_dn.is_empty() && !raw.bind_dn.contains("{user}") {
        return Err(fault("sign_in.ldap.bind_dn", "a name with {user} in it, or nothing"));
    }
    if !raw.search_base.is_empty() && !raw.search_filter.contains("{user}") {
        return Err(fault("sign_in.ldap.search_filter", "a filter with {user} in it"));
    }
    if !raw.search_dn.is_empty() {
        absolute("sign_in.ldap.search_password_file", &raw.search_password_file)?;
    }
    Ok(Ldap { server: server(LDAP_KEYS, &raw.as_server(), LDAP)?, raw: raw.clone() })
}

fn email(raw: &raw::Email) -> Result<Email, Fault> {
    let lifetime: Lifetime = parsed("sign_in.email.lifetime", &raw.lifetime)?;
    if lifetime.0 == 0 || lifetime.0 > 86_400 {
        return Err(fault("sign_in.email.lifetime", "a time of a day at most"));
    }
    let allowed = raw.allowed_domains.iter().map(|domain| spelling::domain(domain).filter(|domain| is_domain(domain)));
    let allowed: Option<Vec<String>> = allowed.collect();
    let Some(allowed_domains) = allowed.filter(|domains| !domains.is_empty()) else {
        return Err(fault("sign_in.email.allowed_domains", "at least one domain such as \"example.org\""));
    };
    Ok(Email { allowed_domains, lifetime, per_address: raw.per_address, per_client: raw.per_client })
}

pub(super) fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c))
}

fn pam_service(text: &str) -> Result<String, Fault> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err(fault("sign_in.pam.service", "the name of a file in /etc/pam.d"))
}

fn sign_out_url(text: &str) -> Result<String, Fault> {
    let own = text.starts_with('/') && !text.starts_with("//");
    let plain = text.chars().all(|c| c.is_ascii_graphic() && !"\"'<>\\".contains(c));
    if plain && (own || text.starts_with("https://")) {
        return Ok(text.to_owned());
    }
    Err(fault("sign_in.remote_user.sign_out_url", "a path of this server, or an https:// address"))
}

/// A link in a mail must not begin with whatever a client wrote into `Host`: whoever asks for somebody
/// else's link could have it lead to a server of his own.
pub(super) fn reached(public_url: Option<String>, sign_in: &SignIn) -> Result<Option<String>, Fault> {
    if public_url.is_none() && sign_in.has(Method::Email) {
        let text = "sign-in by email sends links, which begin with this address: set it";
        return Err(("public_url", text.to_owned()));
    }
    Ok(public_url)
}

#[cfg(test)]
#[path = "sign_in_tests.rs"]
mod tests;
