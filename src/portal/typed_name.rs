//! The name that somebody types with a password, as each method is asked about it.
//!
//! A server is asked about the one spelling that its people go by here, so that the password which is right
//! is that spelling's. A name that no method can be asked about is refused before any server hears of it.

use super::chain;
use crate::config::{Method, SignIn};
use crate::model::Owner;
use crate::spelling;

/// A name that methods can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypedName {
    account: String,
    server: String,
    command: String,
    command_fold_case: bool,
}

impl TypedName {
    /// Return the name that a text spells; none where no person can have it.
    pub fn parse(text: &str, sign_in: &SignIn) -> Option<Self> {
        let untagged = |name: &str| match sign_in.fold_sub_addresses {
            true => spelling::without_tag(name),
            false => name.to_owned(),
        };
        let (account, server) = (spelling::plain(text), untagged(&spelling::fold(text)));
        let command_fold_case = sign_in.command_fold_case;
        let command = if command_fold_case { server.clone() } else { untagged(&account) };
        let all = [&account, &server, &command];
        let known = all.iter().all(|name| chain::usable(name).is_ok()) && !text.contains(char::is_control);
        known.then_some(Self { account, server, command, command_fold_case })
    }

    /// Return the name that a method is asked about. Accounts of this host may differ by capitals; PAM says
    /// how an account is spelled.
    pub fn for_method(&self, method: Method) -> &str {
        match method {
            Method::Pam => &self.account,
            Method::Command => &self.command,
            _ => &self.server,
        }
    }

    /// Return the account that a method is asked about.
    pub fn account(&self, method: Method) -> Option<Owner> {
        Some(Owner::signed_in(method, self.for_method(method).parse().ok()?))
    }

    /// Return the name that a method has answered with, as people are known here. Letters that are not in the
    /// alphabet stay: whom the server has under another name must not become somebody else.
    pub fn of_answer(&self, method: Method, name: &str) -> String {
        match method {
            Method::Pam => name.to_owned(),
            Method::Command if !self.command_fold_case => name.to_owned(),
            _ => name.to_ascii_lowercase(),
        }
    }
}

/// Return what failures of a name are counted under. To PAM, a plus begins no sub-address, but may end a domain.
pub fn counted_as(text: &str, methods: &[Method]) -> Vec<String> {
    let tagged = methods.iter().any(|method| chain::takes_password(*method) && *method != Method::Pam);
    let folded = spelling::fold(text);
    spelling::cores(&folded, tagged, methods.contains(&Method::Pam)).into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn typed(text: &str, change: impl FnOnce(&mut SignIn)) -> Option<[String; 3]> {
        let mut sign_in = Settings::default().sign_in;
        change(&mut sign_in);
        let name = TypedName::parse(text, &sign_in)?;
        Some([Method::Imap, Method::Pam, Method::Command].map(|method| name.for_method(method).to_owned()))
    }

    #[test]
    fn servers_are_asked_about_one_spelling() {
        for text in ["Alice+1@Example.org", "ａlice@example.org", "ALICE+@EXAMPLE.ORG.", " alice+a+b@example.org "] {
            assert_eq!(typed(text, |_| ()).unwrap()[0], "alice@example.org", "{text}");
        }
        assert_eq!(typed("Ａda", |_| ()).unwrap(), ["ada", "Ada", "ada"]);
        assert_eq!(typed("Ada", |s| s.command_fold_case = false).unwrap(), ["ada", "Ada", "Ada"]);
        let whole = typed("ada+x@a.org", |s| s.fold_sub_addresses = false).unwrap();
        assert_eq!(whole, ["ada+x@a.org"; 3]);
        // An account of this host may have a plus in its name.
        assert_eq!(typed("ada+x", |_| ()).unwrap(), ["ada", "ada+x", "ada"]);
    }

    #[test]
    fn failures_count_for_the_name_behind_all_spellings() {
        for text in ["alice", "ＡLICE", "EXP\\alice", "alice@realm", "alice+1@realm", "alice."] {
            assert_eq!(counted_as(text, &[Method::Imap]), ["alice"], "{text}");
        }
        assert_eq!(counted_as("alice+1", &[Method::Pam, Method::Ldap]), ["alice", "1"]);
        assert_eq!(counted_as("EXP+alice", &[Method::Pam, Method::RemoteUser]), ["alice"]);
    }

    #[test]
    fn what_is_no_name_is_asked_about_nowhere() {
        let long = "a".repeat(129);
        let none = [
            "",
            "+1@example.org",
            "local:alice",
            "LOCAL:x",
            "ｌocal:alice",
            "al ice",
            "alice\u{200b}",
            "alıce",
            "al*",
            "jürgen",
            "alice\n",
            "\0alice",
            "@example.org",
            "-x",
            "alice@xn--a",
            &long,
        ];
        for text in none {
            assert_eq!(typed(text, |_| ()), None, "{text:?}");
        }
    }
}
