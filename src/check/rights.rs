//! Giving up root, for good, before a word from outside is read.

use nix::unistd::{User, geteuid, getgroups, setgroups, setresgid, setresuid};

/// The user that owns nothing and may ask nobody for anything.
const USER: &str = "_qwd-check";

/// From now on this process is a user without rights. Whoever is not root stays who they are.
pub fn give_up() -> Result<(), String> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let failed = |e| format!("The check cannot give up its rights: {e}. See qwd-auth(8).");
    let user = User::from_name(USER).map_err(failed)?.ok_or_else(|| {
        format!("There is no user {USER} to check passwords as: 'apt install --reinstall qemu-web-desktop' makes it.")
    })?;
    // systemd has set the user's own already; in its user namespace nobody can set any.
    if getgroups().map_err(failed)?.iter().any(|group| *group != user.gid) {
        setgroups(&[]).map_err(failed)?;
    }
    setresgid(user.gid, user.gid, user.gid).map_err(failed)?;
    setresuid(user.uid, user.uid, user.uid).map_err(failed)
}
