//! Whether the service's programs can read a file of the configuration. They run as users of their own, in units
//! that do not see every directory, so a file that root can read may still be closed to them.

use super::{CONFIG_DIR, ConfigError, file};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Directories that the units do not see.
pub const HIDDEN: [&str; 5] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp"];

/// Return an error if some program of the service cannot read a file of the configuration.
pub(super) fn check_all(root: &Path) -> Result<(), ConfigError> {
    let mut paths = vec![root.join(CONFIG_DIR).join("config.d")];
    paths.extend(file::list_files(root)?);
    let existing = paths.iter().filter(|path| path.symlink_metadata().is_ok());
    existing.filter_map(|path| find_obstacle(root, path)).next().map_or(Ok(()), Err)
}

/// Explain why a file or directory cannot be read, with the command that changes it.
pub(super) fn explain(root: &Path, path: &Path, error: &Error) -> ConfigError {
    if let Some(obstacle) = find_obstacle(root, path) {
        return obstacle;
    }
    let shown = file::shown(root, path);
    let message = match error.kind() {
        ErrorKind::InvalidData => "this is no text in UTF-8: save it in that encoding".to_owned(),
        ErrorKind::IsADirectory => format!("this is a directory, not a file: 'mv {shown} {shown}.bak' puts it aside"),
        ErrorKind::NotADirectory => format!("this is a file, not a directory: 'mv {shown} {shown}.bak' puts it aside"),
        _ => format!("cannot be read: {error}: 'ls -lL {shown}' shows what is there"),
    };
    ConfigError { place: shown, message }
}

fn find_obstacle(root: &Path, path: &Path) -> Option<ConfigError> {
    let shown = file::shown(root, path);
    let error = |message: String| Some(ConfigError { place: shown.clone(), message });
    let Ok(target) = path.canonicalize() else {
        let link = path.read_link().ok()?;
        return error(format!(
            "this is a link to {}, which does not exist or which the service does not see (as all below /home, /root \
             and /tmp): put the file itself here",
            link.display()
        ));
    };
    if let Some(hidden) = HIDDEN.into_iter().find(|hidden| !root.starts_with(hidden) && target.starts_with(hidden)) {
        return error(format!(
            "this is a link to {}, and the service does not see {hidden}: put the file itself here",
            target.display()
        ));
    }
    let command = find_command(root, &target)?;
    error(format!("the service's programs cannot read this: '{command}' lets them"))
}

/// Return the command that lets everybody read a file, if a mode forbids that.
fn find_command(root: &Path, target: &Path) -> Option<String> {
    let mut all: Vec<PathBuf> =
        target.ancestors().filter(|path| path.starts_with(root) && *path != root).map(Path::to_owned).collect();
    all.reverse();
    for path in all {
        let Ok(info) = path.metadata() else { return None };
        let (needed, word) = match (info.is_dir(), path == target) {
            (true, false) => (0o001, "a+x"),
            (true, true) => (0o005, "a+rx"),
            (false, _) => (0o004, "a+r"),
        };
        if info.permissions().mode() & needed != needed {
            return Some(format!("chmod {word} {}", file::shown(root, &path)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_the_service_cannot_read_is_reported_with_the_command() {
        let root = std::env::temp_dir().join(format!("qwd-access-{}", std::process::id()));
        let directory = root.join(CONFIG_DIR);
        fs::create_dir_all(directory.join("config.d")).unwrap();
        let (main, more) = (directory.join("config.toml"), directory.join("config.d/a.toml"));
        fs::write(&main, "").unwrap();
        fs::write(&more, "").unwrap();
        let found = || crate::config::load(&root).err().map_or(String::new(), |e| e.to_string());
        assert_eq!(found(), "");
        for (path, mode, place, command) in [
            (&main, 0o600, "config.toml", "'chmod a+r /etc/qemu-web-desktop/config.toml'"),
            (&more, 0o640, "config.d/a.toml", "'chmod a+r /etc/qemu-web-desktop/config.d/a.toml'"),
            (&directory.join("config.d"), 0o700, "config.d", "'chmod a+rx /etc/qemu-web-desktop/config.d'"),
            (&directory, 0o750, "config.d", "'chmod a+x /etc/qemu-web-desktop'"),
        ] {
            let before = path.metadata().unwrap().permissions();
            set_mode(path, mode);
            let error = found();
            assert!(error.starts_with(&format!("/etc/qemu-web-desktop/{place}: ")), "{error}");
            assert!(error.contains(command), "{error}");
            fs::set_permissions(path, before).unwrap();
        }
        fs::remove_file(&main).unwrap();
        std::os::unix::fs::symlink("/nowhere/config.toml", &main).unwrap();
        assert!(found().contains("link to /nowhere/config.toml"), "{}", found());
        fs::remove_file(&main).unwrap();
        fs::write(&main, b"public_url = \"\xff\"").unwrap();
        assert!(found().contains("UTF-8"));
        fs::remove_file(&main).unwrap();
        fs::create_dir(&main).unwrap();
        assert!(found().contains("is a directory"));
        fs::remove_dir_all(root).unwrap();
    }
}
