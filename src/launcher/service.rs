//! The launcher's interface on the bus: who may call what, and the words made into types.
//!
//! Each call runs on a thread of its own, so that one that takes long holds nobody up, and each user of the bus has
//! so many at once. A call that waits for a session takes none.

use super::caller::{Caller, Person};
use super::core::Core;
use super::idle::{Busy, Idle};
use super::table::{Table, list_version};
use super::tickets::Holder;
use super::{
    catalogue, claim, control, create, disks, figures, joins, offers, pictures, screens, shares, sweep, viewers,
};
use crate::bus::{
    Asker, Figures, Grant, Joined, Machine, NewSession, NewShare, Offer, Request, Session, Share, Status, Usage, Viewer,
};
use crate::model::{Bytes, Lifetime, Problem, Role, Secret, State, Word};
use crate::policy;
use crate::session::DiskKind;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use zbus::message::Header;
use zbus::names::UniqueName;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::OwnedFd;

/// The longest that `wait` waits.
const WAIT_MAX: u32 = 3600;

/// The object on the bus. It is served before the launcher's state has been read, which takes the connection.
#[derive(Clone, Default)]
pub(super) struct Launcher(Arc<OnceLock<Arc<Core>>>);

impl Launcher {
    /// Serve calls with this state from now on.
    pub(super) fn begin(&self, core: &Arc<Core>) {
        self.0.get_or_init(|| Arc::clone(core));
    }

    fn core(&self) -> Result<Arc<Core>, Problem> {
        let core = self.0.get().map(Arc::clone);
        core.ok_or_else(|| Problem::new(Word::Unavailable, "The launcher is starting. Try again in a moment."))
    }

    /// Finds out who calls, then does the work, away from the bus's own thread.
    async fn run<T, F>(&self, header: &Header<'_>, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Core>, &Caller) -> Result<T, Problem> + Send + 'static,
    {
        self.run_during(Idle::begin, header, work).await
    }

    /// The same, with what it is to the time until the launcher leaves.
    async fn run_during<T, F>(&self, begin: fn(&Idle) -> Busy<'_>, header: &Header<'_>, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Core>, &Caller) -> Result<T, Problem> + Send + 'static,
    {
        let core = self.core()?;
        let admitted = core.callers.admit(header.sender().map(UniqueName::to_owned)).await?;
        blocking::unblock(move || {
            let _busy = begin(&core.idle);
            work(&core, &admitted.caller()?)
        })
        .await
    }
}

/// Return for whom the caller asks.
fn identify_person(core: &Core, caller: &Caller, asker: &Request<Asker>) -> Result<Person, Problem> {
    core.person(caller, &asker.read()?)
}

/// Return who wants to look around; `None` before anybody is signed in on the page.
fn identify_visitor(core: &Core, caller: &Caller, asker: &Request<Asker>) -> Result<Option<Person>, Problem> {
    core.visitor(caller, &asker.read()?)
}

/// Start the session that is asked for; that its machine cannot be one is noted like any refusal.
fn start_session(
    core: &Arc<Core>,
    person: &Person,
    wanted: &Request<NewSession>,
    disk: DiskKind,
) -> Result<Session, Problem> {
    let NewSession { machine, cpus, memory_bytes, lifetime_seconds, force } = wanted.read()?;
    let machine = machine.parse().inspect_err(|problem| create::report_refusal(core, person, None, problem))?;
    let amounts = policy::Request { cpus, memory: Bytes(memory_bytes), lifetime: Lifetime(lifetime_seconds) };
    create::create(core, person, &create::SessionRequest { machine, amounts, force }, disk)
}

/// Return what a new link is to allow.
fn read_share(wanted: &Request<NewShare>) -> Result<shares::ShareRequest, Problem> {
    let NewShare { role, seconds, once } = wanted.read()?;
    Ok(shares::ShareRequest { role: role.parse()?, lifetime: Lifetime(seconds), once })
}

/// Return a client's address; empty: it is not known.
fn parse_client(address: &str) -> Result<Option<IpAddr>, Problem> {
    let bad = |_| Problem::bad_request("An address is one of IPv4 or IPv6, such as 192.0.2.7 or 2001:db8::1.");
    if address.is_empty() { Ok(None) } else { address.parse().map(Some).map_err(bad) }
}

#[zbus::interface(name = "org.qemuwebdesktop.Launcher1")]
impl Launcher {
    async fn create(
        &self,
        asker: Request<Asker>,
        wanted: Request<NewSession>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            start_session(core, &identify_person(core, caller, &asker)?, &wanted, DiskKind::Scratch)
        })
        .await
    }

    async fn work(
        &self,
        asker: Request<Asker>,
        wanted: Request<NewSession>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_root("that: it is root's")?;
            start_session(core, &identify_person(core, caller, &asker)?, &wanted, DiskKind::Persistent)
        })
        .await
    }

    async fn list(
        &self,
        asker: Request<Asker>,
        all: bool,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Session>, Problem> {
        self.run(&header, move |core, caller| Ok(core.list(&identify_person(core, caller, &asker)?, all))).await
    }

    async fn sessions(
        &self,
        asker: Request<Asker>,
        all: bool,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<Session>, Vec<Session>), Problem> {
        self.run(&header, move |core, caller| {
            let person = identify_person(core, caller, &asker)?;
            Ok((core.list(&person, all), core.ended(&person, all)))
        })
        .await
    }

    async fn get(
        &self,
        asker: Request<Asker>,
        id: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            let (person, id) = (identify_person(core, caller, &asker)?, id.parse()?);
            core.get(&person, &id).or_else(|problem| core.find_unrecorded(&person, &id).ok_or(problem))
        })
        .await
    }

    async fn wait(
        &self,
        asker: Request<Asker>,
        id: String,
        state: String,
        seconds: u32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        let core = self.core()?;
        let _busy = core.idle.begin();
        let (person, id, state, wait) = self
            .run(&header, move |core, caller| {
                let (person, id, state) =
                    (identify_person(core, caller, &asker)?, id.parse()?, state.parse::<State>()?.reported());
                // Nobody waits for a session that they may not know of.
                core.get(&person, &id)?;
                let wait = core.waits.enter(caller, &person)?;
                Ok((person, id, state, wait))
            })
            .await?;
        if let Some(sender) = header.sender() {
            let patience = Duration::from_secs(seconds.min(WAIT_MAX).into());
            let changed = |table: &Table| table.get(&id).is_none_or(|entry| entry.state().reported() != state);
            wait.until_changed(&core, changed, patience, sender).await?;
        }
        drop(wait);
        self.run(&header, move |core, _| core.get(&person, &id)).await
    }

    async fn wait_list(
        &self,
        asker: Request<Asker>,
        all: bool,
        version: String,
        seconds: u32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Problem> {
        let core = self.core()?;
        let _busy = core.idle.begin();
        let seen = version.clone();
        let (person, now, wait) = self
            .run(&header, move |core, caller| {
                let person = identify_person(core, caller, &asker)?;
                let now = core.list_version(&person, all);
                let wait = if now == seen && seconds > 0 { Some(core.waits.enter(caller, &person)?) } else { None };
                Ok((person, now, wait))
            })
            .await?;
        let (Some(wait), Some(sender)) = (wait, header.sender()) else { return Ok(now) };
        let changed = |table: &Table| list_version(table, &person, all) != version;
        wait.until_changed(&core, changed, Duration::from_secs(seconds.min(WAIT_MAX).into()), sender).await?;
        drop(wait);
        self.run(&header, move |core, _| Ok(core.list_version(&person, all))).await
    }

    async fn stop(
        &self,
        asker: Request<Asker>,
        id: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            control::stop(core, &identify_person(core, caller, &asker)?, &id.parse()?)
        })
        .await
    }

    async fn kill(
        &self,
        asker: Request<Asker>,
        id: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            control::kill(core, &identify_person(core, caller, &asker)?, &id.parse()?)
        })
        .await
    }

    async fn stop_all(&self, asker: Request<Asker>, #[zbus(header)] header: Header<'_>) -> Result<u32, Problem> {
        self.run(&header, move |core, caller| control::stop_all(core, &identify_person(core, caller, &asker)?)).await
    }

    async fn extend(
        &self,
        asker: Request<Asker>,
        id: String,
        seconds: u64,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            control::extend(core, &identify_person(core, caller, &asker)?, &id.parse()?, seconds)
        })
        .await
    }

    async fn resume(
        &self,
        asker: Request<Asker>,
        id: String,
        disk_max: u64,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_root("that: it is root's")?;
            disks::resume(core, &identify_person(core, caller, &asker)?, &id.parse()?, disk_max)
        })
        .await
    }

    async fn share(
        &self,
        asker: Request<Asker>,
        id: String,
        wanted: Request<NewShare>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Share, String), Problem> {
        self.run(&header, move |core, caller| {
            let (share, secret) =
                shares::share(core, &identify_person(core, caller, &asker)?, &id.parse()?, &read_share(&wanted)?)?;
            Ok((share, secret.expose().to_owned()))
        })
        .await
    }

    async fn claim(
        &self,
        asker: Request<Asker>,
        id: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_portal("that for somebody else")?;
            claim::claim(core, &identify_person(core, caller, &asker)?, &id.parse()?)
        })
        .await
    }

    async fn shares(
        &self,
        asker: Request<Asker>,
        id: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Share>, Problem> {
        self.run(&header, move |core, caller| {
            shares::shares(core, &identify_person(core, caller, &asker)?, &id.parse()?)
        })
        .await
    }

    async fn unshare(
        &self,
        asker: Request<Asker>,
        id: String,
        share: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Problem> {
        self.run(&header, move |core, caller| {
            shares::unshare(core, &identify_person(core, caller, &asker)?, &id.parse()?, &share)
        })
        .await
    }

    async fn viewers(
        &self,
        asker: Request<Asker>,
        id: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Viewer>, Problem> {
        self.run(&header, move |core, caller| {
            viewers::viewers(core, &identify_person(core, caller, &asker)?, &id.parse()?)
        })
        .await
    }

    async fn ticket(
        &self,
        asker: Request<Asker>,
        id: String,
        role: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Problem> {
        self.run(&header, move |core, caller| {
            let ticket =
                screens::ticket(core, &identify_person(core, caller, &asker)?, &id.parse()?, role.parse::<Role>()?)?;
            Ok(ticket.expose().to_owned())
        })
        .await
    }

    async fn join(
        &self,
        asker: Request<Asker>,
        secret: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Joined, Problem> {
        self.join_from(asker, secret, String::new(), header).await
    }

    async fn join_from(
        &self,
        asker: Request<Asker>,
        secret: String,
        address: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Joined, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_portal("that for somebody else")?;
            // A link takes no account: who has none comes without a name.
            let holder = identify_visitor(core, caller, &asker)?.as_ref().map(Holder::from).unwrap_or_default();
            joins::join(core, &holder, &secret.parse::<Secret>()?, parse_client(&address)?)
        })
        .await
    }

    async fn look(&self, secret: String, #[zbus(header)] header: Header<'_>) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_portal("that for somebody else")?;
            joins::look(core, &secret.parse::<Secret>()?)
        })
        .await
    }

    async fn redeem(&self, ticket: String, #[zbus(header)] header: Header<'_>) -> Result<(OwnedFd, Grant), Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_display("that: it is the display's")?;
            let (screen, grant) = screens::redeem(core, &ticket.parse::<Secret>()?)?;
            Ok((screen.into(), grant))
        })
        .await
    }

    async fn report(
        &self,
        viewers: Vec<Request<Viewer>>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<(String, String)>, Problem> {
        let display = header.sender().map(ToString::to_string).unwrap_or_default();
        self.run(&header, move |core, caller| {
            caller.must_be_display("that: it is the display's")?;
            let closed = viewers::report(core, &display, viewers::read_report(&viewers)?)?;
            Ok(closed.into_iter().map(|(session, share)| (session.to_string(), share)).collect())
        })
        .await
    }

    async fn agent(&self, session: String, #[zbus(header)] header: Header<'_>) -> Result<bool, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_display("that: it is the display's")?;
            screens::has_agent(core, &session.parse()?)
        })
        .await
    }

    async fn machines(
        &self,
        asker: Request<Asker>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Machine>, Problem> {
        self.run(&header, move |core, caller| offers::machines(core, identify_visitor(core, caller, &asker)?.as_ref()))
            .await
    }

    async fn offer(&self, asker: Request<Asker>, #[zbus(header)] header: Header<'_>) -> Result<Offer, Problem> {
        self.run(&header, move |core, caller| offers::offer(core, identify_visitor(core, caller, &asker)?.as_ref()))
            .await
    }

    async fn front(
        &self,
        asker: Request<Asker>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Offer, Vec<Machine>, Vec<Session>), Problem> {
        self.run(&header, move |core, caller| {
            let visitor = identify_visitor(core, caller, &asker)?;
            let sessions = visitor.as_ref().map(|person| core.list(person, false));
            let (offer, machines) = offers::front(core, visitor.as_ref())?;
            Ok((offer, machines, sessions.unwrap_or_default()))
        })
        .await
    }

    async fn examine(&self, name: String, #[zbus(header)] header: Header<'_>) -> Result<Machine, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_root("that: it is root's")?;
            catalogue::examine(core, &name.parse()?)
        })
        .await
    }

    async fn status(&self, asker: Request<Asker>, #[zbus(header)] header: Header<'_>) -> Result<Status, Problem> {
        self.run(&header, move |core, caller| {
            let visitor = identify_visitor(core, caller, &asker)?;
            figures::status(core, visitor.is_some_and(|person| person.admin))
        })
        .await
    }

    async fn monitor(
        &self,
        asker: Request<Asker>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Status, Vec<Usage>), Problem> {
        self.run(&header, move |core, caller| figures::monitor(core, &identify_person(core, caller, &asker)?)).await
    }

    async fn figures(&self, #[zbus(header)] header: Header<'_>) -> Result<Figures, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_portal("that: it is the portal's")?;
            figures::figures(core)
        })
        .await
    }

    async fn picture(
        &self,
        asker: Request<Asker>,
        id: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<OwnedFd, Problem> {
        self.run(&header, move |core, caller| {
            Ok(pictures::picture(core, &identify_person(core, caller, &asker)?, &id.parse()?)?.into())
        })
        .await
    }

    async fn sweep(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<String>, Problem> {
        self.run_during(Idle::begin_in_passing, &header, move |core, caller| {
            caller.must_be_root("that: it is root's")?;
            sweep::sweep(core)
        })
        .await
    }

    #[zbus(signal)]
    async fn revoked(emitter: &SignalEmitter<'_>, session: &str, share: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn ending(emitter: &SignalEmitter<'_>, session: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn paused(emitter: &SignalEmitter<'_>, session: &str, reason: &str) -> zbus::Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::object_server::Interface;

    const SHIPPED: &str = include_str!("../../units/dbus/org.qemuwebdesktop.Launcher1.xml");

    /// Each method and signal with the directions and types of its arguments.
    fn shape(xml: &str) -> Vec<String> {
        let value = |tag: &str, key: &str| {
            let (_, rest) = tag.split_once(&format!(" {key}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        let mut members: Vec<String> = Vec::new();
        for tag in xml.split('<') {
            match tag.split(' ').next() {
                Some("method" | "signal") => members.push(value(tag, "name").unwrap()),
                Some("arg") => {
                    let direction = value(tag, "direction").unwrap_or("out".to_owned());
                    *members.last_mut().unwrap() += &format!(" {direction} {}", value(tag, "type").unwrap());
                }
                _ => {}
            }
        }
        members.sort();
        members
    }

    #[test]
    fn the_shipped_file_has_the_interface() {
        let mut told = String::new();
        Launcher::default().introspect_to_writer(&mut told, 0);
        let (told, shipped) = (shape(&told), shape(SHIPPED));
        assert!(told.iter().any(|member| member == "Create in a{sv} in a{sv} out a{sv}"), "{told:#?}");
        assert_eq!(told, shipped);
    }
}
