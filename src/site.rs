//! Where people reach the service: the addresses that are printed and mailed.

use crate::config;
use crate::model::SessionId;
use std::path::Path;

/// The address of the pages, without a final slash.
pub fn base(root: &Path) -> String {
    // A broken configuration is told by 'check' and 'status'; an address by the host's name still helps.
    let settings = config::load(root).map(|loaded| loaded.settings).unwrap_or_default();
    // While the service is open, it answers under loopback names only.
    let name = if settings.sign_in.methods.is_empty() { "localhost".to_owned() } else { crate::host::name() };
    format!("{}/qemu-web-desktop", settings.public_url.unwrap_or_else(|| by_name(root, &name)))
}

/// The page of a session.
pub fn session(base: &str, id: &SessionId) -> String {
    format!("{base}/sessions/{id}")
}

/// The link that a share's secret makes. The secret stands behind #, so that it reaches no server's log.
pub fn join(base: &str, secret: &str) -> String {
    format!("{base}/join#{secret}")
}

/// Return what to say beside a link that works on this server only.
pub fn only_here(base: &str) -> Option<&'static str> {
    let authority = base.split_once("://")?.1.split('/').next()?;
    crate::proxy_headers::is_loopback(authority).then_some(
        "This link works on this server only. For links that work elsewhere, configure [sign_in] and set public_url in \
         /etc/qemu-web-desktop/config.toml.",
    )
}

fn by_name(root: &Path, name: &str) -> String {
    let scheme = if has_tls(root) { "https" } else { "http" };
    format!("{scheme}://{name}")
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
    fn links_to_this_server_alone_are_told_from_others() {
        assert!(only_here("http://localhost/qemu-web-desktop").is_some());
        assert!(only_here("http://127.0.0.1:8080/qemu-web-desktop").is_some());
        assert!(only_here("https://desk.example.org/qemu-web-desktop").is_none());
    }

    #[test]
    fn only_a_directive_switches_tls_on() {
        assert!(is_engine_on("  SSLEngine on"));
        assert!(!is_engine_on("# SSLEngine on"));
        assert!(!is_engine_on("SSLEngine off"));
    }
}
