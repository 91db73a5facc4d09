//! The host in figures: load, memory, CPUs, addresses, name servers, kind of cgroup.

use crate::model::{BridgeName, Bytes};
use crate::policy::{FileSystem, Host};
use crate::vm::{BRIDGE_HELPER, BRIDGE_TOOL};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use sysinfo::System;

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Microseconds since 1970.
pub fn now_microseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

/// Time since the host was started, without that in suspend: what systemd calls monotonic.
pub fn uptime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Load, memory and CPUs at this moment.
pub fn figures() -> Host {
    // What is found out once more each time takes several times as long as what changes.
    static CPUS: LazyLock<u32> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32));
    static SYSTEM: LazyLock<Mutex<System>> = LazyLock::new(|| Mutex::new(System::new()));
    let cpus = *CPUS;
    let mut system = SYSTEM.lock().unwrap_or_else(PoisonError::into_inner);
    system.refresh_memory();
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

/// The host's own addresses, each with the length of its network.
pub fn interfaces() -> Vec<(IpAddr, u8)> {
    let networks = sysinfo::Networks::new_with_refreshed_list();
    let of = |n: &sysinfo::NetworkData| n.ip_networks().iter().map(|i| (i.addr, i.prefix)).collect::<Vec<_>>();
    let mut all: Vec<(IpAddr, u8)> = networks.values().flat_map(of).collect();
    all.sort();
    all.dedup();
    all
}

/// Why no network card can be made on the bridge, as a sentence without its full stop.
pub fn bridge(name: &BridgeName, isolated: bool) -> Result<(), String> {
    let interfaces = fs::read_to_string("/proc/self/net/dev").unwrap_or_default();
    if !is_interface(name.as_str(), &interfaces) {
        return Err(format!(
            "There is no bridge '{name}' on the server: 'ip link show type bridge' lists those there are, and \
             'ip link add {name} type bridge' makes one until the next boot"
        ));
    }
    let about = Path::new("/sys/class/net").join(name.as_str());
    if about.exists() && !about.join("bridge").exists() {
        return Err(format!("'{name}' is no bridge of the server: 'ip link show type bridge' lists those there are"));
    }
    let missing = |path: &str, package: &str| {
        format!("A bridge takes {path}, which is not installed: 'apt install {package}' mends that")
    };
    if !Path::new(BRIDGE_HELPER).exists() {
        return Err(missing(BRIDGE_HELPER, "qemu-system-common"));
    }
    if isolated && !Path::new(BRIDGE_TOOL).exists() {
        return Err(missing(BRIDGE_TOOL, "iproute2") + ", and so does bridge_isolated = no");
    }
    Ok(())
}

/// Whether the kernel's list of interfaces, in the format of /proc/net/dev, has that name.
fn is_interface(name: &str, list: &str) -> bool {
    list.lines().filter_map(|line| line.split_once(':')).any(|(interface, _)| interface.trim() == name)
}

/// The host's name.
pub fn name() -> String {
    System::host_name().unwrap_or_else(|| "localhost".to_owned())
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

/// The name servers that a guest may be given, the best first: that one if the configuration names it,
/// else the host's own, and after them those that systemd-resolved asks where the host asks it.
pub fn name_servers(configured: Option<Ipv4Addr>) -> Vec<IpAddr> {
    if let Some(server) = configured {
        return vec![server.into()];
    }
    let files = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
    files.iter().flat_map(|file| listed(&fs::read_to_string(file).unwrap_or_default())).collect()
}

/// The name servers of a `resolv.conf`.
fn listed(text: &str) -> Vec<IpAddr> {
    let servers = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    servers.filter_map(|address| address.trim().parse().ok()).collect()
}

/// Bytes free on the file system of `path` for an unprivileged writer.
pub fn free_space(path: &Path) -> std::io::Result<Bytes> {
    file_system(path).map(|system| Bytes(system.free))
}

/// Return the size of the file system of `path`, and what is free for an unprivileged writer.
pub fn file_system(path: &Path) -> std::io::Result<FileSystem> {
    let stat = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(FileSystem { size: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_stand_beside_the_host_name() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1\tLab7.example.org lab7 # lab7.other\n192.0.2.9 lab8 lab7x\n";
        assert_eq!(names_in("lab7", hosts), ["lab7", "lab7.example.org"]);
        assert!(names_in("", "").is_empty());
        let root = std::env::temp_dir().join(format!("qwd-names-{}", std::process::id()));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/hosts"), format!("192.0.2.1 {} other.example.org\n", name())).unwrap();
        let own = names(&root);
        assert!(own.contains(&name().to_lowercase()) && own.contains(&"other.example.org".to_owned()), "{own:?}");
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn load_is_the_present_one() {
        assert_eq!(present_load("4.00 9.00 9.00 9/100 1", 2), 2.0);
        assert_eq!(present_load("4.00 9.00 9.00 1/100 1", 2), 0.0);
        assert_eq!(present_load("0.10 9.00 9.00 9/100 1", 2), 0.05);
        assert_eq!(present_load("", 2), 0.0);
    }

    #[test]
    fn name_servers_are_read_in_their_order() {
        let text =
            "# nameserver 192.0.2.9\nnameserver 127.0.0.53\noptions edns0\nnameserver\t192.0.2.1\nnameserver x\n";
        assert_eq!(listed(text), ["127.0.0.53", "192.0.2.1"].map(|a| a.parse::<IpAddr>().unwrap()));
        let named = Ipv4Addr::new(192, 0, 2, 53);
        assert_eq!(name_servers(Some(named)), [IpAddr::from(named)]);
    }

    #[test]
    fn interfaces_are_found_by_their_whole_names() {
        let list = "Inter-|   Receive\n face |bytes\n    lo: 8 1\n  br0:12 3\n";
        assert!(is_interface("lo", list) && is_interface("br0", list));
        assert!(!is_interface("br", list) && !is_interface("r0", list) && !is_interface("", list));
    }
}
