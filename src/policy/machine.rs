//! What a machine's own section adds to the decision: who may use it, and with how much.

use super::admission::Wanted;
use crate::config::{Amounts, MachineEntry};
use crate::model::{Bytes, Lifetime, Problem, Word};
use std::fmt::Display;

/// What was asked for; zero stands for the usual.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Virtual CPUs.
    pub cpus: u32,
    /// Guest memory.
    pub memory: Bytes,
    /// Lifetime.
    pub lifetime: Lifetime,
}

/// `Ok` if members of these groups may use the machine.
pub fn may_use(machine: &MachineEntry, groups: &[String]) -> Result<(), Problem> {
    if machine.groups.is_empty() || machine.groups.iter().any(|group| groups.contains(group)) {
        return Ok(());
    }
    let text = format!(
        "The machine '{}' is for members of {} only (groups= in machines.conf).",
        machine.name,
        machine.groups.join(", ")
    );
    Err(Problem::new(Word::NotAllowed, text))
}

/// What a session of the machine gets where nothing is asked for: what is usual, for this machine or, by `usual`,
/// for everybody, brought into what it can do with.
pub fn usual_of(machine: &MachineEntry, usual: (u32, Bytes, Lifetime)) -> (u32, Bytes, Lifetime) {
    let (cpus, memory) = (within(&machine.cpus, usual.0), within(&machine.memory, usual.1));
    (cpus, memory, machine.lifetime.unwrap_or(usual.2))
}

/// What a session of the machine gets: what was asked for, or what is usual, for this machine or, by
/// `usual`, for everybody. Refused if the machine cannot do with it.
pub fn with_amounts(
    machine: &MachineEntry,
    asked: &Request,
    usual: (u32, Bytes, Lifetime),
) -> Result<(Wanted, Lifetime), Problem> {
    let usual = usual_of(machine, usual);
    let cpus =
        amount(&machine.cpus, asked.cpus, usual.0).map_err(|range| refused(machine, range, "CPUs", asked.cpus))?;
    let memory = amount(&machine.memory, asked.memory, usual.1)
        .map_err(|range| refused(machine, range, "of memory", asked.memory))?;
    let lifetime = if asked.lifetime.0 == 0 { usual.2 } else { asked.lifetime };
    Ok((Wanted { cpus, memory }, lifetime))
}

fn within<T: Copy + Ord>(amounts: &Amounts<T>, usual: T) -> T {
    let wanted = amounts.usual.unwrap_or(usual);
    let enough = amounts.least.map_or(wanted, |least| wanted.max(least));
    amounts.most.map_or(enough, |most| enough.min(most))
}

/// The range as text is the error.
fn amount<T: Copy + Ord + Default + Display>(amounts: &Amounts<T>, asked: T, usual: T) -> Result<T, String> {
    if asked == T::default() {
        return Ok(usual);
    }
    let fits = amounts.least.is_none_or(|least| asked >= least) && amounts.most.is_none_or(|most| asked <= most);
    if fits { Ok(asked) } else { Err(range(amounts)) }
}

fn range<T: Copy + Display>(amounts: &Amounts<T>) -> String {
    match (amounts.least, amounts.most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("{least} or more"),
        (None, Some(most)) => format!("{most} at most"),
        (None, None) => String::new(),
    }
}

fn refused(machine: &MachineEntry, range: String, what: &str, asked: impl Display) -> Problem {
    Problem::bad_request(format!("The machine '{}' takes {range} {what}; you asked for {asked}.", machine.name))
}

/// What the machine cannot do without; zero where it says nothing.
pub fn needs(machine: &MachineEntry) -> Wanted {
    Wanted { cpus: machine.cpus.least.unwrap_or(0), memory: machine.memory.least.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Catalogue;

    fn machine(keys: &str) -> MachineEntry {
        let catalogue = Catalogue::parse(&format!("[m.img]\n{keys}\n"));
        assert_eq!(catalogue.faults, []);
        catalogue.machines[0].clone()
    }

    const USUAL: (u32, Bytes, Lifetime) = (1, Bytes(1 << 30), Lifetime(3600));

    fn gets(keys: &str, cpus: u32, memory: u64) -> Result<(u32, u64), String> {
        let asked = Request { cpus, memory: Bytes(memory), ..Request::default() };
        with_amounts(&machine(keys), &asked, USUAL).map(|(w, _)| (w.cpus, w.memory.0)).map_err(|p| p.message)
    }

    #[test]
    fn what_is_usual_is_brought_into_the_machines_bounds() {
        assert_eq!(gets("", 0, 0), Ok((1, 1 << 30)));
        assert_eq!(gets("cpus_min=2\nmemory_min=4G", 0, 0), Ok((2, 4 << 30)));
        assert_eq!(gets("cpus=3\nmemory_max=512M", 0, 0), Ok((3, 512 << 20)));
        let lifetime = |keys, asked| {
            let asked = Request { lifetime: Lifetime(asked), ..Request::default() };
            with_amounts(&machine(keys), &asked, USUAL).unwrap().1
        };
        assert_eq!((lifetime("lifetime=2h", 0), lifetime("lifetime=2h", 60)), (Lifetime(7200), Lifetime(60)));
        assert_eq!(lifetime("", 0), Lifetime(3600));
    }

    #[test]
    fn what_is_asked_for_outside_of_them_is_refused() {
        assert_eq!(gets("cpus_min=2\ncpus_max=4", 4, 0), Ok((4, 1 << 30)));
        let told = |keys, cpus, memory| gets(keys, cpus, memory).unwrap_err();
        assert_eq!(told("cpus_min=2\ncpus_max=4", 1, 0), "The machine 'm.img' takes 2 to 4 CPUs; you asked for 1.");
        assert!(told("memory_min=2G", 0, 1 << 30).contains("takes 2G or more of memory; you asked for 1G"));
        assert!(told("memory_max=2G", 0, 3 << 30).contains("takes 2G at most of memory"));
    }

    #[test]
    fn a_machine_of_groups_is_theirs_alone() {
        let groups = |all: &[&str]| all.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>();
        let staffs = machine("groups=staff, guests");
        assert!(may_use(&staffs, &groups(&["x", "guests"])).is_ok());
        for others in [&[][..], &["staf"], &["Staff"], &["staff, guests"]] {
            assert_eq!(may_use(&staffs, &groups(others)).unwrap_err().word, Word::NotAllowed, "{others:?}");
        }
        assert!(may_use(&machine(""), &[]).is_ok());
    }

    #[test]
    fn a_machine_needs_its_least() {
        let of = |keys| needs(&machine(keys));
        assert_eq!((of("").cpus, of("").memory), (0, Bytes(0)));
        assert_eq!((of("cpus_min=2\ncpus=4").cpus, of("memory_min=3G\nmemory=8G").memory), (2, Bytes(3 << 30)));
    }
}
