//! The launcher's interface on the bus: who may call what, and the words made into types.
//!
//! Each call runs on a thread of its own, so that one that waits holds nobody up.

use super::caller::Caller;
use super::core::Core;
use super::create::Writes;
use super::{catalogue, control, create, figures, joins, offers, pictures, screens, shares, sweep, viewers};
use crate::bus::{
    Asker, Figures, Grant, Joined, Machine, NewSession, NewShare, Offer, Session, Share, Status, Usage, Viewer,
};
use crate::model::{Problem, Role, Secret, State};
use std::sync::Arc;
use std::time::Duration;
use zbus::message::Header;
use zbus::object_server::SignalEmitter;
use zbus::zvariant::OwnedFd;

/// The longest that `wait` waits.
const WAIT_MAX: u32 = 3600;

/// The object on the bus.
pub(super) struct Launcher(pub(super) Arc<Core>);

impl Launcher {
    /// Finds out who calls, then does the work, away from the bus's own thread.
    async fn run<T, F>(&self, header: &Header<'_>, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Arc<Core>, &Caller) -> Result<T, Problem> + Send + 'static,
    {
        let core = Arc::clone(&self.0);
        let sender = header.sender().map(zbus::names::UniqueName::to_owned);
        blocking::unblock(move || {
            let _busy = core.idle.begin();
            let caller = core.callers.identify(sender)?;
            work(&core, &caller)
        })
        .await
    }
}

#[zbus::interface(name = "org.qemuwebdesktop.Launcher1")]
impl Launcher {
    async fn create(
        &self,
        asker: Asker,
        wanted: NewSession,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            create::create(core, &core.person(caller, &asker)?, &wanted, Writes::ToItsOwn)
        })
        .await
    }

    async fn work(
        &self,
        asker: Asker,
        wanted: NewSession,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_root("that: it is root's")?;
            create::create(core, &core.person(caller, &asker)?, &wanted, Writes::ToWhatIsKept)
        })
        .await
    }

    async fn list(&self, asker: Asker, all: bool, #[zbus(header)] header: Header<'_>) -> Result<Vec<Session>, Problem> {
        self.run(&header, move |core, caller| Ok(core.list(&core.person(caller, &asker)?, all))).await
    }

    async fn sessions(
        &self,
        asker: Asker,
        all: bool,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<Session>, Vec<Session>), Problem> {
        self.run(&header, move |core, caller| {
            let person = core.person(caller, &asker)?;
            Ok((core.list(&person, all), core.ended(&person, all)))
        })
        .await
    }

    async fn get(&self, asker: Asker, id: String, #[zbus(header)] header: Header<'_>) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| core.get(&core.person(caller, &asker)?, &id.parse()?)).await
    }

    async fn wait(
        &self,
        asker: Asker,
        id: String,
        state: String,
        seconds: u32,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            let patience = Duration::from_secs(seconds.min(WAIT_MAX).into());
            core.wait(&core.person(caller, &asker)?, &id.parse()?, state.parse::<State>()?, patience)
        })
        .await
    }

    async fn stop(&self, asker: Asker, id: String, #[zbus(header)] header: Header<'_>) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| control::stop(core, &core.person(caller, &asker)?, &id.parse()?)).await
    }

    async fn kill(&self, asker: Asker, id: String, #[zbus(header)] header: Header<'_>) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| control::kill(core, &core.person(caller, &asker)?, &id.parse()?)).await
    }

    async fn stop_all(&self, asker: Asker, #[zbus(header)] header: Header<'_>) -> Result<u32, Problem> {
        self.run(&header, move |core, caller| control::stop_all(core, &core.person(caller, &asker)?)).await
    }

    async fn extend(
        &self,
        asker: Asker,
        id: String,
        seconds: u64,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Session, Problem> {
        self.run(&header, move |core, caller| {
            control::extend(core, &core.person(caller, &asker)?, &id.parse()?, seconds)
        })
        .await
    }

    async fn share(
        &self,
        asker: Asker,
        id: String,
        wanted: NewShare,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Share, String), Problem> {
        self.run(&header, move |core, caller| {
            let (share, secret) = shares::share(core, &core.person(caller, &asker)?, &id.parse()?, &wanted)?;
            Ok((share, secret.expose().to_owned()))
        })
        .await
    }

    async fn shares(
        &self,
        asker: Asker,
        id: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Share>, Problem> {
        self.run(&header, move |core, caller| shares::shares(core, &core.person(caller, &asker)?, &id.parse()?)).await
    }

    async fn unshare(
        &self,
        asker: Asker,
        id: String,
        share: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(), Problem> {
        self.run(&header, move |core, caller| {
            shares::unshare(core, &core.person(caller, &asker)?, &id.parse()?, &share)
        })
        .await
    }

    async fn viewers(
        &self,
        asker: Asker,
        id: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Viewer>, Problem> {
        self.run(&header, move |core, caller| viewers::viewers(core, &core.person(caller, &asker)?, &id.parse()?)).await
    }

    async fn ticket(
        &self,
        asker: Asker,
        id: String,
        role: String,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<String, Problem> {
        self.run(&header, move |core, caller| {
            let ticket = screens::ticket(core, &core.person(caller, &asker)?, &id.parse()?, role.parse::<Role>()?)?;
            Ok(ticket.expose().to_owned())
        })
        .await
    }

    async fn join(&self, asker: Asker, secret: String, #[zbus(header)] header: Header<'_>) -> Result<Joined, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_portal("that for somebody else")?;
            // A link takes no account: who has none comes without a name.
            let name =
                if asker.name.is_empty() { String::new() } else { core.person(caller, &asker)?.name.to_string() };
            joins::join(core, &name, &secret.parse::<Secret>()?)
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
        viewers: Vec<Viewer>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<(String, String)>, Problem> {
        let display = header.sender().map(ToString::to_string).unwrap_or_default();
        self.run(&header, move |core, caller| {
            caller.must_be_display("that: it is the display's")?;
            Ok(viewers::report(core, &display, viewers))
        })
        .await
    }

    async fn machines(&self, asker: Asker, #[zbus(header)] header: Header<'_>) -> Result<Vec<Machine>, Problem> {
        self.run(&header, move |core, caller| Ok(offers::machines(core, core.visitor(caller, &asker)?.as_ref()))).await
    }

    async fn offer(&self, asker: Asker, #[zbus(header)] header: Header<'_>) -> Result<Offer, Problem> {
        self.run(&header, move |core, caller| Ok(offers::offer(core, core.visitor(caller, &asker)?.as_ref()))).await
    }

    async fn front(
        &self,
        asker: Asker,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Offer, Vec<Machine>, Vec<Session>), Problem> {
        self.run(&header, move |core, caller| {
            let visitor = core.visitor(caller, &asker)?;
            let sessions = visitor.as_ref().map(|person| core.list(person, false));
            let (offer, machines) = offers::front(core, visitor.as_ref());
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

    async fn status(&self, asker: Asker, #[zbus(header)] header: Header<'_>) -> Result<Status, Problem> {
        self.run(&header, move |core, caller| {
            let visitor = core.visitor(caller, &asker)?;
            figures::status(core, visitor.is_some_and(|person| person.admin))
        })
        .await
    }

    async fn monitor(&self, asker: Asker, #[zbus(header)] header: Header<'_>) -> Result<(Status, Vec<Usage>), Problem> {
        self.run(&header, move |core, caller| figures::monitor(core, &core.person(caller, &asker)?)).await
    }

    async fn figures(&self, #[zbus(header)] header: Header<'_>) -> Result<Figures, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_portal("that: it is the portal's")?;
            figures::figures(core)
        })
        .await
    }

    async fn picture(&self, asker: Asker, id: String, #[zbus(header)] header: Header<'_>) -> Result<OwnedFd, Problem> {
        self.run(&header, move |core, caller| {
            Ok(pictures::picture(core, &core.person(caller, &asker)?, &id.parse()?)?.into())
        })
        .await
    }

    async fn sweep(&self, #[zbus(header)] header: Header<'_>) -> Result<Vec<String>, Problem> {
        self.run(&header, move |core, caller| {
            caller.must_be_root("that: it is root's")?;
            sweep::sweep(core)
        })
        .await
    }

    #[zbus(signal)]
    async fn revoked(emitter: &SignalEmitter<'_>, session: &str, share: &str) -> zbus::Result<()>;
}
