//! A password is right if the directory lets its user bind with it.
//!
//! ```text
//! bind_dn set:    bind as it ──┐                    ┌─> require, name_attribute, groups
//! else: search, exactly one ───┴─> bind as the user ┘   (as search_dn, if there is one)
//! ```
//!
//! The crate brings its runtime along and hides it; the connection is made by us.

use super::ldap_names::{active_directory, escaped_filter, fill, said, template_dn, verdict};
use super::peer::{self, Protocol, Target};
use super::tls;
use super::trouble::Trouble;
use crate::auth::{Answer, Outcome, Password};
use crate::config::{Encryption, raw};
use ldap3::{LdapConn, LdapConnSettings, LdapError, LdapResult, Scope, SearchEntry, SearchOptions, StdStream};

/// What the configuration says about the directory beside where it is.
#[derive(Debug)]
pub(super) struct Rules {
    /// As in the file.
    pub(super) raw: raw::Ldap,
    /// The password of `search_dn`, if that is set.
    pub(super) search_password: Option<Password>,
}

/// Asks the directory.
pub(super) fn check(at: &Target, rules: &Rules, user: &str, password: &Password) -> Result<Answer, Trouble> {
    let mut directory = Directory::open(at, rules)?;
    let refused = |why: String| Ok(Answer::new(Outcome::Refuse, why));
    let host = &at.server.host;
    let dn = match template_dn(&rules.raw.bind_dn, user) {
        Some(dn) => dn,
        None => {
            directory.bind_to_search()?;
            match directory.find(user)? {
                Found::One(dn) => dn,
                Found::None => return refused(format!("{host} has no entry for {user}.")),
                Found::Several => return refused(format!("{host} has more than one entry for {user}.")),
            }
        }
    };
    if let Bind::Refused(why) = directory.bind(&dn, password)? {
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        return refused(format!("{host} does not let {user} in with this password{why}."));
    }
    directory.describe(user, dn)
}

enum Bind {
    Accepted,
    /// With what the directory says about it, if that is known.
    Refused(Option<&'static str>),
}

enum Found {
    None,
    One(String),
    Several,
}

struct Directory<'a> {
    at: &'a Target,
    rules: &'a Rules,
    connection: LdapConn,
}

impl<'a> Directory<'a> {
    fn open(at: &'a Target, rules: &'a Rules) -> Result<Self, Trouble> {
        let stream = peer::connect(at)?.into_stream();
        let mut settings = LdapConnSettings::new()
            .set_std_stream(StdStream::Tcp(stream))
            .set_conn_timeout(at.left()?)
            .set_starttls(at.server.encryption == Encryption::StartTls);
        if at.server.encryption != Encryption::Plain {
            settings = settings.set_config(tls::config(&at.trust).map_err(Trouble::Ours)?);
        }
        let scheme = if at.server.encryption == Encryption::Tls { "ldaps" } else { "ldap" };
        let host = if at.server.host.contains(':') { format!("[{}]", at.server.host) } else { at.server.host.clone() };
        let connection = LdapConn::with_settings(settings, &format!("{scheme}://{host}:{}", at.server.port)).map_err(
            |e| match e {
                LdapError::LdapResult { .. } => Trouble::NoStartTls,
                other => peer::explain(trouble(other), at, Protocol::Ldap),
            },
        )?;
        Ok(Self { at, rules, connection })
    }

    /// Whether the directory takes the password; an error if it does not say that it is wrong.
    fn bind(&mut self, dn: &str, password: &Password) -> Result<Bind, Trouble> {
        // A bind without a name or a password succeeds and proves nothing (RFC 4513, 5.1.1 and 5.1.2).
        if dn.trim().is_empty() || password.expose().is_empty() {
            return Ok(Bind::Refused(None));
        }
        let left = self.at.left()?;
        let LdapResult { rc, text, .. } =
            self.connection.with_timeout(left).simple_bind(dn, password.expose()).map_err(trouble)?;
        Ok(if verdict(rc)? { Bind::Accepted } else { Bind::Refused(active_directory(rc, &text)) })
    }

    /// As `search_dn`; without one the search is anonymous.
    fn bind_to_search(&mut self) -> Result<(), Trouble> {
        let rules = self.rules;
        let Some(password) = &rules.search_password else { return Ok(()) };
        let Bind::Refused(why) = self.bind(&rules.raw.search_dn, password)? else { return Ok(()) };
        let why = why.map_or(String::new(), |why| format!(", since {why}"));
        Err(Trouble::Unable(format!(
            "it does not let {} in{why}: see sign_in.ldap.search_dn and the password in {}",
            rules.raw.search_dn, rules.raw.search_password_file
        )))
    }

    fn find(&mut self, user: &str) -> Result<Found, Trouble> {
        let raw = &self.rules.raw;
        let filter = fill(&raw.search_filter, &[("{user}", &escaped_filter(user))]);
        // Two are as good as many.
        let options = SearchOptions::new().sizelimit(2);
        let (mut entries, rc) = self.search(options, &raw.search_base, Scope::Subtree, &filter, &["1.1"])?;
        match (rc, entries.len()) {
            (0, 0) => Ok(Found::None),
            (0, 1) => Ok(Found::One(entries.remove(0).dn)),
            (0 | SIZE_LIMIT, _) => Ok(Found::Several),
            (rc, _) => Err(Trouble::Unable(format!(
                "the search below \"{}\" fails: {} (see sign_in.ldap.search_base and search_dn)",
                raw.search_base,
                said(rc)
            ))),
        }
    }

    /// What is told about somebody whose password is right, unless the entry does not do.
    fn describe(&mut self, user: &str, dn: String) -> Result<Answer, Trouble> {
        let raw = &self.rules.raw;
        let mut answer = Answer::new(Outcome::Accept, format!("{} let {user} in.", self.at.server.host));
        if raw.require.is_empty() && raw.name_attribute.is_empty() && raw.group_base.is_empty() {
            return Ok(answer);
        }
        self.bind_to_search()?;
        // A name to bind as need not be the entry's: some directories take user@domain.
        let dn = match (raw.bind_dn.is_empty(), raw.search_base.is_empty()) {
            (false, false) => match self.find(user)? {
                Found::One(dn) => dn,
                _ => return Ok(Answer::new(Outcome::Refuse, format!("There is not just one entry for {user}."))),
            },
            _ => dn,
        };
        if !raw.require.is_empty() || !raw.name_attribute.is_empty() {
            let Some(entry) = self.own(&dn)? else {
                let why = format!("The entry of {user} is not to be seen, or does not match sign_in.ldap.require.");
                return Ok(Answer::new(Outcome::Refuse, why));
            };
            if !raw.name_attribute.is_empty() {
                answer.user = self.name(user, &entry)?;
            }
        }
        answer.groups = self.groups(user, &dn)?;
        Ok(answer)
    }

    /// The user's entry, if it matches what is required.
    fn own(&mut self, dn: &str) -> Result<Option<SearchEntry>, Trouble> {
        let raw = &self.rules.raw;
        let filter = if raw.require.is_empty() { "(objectClass=*)" } else { &raw.require };
        let wanted = if raw.name_attribute.is_empty() { "1.1" } else { &raw.name_attribute };
        let (mut entries, rc) = self.search(SearchOptions::new(), dn, Scope::Base, filter, &[wanted])?;
        match rc {
            0 if entries.len() == 1 => Ok(entries.pop()),
            0 => Ok(None),
            rc => Err(Trouble::Unable(format!("the entry \"{dn}\" cannot be read: {}", said(rc)))),
        }
    }

    fn name(&self, user: &str, entry: &SearchEntry) -> Result<String, Trouble> {
        let key = &self.rules.raw.name_attribute;
        let values = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, values)| values);
        match values.map(Vec::as_slice) {
            Some([name]) if !name.is_empty() => Ok(name.clone()),
            _ => Err(Trouble::Unable(format!(
                "the entry of {user} has not just one \"{key}\", which is sign_in.ldap.name_attribute"
            ))),
        }
    }

    fn groups(&mut self, user: &str, dn: &str) -> Result<Vec<String>, Trouble> {
        let raw = &self.rules.raw;
        if raw.group_base.is_empty() {
            return Ok(Vec::new());
        }
        let (user, dn) = (escaped_filter(user), escaped_filter(dn));
        let filter = fill(&raw.group_filter, &[("{user}", &user), ("{dn}", &dn)]);
        let wanted = [raw.group_attribute.as_str()];
        let (entries, rc) = self.search(SearchOptions::new(), &raw.group_base, Scope::Subtree, &filter, &wanted)?;
        if rc != 0 {
            return Err(Trouble::Unable(format!(
                "the search of groups below \"{}\" fails: {} (see sign_in.ldap.group_base)",
                raw.group_base,
                said(rc)
            )));
        }
        let mut names: Vec<String> =
            entries.into_iter().flat_map(|entry| entry.attrs.into_values().flatten()).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The entries, and how the search ended. Pointers to other directories are not followed.
    fn search(
        &mut self,
        options: SearchOptions,
        base: &str,
        scope: Scope,
        filter: &str,
        wanted: &[&str],
    ) -> Result<(Vec<SearchEntry>, u32), Trouble> {
        let left = self.at.left()?;
        let connection = self.connection.with_timeout(left).with_search_options(options);
        let found = connection.search(base, scope, filter, wanted.to_vec()).map_err(|e| match e {
            LdapError::FilterParsing => Trouble::Unable(format!("\"{filter}\" in [sign_in.ldap] is no filter")),
            other => trouble(other),
        })?;
        let entries = found.0.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        Ok((entries.map(SearchEntry::construct).collect(), found.1.rc))
    }
}

/// sizeLimitExceeded
const SIZE_LIMIT: u32 = 4;

fn trouble(error: LdapError) -> Trouble {
    match error {
        LdapError::Io { source } => source.into(),
        LdapError::Rustls { source } => (&source).into(),
        LdapError::Timeout { .. } => Trouble::Silent,
        LdapError::DNSName { .. } => Trouble::Certificate("a server that uses TLS is to be named by its name".into()),
        LdapError::ResultRecv { .. } | LdapError::OpSend { .. } | LdapError::EndOfStream => Trouble::Closed,
        _ => Trouble::Garbled(Protocol::Ldap.name()),
    }
}
