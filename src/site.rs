//! Where people reach the service: the addresses that are printed and mailed.

use crate::config;
use std::path::Path;

/// The address of the pages, without a final slash.
pub fn base(root: &Path) -> String {
    // A broken configuration is told by 'check' and 'status'; an address by the host's name still helps.
    let named = config::load(root).ok().and_then(|loaded| loaded.settings.public_url);
    format!("{}/qemu-web-desktop", named.unwrap_or_else(|| by_host_name(root)))
}

/// The page of a session.
pub fn session(base: &str, id: &str) -> String {
    format!("{base}/sessions/{id}")
}

/// The link that a share's secret makes. The secret stands behind #, so that it reaches no server's log.
pub fn join(base: &str, secret: &str) -> String {
    format!("{base}/join#{secret}")
}

fn by_host_name(root: &Path) -> String {
    let scheme = if has_tls(root) { "https" } else { "http" };
    format!("{scheme}://{}", crate::host::name())
}

/// Whether a site of Apache's speaks TLS.
fn has_tls(root: &Path) -> bool {
    let sites = std::fs::read_dir(root.join("etc/apache2/sites-enabled"));
    let texts = sites.into_iter().flatten().flatten().filter_map(|site| std::fs::read_to_string(site.path()).ok());
    texts.into_iter().any(|text| text.lines().any(is_engine_on))
}

fn is_engine_on(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    words.next().is_some_and(|w| w.eq_ignore_ascii_case("SSLEngine"))
        && words.next().is_some_and(|w| w.eq_ignore_ascii_case("on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_hides_its_secret_from_servers() {
        assert_eq!(join("https://x/qemu-web-desktop", "s3cret"), "https://x/qemu-web-desktop/join#s3cret");
    }

    #[test]
    fn only_a_directive_switches_tls_on() {
        assert!(is_engine_on("  SSLEngine on"));
        assert!(!is_engine_on("# SSLEngine on"));
        assert!(!is_engine_on("SSLEngine off"));
    }
}
