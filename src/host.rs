//! The host in figures: load, memory, CPUs, addresses, name servers, kind of cgroup.

use crate::model::Bytes;
use crate::policy::Host;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Microseconds since 1970.
pub fn now_microseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

/// Load, memory and CPUs at this moment.
pub fn figures() -> Host {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let loadavg = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Host {
        cpus,
        load: present_load(&loadavg, cpus),
        memory_total: Bytes(system.total_memory()),
        memory_available: Bytes(system.available_memory()),
    }
}

/// The present load of a host: the last minute's average, unless fewer tasks are runnable now.
/// So neither an hour that is over nor a momentary spike makes the host busy.
fn present_load(loadavg: &str, cpus: u32) -> f64 {
    let mut fields = loadavg.split_ascii_whitespace();
    let minute: f64 = fields.next().and_then(|f| f.parse().ok()).unwrap_or(0.0);
    let runnable: f64 = fields.nth(2).and_then(|f| f.split('/').next()).and_then(|f| f.parse().ok()).unwrap_or(minute);
    // Whoever reads this is runnable too.
    minute.min((runnable - 1.0).max(0.0)) / f64::from(cpus.max(1))
}

/// The host's own addresses, which no guest may reach.
pub fn addresses() -> Vec<IpAddr> {
    let networks = sysinfo::Networks::new_with_refreshed_list();
    let mut all: Vec<IpAddr> = networks.values().flat_map(|n| n.ip_networks().iter().map(|i| i.addr)).collect();
    all.sort();
    all.dedup();
    all
}

/// The host's name.
pub fn name() -> String {
    sysinfo::System::host_name().unwrap_or_else(|| "localhost".to_owned())
}

/// The names of this server: its host name, and those that `/etc/hosts` (below `root`) has beside it.
pub fn names(root: &Path) -> Vec<String> {
    names_in(&name(), &fs::read_to_string(root.join("etc/hosts")).unwrap_or_default())
}

fn names_in(name: &str, hosts: &str) -> Vec<String> {
    let name = name.to_ascii_lowercase();
    let mut names = vec![name.clone()];
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default().to_ascii_lowercase();
        let on_line: Vec<&str> = line.split_ascii_whitespace().skip(1).collect();
        if on_line.contains(&name.as_str()) {
            names.extend(on_line.into_iter().map(str::to_owned));
        }
    }
    names.sort();
    names.dedup();
    names.retain(|name| !name.is_empty());
    names
}

/// Whether a unit's `IPAddressDeny=` has an effect: systemd needs cgroup v2 for it.
pub fn firewalls_units() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The file whose name servers a guest can be given: systemd-resolved's list of the real ones where
/// the host's own is a stub on loopback, which no guest may reach.
pub fn resolv_conf() -> PathBuf {
    let upstream = PathBuf::from("/run/systemd/resolve/resolv.conf");
    let own = PathBuf::from("/etc/resolv.conf");
    let text = fs::read_to_string(&own).unwrap_or_default();
    if only_loopback(&text) && upstream.exists() { upstream } else { own }
}

/// Whether all name servers of a `resolv.conf` are on loopback, or there are none.
pub fn only_loopback(text: &str) -> bool {
    text.lines()
        .filter_map(|l| l.strip_prefix("nameserver"))
        .filter_map(|a| a.trim().parse::<IpAddr>().ok())
        .all(|a| a.is_loopback())
}

/// Bytes free on the file system of `path` for an unprivileged writer.
pub fn free_space(path: &Path) -> std::io::Result<Bytes> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Bytes(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_stand_beside_the_host_name() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1\tLab7.example.org lab7 # lab7.other\n192.0.2.9 lab8 lab7x\n";
        assert_eq!(names_in("lab7", hosts), ["lab7", "lab7.example.org"]);
        assert!(names_in("", "").is_empty());
    }

    #[test]
    fn load_is_the_present_one() {
        assert_eq!(present_load("4.00 9.00 9.00 9/100 1", 2), 2.0);
        assert_eq!(present_load("4.00 9.00 9.00 1/100 1", 2), 0.0);
        assert_eq!(present_load("0.10 9.00 9.00 9/100 1", 2), 0.05);
        assert_eq!(present_load("", 2), 0.0);
    }

    #[test]
    fn a_stub_resolver_is_no_use_to_a_guest() {
        assert!(only_loopback("nameserver 127.0.0.53\noptions edns0\n"));
        assert!(!only_loopback("nameserver 127.0.0.1\nnameserver 192.0.2.1\n"));
    }
}
