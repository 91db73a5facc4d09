//! `remove`: a machine is offered no more, and its image is gone.

use super::register::unregister;
use super::{Keeper, Outcome};
use crate::ctl::args::Args;
use crate::ctl::args_images::Gone;
use crate::ctl::{ask, machines, out};
use crate::model::{MachineName, Problem, Word};

/// Takes the section out first: what is not offered may be gone, but not the other way round.
pub(in crate::ctl) fn remove(args: &Args, wanted: &Gone) -> Result<(), Problem> {
    let name: MachineName = wanted.name.parse()?;
    let keeper = Keeper::new(args)?;
    let listed = machines::catalogue(keeper.root()).get(&name).is_some();
    let held = keeper.hold(&name, "removed")?;
    if !listed && !held.home.is_there() {
        return Err(Problem::new(
            Word::NoSuchMachine,
            format!("There is no machine '{name}'; 'qwdctl machines' lists those there are."),
        ));
    }
    ask::sure(wanted.yes, &format!("Remove the machine '{name}' and its image?"))?;
    unregister(keeper.root(), &name)?;
    if let Some(file) = held.home.remove()? {
        out::complain(&format!("{name}: its image was a link; {}, to which it led, is left alone.", file.display()));
    }
    keeper.say(&Outcome { name: &name, result: "removed", image_bytes: 0, disk_bytes: 0 })
}
