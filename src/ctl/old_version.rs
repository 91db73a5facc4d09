//! Sessions of the Perl version (23.02), which have no unit: their programs outlive an upgrade, and nothing ends them.

use crate::bus::PORTAL_USER;
use nix::unistd::User;
use std::fs;
use std::path::Path;

/// A program of such a session.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    pid: u32,
    name: String,
}

/// Return a sentence about programs of the old version that still run, with the command that ends them.
pub(super) fn find_old_sessions(root: &Path) -> Option<String> {
    let user = User::from_name(PORTAL_USER).ok().flatten()?;
    let processes = processes_of(root, user.uid.as_raw());
    explain(&processes, &listening(root, user.uid.as_raw()))
}

fn explain(processes: &[Process], ports: &[u16]) -> Option<String> {
    let pids: Vec<String> = processes.iter().map(|process| process.pid.to_string()).collect();
    let names: Vec<String> = processes.iter().map(|p| format!("{} ({})", p.name, p.pid)).collect();
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let open = match ports.is_empty() {
        true => String::new(),
        false => format!(", open to the network on port {}", ports.join(", ")),
    };
    (!pids.is_empty()).then(|| {
        format!(
            "A session of the version before this one (23.02) still runs as {PORTAL_USER}, outside this service{open}: {}. \
             Have its work saved, then 'kill {}' ends it.",
            names.join(", "),
            pids.join(" ")
        )
    })
}

/// The processes of a user that are none of the portal's unit.
fn processes_of(root: &Path, user: u32) -> Vec<Process> {
    let pids = fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut all: Vec<Process> = pids.filter_map(|pid| old_process(root, pid, user)).collect();
    all.sort_by_key(|process| process.pid);
    all
}

fn old_process(root: &Path, pid: u32, user: u32) -> Option<Process> {
    let read = |file: &str| fs::read_to_string(root.join(format!("proc/{pid}/{file}"))).ok();
    let status = read("status")?;
    let field = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
    let uid: u32 = field("Uid:")?.split_ascii_whitespace().next()?.parse().ok()?;
    let is_portal = read("cgroup")?.contains("qwd-portal.service");
    let is_zombie = field("State:").is_some_and(|state| state.starts_with('Z'));
    let name = field("Name:")?.chars().filter(|c| !c.is_control()).collect();
    (uid == user && !is_portal && !is_zombie).then_some(Process { pid, name })
}

/// The ports on which programs of a user listen, but for those of loopback addresses.
fn listening(root: &Path, user: u32) -> Vec<u16> {
    const LISTEN: &str = "0A";
    let text = |file: &str| fs::read_to_string(root.join("proc/net").join(file)).unwrap_or_default();
    let both = text("tcp") + &text("tcp6");
    let port = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, port) = words.get(1)?.split_once(':')?;
        let is_open = words.get(3) == Some(&LISTEN) && !address.ends_with("7F") && !address.ends_with("01000000");
        let is_theirs = words.get(7)?.parse::<u32>().ok()? == user;
        (is_open && is_theirs).then(|| u16::from_str_radix(port, 16).ok())?
    };
    let mut ports: Vec<u16> = both.lines().filter_map(port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_the_old_version_are_named_with_the_command() {
        let root = std::env::temp_dir().join(format!("qwd-old-{}", std::process::id()));
        for (pid, name, user, group, state) in [
            (21, "qemu-system-x86", 4242, "/system.slice/apache2.service", "S (sleeping)"),
            (3, "websockify", 4242, "/", "S (sleeping)"),
            (4, "qwd-portal", 4242, "/system.slice/qwd-portal.service", "S (sleeping)"),
            (5, "qemu-system-x86", 0, "/", "S (sleeping)"),
            (6, "websockify", 4242, "/", "Z (zombie)"),
        ] {
            let directory = root.join(format!("proc/{pid}"));
            fs::create_dir_all(&directory).unwrap();
            let status = format!("Name:\t{name}\nState:\t{state}\nUid:\t{user}\t{user}\t{user}\t{user}\n");
            fs::write(directory.join("status"), status).unwrap();
            fs::write(directory.join("cgroup"), format!("0::{group}\n")).unwrap();
        }
        let line = |address: &str, state: &str, user: u32| {
            format!("   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 {user} 0 1 1\n")
        };
        fs::create_dir_all(root.join("proc/net")).unwrap();
        let lines = [
            line("00000000:17C0", "0A", 4242),
            line("0100007F:1771", "0A", 4242),
            line("00000000:0050", "0A", 0),
            line("00000000:1772", "01", 4242),
        ];
        fs::write(root.join("proc/net/tcp"), format!("  sl  local_address\n{}", lines.concat())).unwrap();
        let (processes, ports) = (processes_of(&root, 4242), listening(&root, 4242));
        fs::remove_dir_all(&root).unwrap();
        let sentence = explain(&processes, &ports).unwrap();
        assert!(sentence.contains("port 6080: websockify (3), qemu-system-x86 (21)."), "{sentence}");
        assert!(sentence.contains("'kill 3 21'"), "{sentence}");
        assert_eq!(explain(&[], &[]), None);
    }
}
