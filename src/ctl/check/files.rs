//! Folders and images.

use super::super::machines::folder;
use super::Findings;
use crate::config::{CONFIG_DIR, Catalogue, Icon, MachineEntry, Settings};
use crate::host::{file_system, free_space};
use crate::images::{command_word, locate};
use crate::model::{Bytes, MachineName};
use crate::policy::find_shortage;
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
    hidden_setting(found, root, &machines, "paths.dir_machines");
    match fs::read_dir(&machines) {
        Ok(_) => room(found, &machines, "machines"),
        // It is made by the first download.
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => found.error(format!(
            "The folder of the machines, {0}, cannot be read ({e}): 'ls -ld {0}' shows what it is; 'chmod 755 {0}' opens it, or \
             correct paths.dir_machines.",
            machines.display()
        )),
    }
    let Some(disks) = &settings.disks_dir else { return disks_room(found, settings, &root.join("var/tmp")) };
    let disks = root.join(disks.strip_prefix("/").unwrap_or(disks));
    hidden_setting(found, root, &disks, "paths.dir_snapshots");
    if disks.is_dir() {
        disks_room(found, settings, &disks);
    } else {
        let shown = disks.display();
        found.error(format!(
            "The folder of the sessions' disks, {shown} (paths.dir_snapshots), is not there: 'mkdir -p {shown}' makes it."
        ));
    }
}

/// The room for sessions' disks; without the reserve, nothing starts.
fn disks_room(found: &mut Findings, settings: &Settings, folder: &Path) {
    let shortage = file_system(folder).ok().and_then(|system| find_shortage(&settings.disks, system, 0));
    match shortage {
        Some(shortage) => found.error(format!(
            "No session can start, since there is too little room for its disk: {} 'du -xh --max-depth=2 {}' shows what \
             fills it.",
            shortage.explain(folder),
            folder.display()
        )),
        None => room(found, folder, "sessions' disks"),
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
    let is_there = |entry: &&crate::config::MachineEntry| locate(&folder, &entry.name, entry.url.is_some()).is_ok();
    let is_fetched = catalogue.machines.iter().any(|entry| entry.url.is_some());
    if is_fetched && !catalogue.machines.iter().any(|entry| is_there(&entry)) {
        return found.warn("There is no machine image yet: 'qwdctl download' fetches those of machines.conf.");
    }
    for entry in &catalogue.machines {
        icon(found, root, entry);
        let place = locate(&folder, &entry.name, entry.url.is_some());
        if let Err(problem) = place {
            found.warn(about_image(problem.message, &folder, &entry.name));
        } else if let Some(hidden) = place.as_ref().ok().and_then(|place| hidden_directory(root, &place.path)) {
            found.error(format!(
                "The image of '{}' is below {hidden}, which the launcher does not see, so it cannot be started: 'mv {} {}' \
                 puts the file into the machines' folder.",
                entry.name,
                command_word(&place.map_or_else(|_| String::new(), |place| place.path.display().to_string())),
                command_word(&folder.join(entry.name.as_str()).display().to_string())
            ));
        } else if entry.description.is_none() {
            found.warn(format!(
                "The machine '{}' is not offered, since it has no description: 'editor +{} {FILE}' opens its section, for a line \
                 'description = …'.",
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

fn about_image(message: String, folder: &Path, name: &MachineName) -> String {
    let file = command_word(&folder.join(name.as_str()).display().to_string());
    if super::has_command(&message) { message } else { format!("{message} 'ls -lL {file}' shows what is there.") }
}

/// Directories that the launcher's unit does not see (`ProtectHome=`).
const HIDDEN: [&str; 3] = ["/home", "/root", "/run/user"];

fn hidden_directory(root: &Path, path: &Path) -> Option<&'static str> {
    let inside = Path::new("/").join(path.strip_prefix(root).unwrap_or(path));
    HIDDEN.into_iter().find(|hidden| inside.starts_with(hidden))
}

/// A directory of the configuration that the launcher does not see, through links, too.
fn hidden_setting(found: &mut Findings, root: &Path, path: &Path, key: &str) {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let Some(hidden) = hidden_directory(root, &target).or_else(|| hidden_directory(root, path)) {
        found.error(format!(
            "{key} is {}, below {hidden}, which the launcher does not see, so no session can start from there: move it, \
             such as to /srv, and 'editor /etc/qemu-web-desktop/config.toml'.",
            path.display()
        ));
    }
}

/// A picture that Apache cannot give out is missing on the page.
fn icon(found: &mut Findings, root: &Path, entry: &MachineEntry) {
    let Some(Icon::File(name)) = &entry.icon else { return };
    let file = Path::new(CONFIG_DIR).join(Icon::FOLDER).join(name);
    let shown = format!("/{}", file.display());
    match fs::metadata(root.join(&file)) {
        Ok(meta) if !meta.is_file() => found
            .warn(format!("The picture of '{}', {shown}, is no file: 'ls -ld {shown}' shows what it is.", entry.name)),
        Ok(meta) if meta.permissions().mode() & 0o004 == 0 => found.warn(format!(
            "The picture of '{}' cannot be read by the web server: 'chmod a+r {shown}' mends it.",
            entry.name
        )),
        Ok(_) => {}
        Err(e) => found.warn(format!(
            "The picture of '{}' cannot be read ({e}): 'cp FILE {shown}' puts it there, or correct its icon=.",
            entry.name
        )),
    }
}
