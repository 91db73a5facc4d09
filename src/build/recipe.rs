//! What a machine is made of.

use crate::config::{Build, Desktop, build_size};
use crate::model::{AccountName, Bytes, PackageName, Suite};

/// All that decides what is made.
#[derive(Clone, Debug, PartialEq, clap::Args)]
pub struct Recipe {
    /// The release of Debian.
    #[arg(long)]
    pub suite: Suite,
    /// What is on the screen.
    #[arg(long)]
    pub desktop: Desktop,
    /// A package that is installed besides.
    #[arg(long = "package")]
    pub packages: Vec<PackageName>,
    /// Size of the disk.
    #[arg(long, value_parser = build_size)]
    pub size: Bytes,
    /// Whom it is for.
    #[arg(long)]
    pub user: AccountName,
}

/// What every machine has: it boots from its own disk, reaches the network, and talks with the host.
const BASE: &str = "linux-image-amd64 initramfs-tools zstd grub-pc-bin grub-common \
    systemd systemd-sysv systemd-resolved dbus udev kmod libpam-systemd procps iproute2 iputils-ping \
    apt ca-certificates sudo adduser passwd login less nano qemu-guest-agent";

/// A small Xfce.
const XFCE: &str = "xserver-xorg-core xserver-xorg-input-libinput x11-xserver-utils \
    lightdm lightdm-gtk-greeter dbus-user-session \
    xfce4-session xfwm4 xfce4-panel xfdesktop4 xfce4-settings xfce4-appfinder xfce4-terminal thunar mousepad \
    librsvg2-common adwaita-icon-theme fonts-dejavu-core spice-vdagent";

/// Size of the disk where nothing else is said: 10 GiB.
const SIZE: Bytes = Bytes(10 << 30);

impl Recipe {
    /// What an administrator has said of it, and what is usual for the rest.
    pub fn of(said: &Build, suite: Suite) -> Self {
        Self {
            suite: said.suite.clone().unwrap_or(suite),
            desktop: said.desktop.unwrap_or(Desktop::Xfce),
            packages: said.packages.clone(),
            size: said.size.unwrap_or(SIZE),
            user: said.user.clone().unwrap_or_else(|| "user".parse().expect("an account's name")),
        }
    }

    /// As the program's options.
    pub fn arguments(&self) -> Vec<String> {
        let Self { suite, desktop, packages, size, user } = self;
        let mut all = vec![format!("--suite={suite}"), format!("--desktop={desktop}"), format!("--size={size}")];
        all.push(format!("--user={user}"));
        all.extend(packages.iter().map(|package| format!("--package={package}")));
        all
    }

    /// As keys of machines.conf.
    pub fn keys(&self) -> [(&'static str, Option<String>); 5] {
        let Self { suite, desktop, packages, size, user } = self;
        let names: Vec<&str> = packages.iter().map(PackageName::as_str).collect();
        [
            ("build_suite", Some(suite.to_string())),
            ("build_desktop", Some(desktop.to_string())),
            ("build_packages", (!names.is_empty()).then(|| names.join(", "))),
            ("build_size", Some(size.to_string())),
            ("build_user", Some(user.to_string())),
        ]
    }

    /// All packages that are asked for by name.
    pub(super) fn all_packages(&self) -> Vec<&str> {
        let screen = match self.desktop {
            Desktop::Xfce => XFCE,
            Desktop::None => "",
        };
        let mut all: Vec<&str> = BASE.split(' ').chain(screen.split(' ')).filter(|name| !name.is_empty()).collect();
        all.extend(self.packages.iter().map(PackageName::as_str));
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Catalogue;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        recipe: Recipe,
    }

    fn full() -> Recipe {
        Recipe {
            suite: "trixie".parse().unwrap(),
            desktop: Desktop::None,
            packages: vec!["g++".parse().unwrap(), "gimp".parse().unwrap()],
            size: Bytes(20 << 30),
            user: "lab".parse().unwrap(),
        }
    }

    #[test]
    fn a_recipe_reads_back_from_options_and_from_the_catalogue() {
        let recipe = full();
        let line = std::iter::once("x".to_owned()).chain(recipe.arguments());
        assert_eq!(Program::try_parse_from(line).unwrap().recipe, recipe);
        let keys: String =
            recipe.keys().iter().filter_map(|(key, value)| Some(format!("{key}={}\n", value.as_ref()?))).collect();
        let catalogue = Catalogue::parse(&format!("[a]\n{keys}"));
        assert_eq!(catalogue.faults, []);
        assert_eq!(Recipe::of(&catalogue.machines[0].build, "sid".parse().unwrap()), recipe);
    }

    #[test]
    fn what_is_not_said_is_usual() {
        let recipe = Recipe::of(&Build::default(), "trixie".parse().unwrap());
        assert_eq!(
            recipe.arguments(),
            ["--suite=trixie", "--desktop=xfce", "--size=10G", "--user=user"].map(String::from)
        );
        assert!(recipe.keys().contains(&("build_packages", None)));
    }

    #[test]
    fn every_machine_talks_with_the_host_and_a_desktop_has_a_clipboard() {
        let all = |desktop| Recipe { desktop, ..full() }.all_packages().join(" ");
        let (desktop, text) = (all(Desktop::Xfce), all(Desktop::None));
        assert!(desktop.contains("spice-vdagent") && desktop.contains("qemu-guest-agent"));
        assert!(text.contains("qemu-guest-agent") && text.contains("g++") && !text.contains("xfce"));
        for name in desktop.split(' ') {
            assert!(name.parse::<PackageName>().is_ok(), "{name:?}");
        }
    }
}
