//! `start --master` and `create`: a disk is prepared for a session that writes to it, and is kept.

use super::register::{register, unregister};
use super::{Held, Keeper, change};
use crate::ctl::args::Args;
use crate::ctl::args_images::Create;
use crate::ctl::client::is_root;
use crate::ctl::examine::Unprivileged;
use crate::ctl::{machines, sessions};
use crate::images::fetch::Hands;
use crate::images::{Kept, KeptPlan, Purpose, Work, command_word};
use crate::model::{MachineName, Problem, Word};
use indicatif::ProgressBar;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A disk that waits for its session. It is taken back when this is dropped before there is one.
pub(in crate::ctl) struct Prepared {
    kept: Option<Kept>,
    root: PathBuf,
    /// Nobody else takes the image before the session has it.
    _held: Held,
}

impl Prepared {
    fn new(keeper: &Keeper<'_>, held: Held, kept: Kept) -> Self {
        Self { kept: Some(kept), root: keeper.root().to_owned(), _held: held }
    }

    /// A session has it now.
    pub(in crate::ctl) fn given(mut self) {
        self.kept = None;
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        let Some(kept) = self.kept.take() else { return };
        // What cannot be taken back now is swept, or told by 'qwdctl machines'.
        let _ = kept.discard();
        if let (true, Ok(name)) = (kept.plan.registered, kept.name()) {
            let _ = unregister(&self.root, &name);
        }
    }
}

pub(super) fn only_root(what: &str) -> Result<(), Problem> {
    if is_root() { Ok(()) } else { Err(Problem::new(Word::NotAllowed, format!("Only root can {what}."))) }
}

/// A copy of the machine's image, for a session to work on.
pub(in crate::ctl) fn copy(args: &Args, name: &MachineName) -> Result<Prepared, Problem> {
    only_root("change a machine (--master)")?;
    let keeper = Keeper::new(args)?;
    let held = keeper.hold(name, "copied")?;
    let (source, identity, _) = change::opened(&held)?;
    let made = keeper.make(&held, source, &["--disk-only".to_owned()])?;
    made.work.take_nvram(&held.home.present()?.path)?;
    let plan = KeptPlan {
        purpose: Purpose::Master,
        machine: name.to_string(),
        machines: keeper.folder.clone(),
        disk_bytes: made.converted.virtual_size,
        base: Some(identity),
        registered: false,
        session: None,
    };
    // From here on a signal ends qwdctl and nothing else.
    made.clearing.call_off();
    let kept = made.work.keep(plan, None)?;
    Ok(Prepared::new(&keeper, held, kept))
}

/// Starts the installation of a new machine.
pub(in crate::ctl) fn create(args: &Args, wanted: &Create) -> Result<(), Problem> {
    only_root("make a machine")?;
    let name: MachineName = wanted.name.parse()?;
    let keeper = Keeper::new(args)?;
    let cd = cd(&keeper.folder, &wanted.iso)?;
    keeper.make_folder()?;
    let held = keeper.hold(&name, "made")?;
    if held.home.is_there() {
        let text = format!("There is an image of '{name}' already: take another name, or remove that machine first.");
        return Err(Problem::new(Word::WrongState, text));
    }
    let work = Work::begin(&held.home, &held.holds)?;
    work.has_room()?;
    work.create()?;
    let listed = machines::catalogue(keeper.root()).get(&name).is_some();
    let plan = KeptPlan {
        purpose: Purpose::Install,
        machine: name.to_string(),
        machines: keeper.folder.clone(),
        disk_bytes: wanted.disk.0,
        base: None,
        registered: !listed,
        session: None,
    };
    let prepared = Prepared::new(&keeper, held, work.keep(plan, Some(&cd))?);
    let file = wanted.iso.file_name().unwrap_or_default().to_string_lossy();
    let description = wanted.description.clone().unwrap_or_else(|| format!("Installed from {}", command_word(&file)));
    register(keeper.root(), &name, &description)?;
    sessions::begin(args, &name, &wanted.how, Some(prepared))
}

/// The file itself, which must be a CD that sessions can read. A name alone may also be a machine's.
fn cd(machines: &Path, path: &Path) -> Result<PathBuf, Problem> {
    let cannot = |e: std::io::Error| Problem::failed(format!("{} cannot be read: {e}.", path.display()));
    let a_name = path.components().count() == 1;
    let file = match std::fs::canonicalize(path) {
        Err(e) if a_name && e.kind() == ErrorKind::NotFound => std::fs::canonicalize(machines.join(path)),
        found => found,
    };
    let file = file.map_err(cannot)?;
    let mode = std::fs::metadata(&file).map_err(cannot)?.permissions().mode();
    if mode & 0o004 == 0 {
        let text = format!("{} cannot be read by sessions: 'chmod a+r' mends it.", path.display());
        return Err(Problem::failed(text));
    }
    if Unprivileged(&ProgressBar::hidden()).examine(&file)?.iso {
        return Ok(file);
    }
    Err(Problem::failed(format!("{} is no CD; 'qwdctl import' makes a machine of a disk.", path.display())))
}
