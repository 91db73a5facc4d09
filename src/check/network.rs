//! `qwd-auth-network`: checks a password against the IMAP, SMTP or LDAP server of the configuration.
//!
//! It begins as root, to read what only root may read, and has given that up before the first word
//! from outside reaches it: neither the question nor a server is ever faced with a right of any kind.

use super::ldap::Rules;
use super::peer::Target;
use super::tls::Trust;
use super::trouble::Trouble;
use super::{imap, ldap, rights, secret, serve, smtp, within};
use crate::auth::{Answer, Check, Password};
use crate::config::{self, Server, SignIn};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Beyond a server's own time, which every step of a check keeps by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the program; the exit code says whether there was an answer, whatever it was.
pub fn main() -> ExitCode {
    let means = Means::load(Path::new("/"));
    let means = rights::give_up().and(means);
    serve(|check: Check| match means {
        Ok(means) => means.ask(check),
        Err(sentence) => Answer::unavailable(sentence),
    })
}

/// All that is known about the servers: the configuration, and the files that it names.
struct Means {
    imap: Option<Result<Way, String>>,
    smtp: Option<Result<Way, String>>,
    ldap: Option<Result<Way, String>>,
}

/// How a password is checked.
struct Way {
    server: Server,
    trust: Trust,
    kind: Kind,
}

enum Kind {
    Imap,
    Smtp,
    Ldap(Box<Rules>),
}

impl Means {
    fn load(root: &Path) -> Result<Self, String> {
        let SignIn { imap, smtp, ldap, .. } = super::settings(root)?.sign_in;
        let ldap = ldap.map(|ldap| {
            let search_password = search_password(&ldap.raw)?;
            Way::new(ldap.server, Kind::Ldap(Box::new(Rules { raw: ldap.raw, search_password })))
        });
        Ok(Self {
            imap: imap.map(|server| Way::new(server, Kind::Imap)),
            smtp: smtp.map(|server| Way::new(server, Kind::Smtp)),
            ldap,
        })
    }

    fn ask(self, check: Check) -> Answer {
        let way = match check.method.as_str() {
            "imap" => self.imap,
            "smtp" => self.smtp,
            "ldap" => self.ldap,
            _ => None,
        };
        match way {
            Some(Ok(way)) => way.ask(check),
            Some(Err(sentence)) => Answer::unavailable(sentence),
            None => Answer::unavailable("The method is not among sign_in.methods, or no server checks it."),
        }
    }
}

impl Way {
    fn new(server: Server, kind: Kind) -> Result<Self, String> {
        let trust = Trust::load(server.ca_file.as_deref())?;
        Ok(Self { server, trust, kind })
    }

    fn ask(self, check: Check) -> Answer {
        let section = match self.kind {
            Kind::Imap => "sign_in.imap",
            Kind::Smtp => "sign_in.smtp",
            Kind::Ldap(_) => "sign_in.ldap",
        };
        let at = Target::new(self.server, section, self.trust);
        let patience = at.server.timeout + GRACE;
        let late = Answer::unavailable(Trouble::Silent.tell(&at));
        within(patience, late, move || {
            let (user, password) = (check.user.as_str(), &check.password);
            let answer = match self.kind {
                Kind::Imap => imap::check(&at, user, password),
                Kind::Smtp => smtp::check(&at, user, password),
                Kind::Ldap(rules) => ldap::check(&at, &rules, user, password),
            };
            answer.unwrap_or_else(|trouble| Answer::unavailable(trouble.tell(&at)))
        })
    }
}

/// The password to search with, if there is a name to search as.
fn search_password(raw: &config::raw::Ldap) -> Result<Option<Password>, String> {
    if raw.search_dn.is_empty() {
        return Ok(None);
    }
    secret::read(Path::new(&raw.search_password_file), "sign_in.ldap.search_password_file").map(Some)
}
