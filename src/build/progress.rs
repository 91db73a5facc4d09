//! What mmdebstrap prints: how far it is, and why it failed. Pure.

use super::Failure;

/// So many of its last lines are kept.
const KEPT: usize = 400;

/// What the essential packages are worth of the whole, in percent.
const ESSENTIAL: f64 = 10.0;

/// A bootstrap that is followed line by line.
#[derive(Default)]
pub(super) struct Progress {
    /// The essential packages are there, and those that were asked for are being installed.
    asked: bool,
    /// Packages of this part.
    total: u32,
    /// Each is fetched, unpacked and set up.
    done: u32,
    lines: Vec<String>,
}

impl Progress {
    /// Takes a line; the answer is the percentage if it has changed.
    pub(super) fn line(&mut self, line: &str) -> Option<f64> {
        if self.lines.len() == KEPT {
            self.lines.remove(0);
        }
        self.lines.push(line.to_owned());
        if line.starts_with("I: running --essential-hook") {
            (self.asked, self.total, self.done) = (true, 0, 0);
        } else if let Some(total) = newly_installed(line) {
            (self.total, self.done) = (total, 0);
        } else if self.total > 0 && ["Get:", "Unpacking ", "Setting up "].iter().any(|word| line.starts_with(word)) {
            self.done += 1;
            let share = (f64::from(self.done) / f64::from(3 * self.total)).min(1.0);
            return Some(if self.asked { ESSENTIAL + (100.0 - ESSENTIAL) * share } else { ESSENTIAL * share });
        }
        None
    }

    /// What went wrong, in the words of whoever found it.
    pub(super) fn why(&self) -> Failure {
        let lines = || self.lines.iter().map(|line| line.trim());
        let full = ["No space left on device", "enough free space", "Disk quota exceeded"];
        if lines().any(|line| full.iter().any(|words| line.contains(words))) {
            return Failure::full();
        }
        if let Some(sentence) = lines().find_map(|line| line.strip_prefix("qwd-build: ")) {
            return Failure::new(sentence);
        }
        let package = lines().find_map(|line| line.strip_prefix("dpkg: error processing "));
        if let Some(package) = package {
            return Failure::new(format!("A package cannot be installed: {}.", package.trim_end_matches(':')));
        }
        // mmdebstrap repeats at the end that apt failed, which everybody knows by then.
        let own = |line: &&str| line.contains(" failed") || line.contains("process exited with");
        match lines().filter_map(|line| line.strip_prefix("E: ")).find(|line| !own(line)) {
            None => Failure::new("mmdebstrap failed, and did not say why."),
            Some(words) => Failure::new(format!("apt says: {}.", words.trim_end_matches('.'))),
        }
    }
}

/// The number in apt's "0 upgraded, 69 newly installed, …".
fn newly_installed(line: &str) -> Option<u32> {
    let (before, _) = line.split_once(" newly installed")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(lines: &[&str]) -> (Progress, Vec<f64>) {
        let mut progress = Progress::default();
        let told = lines.iter().filter_map(|line| progress.line(line)).map(f64::round).collect();
        (progress, told)
    }

    #[test]
    fn it_goes_from_nothing_to_all_and_never_back() {
        let (_, told) = followed(&[
            "Get:1 x InRelease",
            "0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.",
            "Get:1 a",
            "Unpacking a (1) ...",
            "Setting up a (1) ...",
            "Setting up a (1) ...",
            "I: running --essential-hook directly: x",
            "0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.",
            "Get:1 b",
            "Get:2 c",
            "Unpacking b (1) ...",
            "Unpacking c (1) ...",
            "Setting up b (1) ...",
            "Setting up c (1) ...",
        ]);
        assert_eq!(told, [3.0, 7.0, 10.0, 10.0, 25.0, 40.0, 55.0, 70.0, 85.0, 100.0]);
    }

    #[test]
    fn the_reason_is_told_in_the_words_of_whoever_found_it() {
        for (lines, sentence) in [
            (
                &[
                    "E: Unable to locate package nonsuch",
                    "E: apt-get --yes install <$fd> failed",
                    "E: mmdebstrap failed to run",
                ][..],
                "apt says: Unable to locate package nonsuch.",
            ),
            (
                &[
                    "dpkg: error processing package a (--configure):",
                    "E: Sub-process /usr/bin/dpkg returned an error code (1)",
                ],
                "A package cannot be installed: package a (--configure).",
            ),
            (&["qwd-build: No such account.", "E: command failed: x"], "No such account."),
            (&["W: hm", "E: mmdebstrap failed to run"], "mmdebstrap failed, and did not say why."),
        ] {
            assert_eq!(followed(lines).0.why(), Failure { sentence: sentence.to_owned(), full: false });
        }
        for line in [
            "tar: x: Cannot write: No space left on device",
            "E: You don't have enough free space in /var/cache/apt/archives/.",
            "dpkg: x: Disk quota exceeded",
        ] {
            assert!(followed(&[line]).0.why().full, "{line}");
        }
    }
}
