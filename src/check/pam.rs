//! `qwd-auth-pam`: checks a password as this host's own accounts are checked.
//!
//! The one program that is root while it reads what a stranger typed, so it does nothing else: one
//! conversation with PAM, and the account's groups. Root itself is never let in.

use super::{serve, within};
use crate::auth::{Answer, Check, Outcome, Password};
use crate::config::{Method, SignIn};
use crate::model::UserName;
use nix::unistd::{Gid, Group, User, getgrouplist};
use std::ffi::CString;
use std::path::Path;
use std::process::ExitCode;

/// Where PAM looks for a service, first one first.
const SERVICES: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];

/// Asks PAM, by the name of a service: the account's name if it lets the user in, else what to answer.
pub type Ask = fn(&str, &UserName, Password) -> Result<String, Answer>;

/// Runs the program; the exit code says whether there was an answer, whatever it was.
pub fn main(ask: Ask) -> ExitCode {
    serve(|check: Check| match super::settings(Path::new("/")) {
        Ok(settings) => decide(check, &settings.sign_in, ask),
        Err(sentence) => Answer::unavailable(sentence),
    })
}

fn decide(check: Check, sign_in: &SignIn, ask: Ask) -> Answer {
    if check.method != Method::Pam.as_str() || !sign_in.has(Method::Pam) {
        return Answer::unavailable("Accounts of this host are not among sign_in.methods.");
    }
    let service = sign_in.pam_service.clone();
    if let Some(why) = amiss(&service) {
        return Answer::unavailable(why);
    }
    // PAM's modules have their own idea of a name; what can own a session is ours.
    let Ok(user) = check.user.parse::<UserName>() else {
        return Answer::new(Outcome::Refuse, "No account has such a name.");
    };
    let late = format!(
        "PAM did not answer within {} s, which is sign_in.pam.timeout: see what the modules of /etc/pam.d/{service} wait for.",
        sign_in.pam_timeout.as_secs()
    );
    within(sign_in.pam_timeout, Answer::unavailable(late), move || match ask(&service, &user, check.password) {
        Ok(name) => account(&user, &name),
        Err(answer) => answer,
    })
}

/// Why PAM is not asked by this service, if so: without a file it would take it for its service "other",
/// which lets system accounts in.
pub fn amiss(service: &str) -> Option<String> {
    let is_there = SERVICES.iter().any(|folder| Path::new(folder).join(service).is_file());
    let why = || format!("There is no file /etc/pam.d/{service}: see that sign_in.pam.service is right.");
    (!is_there).then(why)
}

/// Who somebody is whom PAM lets in: the account's own spelling of its name, and its groups.
fn account(typed: &UserName, name: &str) -> Answer {
    let user = match User::from_name(name) {
        Ok(Some(user)) => user,
        Ok(None) => {
            return Answer::unavailable("PAM lets in a user whom this host does not know: see nsswitch.conf(5).");
        }
        Err(e) => return Answer::unavailable(format!("The account could not be looked up: {e}.")),
    };
    if user.uid.is_root() || user.name.parse::<UserName>().is_err() {
        return Answer::new(Outcome::Refuse, "This account is not for signing in here.");
    }
    let groups = CString::new(user.name.as_str()).map_or_else(|_| vec![], |name| groups(&name, user.gid));
    let user = if user.name == typed.as_str() { String::new() } else { user.name };
    Answer { user, groups, ..Answer::new(Outcome::Accept, "PAM took the password.") }
}

/// Groups by name; one without a name cannot be meant by the configuration.
fn groups(name: &CString, first: Gid) -> Vec<String> {
    let ids = getgrouplist(name, first).unwrap_or_default();
    ids.into_iter().filter_map(|id| Group::from_gid(id).ok()?.map(|group| group.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Raw, Settings};

    fn sign_in(methods: &[&str], service: &str) -> SignIn {
        let mut raw = Raw::default();
        raw.sign_in.methods = methods.iter().map(|m| (*m).to_owned()).collect();
        raw.sign_in.pam.service = service.into();
        Settings::try_from(&raw).unwrap().sign_in
    }

    fn decided(method: &str, user: &str, sign_in: &SignIn, ask: Ask) -> Answer {
        decide(Check { method: method.into(), user: user.into(), password: "s3cret".into() }, sign_in, ask)
    }

    fn never(_: &str, _: &UserName, _: Password) -> Result<String, Answer> {
        panic!("PAM must not be asked")
    }

    #[test]
    fn without_being_configured_it_is_no_way_to_guess_passwords() {
        for (methods, method) in [(&[][..], "pam"), (&["pam"][..], "smtp")] {
            let answer = decided(method, "alice", &sign_in(methods, "other"), never);
            assert_eq!(answer.result, Outcome::Unavailable);
            assert!(answer.message.contains("sign_in.methods"), "{answer:?}");
        }
    }

    #[test]
    fn a_service_without_a_file_is_not_another_service() {
        let answer = decided("pam", "alice", &sign_in(&["pam"], "no-such-service"), never);
        assert_eq!(answer.result, Outcome::Unavailable);
        assert!(answer.message.contains("/etc/pam.d/no-such-service"), "{answer:?}");
    }

    #[test]
    fn pam_is_asked_for_names_that_can_own_a_session() {
        let configured = sign_in(&["pam"], "other");
        for name in ["-x", "a b", "a/b", "../alice", "al%ice", "älice"] {
            assert_eq!(decided("pam", name, &configured, never).result, Outcome::Refuse, "{name}");
        }
        let refusing: Ask = |service, user, password| {
            assert_eq!((service, user.as_str(), password.expose()), ("other", "alice", "s3cret"));
            Err(Answer::new(Outcome::Refuse, "no"))
        };
        assert_eq!(decided("pam", "alice", &configured, refusing), Answer::new(Outcome::Refuse, "no"));
    }

    #[test]
    fn root_is_not_let_in_whatever_pam_says() {
        let answer = decided("pam", "root", &sign_in(&["pam"], "other"), |_, user, _| Ok(user.to_string()));
        assert_eq!((answer.result, answer.groups), (Outcome::Refuse, vec![]));
        let answer = decided("pam", "alice", &sign_in(&["pam"], "other"), |_, _, _| Ok("root".into()));
        assert_eq!(answer.result, Outcome::Refuse);
    }

    #[test]
    fn an_account_is_known_by_its_own_spelling_and_with_its_groups() {
        let configured = sign_in(&["pam"], "other");
        let answer = decided("pam", "DAEMON", &configured, |_, _, _| Ok("daemon".into()));
        assert_eq!((answer.result, answer.user.as_str()), (Outcome::Accept, "daemon"));
        assert!(answer.groups.contains(&"daemon".to_owned()));
        assert_eq!(decided("pam", "daemon", &configured, |_, _, _| Ok("daemon".into())).user, "");
        assert_eq!(decided("pam", "x", &configured, |_, _, _| Ok("no-such".into())).result, Outcome::Unavailable);
    }
}
