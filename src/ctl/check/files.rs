//! Folders and images.

use super::super::machines::folder;
use super::Findings;
use crate::config::{CONFIG_DIR, Catalogue, Icon, MachineEntry, Settings};
use crate::host::free_space;
use crate::images::{command_word, locate};
use crate::model::Bytes;
use crate::show;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Less room than this is little: 2 GiB.
const LITTLE: Bytes = Bytes(2 << 30);

/// The folders that the configuration names, and the room in them.
pub(super) fn folders(found: &mut Findings, root: &Path, settings: &Settings) {
    let machines = folder(root, settings);
    match fs::read_dir(&machines) {
        Ok(_) => room(found, &machines, "machines"),
        // It is made by the first download.
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => found.error(format!(
            "The folder of the machines, {}, cannot be read ({e}): correct paths.dir_machines, or the folder's mode.",
            machines.display()
        )),
    }
    let Some(disks) = &settings.disks_dir else { return room(found, Path::new("/var/tmp"), "sessions' disks") };
    let disks = root.join(disks.strip_prefix("/").unwrap_or(disks));
    if disks.is_dir() {
        room(found, &disks, "sessions' disks");
    } else {
        let shown = disks.display();
        found.error(format!(
            "The folder of the sessions' disks, {shown} (paths.dir_snapshots), is not there: 'mkdir -p {shown}' makes it."
        ));
    }
}

fn room(found: &mut Findings, folder: &Path, what: &str) {
    if let Some(free) = free_space(folder).ok().filter(|free| *free < LITTLE) {
        found.warn(format!(
            "There is little room for {what}: {} on the file system of {}. 'du -xh --max-depth=2 {}' shows what fills it.",
            show::bytes(free.0),
            folder.display(),
            folder.display()
        ));
    }
}

/// The images of the catalogue.
pub(super) fn machines(found: &mut Findings, root: &Path, settings: &Settings, catalogue: &Catalogue) {
    const FILE: &str = "/etc/qemu-web-desktop/machines.conf";
    if catalogue.machines.is_empty() {
        return found.warn(format!("No machine is named in {FILE}: 'editor {FILE}', then 'qwdctl download'."));
    }
    let folder = folder(root, settings);
    let is_there = |entry: &&crate::config::MachineEntry| locate(&folder, &entry.name).is_ok();
    if !catalogue.machines.iter().any(|entry| is_there(&entry)) {
        return found.warn("There is no machine image yet: 'qwdctl download' fetches those of machines.conf.");
    }
    for entry in &catalogue.machines {
        icon(found, root, entry);
        if let Err(problem) = locate(&folder, &entry.name) {
            found.warn(problem.message);
        } else if entry.description.is_none() {
            found.warn(format!(
                "The machine '{}' is not offered, since it has no description: add 'description = …' below line {} of {FILE}.",
                entry.name, entry.line
            ));
        }
        if entry.url.as_deref().is_some_and(|url| url.starts_with("http:")) && entry.sha256.is_none() {
            found.warn(format!(
                "The image of '{}' comes over unprotected http and has no sha256=: 'sha256sum {}' prints what a good one is.",
                entry.name,
                command_word(&folder.join(entry.name.as_str()).display().to_string())
            ));
        }
    }
}

/// A picture that Apache cannot give out is missing on the page.
fn icon(found: &mut Findings, root: &Path, entry: &MachineEntry) {
    let Some(Icon::File(name)) = &entry.icon else { return };
    let file = Path::new(CONFIG_DIR).join(Icon::FOLDER).join(name);
    let shown = format!("/{}", file.display());
    match fs::metadata(root.join(&file)) {
        Ok(meta) if !meta.is_file() => found.warn(format!("The picture of '{}', {shown}, is no file.", entry.name)),
        Ok(meta) if meta.permissions().mode() & 0o004 == 0 => found.warn(format!(
            "The picture of '{}' cannot be read by the web server: 'chmod a+r {shown}' mends it.",
            entry.name
        )),
        Ok(_) => {}
        Err(e) => found.warn(format!(
            "The picture of '{}' cannot be read ({e}): put it there as {shown}, or correct its icon=.",
            entry.name
        )),
    }
}
