//! What this host itself checks sign-ins by: PAM's service, and an administrator's program.

use super::{Findings, servers};
use crate::check::{command, pam};
use crate::config::{Method, Settings};

/// Whether they would be asked.
pub(super) fn local(found: &mut Findings, settings: &Settings) {
    let sign_in = &settings.sign_in;
    if let Some(sentence) = sign_in.has(Method::Pam).then(|| pam::amiss(&sign_in.pam_service)).flatten() {
        found.warn(sentence);
    }
    let Some(program) = &sign_in.command else { return };
    if let Some(sentence) = servers::hidden(program, command::SETTING).or_else(|| command::amiss(program)) {
        found.warn(sentence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Raw;

    #[test]
    fn what_would_not_be_asked_is_told() {
        let mut raw = Raw::default();
        raw.sign_in.pam.service = "no-such-service".into();
        raw.sign_in.command.program = "/no/such/program".into();
        let told = |raw: &Raw| {
            let mut found = Findings::default();
            local(&mut found, &Settings::try_from(raw).unwrap());
            found.warnings.join("\n")
        };
        assert_eq!(told(&raw), "");
        raw.sign_in.methods = vec!["pam".into(), "command".into()];
        let both = told(&raw);
        assert!(both.contains("/etc/pam.d/no-such-service") && both.contains("/no/such/program"), "{both}");
        raw.sign_in.command.program = "/root/program".into();
        assert!(told(&raw).contains("'mv /root/program"));
    }
}
