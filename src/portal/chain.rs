//! The methods that check a password, one after the other until one accepts.
//!
//! The administrator's program is asked at its place in the order, with what the others said before. If
//! nobody has accepted yet it may; if somebody has, it may object, and then nobody else is asked. Only
//! an answer that clearly accepts lets anybody in.

use crate::auth::{Answer, Outcome, Previous};
use crate::config::Method;
use crate::model::UserName;

/// Who was recognised, and by which method.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// By which method.
    pub method: Method,
    /// The name to go by.
    pub name: UserName,
    /// As the method knows them.
    pub groups: Vec<String>,
}

/// How a check ended.
#[derive(Debug, PartialEq)]
pub struct Checked {
    /// Somebody, or nobody.
    pub accepted: Option<Accepted>,
    /// What each method said, in order.
    pub said: Vec<Previous>,
}

impl Checked {
    /// Sentences of the methods that could not be asked.
    pub fn unavailable(&self) -> impl Iterator<Item = &str> {
        self.said.iter().filter(|p| p.result == Outcome::Unavailable).map(|p| p.message.as_str())
    }

    /// Whether some method has looked at the password and said no.
    pub fn refused(&self) -> bool {
        self.said.iter().any(|previous| previous.result == Outcome::Refuse)
    }
}

/// Whether the method looks at a password.
pub fn takes_password(method: Method) -> bool {
    !matches!(method, Method::Email | Method::RemoteUser)
}

/// Asks the methods in their order; `ask` puts the question about a name to one of them.
pub fn run(methods: &[Method], typed: &str, mut ask: impl FnMut(Method, &str, &[Previous]) -> Answer) -> Checked {
    let mut checked = Checked { accepted: None, said: Vec::new() };
    for method in methods.iter().copied().filter(|method| takes_password(*method)) {
        if checked.accepted.is_some() && method != Method::Command {
            continue;
        }
        let name = name_for(method, typed, checked.accepted.as_ref());
        let mut answer = ask(method, &name, &checked.said);
        let candidate = match (answer.result, &checked.accepted) {
            (Outcome::Accept, None) => recognised(method, &name, &mut answer),
            _ => None,
        };
        let objects = checked.accepted.is_some() && !matches!(answer.result, Outcome::Accept | Outcome::Pass);
        checked.said.push(Previous {
            method: method.as_str().to_owned(),
            result: answer.result,
            message: answer.message,
        });
        if objects {
            checked.accepted = None;
            break;
        }
        checked.accepted = checked.accepted.or(candidate);
    }
    checked
}

/// The name that a method is asked about. Servers take a name in any case for the same person, who must
/// not become a second one, with limits of their own, by typing a capital: they are asked about it in
/// lower case. The administrator's program hears the name that the person will go by.
fn name_for(method: Method, typed: &str, accepted: Option<&Accepted>) -> String {
    match (method, accepted) {
        (Method::Imap | Method::Smtp | Method::Ldap, _) => typed.to_ascii_lowercase(),
        (_, Some(accepted)) => accepted.name.to_string(),
        _ => typed.to_owned(),
    }
}

/// The person behind an answer that accepts. A name that the service cannot use makes it a refusal.
fn recognised(method: Method, asked: &str, answer: &mut Answer) -> Option<Accepted> {
    let name = if answer.user.is_empty() { asked } else { &answer.user };
    match usable(name) {
        Ok(name) => Some(Accepted { method, name, groups: std::mem::take(&mut answer.groups) }),
        Err(why) => {
            *answer = Answer::new(Outcome::Refuse, why);
            None
        }
    }
}

/// A name that somebody from outside may go by: those of this host's own accounts are not among them.
pub fn usable(name: &str) -> Result<UserName, String> {
    let parsed: UserName = name.parse().map_err(|_| "the name has characters that the service does not take")?;
    if parsed.as_str().to_ascii_lowercase().starts_with("local:") {
        return Err("names that begin with local: belong to this host's own accounts".to_owned());
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Method::{Command, Email, Imap, Ldap, Pam, RemoteUser, Smtp};
    use Outcome::{Accept, Pass, Refuse, Unavailable};

    /// Runs a chain whose methods answer this; gives who accepted, and who was asked.
    fn tried(answers: &[(Method, Outcome)]) -> (Option<Method>, Vec<&'static str>) {
        let methods: Vec<Method> = answers.iter().map(|(method, _)| *method).collect();
        let mut asked = Vec::new();
        let checked = run(&methods, "alice", |method, _, _| {
            asked.push(method.as_str());
            let (_, result) = answers.iter().find(|(m, _)| *m == method).unwrap();
            Answer::new(*result, "")
        });
        (checked.accepted.map(|a| a.method), asked)
    }

    #[test]
    fn the_first_that_accepts_decides() {
        assert_eq!(tried(&[(Imap, Accept), (Pam, Accept)]), (Some(Imap), vec!["imap"]));
        assert_eq!(tried(&[(Imap, Refuse), (Pam, Accept)]), (Some(Pam), vec!["imap", "pam"]));
        assert_eq!(tried(&[(Smtp, Unavailable), (Ldap, Pass), (Pam, Accept)]).0, Some(Pam));
    }

    #[test]
    fn nothing_but_an_accept_lets_anybody_in() {
        assert_eq!(tried(&[]), (None, vec![]));
        for result in [Refuse, Pass, Unavailable] {
            assert_eq!(tried(&[(Imap, result), (Command, result)]).0, None, "{result:?}");
        }
        assert_eq!(tried(&[(Email, Accept), (RemoteUser, Accept)]), (None, vec![]));
    }

    #[test]
    fn the_command_may_accept_by_itself() {
        assert_eq!(tried(&[(Command, Accept)]).0, Some(Command));
        assert_eq!(tried(&[(Imap, Refuse), (Command, Accept)]).0, Some(Command));
        assert_eq!(tried(&[(Command, Refuse), (Imap, Accept)]).0, Some(Imap));
    }

    #[test]
    fn a_later_command_may_object_and_nobody_is_asked_after_that() {
        let chain = |result| tried(&[(Imap, Accept), (Smtp, Accept), (Command, result), (Pam, Accept)]);
        assert_eq!(chain(Accept), (Some(Imap), vec!["imap", "command"]));
        assert_eq!(chain(Pass), (Some(Imap), vec!["imap", "command"]));
        assert_eq!(chain(Refuse), (None, vec!["imap", "command"]));
        // A program that does not answer has not agreed.
        assert_eq!(chain(Unavailable), (None, vec!["imap", "command"]));
    }

    #[test]
    fn the_command_hears_what_was_said_before() {
        let mut heard = Vec::new();
        run(&[Imap, Pam, Command], "alice", |method, _, previous| match method {
            Imap => Answer::new(Refuse, "wrong name or password"),
            Pam => Answer::new(Accept, "welcome"),
            _ => {
                heard = previous.to_vec();
                Answer::new(Pass, "")
            }
        });
        let said: Vec<_> = heard.iter().map(|p| (p.method.as_str(), p.result, p.message.as_str())).collect();
        assert_eq!(said, [("imap", Refuse, "wrong name or password"), ("pam", Accept, "welcome")]);
    }

    #[test]
    fn the_name_to_go_by_is_the_methods_and_must_be_usable() {
        let name = |typed: &str, user: &str| {
            let checked = run(&[Imap], typed, |_, _, _| Answer { user: user.into(), ..Answer::new(Accept, "") });
            checked.accepted.map(|a| a.name.to_string())
        };
        assert_eq!(name("Alice", "").as_deref(), Some("alice"));
        assert_eq!(name("alice@example.org", "alice").as_deref(), Some("alice"));
        for (typed, user) in
            [("local:alice", ""), ("alice", "local:alice"), ("LOCAL:x", ""), ("a b", ""), ("a", "../a")]
        {
            assert_eq!(name(typed, user), None, "{typed} {user}");
        }
    }

    #[test]
    fn a_capital_makes_no_second_person() {
        for method in [Imap, Smtp, Ldap] {
            let mut asked = Vec::new();
            let checked = run(&[method, Command], "ALICE", |_, name, _| {
                asked.push(name.to_owned());
                Answer::new(Accept, "")
            });
            // The program, too: a list of those it shuts out may have her as alice.
            assert_eq!(asked, ["alice", "alice"], "{method:?}");
            assert_eq!(checked.accepted.unwrap().name.as_str(), "alice");
        }
        // Accounts of this host may differ by it.
        assert_eq!(run(&[Pam], "Alice", |_, _, _| Answer::new(Accept, "")).accepted.unwrap().name.as_str(), "Alice");
    }
}
