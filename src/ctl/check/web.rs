//! Apache and noVNC: what carries the pages and shows the screens.

use super::Findings;
use crate::config::Settings;
use std::path::Path;

/// Apache's modules that our part of its configuration needs.
const MODULES: [&str; 4] = ["alias", "headers", "proxy", "proxy_http"];

/// Apache's unit.
pub(super) const UNIT: &str = "apache2.service";

/// While a name is typed and not checked, only clients of this server are let in. Once people sign in from
/// elsewhere, it is over a connection that somebody may listen to unless the address says otherwise.
pub(super) fn sign_in(found: &mut Findings, settings: &Settings) {
    if settings.sign_in.methods.is_empty() {
        found.warn(
            "No sign-in method is configured: the service is open to browsers on this server only, and to nobody on the network.",
        );
    } else if settings.public_url.as_deref().is_some_and(|url| url.starts_with("http:")) {
        found.warn(
            "People sign in over a connection that is not encrypted: 'a2enmod ssl && a2ensite default-ssl && systemctl restart apache2', then public_url = \"https://…\".",
        );
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

/// Whether a site includes our part itself.
fn in_a_site(apache: &Path) -> bool {
    let sites = std::fs::read_dir(apache.join("sites-enabled")).into_iter().flatten().flatten();
    sites.filter_map(|site| std::fs::read_to_string(site.path()).ok()).any(|text| {
        text.lines().any(|line| line.trim_start().starts_with("Include") && line.contains("qemu-web-desktop.conf"))
    })
}
