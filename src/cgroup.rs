//! What a unit uses, as the kernel counts it for the unit's control group.
//!
//! cgroup v2 has one tree; v1 has one for each controller, with other names and units, and often a
//! tree of v2 beside them that counts CPU time only. A group that is not there (yet, or any more) uses
//! nothing, and a limit that is none is zero.

use std::fs;
use std::path::{Path, PathBuf};

/// What one control group uses, children included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumption {
    /// CPU time since the group was made, in microseconds.
    pub cpu_microseconds: u64,
    /// Memory at this moment, in bytes; what the kernel keeps of its files counts as well.
    pub memory_bytes: u64,
    /// As much as it may have; zero: no limit.
    pub memory_limit: u64,
    /// Threads and processes.
    pub tasks: u64,
}

/// The trees of control groups.
#[derive(Clone, Debug)]
pub struct Groups {
    mounts: PathBuf,
    v2: bool,
    top: String,
}

/// Return whether the host below `root` (`/`) has cgroup v2 alone.
pub fn is_unified(root: &Path) -> bool {
    root.join("sys/fs/cgroup/cgroup.controllers").exists()
}

impl Groups {
    /// The trees mounted below `root` (`/`); systemd's own groups begin at `top` in each.
    pub fn new(root: &Path, top: &str) -> Self {
        let mounts = root.join("sys/fs/cgroup");
        let v2 = is_unified(root);
        Self { mounts, v2, top: top.trim_matches('/').to_owned() }
    }

    /// What the group of this name below `top` uses.
    pub fn read(&self, group: &str) -> Consumption {
        let number = |tree, file| self.number(tree, group, file).unwrap_or(0);
        if self.v2 {
            return Consumption {
                cpu_microseconds: self.usage_usec("", group).unwrap_or(0),
                memory_bytes: number("", "memory.current"),
                memory_limit: number("", "memory.max"),
                tasks: number("", "pids.current"),
            };
        }
        let cpu = self.number("cpuacct", group, "cpuacct.usage").map(|nanoseconds| nanoseconds / 1000);
        Consumption {
            // systemd takes cpu and cpuacct for one tree, so where they are two this one has no groups.
            cpu_microseconds: cpu.or_else(|| self.usage_usec("unified", group)).unwrap_or(0),
            memory_bytes: number("memory", "memory.usage_in_bytes"),
            memory_limit: limited(number("memory", "memory.limit_in_bytes")),
            tasks: number("pids", "pids.current"),
        }
    }

    fn text(&self, tree: &str, group: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.mounts.join(tree).join(&self.top).join(group).join(file)).ok()
    }

    fn number(&self, tree: &str, group: &str, file: &str) -> Option<u64> {
        self.text(tree, group, file)?.trim().parse().ok()
    }

    fn usage_usec(&self, tree: &str, group: &str) -> Option<u64> {
        let stat = self.text(tree, group, "cpu.stat")?;
        stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()
    }
}

/// v1 writes the largest number there is where v2 says `max`.
fn limited(bytes: u64) -> u64 {
    if bytes >= 1 << 62 { 0 } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "qwd.slice/a.service";

    /// A tree of files of its own.
    fn tree(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("qwd-cgroup-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join("sys/fs/cgroup").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn version_2_has_all_in_one_tree() {
        let root = tree(
            "v2",
            &[
                ("cgroup.controllers", "cpu memory pids\n"),
                ("box/qwd.slice/a.service/cpu.stat", "core_sched.force_idle_usec 9\nusage_usec 1234567\nuser_usec 3\n"),
                ("box/qwd.slice/a.service/memory.current", "4096\n"),
                ("box/qwd.slice/a.service/memory.max", "max\n"),
                ("box/qwd.slice/a.service/pids.current", "5\n"),
            ],
        );
        let used = Groups::new(&root, "/box").read(GROUP);
        let wanted = Consumption { cpu_microseconds: 1_234_567, memory_bytes: 4096, memory_limit: 0, tasks: 5 };
        assert_eq!(used, wanted);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn version_1_has_a_tree_for_each_controller() {
        let root = tree(
            "v1",
            &[
                ("cpuacct/qwd.slice/a.service/cpuacct.usage", "1234567890\n"),
                ("memory/qwd.slice/a.service/memory.usage_in_bytes", "8192\n"),
                ("memory/qwd.slice/a.service/memory.limit_in_bytes", "16384\n"),
                ("memory/qwd.slice/b.service/memory.limit_in_bytes", "9223372036854771712\n"),
                ("unified/qwd.slice/b.service/cpu.stat", "usage_usec 5\n"),
                ("pids/qwd.slice/a.service/pids.current", "7\n"),
            ],
        );
        let groups = Groups::new(&root, "");
        let wanted = Consumption { cpu_microseconds: 1_234_567, memory_bytes: 8192, memory_limit: 16_384, tasks: 7 };
        assert_eq!(groups.read(GROUP), wanted);
        let other = groups.read("qwd.slice/b.service");
        assert_eq!((other.memory_limit, other.cpu_microseconds), (0, 5));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_group_that_is_gone_uses_nothing() {
        let root = tree("gone", &[("cgroup.controllers", ""), ("qwd.slice/a.service/cpu.stat", "usage_usec x\n")]);
        let groups = Groups::new(&root, "");
        assert_eq!(groups.read("qwd.slice/b.service"), Consumption::default());
        assert_eq!(groups.read(GROUP), Consumption::default());
        fs::remove_dir_all(root).unwrap();
    }
}
