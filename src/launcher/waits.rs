//! Calls that wait for a session, or for a change of a list of sessions. They take no thread, are bounded for each caller, and end with their caller.

use super::caller::{Caller, Person};
use super::core::Core;
use super::table::Table;
use crate::model::{Problem, Word};
use async_io::Timer;
use futures_lite::{StreamExt, future};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;
use zbus::fdo::DBusProxy;
use zbus::names::UniqueName;

/// Waits of one account: that of a program in the foreground, and of another.
const PER_ACCOUNT: usize = 2;
/// Waits of one person for whom the portal calls.
const PER_PERSON: usize = 8;
/// Waits of all accounts together, of all persons of the portal, and of root.
const PER_KIND: usize = 64;
/// While a kind has so many, only those without any get one: a few never keep all others from waiting.
const NEARLY_FULL: usize = 32;

/// Whose wait it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Waiter {
    Root,
    Account(String),
    Person(String),
}

impl Waiter {
    fn of(caller: &Caller, person: &Person) -> Self {
        match caller {
            Caller::Root => Self::Root,
            Caller::Member(account) => Self::Account(account.name.clone()),
            Caller::Portal | Caller::Display => Self::Person(person.owner.to_string()),
        }
    }

    /// Return how many waits it may have where its kind has so many already.
    fn most(&self, of_kind: usize) -> usize {
        match (self, of_kind) {
            (_, PER_KIND..) => 0,
            (Self::Root, _) => PER_KIND,
            (_, NEARLY_FULL..) => 1,
            (Self::Account(_), _) => PER_ACCOUNT,
            (Self::Person(_), _) => PER_PERSON,
        }
    }

    fn is_of_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// The waits in progress.
#[derive(Default)]
pub(super) struct Waits(Mutex<InProgress>);

#[derive(Default)]
struct InProgress {
    next: u64,
    /// Each with what wakes it when a session has changed.
    all: BTreeMap<u64, (Waiter, Option<Waker>)>,
}

/// One of them, until it is dropped.
pub(super) struct Wait {
    waits: Arc<Waits>,
    number: u64,
}

impl Waits {
    fn in_progress(&self) -> MutexGuard<'_, InProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admit one more wait.
    pub(super) fn enter(self: &Arc<Self>, caller: &Caller, person: &Person) -> Result<Wait, Problem> {
        let waiter = Waiter::of(caller, person);
        let mut waits = self.in_progress();
        let count = |of: &dyn Fn(&Waiter) -> bool| waits.all.values().filter(|(other, _)| of(other)).count();
        let own = count(&|other| *other == waiter);
        if own >= waiter.most(count(&|other| other.is_of_kind(&waiter))) {
            let text = match own {
                0 => "Too many calls wait for sessions at the moment. Ask for the session without waiting.".to_owned(),
                1 => format!("{person} waits for a session in another call already. Try again when it has ended."),
                own => format!("{person} waits for sessions in {own} calls already. Try again when one has ended."),
            };
            return Err(Problem::new(Word::LimitReached, text));
        }
        waits.next += 1;
        let number = waits.next;
        waits.all.insert(number, (waiter, None));
        Ok(Wait { waits: Arc::clone(self), number })
    }

    /// Have each wait look at its session again.
    pub(super) fn wake_all(&self) {
        let wakers: Vec<Waker> = self.in_progress().all.values_mut().filter_map(|(_, waker)| waker.take()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Wait {
    /// Wait until the condition holds for the table. It is looked at whenever a session has changed.
    async fn until(&self, core: &Core, condition: impl Fn(&Table) -> bool) {
        future::poll_fn(|context| {
            // Held until the waker is in its place: a change that comes after this look wakes it.
            let table = core.table();
            if condition(&table) {
                return Poll::Ready(());
            }
            if let Some((_, waker)) = self.waits.in_progress().all.get_mut(&self.number) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Wait until the condition holds for the table, no longer than `patience` and than the caller is on the bus.
    pub(super) async fn until_changed(
        &self,
        core: &Core,
        condition: impl Fn(&Table) -> bool,
        patience: Duration,
        caller: &UniqueName<'_>,
    ) -> Result<(), Problem> {
        let changed = self.until(core, condition);
        let too_late = async {
            Timer::after(patience).await;
        };
        let ended = async {
            future::or(changed, too_late).await;
            Ok(())
        };
        let has_left = async {
            let left = until_left(core, caller).await;
            left.map_err(|e| Problem::new(Word::Unavailable, format!("The system bus could not be used: {e}.")))
        };
        future::or(ended, has_left).await
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.in_progress().all.remove(&self.number);
    }
}

/// Wait until nobody has this unique name any more.
async fn until_left(core: &Core, name: &UniqueName<'_>) -> zbus::Result<()> {
    let bus = DBusProxy::new(core.connection.inner()).await?;
    let mut left = bus.receive_name_owner_changed_with_args(&[(0, name.as_str()), (2, "")]).await?;
    if bus.name_has_owner(name.as_ref().into()).await? {
        left.next().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::caller::Account;
    use super::super::caller::tests::signed_in_by_pam;
    use super::super::testing::{Bench, alice, id};
    use super::*;
    use crate::model::Event;
    use std::time::Instant;
    use zbus::blocking::connection::Builder;

    const LONG: Duration = Duration::from_secs(60);

    fn account(name: &str) -> Caller {
        Caller::Member(Account { name: name.into(), groups: Vec::new() })
    }

    #[test]
    fn each_caller_has_so_many_waits_and_each_kind() {
        let waits = Arc::<Waits>::default();
        let ada = signed_in_by_pam("ada");
        let mut of_ada: Vec<Wait> = (0..PER_ACCOUNT).map(|_| waits.enter(&account("ada"), &ada).unwrap()).collect();
        assert_eq!(waits.enter(&account("ada"), &ada).err().unwrap().word, Word::LimitReached);
        let others = (0..600).map(|n| waits.enter(&account(&format!("a{}", n % 100)), &ada));
        let others: Vec<Wait> = others.filter_map(Result::ok).collect();
        assert_eq!(of_ada.len() + others.len(), PER_KIND);
        // The portal and root have waits of their own; the portal's are counted by person.
        let of_portal: Vec<Wait> = (0..600).filter_map(|_| waits.enter(&Caller::Portal, &ada).ok()).collect();
        assert_eq!(of_portal.len(), PER_PERSON);
        assert!(waits.enter(&Caller::Portal, &signed_in_by_pam("bob")).is_ok());
        let of_root: Vec<Wait> = (0..600).filter_map(|_| waits.enter(&Caller::Root, &ada).ok()).collect();
        assert_eq!(of_root.len(), PER_KIND);
        of_ada.pop();
        assert_eq!(waits.enter(&account("ada"), &ada).err().unwrap().word, Word::LimitReached);
        of_ada.pop();
        assert!(waits.enter(&account("ada"), &ada).is_ok());
        drop((of_ada, others, of_portal, of_root));
        assert!(waits.in_progress().all.is_empty());
    }

    #[test]
    fn a_few_callers_leave_a_wait_to_each_other_one() {
        let waits = Arc::<Waits>::default();
        let person = |n| signed_in_by_pam(&format!("a{n}"));
        let of_account = |n| waits.enter(&account(&format!("a{n}")), &person(n)).ok();
        let of_person = |n| waits.enter(&Caller::Portal, &person(n)).ok();
        let kinds: [&dyn Fn(usize) -> Option<Wait>; 2] = [&of_account, &of_person];
        for enter in kinds {
            // Each of 20 as often as it may, then 10 others.
            let _greedy: Vec<Wait> = (0..600).filter_map(|n| enter(n % 20)).collect();
            let _others: Vec<Wait> = (20..30).map(|n| enter(n).unwrap()).collect();
            assert!(enter(20).is_none(), "the second of one caller");
        }
    }

    #[test]
    fn a_wait_ends_with_the_state_with_the_time_and_with_the_caller() {
        let bench = Bench::new("waits", |_| {});
        let core = &bench.core;
        let caller = Builder::address(bench.address().as_str()).and_then(Builder::build).unwrap();
        let name = caller.unique_name().unwrap().to_owned();
        let state = core.table()[&id()].state();
        let wait = |patience| {
            let wait = core.waits.enter(&account("alice"), &alice()).unwrap();
            let begun = Instant::now();
            let changed = |table: &Table| table[&id()].state() != state;
            zbus::block_on(wait.until_changed(core, changed, patience, &name)).unwrap();
            begun.elapsed()
        };
        let short = Duration::from_millis(50);
        assert!((short..LONG / 2).contains(&wait(short)));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait(LONG));
            while !core.waits.in_progress().all.values().any(|(_, waker)| waker.is_some()) {
                std::thread::yield_now();
            }
            let before = core.table()[&id()].clone();
            core.table().get_mut(&id()).unwrap().apply(Event::Stop).unwrap();
            core.notify();
            assert!(waiting.join().unwrap() < LONG / 2);
            core.table().insert(id(), before);
            let waiting = scope.spawn(|| wait(LONG));
            while !core.waits.in_progress().all.values().any(|(_, waker)| waker.is_some()) {
                std::thread::yield_now();
            }
            caller.close().unwrap();
            assert!(waiting.join().unwrap() < LONG / 2);
        });
        assert!(core.waits.in_progress().all.is_empty());
    }

    #[test]
    fn a_wait_for_a_list_ends_with_each_change_of_a_listed_session() {
        let bench = Bench::new("lists", |_| {});
        let core = &bench.core;
        let caller = Builder::address(bench.address().as_str()).and_then(Builder::build).unwrap();
        let name = caller.unique_name().unwrap().to_owned();
        let changes: [&dyn Fn(); 2] = [
            &|| {
                core.table().get_mut(&id()).unwrap().apply(Event::Stop).unwrap();
                core.notify();
            },
            // Such as an extension: the record alone changes.
            &|| {
                let extend = |record: &mut crate::session::Record| {
                    record.expires_at += 60;
                    Ok(())
                };
                core.change_record(&id(), extend).unwrap();
            },
        ];
        for change in changes {
            let seen = core.list_version(&alice(), false);
            assert_ne!(seen, core.list_version(&signed_in_by_pam("bob"), false));
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| {
                    let wait = core.waits.enter(&account("alice"), &alice()).unwrap();
                    let changed = |table: &Table| super::super::table::list_version(table, &alice(), false) != seen;
                    let begun = Instant::now();
                    zbus::block_on(wait.until_changed(core, changed, LONG, &name)).unwrap();
                    begun.elapsed()
                });
                while !core.waits.in_progress().all.values().any(|(_, waker)| waker.is_some()) {
                    std::thread::yield_now();
                }
                change();
                assert!(waiting.join().unwrap() < LONG / 2);
            });
            assert_ne!(core.list_version(&alice(), false), seen);
        }
    }
}
