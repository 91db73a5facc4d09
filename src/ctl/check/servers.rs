//! The servers that passwords are checked by and mails are sent by: whether they would be talked to.
//!
//! Each is connected to and encrypted as it would be for a sign-in. No name and no password is sent.

use super::Findings;
use crate::check::peer::{self, Protocol, Target};
use crate::check::tls::Trust;
use crate::config::{Encryption, HIDDEN, Server, Settings};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Asks all of them at once, so that they take no longer together than the slowest.
pub(super) fn servers(found: &mut Findings, settings: &Settings) {
    let sign_in = &settings.sign_in;
    let used = [
        (sign_in.imap.as_ref(), "sign_in.imap", Protocol::Imap),
        (sign_in.smtp.as_ref(), "sign_in.smtp", Protocol::Smtp),
        (sign_in.ldap.as_ref().map(|ldap| &ldap.server), "sign_in.ldap", Protocol::Ldap),
        (settings.mail.as_ref().map(|mail| &mail.server), "mail", Protocol::Smtp),
    ];
    let asked: Vec<_> = used
        .into_iter()
        .filter_map(|(server, section, protocol)| Some((server?.clone(), section, protocol)))
        .map(|(server, section, protocol)| std::thread::spawn(move || trouble(server, section, protocol)))
        .collect();
    for sentence in asked.into_iter().filter_map(|thread| thread.join().ok().flatten()) {
        found.warn(sentence);
    }
    secrets(found, settings);
}

fn trouble(server: Server, section: &'static str, protocol: Protocol) -> Option<String> {
    if let Some(sentence) = server.ca_file.as_deref().and_then(|path| hidden(path, &format!("{section}.ca_file"))) {
        return Some(sentence);
    }
    let trust = match Trust::load(server.ca_file.as_deref()) {
        Ok(trust) => trust,
        Err(sentence) => return Some(sentence),
    };
    let at = Target::new(server, section, trust);
    let sentence = peer::open(&at, protocol).err()?.tell(&at);
    Some(if super::has_command(&sentence) { sentence } else { format!("{sentence} {}", how_to_look(&at, protocol)) })
}

/// How to see what a server says. No name and no password is sent by that either.
fn how_to_look(at: &Target, protocol: Protocol) -> String {
    let (host, port) = (&at.server.host, at.server.port);
    match at.server.encryption {
        Encryption::Plain => format!("'ss -ltnp sport = :{port}' shows what listens there."),
        Encryption::Tls => format!("'openssl s_client -connect {host}:{port}' shows what it says."),
        Encryption::StartTls => {
            let word = protocol.name().to_ascii_lowercase();
            format!("'openssl s_client -starttls {word} -connect {host}:{port}' shows what it says.")
        }
    }
}

/// The files with passwords for these servers: there, and for root's eyes only.
fn secrets(found: &mut Findings, settings: &Settings) {
    let ldap = settings.sign_in.ldap.as_ref().filter(|ldap| !ldap.raw.search_dn.is_empty());
    let ldap = ldap.map(|ldap| (Path::new(&ldap.raw.search_password_file), "sign_in.ldap.search_password_file"));
    let mail = settings.mail.as_ref().and_then(|mail| mail.account.as_ref());
    let mail = mail.map(|(_, path)| (path.as_path(), "mail.password_file"));
    for (path, key) in ldap.into_iter().chain(mail) {
        if let Some(sentence) = secret(path, key) {
            found.warn(sentence);
        }
    }
}

fn secret(path: &Path, key: &str) -> Option<String> {
    let shown = path.display();
    if let Some(sentence) = hidden(path, key) {
        return Some(sentence);
    }
    match path.metadata() {
        Ok(facts) if facts.mode() & 0o077 != 0 || facts.uid() != 0 => Some(format!(
            "Others than root may read {shown}, which is {key}: 'chown root {shown} && chmod 600 {shown}' ends that."
        )),
        Ok(_) => None,
        // Whoever may not look there is not root, and root may.
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(e) => Some(format!(
            "The file {shown}, which is {key}, cannot be read ({e}): 'ls -l {shown}' shows what is there."
        )),
    }
}

/// That a file lies where the units of the checks do not see it, if it does; `key` is what names it.
pub(super) fn hidden(path: &Path, key: &str) -> Option<String> {
    let folder = HIDDEN.into_iter().find(|folder| path.starts_with(folder))?;
    Some(format!(
        "The file {}, which is {key}, lies below {folder}, which the service does not see: 'mv {} /etc/qemu-web-desktop/', and change the \
         setting.",
        path.display(),
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;
    use std::time::Duration;

    fn warnings(port: u16, ca_file: Option<&str>) -> Vec<String> {
        let mut settings = Settings::default();
        settings.sign_in.imap = Some(Server {
            host: "127.0.0.1".into(),
            port,
            encryption: Encryption::Plain,
            ca_file: ca_file.map(Into::into),
            timeout: Duration::from_secs(30),
        });
        let mut found = Findings::default();
        servers(&mut found, &settings);
        found.warnings
    }

    #[test]
    fn a_server_that_answers_is_not_mentioned_and_one_that_does_not_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"* OK hello\r\n"));
        assert_eq!(warnings(port, None), Vec::<String>::new());
        server.join().unwrap().unwrap();
        let all = warnings(port, None);
        assert!(all.len() == 1 && all[0].contains("sign_in.imap.port"), "{all:?}");
    }

    #[test]
    fn files_that_the_service_does_not_see_are_told() {
        let all = warnings(1, Some("/root/ca.pem"));
        assert!(all.len() == 1 && all[0].contains("sign_in.imap.ca_file") && all[0].contains("/root"), "{all:?}");
        assert!(hidden(Path::new("/rooted/ca.pem"), "x").is_none());
    }

    #[test]
    fn a_password_that_all_may_read_is_told() {
        assert!(secret(Path::new("/etc/passwd"), "mail.password_file").unwrap().contains("chmod 600 /etc/passwd"));
        assert!(secret(Path::new("/etc/nowhere"), "mail.password_file").unwrap().contains("cannot be read"));
    }
}
