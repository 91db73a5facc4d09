//! The machines on the page: what each is, what it needs, and whether it can be started now.

use crate::bus::Machine;
use crate::config::Architecture;
use crate::model::Bytes;
use crate::show;

/// A list longer than this can be searched.
const MANY: usize = 12;

/// One machine as a card.
pub(super) struct Item {
    pub(super) machine: Machine,
    /// What it needs, in a few words each.
    pub(super) facts: Vec<String>,
    /// Of its image; empty: there is none.
    pub(super) size: String,
    pub(super) chosen: bool,
}

impl Item {
    /// Why it cannot be started, or not now; empty: it can.
    pub(super) fn why_not(&self) -> &str {
        if self.machine.problem.is_empty() { &self.machine.unfit } else { &self.machine.problem }
    }

    /// What people read first.
    pub(super) fn title(&self) -> &str {
        let Machine { name, description, .. } = &self.machine;
        if description.is_empty() { name.as_str() } else { description }
    }

    /// The least, the most and the usual number of CPUs, for the page's script; zero: no bound.
    pub(super) fn cpus(&self) -> String {
        let Machine { cpus, cpus_min, cpus_max, .. } = &self.machine;
        format!("{} {} {cpus}", cpus_min.unwrap_or(0), cpus_max.unwrap_or(0))
    }

    /// The same of memory, in bytes.
    pub(super) fn memory(&self) -> String {
        let Machine { memory, memory_min, memory_max, .. } = &self.machine;
        let [least, most] = [memory_min, memory_max].map(|bound| bound.unwrap_or_default().0);
        format!("{least} {most} {}", memory.0)
    }

    /// `usual`, for the script that makes the choices follow the machine.
    pub(super) fn usual_texts(&self) -> String {
        let Machine { cpus, memory, lifetime, .. } = &self.machine;
        format!("{cpus}|{}|{}", memory.about(), show::lifetime(lifetime.0))
    }
}

/// The cards, those last that cannot be started at all. Chosen is the machine `wanted`, or else the first
/// that can be started.
pub(super) fn items(mut machines: Vec<Machine>, wanted: &str) -> Vec<Item> {
    machines.sort_by_key(|m| !m.problem.is_empty());
    let usable = |m: &Machine| m.problem.is_empty() && m.unfit.is_empty();
    let chosen = machines
        .iter()
        .position(|m| usable(m) && m.name.as_str() == wanted)
        .or_else(|| machines.iter().position(usable));
    let item = |(at, machine): (usize, Machine)| Item {
        facts: facts(&machine),
        size: size(&machine),
        chosen: Some(at) == chosen,
        machine,
    };
    machines.into_iter().enumerate().map(item).collect()
}

/// Whether there are so many that one must be searched for.
pub(super) fn many(items: &[Item]) -> bool {
    items.len() > MANY
}

fn facts(machine: &Machine) -> Vec<String> {
    let Machine { cpus_min, cpus_max, memory_min, memory_max, .. } = machine;
    let cpus = range(*cpus_min, *cpus_max, |n| n.to_string());
    let cpus = cpus.map(|range| if range.ends_with(" 1") || range == "1" { range + " CPU" } else { range + " CPUs" });
    let memory = range(*memory_min, *memory_max, Bytes::about).map(|range| format!("{range} of memory"));
    let processor =
        (machine.architecture == Some(Architecture::Arm)).then(|| "an emulated 64-bit ARM processor".to_owned());
    [cpus, memory, processor].into_iter().flatten().collect()
}

/// In whole megabytes, rounded up.
fn size(machine: &Machine) -> String {
    let bytes = machine.image_bytes.div_ceil(1 << 20) << 20;
    if bytes == 0 { String::new() } else { show::bytes(bytes) }
}

fn range<N: Copy + PartialEq>(least: Option<N>, most: Option<N>, show: impl Fn(N) -> String) -> Option<String> {
    match (least, most) {
        (None, None) => None,
        (Some(least), None) => Some(format!("at least {}", show(least))),
        (None, Some(most)) => Some(format!("up to {}", show(most))),
        (Some(least), Some(most)) if least == most => Some(show(least)),
        (Some(least), Some(most)) => Some(format!("{} to {}", show(least), show(most))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::tests::a_machine;

    fn machine(name: &str, problem: &str, unfit: &str) -> Machine {
        Machine { problem: problem.into(), unfit: unfit.into(), ..a_machine(name) }
    }

    #[test]
    fn the_machine_chosen_is_one_that_can_be_started_now() {
        let chosen = |wanted| {
            let all = vec![
                machine("a", "Its image is missing.", ""),
                machine("b", "", "It needs 8 GiB."),
                machine("c", "", ""),
                machine("d", "", ""),
            ];
            items(all, wanted).into_iter().find(|i| i.chosen).map(|i| i.machine.name.to_string()).unwrap()
        };
        assert_eq!([chosen("d"), chosen("a"), chosen("b"), chosen("")], ["d", "c", "c", "c"]);
        assert!(items(vec![machine("a", "", "It needs 8 GiB.")], "a").iter().all(|item| !item.chosen));
    }

    #[test]
    fn what_cannot_be_started_at_all_comes_last() {
        let all = items(vec![machine("a", "No.", ""), machine("c", "", "Full."), machine("b", "", "")], "");
        assert_eq!(all.iter().map(|i| i.machine.name.as_str()).collect::<Vec<_>>(), ["c", "b", "a"]);
        assert_eq!(all.iter().map(Item::why_not).collect::<Vec<_>>(), ["Full.", "", "No."]);
    }

    #[test]
    fn a_machine_says_in_few_words_what_it_needs() {
        let told = |machine: Machine| facts(&machine).join(", ");
        assert_eq!(told(a_machine("a")), "");
        let windows =
            Machine { cpus_min: Some(2), cpus_max: Some(8), memory_min: Some(Bytes(4 << 30)), ..a_machine("a") };
        assert_eq!(told(windows), "2 to 8 CPUs, at least 4 GiB of memory");
        let arm = Machine { cpus_max: Some(1), memory_max: Some(Bytes(1 << 30)), ..a_machine("a") };
        let arm = Machine { architecture: Some(Architecture::Arm), ..arm };
        assert_eq!(told(arm), "up to 1 CPU, up to 1 GiB of memory, an emulated 64-bit ARM processor");
        assert_eq!(told(Machine { cpus_min: Some(1), cpus_max: Some(1), ..a_machine("a") }), "1 CPU");
    }
}
