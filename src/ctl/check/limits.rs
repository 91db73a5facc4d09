//! Offers and limits that contradict each other, or the server: pure.

use super::{CONFIG, Findings};
use crate::config::{Catalogue, Method, Settings, Whose};
use crate::model::{Bytes, Lifetime};
use crate::policy::{Allowed, Host, Situation, Wanted};

/// What is offered but can never be had, were the server empty and idle.
pub(super) fn offers(found: &mut Findings, settings: &Settings, catalogue: &Catalogue, host: &Host) {
    let least = settings.session.memory_min;
    let fits = |cpus: u32, memory: Bytes| admitted(settings, host, cpus, memory);
    if !fits(1, least) {
        return found.warn(
            "No session can start at all on this server, not even the smallest: raise the [limits] in \
             /etc/qemu-web-desktop/config.toml ('qwdctl config' shows them).",
        );
    }
    // The form leaves out what cannot be had: only who asks for it in the configuration is told.
    let (page, usual) = (&settings.page, Settings::default().page);
    let mut offered = |key: &str, never: Vec<String>| {
        if !never.is_empty() {
            found.warn(never_fits(key, &never.join(", "), host));
        }
    };
    if page.cpus != usual.cpus {
        offered("page.cpus", page.cpus.iter().filter(|n| !fits(**n, least)).map(u32::to_string).collect());
    }
    if page.memory != usual.memory {
        offered("page.memory", page.memory.iter().filter(|m| !fits(1, **m)).map(Bytes::to_string).collect());
    }
    if !fits(settings.session.cpus, settings.session.memory) {
        let wanted = format!("{} CPUs with {}", settings.session.cpus, settings.session.memory);
        found.warn(never_fits("session.cpus and session.memory", &wanted, host));
    }
    lifetimes(found, settings);
    allowed_machines(found, settings, catalogue);
    if let Some(name) = settings.page.machine.as_ref().filter(|name| catalogue.get(name).is_none()) {
        found.warn(format!("page.machine is '{name}', which is no machine: 'qwdctl machines' lists those there are."));
    }
}

/// Names that nobody can sign in under, because all methods take people in lower case.
pub(super) fn names(found: &mut Findings, settings: &Settings) {
    let sign_in = &settings.sign_in;
    let lower = |method: &Method| match method {
        Method::Imap | Method::Smtp | Method::Email | Method::Ldap => true,
        Method::Command => sign_in.command_fold_case,
        Method::RemoteUser => sign_in.remote_user_fold_case,
        Method::Pam => false,
    };
    if sign_in.methods.is_empty() || !sign_in.methods.iter().all(lower) {
        return;
    }
    let admins = sign_in.admins.iter().map(|name| ("sign_in.admins", name.as_str()));
    let users = settings.limits.users.keys().map(|name| ("limits.user", name.as_str()));
    for (key, name) in admins.chain(users).filter(|(_, name)| name.contains(|c: char| c.is_ascii_uppercase())) {
        let small = name.to_ascii_lowercase();
        found.warn(format!(
            "{key} has '{name}', but people sign in here in lower case: 'editor {CONFIG}', and write '{small}'."
        ));
    }
}

fn admitted(settings: &Settings, host: &Host, cpus: u32, memory: Bytes) -> bool {
    let empty = Host { load: 0.0, memory_available: host.memory_total, ..*host };
    let allowed = Allowed::anybody(settings);
    Situation::new(settings, &allowed, empty, &[], None).admit(&Wanted { cpus, memory }).is_ok()
}

fn never_fits(key: &str, what: &str, host: &Host) -> String {
    format!(
        "Nobody can ever have what {key} offers ({what}) on this server with {} CPUs and {} MiB of memory: lower it, or \
         raise the [limits], in /etc/qemu-web-desktop/config.toml ('qwdctl config' shows them).",
        host.cpus,
        host.memory_total.0 >> 20
    )
}

/// Machines that entries of people and groups name, and that there are not.
fn allowed_machines(found: &mut Findings, settings: &Settings, catalogue: &Catalogue) {
    let users = settings.limits.users.iter().map(|(name, entry)| (Whose::User, name.as_str(), entry));
    let groups = settings.limits.groups.iter().map(|(name, entry)| (Whose::Group, name.as_str(), entry));
    for (whose, name, entry) in users.chain(groups) {
        for machine in entry.machines.iter().flatten().filter(|machine| catalogue.get(machine).is_none()) {
            let key = whose.key(name, "machines");
            found.warn(format!("{key} has '{machine}', which is no machine: 'qwdctl machines' lists those there are."));
        }
    }
}

fn lifetimes(found: &mut Findings, settings: &Settings) {
    let most = settings.session.lifetime_max;
    let too_long = |time: &&Lifetime| most.0 > 0 && (time.0 == 0 || **time > most);
    let offered = settings.page.lifetime.iter().chain([&settings.session.lifetime]).filter(too_long);
    let mut texts: Vec<String> = offered.map(ToString::to_string).collect();
    texts.dedup();
    if !texts.is_empty() {
        found.warn(format!(
            "page.lifetime or session.lifetime is longer ({}) than session.snapshot_lifetime allows ({most}): \
             'editor {CONFIG}' changes one of them.",
            texts.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Allowance;

    fn found(cpus: u32, gib: u64, change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let mut settings = Settings::default();
        change(&mut settings);
        let memory = Bytes(gib << 30);
        let host = Host { cpus, load: 9.0, memory_total: memory, memory_available: Bytes(0) };
        let mut found = Findings::default();
        offers(&mut found, &settings, &Catalogue::default(), &host);
        assert!(found.errors.is_empty());
        found.warnings
    }

    #[test]
    fn a_large_server_can_keep_what_the_defaults_promise() {
        assert_eq!(found(16, 64, |_| ()), Vec::<String>::new());
    }

    #[test]
    fn what_a_small_server_cannot_give_is_told() {
        let asked = |s: &mut Settings| {
            s.page.cpus = vec![1, 2, 8];
            s.page.memory = vec![Bytes(1 << 30), Bytes(7 << 30)];
        };
        let small = found(2, 8, asked);
        assert_eq!(small.len(), 2, "{small:?}");
        assert!(
            small[0].contains("page.cpus offers (2, 8)") && small[1].contains("page.memory offers (7G)"),
            "{small:?}"
        );
        assert!(found(2, 2, asked)[2].contains("session.cpus and session.memory"));
    }

    #[test]
    fn what_comes_with_the_package_is_no_mistake_of_the_administrators() {
        assert_eq!(found(2, 8, |_| ()), Vec::<String>::new());
    }

    #[test]
    fn limits_that_admit_nobody_are_told_once() {
        let all = found(16, 64, |s| s.limits.service_max_session_nb = 0);
        assert!(all.len() == 1 && all[0].starts_with("No session can start at all"), "{all:?}");
    }

    #[test]
    fn lifetimes_beyond_the_longest_and_unknown_machines_are_told() {
        let all = found(16, 64, |s| s.session.lifetime_max = Lifetime(86_400));
        assert!(all[0].contains("(2d, 3d)") && all[0].contains("allows (1d)"), "{all:?}");
        assert!(found(16, 64, |s| s.page.machine = "x.iso".parse().ok())[0].contains("'x.iso', which is no machine"));
        let all = found(16, 64, |s| {
            let machines = Some(vec!["x.iso".parse().unwrap()]);
            s.limits.groups.insert("students".into(), Allowance { machines, ..Allowance::default() });
        });
        assert!(all.len() == 1 && all[0].starts_with("limits.group.students.machines has 'x.iso'"), "{all:?}");
    }

    #[test]
    fn names_that_nobody_can_have_are_told() {
        let told = |methods: &[Method]| {
            let mut settings = Settings::default();
            settings.sign_in.methods = methods.to_vec();
            settings.sign_in.admins = vec!["Alice".parse().unwrap(), "bob".parse().unwrap()];
            let mut found = Findings::default();
            names(&mut found, &settings);
            found.warnings
        };
        let sentence = "sign_in.admins has 'Alice', but people sign in here in lower case: 'editor /etc/qemu-web-desktop/config.toml', and write 'alice'.";
        assert_eq!(told(&[Method::Imap, Method::Email]), [sentence]);
        assert_eq!(told(&[Method::Ldap, Method::Command, Method::RemoteUser]), [sentence]);
        assert!(told(&[Method::Imap, Method::Pam]).is_empty() && told(&[]).is_empty());
    }
}
