//! The conversation with PAM. Part of `qwd-auth-pam` and not of the library, so that no other program
//! loads libpam.

use nonstick::items::Items;
use nonstick::{
    AuthnFlags, ConversationAdapter, ErrorCode, PamShared, Result as PamResult, Transaction, TransactionBuilder,
};
use qwd::auth::{Answer, Outcome, Password};
use qwd::model::UserName;
use std::cell::Cell;
use std::ffi::{OsStr, OsString};

/// The name that PAM knows the account by, if the password is right and the account may be used; else
/// what to answer.
pub(crate) fn ask(service: &str, user: &UserName, password: Password) -> Result<String, Answer> {
    let said = |code| verdict(service, code);
    let conversation = Typed { password: Cell::new(Some(password)) }.into_conversation();
    let builder = TransactionBuilder::new_with_service(service).username(user.as_str());
    let mut pam = builder.build(conversation).map_err(said)?;
    pam.authenticate(AuthnFlags::SILENT | AuthnFlags::DISALLOW_NULL_AUTHTOK).map_err(said)?;
    pam.account_management(AuthnFlags::SILENT).map_err(|code| shut_out(code).unwrap_or_else(|| said(code)))?;
    // A module may have put another spelling in its place.
    let name = pam.items().user().map_err(said)?.and_then(|name| name.into_string().ok());
    name.ok_or_else(|| said(ErrorCode::UserUnknown))
}

/// Answers PAM's question for the password, once; whatever else a module asks, nobody is there to say.
struct Typed {
    password: Cell<Option<Password>>,
}

impl ConversationAdapter for Typed {
    fn prompt(&self, _: impl AsRef<OsStr>) -> PamResult<OsString> {
        Err(ErrorCode::ConversationError)
    }

    fn masked_prompt(&self, _: impl AsRef<OsStr>) -> PamResult<OsString> {
        self.password.take().map(|p| p.expose().into()).ok_or(ErrorCode::ConversationError)
    }

    fn error_msg(&self, _: impl AsRef<OsStr>) {}

    fn info_msg(&self, _: impl AsRef<OsStr>) {}
}

/// Debian's common-account answers an account that has expired, and others, by the word for a wrong
/// password; at this point it was right.
fn shut_out(code: ErrorCode) -> Option<Answer> {
    let why = "The password is right, but PAM does not let the account in: it may have expired.";
    let known = [ErrorCode::AuthenticationError, ErrorCode::PermissionDenied, ErrorCode::AccountExpired];
    known.contains(&code).then(|| Answer::new(Outcome::Refuse, why))
}

/// PAM's word as a sentence: who may not come in, or that it could not be found out.
fn verdict(service: &str, code: ErrorCode) -> Answer {
    let why = match code {
        ErrorCode::AuthenticationError | ErrorCode::UserUnknown => "PAM knows no such account with this password.",
        ErrorCode::MaxTries => "PAM refuses further tries for this account.",
        ErrorCode::AccountExpired => "The account has expired.",
        ErrorCode::NewAuthTokRequired | ErrorCode::AuthTokExpired => {
            "The account's password has expired: it must be changed elsewhere first."
        }
        ErrorCode::PermissionDenied => "PAM does not let this account in.",
        ErrorCode::ConversationError => "PAM asks for more than a password, which only a terminal could answer.",
        other => {
            return Answer::unavailable(format!(
                "PAM could not check the password ({other}): see 'journalctl -t qwd-auth-pam' and /etc/pam.d/{service}."
            ));
        }
    };
    Answer::new(Outcome::Refuse, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_said_once_and_nothing_else_is() {
        let typed = Typed { password: Cell::new(Some("s3cret".into())) };
        assert_eq!(typed.prompt("login:"), Err(ErrorCode::ConversationError));
        assert_eq!(typed.masked_prompt("Password:"), Ok("s3cret".into()));
        assert_eq!(typed.masked_prompt("One-time code:"), Err(ErrorCode::ConversationError));
    }

    #[test]
    fn a_right_password_is_told_from_a_wrong_one_for_an_account_that_is_shut() {
        let shut = shut_out(ErrorCode::AuthenticationError).unwrap();
        assert_eq!(shut.result, Outcome::Refuse);
        assert_ne!(shut, verdict("x", ErrorCode::AuthenticationError));
        assert_eq!(shut_out(ErrorCode::NewAuthTokRequired), None);
        assert_eq!(shut_out(ErrorCode::AuthInfoUnavailable), None);
    }

    #[test]
    fn a_failure_of_pams_is_told_from_a_wrong_password() {
        for code in [ErrorCode::AuthenticationError, ErrorCode::UserUnknown, ErrorCode::AccountExpired] {
            assert_eq!(verdict("x", code).result, Outcome::Refuse, "{code}");
        }
        for code in [ErrorCode::AuthInfoUnavailable, ErrorCode::SystemError, ErrorCode::Abort] {
            assert_eq!(verdict("x", code).result, Outcome::Unavailable, "{code}");
        }
    }
}
