//! `check`: errors decide the exit status, warnings say what mends them.

use super::bed::Bed;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

fn texts(found: &Value, key: &str) -> Vec<String> {
    found[key].as_array().unwrap().iter().map(|t| t.as_str().unwrap().to_owned()).collect()
}

#[test]
fn warnings_alone_are_no_failure() {
    let bed = Bed::without_launcher();
    let outcome = bed.good("check --json");
    let found = outcome.json();
    assert_eq!(texts(&found, "errors"), Vec::<String>::new());
    let warnings = texts(&found, "warnings");
    for (what, remedy) in [
        ("No machine is named", "qwdctl download"),
        ("QEMU (qemu-system-x86_64) is missing", "apt install qemu-system-x86"),
        ("qemu-img is missing", "apt install qemu-utils"),
        ("noVNC is missing", "apt install novnc"),
        ("Apache is missing", "apt install apache2"),
        ("No sign-in method", "this server only"),
        ("The launcher does not answer", "systemctl status qwd-launcher"),
    ] {
        let told = warnings.iter().find(|w| w.contains(what)).unwrap_or_else(|| panic!("{what}: {warnings:#?}"));
        assert!(told.contains(remedy), "{told}");
    }
}

#[test]
fn mistakes_in_the_files_are_errors_and_all_are_told() {
    let bed = Bed::without_launcher();
    bed.root.write("etc/qemu-web-desktop/config.toml", "[qemu]\naccell = \"kvm\"\n");
    bed.root.write("etc/qemu-web-desktop/machines.conf", "[a.iso]\nurll=x\n[../b]\n");
    let outcome = bed.run("check --json");
    assert_eq!(outcome.code, 1);
    let errors = texts(&outcome.json(), "errors");
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors[0].starts_with("/etc/qemu-web-desktop/config.toml:2: ") && errors[0].contains("'qemu.accel'"));
    assert!(errors[1].starts_with("/etc/qemu-web-desktop/machines.conf:2: "), "{errors:#?}");
    let text = bed.run("check");
    assert!(text.out.starts_with("error: ") && text.out.contains("3 errors and "), "{}", text.out);
}

#[test]
fn a_picture_that_is_not_there_is_told() {
    let bed = Bed::without_launcher();
    bed.root.write("var/lib/qemu-web-desktop/machines/a.iso", "x");
    bed.root.write("etc/qemu-web-desktop/icons/b.png", "x");
    let text = "[a.iso]\nicon=a.svg\n[b.iso]\nicon=b.png\n[c.iso]\nicon=flask\n";
    bed.root.write("etc/qemu-web-desktop/machines.conf", text);
    let warnings = texts(&bed.run("check --json").json(), "warnings");
    let pictures: Vec<_> = warnings.iter().filter(|w| w.contains("The picture")).collect();
    assert!(pictures.len() == 1 && pictures[0].contains("/etc/qemu-web-desktop/icons/a.svg"), "{pictures:?}");
}

#[test]
fn what_apache_does_not_serve_and_what_goes_unencrypted_is_told() {
    let bed = Bed::without_launcher();
    let told = |words: &str| texts(&bed.good("check --json").json(), "warnings").iter().any(|w| w.contains(words));
    bed.root.write("etc/apache2/sites-enabled/a.conf", "# Include conf-available/qemu-web-desktop.conf\n");
    assert!(told("a2enconf qemu-web-desktop"));
    bed.root.write("etc/apache2/sites-enabled/a.conf", "<Virtual>\n  Include conf-available/qemu-web-desktop.conf\n");
    assert!(!told("a2enconf qemu-web-desktop"));
    let address = |scheme| format!("public_url = \"{scheme}://a.example.org\"\n[sign_in]\nmethods = [\"pam\"]\n");
    for (scheme, open) in [("http", true), ("https", false)] {
        bed.root.write("etc/qemu-web-desktop/config.toml", address(scheme));
        assert_eq!(told("over a connection that is not encrypted"), open, "{scheme}");
    }
    for method in ["pam", "remote_user"] {
        let config = format!("[sign_in]\nmethods = [\"{method}\"]\n");
        bed.root.write("etc/qemu-web-desktop/config.toml", &config);
        let warnings = texts(&bed.run("check --json").json(), "warnings");
        let told = warnings.iter().find(|w| w.contains("public_url is not set")).unwrap_or_else(|| panic!("{method}"));
        assert!(told.contains("a2ensite default-ssl") && told.contains("public_url = \"https://"), "{told}");
    }
    bed.root.write("etc/qemu-web-desktop/config.toml", "");
    assert!(told("a raw relay") && !told("public_url has no effect"));
}

#[test]
fn what_keeps_the_portal_from_knowing_apache_is_an_error() {
    let bed = Bed::without_launcher();
    let errors = || texts(&bed.run("check --json").json(), "errors").join("\n");
    let file = "var/lib/qemu-web-desktop/proxy/secret.conf";
    bed.root.write("etc/apache2/conf-enabled/qemu-web-desktop.conf", "ProxyPass unix:portal.sock\n");
    assert!(errors().contains("of an older version") && errors().contains("dpkg-reconfigure"), "{}", errors());
    bed.root.write("etc/apache2/conf-enabled/qemu-web-desktop.conf", format!("Include /{file}\n"));
    bed.root.write(file, "RequestHeader set X-Qwd-Secret \"\"\n");
    assert!(!errors().contains("of an older version") && errors().contains("holds no secret"), "{}", errors());
    bed.root.write(file, format!("RequestHeader set X-Qwd-Secret \"{}\"\n", "0f".repeat(32)));
    let mode = |mode| std::fs::set_permissions(bed.root.0.join(file), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert!(errors().contains("can be read by others") && errors().contains("another secret"), "{}", errors());
    mode(0o600);
    assert_eq!(errors(), "");
    bed.root.write("etc/apache2/mods-enabled/info.load", "");
    let warnings = texts(&bed.good("check --json").json(), "warnings");
    assert!(warnings.iter().any(|w| w.contains("a2dismod info")), "{warnings:#?}");
}

#[test]
fn a_secret_that_is_not_roots_alone_is_told() {
    let bed = Bed::without_launcher();
    let mail = "[mail]\nserver = \"127.0.0.1\"\nfrom = \"a@example.org\"\nwarn_before_end = \"1h\"\nuser = \"a\"\n\
                password_file = \"/etc/passwd\"\n";
    let ldap = "[sign_in]\nmethods = [\"ldap\"]\n[sign_in.ldap]\nserver = \"127.0.0.1\"\nsearch_base = \"dc=x\"\n\
                search_dn = \"cn=x\"\nsearch_password_file = \"/etc/passwd\"\n";
    for (config, key) in [(mail, "mail.password_file"), (ldap, "sign_in.ldap.search_password_file")] {
        bed.root.write("etc/qemu-web-desktop/config.toml", config);
        let warnings = texts(&bed.good("check --json").json(), "warnings");
        assert!(warnings.iter().any(|w| w.contains(key) && w.contains("chmod 600 /etc/passwd")), "{warnings:#?}");
    }
}

#[test]
fn folders_that_cannot_be_used_are_errors() {
    let bed = Bed::without_launcher();
    bed.root.write("var/lib/qemu-web-desktop/machines", "a file");
    bed.root.write("etc/qemu-web-desktop/config.toml", "[paths]\ndir_snapshots = \"/srv/disks\"\n");
    let errors = texts(&bed.run("check --json").json(), "errors");
    assert!(errors[0].contains("paths.dir_machines"), "{errors:#?}");
    assert!(errors[1].contains("mkdir -p") && errors[1].contains("paths.dir_snapshots"), "{errors:#?}");
}

#[test]
fn a_complete_server_is_not_complained_about() {
    let bed = Bed::new();
    for file in [
        "usr/bin/qemu-system-x86_64",
        "usr/bin/qemu-img",
        "usr/share/novnc/core/rfb.js",
        "etc/apache2/mods-enabled/alias.load",
        "etc/apache2/mods-enabled/buffer.load",
        "etc/apache2/mods-enabled/headers.load",
        "etc/apache2/mods-enabled/proxy.load",
        "var/lib/qemu-web-desktop/machines/a.iso",
    ] {
        bed.root.write(file, "");
    }
    let secret = "var/lib/qemu-web-desktop/proxy/secret.conf";
    bed.root.write("etc/apache2/conf-enabled/qemu-web-desktop.conf", format!("Include /{secret}\n"));
    bed.root.write(secret, format!("RequestHeader set X-Qwd-Secret \"{}\"\n", "0f".repeat(32)));
    std::fs::set_permissions(bed.root.0.join(secret), std::fs::Permissions::from_mode(0o600)).unwrap();
    bed.root.write("etc/qemu-web-desktop/machines.conf", "[a.iso]\ndescription=A\n[b c.iso]\nurl=http://x/\n");
    let warnings = texts(&bed.good("check --json").json(), "warnings");
    for absent in ["QEMU (", "qemu-img", "noVNC", "Apache is missing", "a2enconf", "a.iso", "launcher does not"] {
        assert!(!warnings.iter().any(|w| w.contains(absent)), "{absent}: {warnings:#?}");
    }
    for told in [
        "'a2enmod proxy_http && systemctl restart apache2'",
        "'qwdctl download \"b c.iso\"'",
        "unprotected http",
        // What the launcher says about itself.
        "config.toml:1: it is broken",
        "KVM does not work here.",
    ] {
        assert!(warnings.iter().any(|w| w.contains(told)), "{told}: {warnings:#?}");
    }
}
