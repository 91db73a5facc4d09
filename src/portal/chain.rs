//! The methods that check a password, one after the other until one accepts.
//!
//! The administrator's program is asked at its place in the order, with what the others said before. If
//! nobody has accepted yet it may; if somebody has, it may object, and then nobody else is asked. Only
//! an answer that clearly accepts lets anybody in.

use super::typed_name::TypedName;
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
    /// The name by which a method accepted somebody, if the service cannot use that one.
    pub misnamed: Option<String>,
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
pub fn run(methods: &[Method], typed: &TypedName, mut ask: impl FnMut(Method, &str, &[Previous]) -> Answer) -> Checked {
    let mut checked = Checked { accepted: None, said: Vec::new(), misnamed: None };
    for method in methods.iter().copied().filter(|method| takes_password(*method)) {
        if checked.accepted.is_some() && method != Method::Command {
            continue;
        }
        // The administrator's program hears the name that the person will go by.
        let accepted = checked.accepted.as_ref().map(|accepted| accepted.name.as_str());
        let name = accepted.unwrap_or(typed.for_method(method)).to_owned();
        let mut answer = ask(method, &name, &checked.said);
        let candidate = match (answer.result, &checked.accepted) {
            (Outcome::Accept, None) => recognise(method, typed, &name, &mut answer).unwrap_or_else(|name| {
                checked.misnamed = Some(name);
                None
            }),
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

/// Return the person behind an answer that accepts, or the name if the service cannot use it: then the password is
/// right, and another method may know the person by another name.
fn recognise(method: Method, typed: &TypedName, asked: &str, answer: &mut Answer) -> Result<Option<Accepted>, String> {
    let name = if answer.user.is_empty() { asked.to_owned() } else { typed.of_answer(method, &answer.user) };
    match usable(&name) {
        Ok(name) => Ok(Some(Accepted { method, name, groups: std::mem::take(&mut answer.groups) })),
        Err(why) => {
            *answer = Answer::new(Outcome::Pass, format!("the password is right, but {why}"));
            Err(name)
        }
    }
}

/// A name that somebody from outside may go by: those of this host's own accounts are not among them.
pub fn usable(name: &str) -> Result<UserName, String> {
    let parsed: UserName = name.parse().map_err(|_| format!("the name cannot be used: a name {}", UserName::RULE))?;
    if parsed.as_str().to_ascii_lowercase().starts_with("local:") {
        return Err("names that begin with local: belong to this host's own accounts".to_owned());
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use Method::{Command, Email, Imap, Ldap, Pam, RemoteUser, Smtp};
    use Outcome::{Accept, Pass, Refuse, Unavailable};

    fn typed(text: &str) -> TypedName {
        TypedName::parse(text, &Settings::default().sign_in).unwrap()
    }

    /// Runs a chain whose methods answer this; gives who accepted, and who was asked.
    fn tried(answers: &[(Method, Outcome)]) -> (Option<Method>, Vec<&'static str>) {
        let methods: Vec<Method> = answers.iter().map(|(method, _)| *method).collect();
        let mut asked = Vec::new();
        let checked = run(&methods, &typed("alice"), |method, _, _| {
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
        run(&[Imap, Pam, Command], &typed("alice"), |method, _, previous| match method {
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
        let name = |method: Method, text: &str, user: &str| {
            let user = user.to_owned();
            let checked =
                run(&[method], &typed(text), |_, _, _| Answer { user: user.clone(), ..Answer::new(Accept, "") });
            checked.accepted.map(|a| a.name.to_string())
        };
        assert_eq!(name(Imap, "Alice", "").as_deref(), Some("alice"));
        assert_eq!(name(Ldap, "alice@example.org", "Alice").as_deref(), Some("alice"));
        assert_eq!(name(Command, "alice@example.org", "Alice").as_deref(), Some("alice"));
        assert_eq!(name(Pam, "ALICE", "Alice").as_deref(), Some("Alice"));
        // In the answer of a server another letter is another person, and a plus may be an ordinary one.
        assert_eq!(name(Ldap, "a", "alice+x@example.org").as_deref(), Some("alice+x@example.org"));
        assert_eq!(name(Ldap, "a", "O'Brien").as_deref(), Some("o'brien"));
        for user in ["local:alice", "LOCAL:x", "a b", "../a", "ａlice", "alice\u{200b}", "alıce"] {
            assert_eq!(name(Ldap, "a", user), None, "{user}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_used_is_no_wrong_password() {
        let checked = run(&[Ldap], &typed("a"), |_, _, _| Answer { user: "Ünal".into(), ..Answer::new(Accept, "") });
        assert_eq!(
            (checked.accepted.clone(), checked.misnamed.as_deref(), checked.refused()),
            (None, Some("Ünal"), false)
        );
        let checked = run(&[Ldap, Imap], &typed("unal"), |method, _, _| match method {
            Ldap => Answer { user: "Ünal".into(), ..Answer::new(Accept, "") },
            _ => Answer::new(Accept, ""),
        });
        assert_eq!(checked.accepted.unwrap().name.as_str(), "unal");
    }

    #[test]
    fn a_capital_makes_no_second_person() {
        for method in [Imap, Smtp, Ldap, Command] {
            let mut asked = Vec::new();
            let methods = if method == Command { &[Command][..] } else { &[method, Command] };
            let checked = run(methods, &typed("ALICE"), |_, name, _| {
                asked.push(name.to_owned());
                Answer::new(Accept, "")
            });
            // The program, too: a list of those it shuts out may have her as alice.
            assert_eq!(asked, vec!["alice"; methods.len()], "{method:?}");
            assert_eq!(checked.accepted.unwrap().name.as_str(), "alice");
        }
        // Accounts of this host may differ by it.
        assert_eq!(
            run(&[Pam], &typed("Alice"), |_, _, _| Answer::new(Accept, "")).accepted.unwrap().name.as_str(),
            "Alice"
        );
    }
}
