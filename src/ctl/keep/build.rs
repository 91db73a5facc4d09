//! `build`: makes a machine of Debian's packages, or makes it anew by the recipe that machines.conf keeps.

use super::register::register_with;
use super::session::only_root;
use super::{Begun, Held, Keeper, Outcome};
use crate::build::{Phase, Recipe, Step, read_step};
use crate::config::{Architecture, Firmware, MachineEntry};
use crate::ctl::args::Args;
use crate::ctl::args_images::Build;
use crate::ctl::examine::system_bus;
use crate::ctl::{machines, out};
use crate::images::command_word;
use crate::model::{MachineName, Problem, Suite, Word};
use crate::systemd::Systemd;
use crate::{random, unit};
use std::fs::File;
use std::path::Path;

/// Makes the machine, and offers it.
pub(in crate::ctl) fn build(args: &Args, wanted: &Build) -> Result<(), Problem> {
    only_root("build a machine")?;
    let name: MachineName = wanted.name.parse()?;
    let keeper = Keeper::new(args)?;
    let catalogue = machines::catalogue(keeper.root());
    let entry = catalogue.get(&name);
    entry.map_or(Ok(()), suits)?;
    let recipe = recipe(keeper.root(), entry, wanted)?;
    keeper.make_folder()?;
    let held = keeper.hold(&name, "built")?;
    may_replace(&held, entry, wanted.refresh)?;
    let before = held.home.present().ok().map(|place| place.identity);
    let begun = keeper.begin(&held)?;
    let raw = raw_disk(&begun, &recipe)?;
    let made = begun.image(raw, &["--disk-only".to_owned()])?;
    held.home.unchanged(before)?;
    held.home.put(&made.work.disk())?;
    note(&keeper, &name, entry, wanted, &recipe)?;
    let (image_bytes, disk_bytes) = (made.bytes, made.converted.virtual_size);
    drop((made, held));
    keeper.mention_url(&name);
    keeper.report(&Outcome { name: &name, result: "built", image_bytes, disk_bytes })?;
    if !args.json {
        let word = command_word(name.as_str());
        out::line(&format!("Try it:   qwdctl start {word}\nRefresh:  qwdctl build {word} --refresh"))?;
    }
    Ok(())
}

/// What an administrator has said here, in machines.conf, or nowhere.
fn recipe(root: &Path, entry: Option<&MachineEntry>, wanted: &Build) -> Result<Recipe, Problem> {
    let mut said = entry.map(|entry| entry.build.clone()).unwrap_or_default();
    said.suite = wanted.suite.clone().or(said.suite);
    said.desktop = wanted.desktop.or(said.desktop);
    said.size = wanted.size.or(said.size);
    said.user = wanted.user.clone().or(said.user);
    if !wanted.packages.is_empty() {
        said.packages.clone_from(&wanted.packages);
    }
    let suite = said.suite.clone().or_else(|| own_suite(root)).ok_or_else(|| {
        Problem::bad_request("It is not known which Debian this server has: say which is wanted, as --suite trixie.")
    })?;
    Ok(Recipe::of(&said, suite))
}

/// The server's own release.
fn own_suite(root: &Path) -> Option<Suite> {
    let text = std::fs::read_to_string(root.join("etc/os-release")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?.trim_matches('"').parse().ok()
}

/// Refuses what could not be started.
fn suits(entry: &MachineEntry) -> Result<(), Problem> {
    if let Some(fault) = entry.faults.first() {
        return Err(Problem::new(Word::MachineUnusable, format!("{fault}.")));
    }
    let hardware = &entry.hardware;
    let firmware = hardware.firmware.is_some_and(|firmware| firmware != Firmware::Bios);
    let architecture = hardware.architecture.is_some_and(|architecture| architecture != Architecture::X86);
    if !firmware && !architecture {
        return Ok(());
    }
    let what = if firmware { "firmware" } else { "architecture" };
    Err(Problem::new(
        Word::WrongState,
        format!("What is built is a PC that boots by BIOS: take {what}= of '{}' out of machines.conf.", entry.name),
    ))
}

/// What was not built here, or was changed by hand since, is not lost by a slip.
fn may_replace(held: &Held, entry: Option<&MachineEntry>, refresh: bool) -> Result<(), Problem> {
    if !held.home.is_there() {
        return Ok(());
    }
    let name = held.home.name();
    let built = entry.is_some_and(|entry| entry.build.suite.is_some());
    let text = match (built, refresh) {
        (true, true) => return Ok(()),
        (true, false) => "--refresh builds it anew and puts the new image in its place.",
        (false, _) => "it was not built here. Take another name, or remove that machine first.",
    };
    Err(Problem::new(Word::WrongState, format!("There is an image of '{name}' already: {text}")))
}

/// The disk as `qwd-build` makes it, in a unit of its own. Its file is gone already, and goes for good when it is
/// closed.
fn raw_disk(begun: &Begun, recipe: &Recipe) -> Result<File, Problem> {
    let bus = system_bus().ok_or_else(|| {
        Problem::new(Word::Unavailable, "A machine is built in a unit of systemd's, which does not run here.")
    })?;
    begun.work.has_room()?;
    let folder = begun.work.workshop()?;
    let name = format!("qwd-build-{}.service", random::label());
    let properties = unit::build(&folder, &recipe.arguments());
    let line = |text: &str| match read_step(text.trim_end()) {
        Ok(Step::At { phase, percent }) => {
            let message = match phase {
                Phase::Packages => "packages",
                Phase::Disk => "file system",
            };
            begun.bar.set_message(message);
            begun.bar.set_position((percent * 10.0) as u64);
            None
        }
        Ok(Step::Done) => Some(Ok(())),
        Err(problem) => Some(Err(problem)),
        Ok(Step::Problem(failed)) => Some(Err(failed.into())),
    };
    begun.clearing.end_first(Some(name.clone()));
    let ended = Systemd::new(&bus)?.lines_of(&name, &properties, "StandardErrorFileDescriptor", Vec::new(), line);
    begun.clearing.end_first(None);
    let made = ended?.unwrap_or_else(|| Err(Problem::failed("The building of the machine ended without a result.")));
    made.map_err(|p| Problem::new(p.word, format!("{} 'journalctl -u {name}' has the whole story.", p.message)))?;
    let lost = |e: std::io::Error| Problem::failed(format!("The new disk is lost: {e}."));
    let raw = File::open(folder.join("raw")).map_err(lost)?;
    std::fs::remove_dir_all(&folder).map_err(lost)?;
    begun.bar.set_message("image");
    Ok(raw)
}

/// Writes down what it was made of, so that it can be made again.
fn note(
    keeper: &Keeper<'_>,
    name: &MachineName,
    entry: Option<&MachineEntry>,
    wanted: &Build,
    recipe: &Recipe,
) -> Result<(), Problem> {
    let usual = || format!("Debian {} with {}", recipe.suite, screen(recipe));
    let nothing = entry.is_none_or(|entry| entry.description.is_none());
    let description = wanted.description.clone().or_else(|| nothing.then(usual));
    register_with(keeper.root(), name, description.as_deref(), &recipe.keys())
}

fn screen(recipe: &Recipe) -> &'static str {
    match recipe.desktop {
        crate::config::Desktop::Xfce => "the Xfce desktop",
        crate::config::Desktop::None => "a text console",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Catalogue;

    #[test]
    fn what_is_said_now_goes_before_what_was_said_then_and_that_before_what_is_usual() {
        let root = std::env::temp_dir().join(format!("qwd-recipe-{}", std::process::id()));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("etc/os-release"), "ID=debian\nVERSION_CODENAME=forky\n").unwrap();
        let catalogue = Catalogue::parse("[a.img]\nbuild_suite=sid\nbuild_packages=vim, gimp\nbuild_user=lab\n");
        let mut wanted = Build {
            name: "a.img".into(),
            suite: None,
            desktop: None,
            packages: vec![],
            size: None,
            user: None,
            description: None,
            refresh: true,
        };
        let made = |entry, wanted: &Build| recipe(&root, entry, wanted).unwrap().arguments().join(" ");
        assert_eq!(made(None, &wanted), "--suite=forky --desktop=xfce --size=10G --user=user");
        let entry = catalogue.machines.first();
        let then = "--suite=sid --desktop=xfce --size=10G --user=lab --package=vim --package=gimp";
        assert_eq!(made(entry, &wanted), then);
        wanted.suite = "trixie".parse().ok();
        wanted.packages = vec!["nano".parse().unwrap()];
        assert_eq!(made(entry, &wanted), "--suite=trixie --desktop=xfce --size=10G --user=lab --package=nano");
        std::fs::remove_dir_all(&root).unwrap();
        wanted.suite = None;
        assert!(recipe(&root, None, &wanted).unwrap_err().message.contains("--suite trixie"));
    }
}
