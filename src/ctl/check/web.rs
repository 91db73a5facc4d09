//! Apache and noVNC: what carries the pages and shows the screens.

use super::Findings;
use crate::config::Settings;
use crate::proxy_headers::{self, SECRET_FILE};
use std::path::Path;

/// Apache's modules that our part of its configuration needs.
const MODULES: [&str; 5] = ["alias", "buffer", "headers", "proxy", "proxy_http"];

/// Apache's unit.
pub(super) const UNIT: &str = "apache2.service";

/// While a name is typed and not checked, only clients of this server are let in. Once people sign in from
/// elsewhere, it is over a connection that somebody may listen to unless the address says otherwise.
pub(super) fn sign_in(found: &mut Findings, settings: &Settings) {
    if settings.sign_in.methods.is_empty() {
        found.warn(OPEN);
        if settings.public_url.is_some() {
            found.warn(
                "public_url has no effect while no sign-in method is configured: the service answers at \
                 http://localhost/qemu-web-desktop/ only. 'editor /etc/qemu-web-desktop/config.toml': configure [sign_in], or remove \
                 public_url.",
            );
        }
        return;
    }
    match settings.public_url.as_deref() {
        Some(url) if url.starts_with("https:") => {}
        Some(_) => found.warn(format!("People sign in over a connection that is not encrypted: {ENCRYPT}.")),
        None => found.warn(format!(
            "People may sign in over a connection that is not encrypted, because public_url is not set and Apache \
             serves the pages over plain http, too: {ENCRYPT}. Then other addresses are refused."
        )),
    }
}

const OPEN: &str = "No sign-in method is configured: the service is open to browsers on this server only, at \
    http://localhost/qemu-web-desktop/. A proxy in front of Apache is noticed by the headers it adds; a raw relay \
    to this server's port 80 ('ssh -R', socat, a proxy that hides itself) leaves no trace, and whoever reaches it \
    gets in. Run none, or 'editor /etc/qemu-web-desktop/config.toml' to configure [sign_in].";
const ENCRYPT: &str = "'a2enmod ssl && a2ensite default-ssl && systemctl restart apache2', then \
    public_url = \"https://…\" in /etc/qemu-web-desktop/config.toml";

/// Report counts of failed sign-ins that were damaged, and that the portal has put aside.
pub(super) fn counts(found: &mut Findings, root: &Path) {
    const DIRECTORY: &str = "run/qemu-web-desktop/portal/counts";
    let files = std::fs::read_dir(root.join(DIRECTORY)).into_iter().flatten().flatten().map(|file| file.path());
    for file in files.filter(|file| file.extension().is_some_and(|word| word == "damaged")) {
        found.warn(format!(
            "Counts of failed sign-ins, or of mails, were damaged and began without what they held. Find out why \
             ('journalctl -u qwd-portal'), then 'rm -r {}'.",
            file.display()
        ));
    }
}

/// Looks at Apache's enabled modules and configurations, as a2enmod and a2enconf leave them.
pub(super) fn web(found: &mut Findings, root: &Path) {
    if !root.join("usr/share/novnc/core/rfb.js").exists() {
        found.warn("noVNC is missing, without which no screen is shown: 'apt install novnc'.");
    }
    let apache = root.join("etc/apache2");
    if !apache.is_dir() {
        return found.warn("Apache is missing, without which nobody reaches the pages: 'apt install apache2'.");
    }
    let lacking = |module: &&str| !apache.join("mods-enabled").join(format!("{module}.load")).exists();
    let modules: Vec<&str> = MODULES.into_iter().filter(|module| lacking(module)).collect();
    if !modules.is_empty() {
        let all = modules.join(" ");
        found.warn(format!("Apache lacks modules: 'a2enmod {all} && systemctl restart apache2' enables them."));
    }
    if !apache.join("conf-enabled/qemu-web-desktop.conf").exists() && !in_a_site(&apache) {
        found.warn(
            "Apache does not serve our pages: 'a2enconf qemu-web-desktop && systemctl reload apache2' makes it do so.",
        );
    }
}

/// Look at the secret by which the portal and the display know Apache.
pub(super) fn proxy_secret(found: &mut Findings, root: &Path) {
    let apache = root.join("etc/apache2");
    let Some(text) = ["conf-enabled", "conf-available"]
        .iter()
        .find_map(|folder| std::fs::read_to_string(apache.join(folder).join("qemu-web-desktop.conf")).ok())
    else {
        return;
    };
    if !text.contains(SECRET_FILE) {
        found.error(
            "Every page is refused, because /etc/apache2/conf-available/qemu-web-desktop.conf is of an older version \
             and does not include Apache's secret: 'apt install --reinstall -o \
             Dpkg::Options::=--force-confask,confnew,confmiss qemu-web-desktop' takes the package's.",
        );
    }
    if let Some(problem) = proxy_headers::find_problem(root) {
        found.error(problem);
    }
    if apache.join("mods-enabled/info.load").exists() {
        found.warn(
            "Apache's module info shows the whole configuration, the secret between Apache and this service \
             included, to everybody who may open its page: 'a2dismod info && systemctl restart apache2'.",
        );
    }
}

/// Whether a site includes our part itself.
fn in_a_site(apache: &Path) -> bool {
    let sites = std::fs::read_dir(apache.join("sites-enabled")).into_iter().flatten().flatten();
    sites.filter_map(|site| std::fs::read_to_string(site.path()).ok()).any(|text| {
        text.lines().any(|line| line.trim_start().starts_with("Include") && line.contains("qemu-web-desktop.conf"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_counts_are_reported_with_the_file() {
        let root = std::env::temp_dir().join(format!("qwd-counts-{}", std::process::id()));
        let directory = root.join("run/qemu-web-desktop/portal/counts");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("pairs"), "").unwrap();
        let warnings = || {
            let mut found = Findings::default();
            counts(&mut found, &root);
            found.warnings
        };
        assert_eq!(warnings(), Vec::<String>::new());
        std::fs::write(directory.join("pairs.damaged"), "").unwrap();
        assert!(warnings().len() == 1 && warnings()[0].contains("counts/pairs.damaged'."), "{:?}", warnings());
        std::fs::remove_dir_all(root).unwrap();
    }
}
