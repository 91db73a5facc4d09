//! Names in a directory's own notations, and what its result codes mean: pure.

use super::trouble::Trouble;
use ldap3::{dn_escape, ldap_escape};

/// The name to bind as; none if users are searched.
pub(super) fn template_dn(template: &str, user: &str) -> Option<String> {
    // Nothing is typed that the template's own words could come from, so one pass is enough.
    (!template.is_empty()).then(|| fill(template, &[("{user}", &dn_escape(user))]))
}

/// A value, so that it means itself in a filter.
pub(super) fn escaped_filter(value: &str) -> String {
    ldap_escape(value).into_owned()
}

/// Puts values into a template in one pass: what a value says is not looked at again.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        let (key, value) = values.iter().find(|(key, _)| rest.starts_with(key)).unwrap_or(&("{", "{"));
        filled.push_str(value);
        rest = &rest[key.len()..];
    }
    filled + rest
}

/// Whether a bind has succeeded; an error if its result is not about the name and the password.
pub(super) fn verdict(rc: u32) -> Result<bool, Trouble> {
    match rc {
        0 => Ok(true),
        // constraintViolation, noSuchObject, invalidDNSyntax, inappropriateAuthentication,
        // invalidCredentials, insufficientAccessRights, unwillingToPerform: as directories say of
        // unknown names, wrong passwords and closed accounts.
        19 | 32 | 34 | 48 | 49 | 50 | 53 => Ok(false),
        other => Err(Trouble::Unable(format!("the bind fails: {}", said(other)))),
    }
}

/// What Active Directory adds to "invalid credentials", as `… AcceptSecurityContext error, data 52e, v2580`; the rest
/// of such a text is not repeated, since it may have what was sent.
pub(super) fn active_directory(rc: u32, text: &str) -> Option<&'static str> {
    let after = text.split_once("AcceptSecurityContext").filter(|_| rc == 49)?.1;
    let code = after.split_once("data ")?.1.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    Some(match code.to_ascii_lowercase().as_str() {
        "525" => "there is no such user (data 525)",
        "52e" => "the password is wrong (data 52e)",
        "530" => "the user may not sign in at this time (data 530)",
        "531" => "the user may not sign in from this server (data 531)",
        "532" => "the password has expired (data 532)",
        "533" => "the account is disabled (data 533)",
        "701" => "the account has expired (data 701)",
        "773" => "the user must change the password first (data 773)",
        "775" => "the account is locked after too many failures (data 775)",
        _ => return None,
    })
}

/// A result code by its name in RFC 4511.
pub(super) fn said(rc: u32) -> String {
    let name = match rc {
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        13 => "confidentialityRequired",
        32 => "noSuchObject",
        34 => "invalidDNSyntax",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        other => return format!("result {other}"),
    };
    format!("result {rc}, {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_itself_in_a_filter() {
        let filter = |user: &str| fill("(uid={user})", &[("{user}", &escaped_filter(user))]);
        assert_eq!(filter("alice"), "(uid=alice)");
        assert_eq!(filter("*)(uid=*"), r"(uid=\2a\29\28uid=\2a)");
        assert_eq!(filter("alice)(|(uid=*"), r"(uid=alice\29\28|\28uid=\2a)");
        assert_eq!(filter(r"a\2a"), r"(uid=a\5c2a)");
    }

    #[test]
    fn a_name_means_itself_in_a_distinguished_name() {
        let dn = |user: &str| template_dn("uid={user},ou=people", user).unwrap();
        assert_eq!(dn("alice"), "uid=alice,ou=people");
        assert_eq!(dn("alice,ou=admins"), r"uid=alice\2cou\3dadmins,ou=people");
        assert_eq!(dn(r#" #a+b"c\<d>;="#), r"uid=\20#a\2bb\22c\5c\3cd\3e\3b\3d,ou=people");
        assert_eq!(template_dn("", "alice"), None);
    }

    #[test]
    fn what_a_value_says_is_not_filled_in_again() {
        let both = [("{user}", "{dn}"), ("{dn}", "{user}")];
        assert_eq!(fill("(|(memberUid={user})(member={dn}))", &both), "(|(memberUid={dn})(member={user}))");
        assert_eq!(fill("{us}{user}{", &both), "{us}{dn}{");
    }

    #[test]
    fn the_reasons_of_active_directory_are_named() {
        let text = |code: &str| {
            format!("80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {code}, v2580\0")
        };
        for (code, word) in [
            ("525", "no such user"),
            ("52e", "is wrong"),
            ("52E", "is wrong"),
            ("530", "at this time"),
            ("531", "from this server"),
            ("532", "password has expired"),
            ("533", "disabled"),
            ("701", "account has expired"),
            ("773", "must change"),
            ("775", "locked"),
        ] {
            assert!(active_directory(49, &text(code)).unwrap().contains(word), "{code}");
        }
        assert_eq!(active_directory(49, &text("0")), None);
        assert_eq!(active_directory(49, &text("7750")), None);
        assert_eq!(active_directory(53, &text("775")), None);
        assert_eq!(active_directory(49, "data 775"), None);
        assert_eq!(active_directory(49, "AcceptSecurityContext"), None);
    }

    #[test]
    fn only_success_is_success() {
        assert_eq!(verdict(0), Ok(true));
        for rc in 1..=80 {
            assert_ne!(verdict(rc), Ok(true), "{rc}");
        }
        assert_eq!(verdict(49), Ok(false));
        assert!(verdict(51).unwrap_err() == Trouble::Unable("the bind fails: result 51, busy".into()));
    }
}
