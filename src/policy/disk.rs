//! Who may write to the disks on which sessions write, and who is paused: so that neither one guest nor all of them
//! together take the room that the server itself needs.
//!
//! A session's own bound is enforced by the kernel (`LimitFSIZE=` of its unit, and QEMU pauses on the error). What all
//! write together takes somebody who looks; each look decides here.

use crate::config::DiskLimits;
use crate::model::{Bytes, Pause, SessionId};
use crate::show;
use std::path::Path;
use std::time::Duration;

/// So near to its bound, in bytes, a session's disk is full: a write may be larger than what is left.
const NEAR: u64 = 4 << 20;
/// Nothing writes faster than this, in bytes a second.
const FASTEST: u64 = 1 << 30;
/// A QEMU that does not do as often in a row what it is told cannot be paused.
const PATIENCE: u32 = 2;
/// How long the next look waits.
const SOONEST: Duration = Duration::from_millis(250);
const LATEST: Duration = Duration::from_secs(30);
/// The same while somebody is paused, and waits for room.
const WHILE_PAUSED: Duration = Duration::from_secs(2);

/// A file system on which sessions write, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// Its size.
    pub size: u64,
    /// What an ordinary program can still write.
    pub free: u64,
}

/// What a session's QEMU says of its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs, or its state is none of the disk's business.
    Runs,
    /// It was paused by a command.
    Paused,
    /// QEMU paused it since the disk took no more.
    DiskRefused,
}

/// What a session has written, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskUse {
    /// The session.
    pub id: SessionId,
    /// Allocated on the file system. Zero for a disk that is kept: it is not counted with the others.
    pub used: u64,
    /// Allocated since the last look.
    pub grown: u64,
    /// Length of its disk's file.
    pub length: u64,
    /// Its own bound of that length.
    pub most: Option<Bytes>,
    /// How its guest stands.
    pub standing: Standing,
    /// Why it was paused before.
    pub paused: Option<Pause>,
    /// It is being stopped.
    pub ending: bool,
    /// How often in a row its QEMU has not done what it was told.
    pub unanswered: u32,
    /// What only a QEMU does that a guest has taken over: it writes while it says that its guest is paused, or makes
    /// files without end.
    pub taken_over: bool,
}

impl DiskUse {
    /// Return whether it has written as much as it may.
    pub fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.length + NEAR >= most.0)
    }
}

/// What is to be done to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskAction {
    /// Pause it, or say that it is, for this reason.
    Pause(Pause),
    /// Let it go on.
    Resume,
    /// Nothing was the matter, or nothing is any more.
    Clear,
    /// Kill it: it takes room that is needed, and cannot be paused.
    Kill,
}

/// Why no session starts, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// So much is free, and this is kept free.
    Free { free: u64, reserve: u64 },
    /// All sessions have written so much together, and may have written this.
    Total { used: u64, most: u64 },
}

impl Shortage {
    /// Return what an administrator can read of it, and change.
    pub fn explain(&self, folder: &Path) -> String {
        let folder = folder.display();
        match self {
            Self::Free { free, reserve } => format!(
                "{folder} has {} free, and {} are kept free (paths.disk_start_reserve).",
                show::bytes(*free),
                show::bytes(*reserve)
            ),
            Self::Total { used, most } => format!(
                "The sessions' disks in {folder} take {}, and may take {} (paths.disk_total_max).",
                show::bytes(*used),
                show::bytes(*most)
            ),
        }
    }
}

/// Return why there is no room for another session's disk.
pub fn find_shortage(limits: &DiskLimits, system: FileSystem, used: u64) -> Option<Shortage> {
    let (reserve, most) = (limits.start_reserve.of(system.size), limits.total_max.of(system.size));
    if system.free < reserve {
        return Some(Shortage::Free { free: system.free, reserve });
    }
    (used >= most).then_some(Shortage::Total { used, most })
}

/// Decide what is to be done to the sessions on one file system, after a look at all of them.
pub fn disk_actions(limits: &DiskLimits, system: FileSystem, uses: &[DiskUse]) -> Vec<(SessionId, DiskAction)> {
    let short = is_short(limits, system, uses);
    let roomy = is_roomy(limits, system, uses);
    let mut actions: Vec<(SessionId, DiskAction)> = Vec::new();
    let kills = to_be_killed(limits, system, uses, short);
    actions.extend(kills.iter().map(|one| (one.id.clone(), DiskAction::Kill)));
    let others = || uses.iter().filter(|one| !one.ending && kills.iter().all(|killed| killed.id != one.id));
    for one in others() {
        actions.extend(own_action(one, short).map(|action| (one.id.clone(), action)));
    }
    if short {
        // One at a time: the next look is soon, and the fastest may have been the only one too many.
        let writers = others().filter(|one| one.standing == Standing::Runs && one.grown > 0 && !one.is_full());
        let fastest = writers.max_by_key(|one| (one.grown, one.used));
        actions.extend(fastest.map(|one| (one.id.clone(), DiskAction::Pause(Pause::ServerDiskFull))));
    } else if roomy {
        let waiting = others().filter(|one| waits_for_room(one));
        let smallest = waiting.min_by_key(|one| one.used);
        actions.extend(smallest.map(|one| (one.id.clone(), DiskAction::Resume)));
    }
    actions
}

/// Those that cannot be paused, or say that they are and are not.
fn to_be_killed<'u>(limits: &DiskLimits, system: FileSystem, uses: &'u [DiskUse], short: bool) -> Vec<&'u DiskUse> {
    // One that is being stopped could not shut down if it were paused.
    let unpausable = |one: &DiskUse| one.grown > 0 && (one.ending || one.unanswered >= PATIENCE);
    let mut kills: Vec<_> = uses.iter().filter(|one| one.taken_over || short && unpausable(one)).collect();
    if is_desperate(limits, system) {
        // Whatever its QEMU says of itself.
        let fastest = uses.iter().filter(|one| one.grown > 0).max_by_key(|one| (one.grown, one.used));
        kills.extend(fastest.filter(|one| kills.iter().all(|killed| killed.id != one.id)));
    }
    kills
}

/// What is to be done to a session whatever the others do.
fn own_action(one: &DiskUse, short: bool) -> Option<DiskAction> {
    match (one.standing, one.paused) {
        (Standing::Runs, _) if one.is_full() => Some(DiskAction::Pause(Pause::DiskLimit)),
        (Standing::Runs, Some(_)) => Some(DiskAction::Clear),
        (Standing::Runs, None) | (_, Some(_)) => None,
        (_, None) if one.is_full() => Some(DiskAction::Pause(Pause::DiskLimit)),
        (_, None) if short => Some(DiskAction::Pause(Pause::ServerDiskFull)),
        // By a launcher that was there before this one.
        (Standing::Paused, None) => Some(DiskAction::Pause(Pause::ServerDiskFull)),
        (Standing::DiskRefused, None) => Some(DiskAction::Pause(Pause::DiskError)),
    }
}

fn waits_for_room(one: &DiskUse) -> bool {
    one.standing != Standing::Runs && one.paused == Some(Pause::ServerDiskFull) && !one.is_full()
}

/// Return whether sessions that write are to be paused.
pub fn is_short(limits: &DiskLimits, system: FileSystem, uses: &[DiskUse]) -> bool {
    system.free < limits.pause_reserve.of(system.size) || total(uses) > limits.total_max.of(system.size)
}

/// Return whether there is room enough for somebody who was paused to go on: more than was missing, so that they are
/// not paused again at once.
fn is_roomy(limits: &DiskLimits, system: FileSystem, uses: &[DiskUse]) -> bool {
    let (reserve, most) = (limits.pause_reserve.of(system.size), limits.total_max.of(system.size));
    system.free >= reserve + reserve / 4 && total(uses) <= most - most / 20
}

/// Return whether the server is about to be lost: then the session that writes fastest is killed.
fn is_desperate(limits: &DiskLimits, system: FileSystem) -> bool {
    system.free < limits.pause_reserve.of(system.size) / 4
}

fn total(uses: &[DiskUse]) -> u64 {
    uses.iter().map(|one| one.used).sum()
}

/// Return how long the next look can wait, however fast somebody writes: half of the way to the nearest bound.
pub fn next_look(limits: &DiskLimits, system: FileSystem, uses: &[DiskUse]) -> Duration {
    let free = system.free.saturating_sub(limits.pause_reserve.of(system.size));
    let together = limits.total_max.of(system.size).saturating_sub(total(uses));
    let own = uses.iter().filter(|one| one.standing == Standing::Runs);
    let own = own.filter_map(|one| Some(one.most?.0.saturating_sub(one.length))).min().unwrap_or(u64::MAX);
    let margin = free.min(together).min(own);
    let latest = if uses.iter().any(|one| one.paused.is_some()) { WHILE_PAUSED } else { LATEST };
    Duration::from_millis(margin / 2 / (FASTEST / 1000)).clamp(SOONEST, latest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FsAmount;

    const GIB: u64 = 1 << 30;

    fn limits() -> DiskLimits {
        DiskLimits {
            session_max: None,
            total_max: FsAmount::Percent(80),
            start_reserve: FsAmount::Percent(10),
            pause_reserve: FsAmount::Percent(5),
        }
    }

    fn disk(free: u64) -> FileSystem {
        FileSystem { size: 100 * GIB, free: free * GIB }
    }

    fn id(letter: char) -> SessionId {
        letter.to_string().repeat(10).parse().unwrap()
    }

    fn writer(letter: char, used: u64, grown: u64) -> DiskUse {
        DiskUse {
            id: id(letter),
            used: used * GIB,
            grown,
            length: used * GIB,
            most: None,
            standing: Standing::Runs,
            paused: None,
            ending: false,
            unanswered: 0,
            taken_over: false,
        }
    }

    fn stands(letter: char, standing: Standing, paused: Option<Pause>) -> DiskUse {
        DiskUse { standing, paused, ..writer(letter, 1, 0) }
    }

    fn pause(letter: char) -> (SessionId, DiskAction) {
        (id(letter), DiskAction::Pause(Pause::ServerDiskFull))
    }

    #[test]
    fn nothing_starts_where_the_reserve_is_touched_or_all_have_written_too_much() {
        assert_eq!(find_shortage(&limits(), disk(10), 0), None);
        let reserve = 10 * GIB;
        assert_eq!(find_shortage(&limits(), disk(9), 0), Some(Shortage::Free { free: 9 * GIB, reserve }));
        let most = 80 * GIB;
        assert_eq!(find_shortage(&limits(), disk(11), most), Some(Shortage::Total { used: most, most }));
    }

    #[test]
    fn the_fastest_writer_is_paused_and_who_writes_nothing_goes_on() {
        let uses = [writer('a', 30, 0), writer('b', 1, 9), writer('c', 5, 3)];
        assert_eq!(disk_actions(&limits(), disk(4), &uses), [pause('b')]);
        assert_eq!(disk_actions(&limits(), disk(5), &uses), []);
        assert_eq!(disk_actions(&limits(), disk(4), &uses[..1]), []);
    }

    #[test]
    fn all_together_have_a_bound() {
        let uses = [writer('a', 41, 1), writer('b', 40, 2)];
        assert_eq!(disk_actions(&limits(), disk(19), &uses), [pause('b')]);
        assert_eq!(disk_actions(&limits(), disk(19), &[writer('a', 79, 1)]), []);
    }

    #[test]
    fn they_go_on_one_by_one_once_there_is_room_to_spare() {
        let waiting = Some(Pause::ServerDiskFull);
        let small = DiskUse { used: 0, ..stands('b', Standing::DiskRefused, waiting) };
        let uses = [stands('a', Standing::Paused, waiting), small];
        assert_eq!(disk_actions(&limits(), disk(6), &uses), []);
        assert_eq!(disk_actions(&limits(), disk(7), &uses), [(id('b'), DiskAction::Resume)]);
    }

    #[test]
    fn a_session_at_its_own_bound_stays_there() {
        let most = Some(Bytes(GIB));
        let full = DiskUse { most, ..writer('a', 1, 0) };
        assert_eq!(disk_actions(&limits(), disk(50), &[full]), [(id('a'), DiskAction::Pause(Pause::DiskLimit))]);
        let there = DiskUse { most, ..stands('a', Standing::DiskRefused, Some(Pause::DiskLimit)) };
        assert_eq!(disk_actions(&limits(), disk(50), &[there]), []);
    }

    #[test]
    fn what_an_earlier_launcher_paused_is_found_and_what_goes_on_is_told() {
        let found = |one| disk_actions(&limits(), disk(50), &[one]);
        let told = |pause| vec![(id('a'), DiskAction::Pause(pause))];
        assert_eq!(found(stands('a', Standing::Paused, None)), told(Pause::ServerDiskFull));
        assert_eq!(found(stands('a', Standing::DiskRefused, None)), told(Pause::DiskError));
        assert_eq!(found(stands('a', Standing::DiskRefused, Some(Pause::DiskError))), []);
        let runs_again = stands('a', Standing::Runs, Some(Pause::DiskLimit));
        assert_eq!(found(runs_again), [(id('a'), DiskAction::Clear)]);
    }

    #[test]
    fn the_nearer_a_bound_the_sooner_the_next_look() {
        let wait = |free, uses: &[DiskUse]| next_look(&limits(), disk(free), uses);
        assert_eq!(wait(100, &[]), LATEST);
        assert!(wait(15, &[]) <= Duration::from_secs(5));
        assert_eq!(wait(5, &[]), SOONEST);
        let near = DiskUse { most: Some(Bytes(2 * GIB)), ..writer('a', 1, 0) };
        assert!(wait(100, &[near]) <= Duration::from_millis(525));
        assert_eq!(wait(100, &[stands('a', Standing::Paused, Some(Pause::DiskError))]), WHILE_PAUSED);
    }

    fn kill(letter: char) -> (SessionId, DiskAction) {
        (id(letter), DiskAction::Kill)
    }

    #[test]
    fn who_cannot_be_paused_is_killed_where_room_is_needed() {
        let ending = DiskUse { ending: true, ..writer('a', 1, 1) };
        let deaf = DiskUse { unanswered: PATIENCE, ..writer('b', 1, 1) };
        let both = [ending, deaf];
        assert_eq!(disk_actions(&limits(), disk(4), &both), [kill('a'), kill('b')]);
        assert_eq!(disk_actions(&limits(), disk(50), &both), []);
        // One that shuts down writes a little, and what does not write is in nobody's way.
        let quiet = both.map(|one| DiskUse { grown: 0, ..one });
        assert_eq!(disk_actions(&limits(), disk(4), &quiet), []);
    }

    #[test]
    fn who_only_says_that_it_is_paused_is_killed() {
        let lies = DiskUse { taken_over: true, ..stands('a', Standing::Paused, Some(Pause::DiskLimit)) };
        assert_eq!(disk_actions(&limits(), disk(50), &[lies]), [kill('a')]);
        let almost_lost = FileSystem { size: 100 * GIB, free: 200 << 20 };
        let says = DiskUse { grown: 5, ..stands('b', Standing::Paused, Some(Pause::ServerDiskFull)) };
        assert_eq!(disk_actions(&limits(), almost_lost, &[says]), [kill('b')]);
    }

    #[test]
    fn only_what_the_server_needs_is_worth_a_session() {
        assert!(!is_desperate(&limits(), disk(2)));
        assert!(is_desperate(&limits(), disk(1)));
    }
}
