//! Who may have how much, checked: the limits of everybody, and the entries of single people and of
//! groups, whose sections have names that the administrator chooses.

use super::keys;
use super::raw;
use super::settings::{Misfit, fault};
use crate::model::{Bytes, Lifetime, MachineName, Problem, UserName};
use std::collections::BTreeMap;
use std::str::FromStr;

/// `[limits]`, under the names it has there.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions at the same time, of everybody together.
    pub service_max_session_nb: u32,
    /// Sessions at the same time, of one person.
    pub service_max_session_nb_per_user: u32,
    /// Share of the host's CPUs for one person.
    pub service_max_cpu_fraction_nb_per_user: f64,
    /// Share of the host's memory for one person.
    pub service_max_mem_fraction_nb_per_user: f64,
    /// Load above which nothing new starts.
    pub service_max_load: f64,
    /// Virtual CPUs given out, as a multiple of the host's.
    pub cpu_overcommit: f64,
    /// `[limits.user.NAME]`
    pub users: BTreeMap<UserName, Allowance>,
    /// `[limits.group.NAME]`
    pub groups: BTreeMap<String, Allowance>,
}

/// What one person, or each member of a group, may have. What an entry does not say is said elsewhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allowance {
    /// Sessions at the same time.
    pub sessions: Option<u32>,
    /// CPUs of all sessions together.
    pub cpus: Option<u32>,
    /// Memory of all sessions together.
    pub memory: Option<Bytes>,
    /// The longest a session can be made to live; zero: without end.
    pub lifetime: Option<Lifetime>,
    /// The only machines that may be used.
    pub machines: Option<Vec<MachineName>>,
}

/// Whose entry it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A person's.
    User,
    /// A group's.
    Group,
}

impl Whose {
    /// The dotted key of an entry's setting, as `limits.user.alice.memory`.
    pub fn key(self, name: &str, setting: &str) -> String {
        keys::join(&self.section(name), setting)
    }

    fn section(self, name: &str) -> String {
        let kind = if self == Self::User { "limits.user" } else { "limits.group" };
        keys::join(kind, name)
    }
}

pub(super) fn limits(raw: &raw::Limits, memory_min: Bytes) -> Result<Limits, Misfit> {
    for (key, value) in [
        ("limits.service_max_cpu_fraction_nb_per_user", raw.service_max_cpu_fraction_nb_per_user),
        ("limits.service_max_mem_fraction_nb_per_user", raw.service_max_mem_fraction_nb_per_user),
        ("limits.service_max_load", raw.service_max_load),
        ("limits.cpu_overcommit", raw.cpu_overcommit),
    ] {
        if !value.is_finite() || value < 0.0 {
            return Err(fault(key, "a number of 0 or more").into());
        }
    }
    let user = |(name, entry): (&String, &raw::Allowance)| {
        let checked = name.parse().map_err(|p: Problem| Misfit { key: Whose::User.section(name), message: p.message });
        Ok((checked?, allowance(Whose::User, name, entry, memory_min)?))
    };
    let group = |(name, entry): (&String, &raw::Allowance)| {
        Ok((name.clone(), allowance(Whose::Group, name, entry, memory_min)?))
    };
    Ok(Limits {
        service_max_session_nb: raw.service_max_session_nb,
        service_max_session_nb_per_user: raw.service_max_session_nb_per_user,
        service_max_cpu_fraction_nb_per_user: raw.service_max_cpu_fraction_nb_per_user,
        service_max_mem_fraction_nb_per_user: raw.service_max_mem_fraction_nb_per_user,
        service_max_load: raw.service_max_load,
        cpu_overcommit: raw.cpu_overcommit,
        users: raw.user.iter().map(user).collect::<Result<_, Misfit>>()?,
        groups: raw.group.iter().map(group).collect::<Result<_, Misfit>>()?,
    })
}

fn allowance(whose: Whose, name: &str, raw: &raw::Allowance, memory_min: Bytes) -> Result<Allowance, Misfit> {
    let wrong = |setting: &str, message: String| Misfit { key: whose.key(name, setting), message };
    if raw.cpus == Some(0) {
        return Err(wrong("cpus", "this takes 1 or more; sessions = 0 lets nothing start".to_owned()));
    }
    let memory: Option<Bytes> = parsed(raw.memory.as_ref()).map_err(|text| wrong("memory", text))?;
    if memory.is_some_and(|m| m < memory_min) {
        let text =
            format!("this takes no less than session.memory_min ({memory_min}); sessions = 0 lets nothing start");
        return Err(wrong("memory", text));
    }
    let machine = |name: &String| name.parse().map_err(|p: Problem| wrong("machines", p.message));
    Ok(Allowance {
        sessions: raw.sessions,
        cpus: raw.cpus,
        memory,
        lifetime: parsed(raw.lifetime.as_ref()).map_err(|text| wrong("lifetime", text))?,
        machines: raw.machines.as_ref().map(|names| names.iter().map(machine).collect()).transpose()?,
    })
}

fn parsed<T: FromStr<Err = Problem>>(text: Option<&String>) -> Result<Option<T>, String> {
    text.map(|t| t.parse()).transpose().map_err(|p: Problem| p.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Bytes = Bytes(128 << 20);

    fn read(text: &str) -> Result<Limits, String> {
        let raw: raw::Limits = toml::from_str(text).unwrap();
        limits(&raw, LEAST).map_err(|m| format!("{}: {}", m.key, m.message))
    }

    #[test]
    fn an_entry_says_what_it_says_and_no_more() {
        let limits =
            read("[user.\"alice@example.org\"]\nmemory = \"2G\"\nmachines = [\"a.iso\"]\n[group.idle]\n").unwrap();
        let alice = &limits.users[&"alice@example.org".parse().unwrap()];
        let machines = Some(vec!["a.iso".parse().unwrap()]);
        assert_eq!(*alice, Allowance { memory: Some(Bytes(2 << 30)), machines, ..Allowance::default() });
        assert_eq!(limits.groups["idle"], Allowance::default());
    }

    #[test]
    fn what_could_never_be_used_is_refused_under_its_key() {
        for (text, begins) in [
            ("[user.alice]\ncpus = 0", "limits.user.alice.cpus: this takes 1 or more"),
            ("[group.\"a b\"]\nmemory = \"1M\"", "limits.group.\"a b\".memory: this takes no less than"),
            ("[group.x]\nmemory = \"lots\"", "limits.group.x.memory: An amount"),
            ("[group.x]\nlifetime = \"4w\"", "limits.group.x.lifetime: A time"),
            ("[group.x]\nmachines = [\"../x\"]", "limits.group.x.machines: There is no such machine"),
            ("[user.\"a b\"]\nsessions = 1", "limits.user.\"a b\": A user name"),
            ("service_max_load = -1.0", "limits.service_max_load: this takes a number"),
        ] {
            let wrong = read(text).unwrap_err();
            assert!(wrong.starts_with(begins), "{text}: {wrong}");
        }
    }

    #[test]
    fn keys_are_written_as_toml_reads_them() {
        for name in ["alice", "alice@example.org", "EXP\\alice", "Domain Users", "a.b", "it's \"x\""] {
            let key = Whose::User.key(name, "cpus");
            let table: toml::Table = format!("{key} = 1").parse().unwrap();
            assert_eq!(table["limits"]["user"][name]["cpus"].as_integer(), Some(1), "{key}");
        }
    }
}
