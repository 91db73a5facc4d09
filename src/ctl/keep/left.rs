//! `adopt` and `discard`: what becomes of a disk whose session did not end in good order.

use super::register::{register, unregister};
use super::{Keeper, Outcome};
use crate::ctl::args::Args;
use crate::ctl::args_images::Gone;
use crate::ctl::ask;
use crate::ctl::examine::Unprivileged;
use crate::images::fetch::Hands;
use crate::images::{Kept, Purpose};
use crate::model::{MachineName, Problem, Word};
use indicatif::ProgressBar;

/// Puts it in force.
pub(in crate::ctl) fn adopt(args: &Args, name: &str) -> Result<(), Problem> {
    let name: MachineName = name.parse()?;
    let keeper = Keeper::new(args)?;
    let held = keeper.hold(&name, "put in place")?;
    let kept = left(&keeper, &name)?;
    kept.settle()?;
    Unprivileged(&ProgressBar::hidden()).examine(&kept.disk())?;
    kept.put()?;
    if kept.plan.purpose == Purpose::Install {
        register(keeper.root(), &name, "A machine of one's own")?;
    }
    let image_bytes = crate::images::Home::find(&keeper.folder, &name)?.present()?.identity.size;
    drop(held);
    keeper.mention_url(&name);
    keeper.report(&Outcome { name: &name, result: "adopted", image_bytes, disk_bytes: kept.plan.disk_bytes })
}

/// Removes it, and the section of a machine that was never installed.
pub(in crate::ctl) fn discard(args: &Args, wanted: &Gone) -> Result<(), Problem> {
    let name: MachineName = wanted.name.parse()?;
    let keeper = Keeper::new(args)?;
    let held = keeper.hold(&name, "cleared up")?;
    let kept = left(&keeper, &name)?;
    ask::sure(wanted.yes, &format!("Remove what is kept of a session that worked on '{name}'?"))?;
    if kept.plan.registered && !held.home.is_there() {
        unregister(keeper.root(), &name)?;
    }
    kept.discard()?;
    keeper.say(&Outcome { name: &name, result: "discarded", image_bytes: 0, disk_bytes: kept.plan.disk_bytes })
}

fn left(keeper: &Keeper<'_>, name: &MachineName) -> Result<Kept, Problem> {
    let kept = Kept::find(&keeper.folder, name).filter(|kept| kept.plan.session.is_some());
    kept.ok_or_else(|| {
        Problem::new(Word::NoSuchMachine, format!("Nothing is kept of a session that worked on '{name}'."))
    })
}
