//! Who is an administrator. Decided by the configuration alone, for the launcher, which holds to it,
//! and for the portal, which shows what fits.

use crate::config::SignIn;
use crate::model::Owner;

/// Return whether this person, of these groups, may see and end everybody's sessions. Names and groups
/// are compared whole, and count where a configured sign-in method has proven them only.
pub fn is_admin(sign_in: &SignIn, person: &Owner, groups: &[String]) -> bool {
    let Some((method, name)) = person.account() else { return false };
    sign_in.has(method)
        && (sign_in.admins.contains(name) || groups.iter().any(|group| sign_in.admin_groups.contains(group)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Method, Settings};

    fn sign_in(methods: &[Method]) -> SignIn {
        SignIn {
            methods: methods.to_vec(),
            admins: vec!["alice".parse().unwrap()],
            admin_groups: vec!["wheel".to_owned()],
            ..Settings::default().sign_in
        }
    }

    fn decided(methods: &[Method], name: &str, groups: &[&str]) -> bool {
        let groups: Vec<String> = groups.iter().map(|g| (*g).to_owned()).collect();
        is_admin(&sign_in(methods), &format!("pam:{name}").parse().unwrap(), &groups)
    }

    #[test]
    fn names_and_groups_are_compared_whole() {
        let pam = [Method::Pam];
        assert!(decided(&pam, "alice", &[]));
        assert!(decided(&pam, "bob", &["users", "wheel"]));
        for (name, groups) in [("alic", &["whee"][..]), ("alice2", &["wheel2"]), ("Alice", &["Wheel"]), ("bob", &[])] {
            assert!(!decided(&pam, name, groups), "{name} {groups:?}");
        }
        assert!(!decided(&pam, "local:alice", &[]));
        for owner in ["local:alice", "unknown:alice", "imap:alice"] {
            assert!(!is_admin(&sign_in(&pam), &owner.parse().unwrap(), &["wheel".to_owned()]), "{owner}");
        }
        assert!(!decided(&pam, "wheel", &["alice"]), "a name is no group, nor the other way round");
    }

    #[test]
    fn while_names_are_not_checked_nobody_is_an_administrator_by_name() {
        assert!(!decided(&[], "alice", &["wheel"]));
    }
}
