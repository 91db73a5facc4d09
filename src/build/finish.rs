//! What a root needs beside its packages to be somebody's machine: an account that is signed in by itself, a
//! desktop that asks nothing and is quick without a graphics card, a network, a loader.

use super::bootstrap::SOURCES;
use super::{Failure, Hook, Recipe, tool};
use crate::config::Desktop;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

/// The file system's name.
pub(super) const LABEL: &str = "debian";
/// Where GRUB's core is left for the disk.
pub(super) const CORE: &str = "boot/core.img";

const HOST: &str = "desktop";

/// Any disk that QEMU can offer, and nothing else: an initramfs of everything is slow to unpack.
const INITRAMFS: &str = "virtio_pci\nvirtio_blk\nvirtio_scsi\nahci\nata_piix\nsd_mod\nnvme\next4\n";
const INITRAMFS_CONF: &str = "MODULES=list\nRESUME=none\n";

/// The kernel that Debian's links lead to, so that one that is installed later is booted as well.
const GRUB: &str = "set root=(hd0,msdos1)
linux /vmlinuz root=LABEL=debian ro quiet loglevel=3 vt.global_cursor_default=0
initrd /initrd.img
boot
";

const NETWORK: &str = "[Match]
Name=en* eth*

[Network]
DHCP=yes
";

/// Debian's greeter comes when somebody signs out; there is no password to be asked for.
const LIGHTDM: &str = "[Seat:*]
autologin-user={user}
autologin-user-timeout=0
user-session=xfce
autologin-session=xfce
";

const CONSOLE: &str = "[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin {user} --noclear %I $TERM
";

/// Compositing and GL's acceleration without a graphics card are what makes such a desktop slow; a screen that
/// goes blank is no help to somebody who looks at it by a browser.
const XORG: &str = "Section \"Device\"
    Identifier \"card\"
    Driver \"modesetting\"
    Option \"AccelMethod\" \"none\"
EndSection

Section \"ServerFlags\"
    Option \"BlankTime\" \"0\"
    Option \"StandbyTime\" \"0\"
    Option \"SuspendTime\" \"0\"
    Option \"OffTime\" \"0\"
EndSection
";

const XFWM: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<channel name=\"xfwm4\" version=\"1.0\">
  <property name=\"general\" type=\"empty\">
    <property name=\"use_compositing\" type=\"bool\" value=\"false\"/>
    <property name=\"vblank_mode\" type=\"string\" value=\"off\"/>
  </property>
</channel>
";

/// A session would fetch lists of packages again each time it starts; the image is refreshed as a whole.
const IDLE: [&str; 2] = ["apt-daily.timer", "apt-daily-upgrade.timer"];

/// Each machine that is started makes keys of its own, if it has a server for ssh at all.
const SSH: &str = "[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
";

/// Does what is to be done at that time.
pub(super) fn finish(hook: Hook, recipe: &Recipe, root: &Path) -> Result<(), Failure> {
    let root = Root(root.to_owned());
    match hook {
        Hook::Before => before(&root),
        Hook::After => {
            account(&root, recipe)?;
            match recipe.desktop {
                Desktop::Xfce => xfce(&root, recipe)?,
                Desktop::None => console(&root, recipe)?,
            }
            network(&root)?;
            apt(&root)?;
            boot(&root)
        }
    }
}

/// A root that is being finished.
struct Root(PathBuf);

impl Root {
    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// Makes a file of a new one, whatever was there: no link of the root's is followed.
    fn put(&self, path: &str, text: &str) -> Result<(), Failure> {
        self.put_for(path, text, 0o644)
    }

    fn put_for(&self, path: &str, text: &str, mode: u32) -> Result<(), Failure> {
        let to = self.path(path);
        let put = || {
            DirBuilder::new().recursive(true).mode(0o755).create(to.parent().unwrap_or(&self.0))?;
            gone(fs::remove_file(&to))?;
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&to)?;
            file.write_all(text.as_bytes())
        };
        put().map_err(|e| Failure::of(&format!("/{path} cannot be written"), &e))
    }

    fn remove(&self, path: &str) -> Result<(), Failure> {
        gone(fs::remove_file(self.path(path))).map_err(|e| Failure::of(&format!("/{path} cannot be removed"), &e))
    }

    /// A link to `to`, whatever was there.
    fn link(&self, path: &str, to: &str) -> Result<(), Failure> {
        let link = || {
            gone(fs::remove_file(self.path(path)))?;
            symlink(to, self.path(path))
        };
        link().map_err(|e| Failure::of(&format!("/{path} cannot be made"), &e))
    }

    /// Runs one of its own programs in it.
    fn run(&self, words: &[&str]) -> Result<(), Failure> {
        let ended = tool("chroot").arg(&self.0).args(words).status();
        let ended = ended.map_err(|e| Failure::of("chroot cannot be run", &e))?;
        if ended.success() {
            return Ok(());
        }
        Err(Failure::new(format!("'{}' failed in the new system ({ended}).", words.join(" "))))
    }
}

fn gone(removed: Result<(), Error>) -> Result<(), Error> {
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The kernel's own installation finds it, and so makes the right initramfs at once.
fn before(root: &Root) -> Result<(), Failure> {
    root.put("usr/share/initramfs-tools/modules.d/virtual-machine", INITRAMFS)?;
    root.put("etc/initramfs-tools/conf.d/virtual-machine", INITRAMFS_CONF)
}

/// Whoever has the screen is its user, and may do all: the session is theirs, and is thrown away.
fn account(root: &Root, recipe: &Recipe) -> Result<(), Failure> {
    let user = recipe.user.as_str();
    root.run(&["useradd", "--create-home", "--shell=/bin/bash", "--groups=sudo,audio,video", user])?;
    // None at all, rather than one that everybody knows: greeter and console ask for nothing, ssh takes none.
    root.run(&["passwd", "--quiet", "--delete", user])?;
    root.put_for("etc/sudoers.d/user", &format!("{user} ALL=(ALL:ALL) NOPASSWD: ALL\n"), 0o440)?;
    root.put("etc/default/locale", "LANG=C.UTF-8\n")
}

fn xfce(root: &Root, recipe: &Recipe) -> Result<(), Failure> {
    const CONF: &str = "etc/xdg/xfce4/xfconf/xfce-perchannel-xml";
    root.put("etc/lightdm/lightdm.conf.d/50-user.conf", &LIGHTDM.replace("{user}", recipe.user.as_str()))?;
    root.put("etc/X11/xorg.conf.d/no-card.conf", XORG)?;
    root.put(&format!("{CONF}/xfwm4.xml"), XFWM)?;
    // The panel asks nothing at its first start if it finds its settings.
    let panel = fs::read_to_string(root.path("etc/xdg/xfce4/panel/default.xml"));
    let panel = panel.map_err(|e| Failure::of("The panel's settings cannot be read", &e))?;
    root.put(&format!("{CONF}/xfce4-panel.xml"), &panel)?;
    // Every program would ask for an accessibility bus that is not there.
    root.put("etc/environment", "NO_AT_BRIDGE=1\n")?;
    root.run(&["systemctl", "set-default", "graphical.target"])
}

fn console(root: &Root, recipe: &Recipe) -> Result<(), Failure> {
    let text = CONSOLE.replace("{user}", recipe.user.as_str());
    root.put("etc/systemd/system/getty@tty1.service.d/user.conf", &text)?;
    root.run(&["systemctl", "set-default", "multi-user.target"])
}

fn network(root: &Root) -> Result<(), Failure> {
    root.put("etc/systemd/network/any.network", NETWORK)?;
    root.run(&["systemctl", "enable", "systemd-networkd.service", "systemd-resolved.service"])?;
    // A machine without a network is not to be waited for.
    root.link("etc/systemd/system/systemd-networkd-wait-online.service", "/dev/null")?;
    root.link("etc/resolv.conf", "/run/systemd/resolve/stub-resolv.conf")?;
    root.put("etc/hostname", &format!("{HOST}\n"))?;
    root.put("etc/hosts", &format!("127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {HOST}\n"))
}

/// Debian's own settings for later installations, and none of this server's.
fn apt(root: &Root) -> Result<(), Failure> {
    let sources = root.0.parent().unwrap_or(&root.0).join(SOURCES);
    let sources = fs::read_to_string(sources).map_err(|e| Failure::of("The sources cannot be read", &e))?;
    let given = fs::read_dir(root.path("etc/apt/sources.list.d")).into_iter().flatten().flatten();
    for entry in given {
        root.remove(&format!("etc/apt/sources.list.d/{}", entry.file_name().to_string_lossy()))?;
    }
    root.put("etc/apt/sources.list", &sources)?;
    root.remove("etc/apt/apt.conf.d/99mmdebstrap")?;
    root.remove("etc/dpkg/dpkg.cfg.d/99mmdebstrap")?;
    IDLE.iter().try_for_each(|timer| root.link(&format!("etc/systemd/system/{timer}"), "/dev/null"))
}

fn boot(root: &Root) -> Result<(), Failure> {
    root.put("etc/fstab", &format!("LABEL={LABEL} / ext4 noatime,errors=remount-ro 0 1\n"))?;
    root.put("boot/grub/grub.cfg", GRUB)?;
    ssh(root)?;
    let core = format!("--output=/{CORE}");
    let modules = ["biosdisk", "part_msdos", "ext2", "linux", "normal", "configfile"];
    let words = ["grub-mkimage", "--format=i386-pc", "--prefix=(hd0,msdos1)/boot/grub", &core];
    root.run(&[&words[..], &modules].concat())
}

fn ssh(root: &Root) -> Result<(), Failure> {
    if !root.path("etc/ssh/sshd_config").exists() {
        return Ok(());
    }
    for kind in ["rsa", "ecdsa", "ed25519"] {
        root.remove(&format!("etc/ssh/ssh_host_{kind}_key"))?;
        root.remove(&format!("etc/ssh/ssh_host_{kind}_key.pub"))?;
    }
    root.put("etc/systemd/system/ssh.service.d/keys.conf", SSH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A root in a folder of its own, with those files in it.
    fn root(name: &str, files: &[&str]) -> (PathBuf, Root) {
        let folder = std::env::temp_dir().join(format!("qwd-build-{}-{name}", std::process::id()));
        let root = Root(folder.join("root"));
        for file in files {
            root.put(file, "old").unwrap();
        }
        (folder, root)
    }

    #[test]
    fn no_link_in_the_root_leads_out_of_it() {
        let (folder, root) = root("links", &["etc/hostname"]);
        fs::write(folder.join("outside"), "mine").unwrap();
        symlink(folder.join("outside"), folder.join("root/etc/hosts")).unwrap();
        root.put_for("etc/hosts", "new", 0o440).unwrap();
        let hosts = root.path("etc/hosts");
        assert_eq!(fs::read_to_string(&hosts).unwrap(), "new");
        assert_eq!(fs::symlink_metadata(&hosts).unwrap().permissions().mode(), 0o100_440);
        root.link("etc/hostname", "/dev/null").unwrap();
        root.link("etc/hostname", "/dev/zero").unwrap();
        root.remove("etc/hosts").unwrap();
        root.remove("etc/hosts").unwrap();
        assert!(fs::symlink_metadata(&hosts).is_err());
        assert_eq!(fs::read_to_string(folder.join("outside")).unwrap(), "mine");
        assert_eq!(fs::read_link(folder.join("root/etc/hostname")).unwrap(), Path::new("/dev/zero"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn no_two_machines_have_the_keys_of_one_image() {
        let keys = ["rsa", "ecdsa", "ed25519"].map(|kind| format!("etc/ssh/ssh_host_{kind}_key"));
        let files: Vec<String> = keys.iter().flat_map(|key| [key.clone(), format!("{key}.pub")]).collect();
        let all: Vec<&str> = files.iter().map(String::as_str).chain(["etc/ssh/sshd_config"]).collect();
        let (folder, root) = root("ssh", &all);
        ssh(&root).unwrap();
        let left: Vec<_> =
            fs::read_dir(root.path("etc/ssh")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["sshd_config"]);
        let unit = fs::read_to_string(root.path("etc/systemd/system/ssh.service.d/keys.conf")).unwrap();
        assert!(unit.contains("ssh-keygen -A"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_machine_installs_from_debian_and_not_by_this_servers_settings() {
        let given = [
            "etc/apt/sources.list.d/0000list.list",
            "etc/apt/apt.conf.d/99mmdebstrap",
            "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
        ];
        let (folder, root) = root("apt", &given);
        root.put("etc/systemd/system/default.target", "").unwrap();
        fs::write(folder.join(SOURCES), "deb x").unwrap();
        apt(&root).unwrap();
        assert_eq!(fs::read_to_string(root.path("etc/apt/sources.list")).unwrap(), "deb x");
        for path in given {
            assert!(!root.path(path).exists(), "{path}");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_loader_finds_the_file_system_by_its_name() {
        assert!(GRUB.contains(&format!("root=LABEL={LABEL} ")));
    }
}
