//! Where Debian comes from: what this server's own apt is configured with, and no name written here.

use super::{Failure, answer};
use crate::model::Suite;

/// Who signs Debian's archive; apt depends on the package.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Names of releases by which an archive is known to be Debian's: it holds the others as well.
const RELEASES: [&str; 10] =
    ["bullseye", "bookworm", "trixie", "forky", "duke", "sid", "stable", "testing", "oldstable", "unstable"];
/// Those that get no updates apart.
const ROLLING: [&str; 2] = ["sid", "unstable"];
/// One line for each of apt's lists of packages.
const FORMAT: &str = "$(REPO_URI) $(RELEASE) $(COMPONENT)";
/// What decides how apt reaches the archive: proxies, certificates, patience.
const OPTIONS: [&str; 6] = [
    "Acquire::http::",
    "Acquire::https::",
    "Acquire::Check-Valid-Until ",
    "Acquire::Check-Date ",
    "Acquire::Retries ",
    "Acquire::ForceIPv",
];

/// How a release is fetched.
#[derive(Debug, PartialEq)]
pub(super) struct Archive {
    /// Lines for sources.list.
    pub(super) sources: String,
    /// Lines for apt.conf.
    pub(super) options: String,
}

/// Asks apt, which reads its own configuration.
pub(super) fn ask(suite: &Suite) -> Result<Archive, Failure> {
    let targets = ["indextargets", "--no-release-info", "--format", FORMAT, "Created-By: Packages"];
    let sources = sources(&answer("apt-get", "apt", &targets)?, suite)?;
    let options = options(&answer("apt-config", "apt", &["dump"])?);
    Ok(Archive { sources, options })
}

fn sources(targets: &str, suite: &Suite) -> Result<String, Failure> {
    let words = targets.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let known: Vec<(String, String)> = words
        .filter_map(|words| match words[..] {
            [uri, release, "main"] => Some((uri.to_owned(), release.to_owned())),
            _ => None,
        })
        .collect();
    let place = |fits: &dyn Fn(&str) -> bool| known.iter().find(|(_, release)| fits(release)).map(|(uri, _)| uri);
    let name = suite.as_str();
    let main = place(&|release| release == name).or_else(|| place(&|release| RELEASES.contains(&release)));
    let main = main.ok_or_else(|| {
        Failure::new("The apt of this server knows no Debian archive: 'apt-get indextargets' lists what it knows.")
    })?;
    let mut lines = vec![source(main, name)];
    if !ROLLING.contains(&name) {
        let updates = place(&|release| release.ends_with("-updates"));
        let security = place(&|release| release.ends_with("-security"));
        lines.extend(updates.map(|_| source(main, &format!("{name}-updates"))));
        lines.extend(security.map(|uri| source(uri, &format!("{name}-security"))));
    }
    Ok(lines.concat())
}

fn source(uri: &str, release: &str) -> String {
    format!("deb [signed-by={KEYRING}] {uri} {release} main\n")
}

/// The sources as a machine gets them: what a server says of itself to its mirror is not for everybody.
pub(super) fn without_credentials(sources: &str) -> String {
    let word = |word: &str| match word.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}/{path}")
        }
        None => word.to_owned(),
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n";
    sources.lines().map(line).collect()
}

fn options(dump: &str) -> String {
    let wanted = |line: &&str| OPTIONS.iter().any(|option| line.starts_with(option)) && !line.ends_with(" \"\";");
    dump.lines().filter(wanted).map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGETS: &str = "http://tools.invalid/apt nodistro main\nhttp://a.invalid/debian bookworm main\n\
        http://a.invalid/debian bookworm contrib\nhttp://a.invalid/debian bookworm-updates main\n\
        http://s.invalid/debian-security bookworm-security main\n";

    fn lines(targets: &str, suite: &str) -> Vec<String> {
        let text = sources(targets, &suite.parse().unwrap()).unwrap();
        text.lines().map(|line| line.replace(&format!("[signed-by={KEYRING}] "), "")).collect()
    }

    #[test]
    fn a_release_comes_from_where_the_server_gets_its_own() {
        for suite in ["bookworm", "trixie"] {
            let wanted = [
                format!("deb http://a.invalid/debian {suite} main"),
                format!("deb http://a.invalid/debian {suite}-updates main"),
                format!("deb http://s.invalid/debian-security {suite}-security main"),
            ];
            assert_eq!(lines(TARGETS, suite), wanted);
        }
        assert_eq!(lines(TARGETS, "sid"), ["deb http://a.invalid/debian sid main"]);
        let own = "http://own.invalid/x trixie main\nhttp://a.invalid/debian bookworm main\n";
        assert_eq!(lines(own, "trixie"), ["deb http://own.invalid/x trixie main"]);
        assert!(sources("http://tools.invalid/apt nodistro main\n", &"trixie".parse().unwrap()).is_err());
    }

    #[test]
    fn a_machine_gets_no_password_of_the_servers() {
        let sources = "deb [signed-by=/k] https://me:secret@a.invalid/debian sid main\n";
        assert_eq!(without_credentials(sources), "deb [signed-by=/k] https://a.invalid/debian sid main\n");
        let plain = "deb [signed-by=/k] http://a.invalid/debian sid main\n";
        assert_eq!(without_credentials(plain), plain);
    }

    #[test]
    fn what_reaches_the_archive_is_taken_over_and_nothing_else() {
        let dump = "APT::Architecture \"amd64\";\nAcquire::http::Proxy \"http://p.invalid:1/\";\nAcquire::https \"\";\n\
                    Acquire::https::CaInfo \"/x\";\nAcquire::Retries \"3\";\nAcquire::Languages \"none\";\n";
        let wanted =
            "Acquire::http::Proxy \"http://p.invalid:1/\";\nAcquire::https::CaInfo \"/x\";\nAcquire::Retries \"3\";\n";
        assert_eq!(options(dump), wanted);
    }
}
