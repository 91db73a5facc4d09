//! What answers at the service's own address, asked over HTTP as a browser on this server would.
//!
//! Apache's files can look right and another site, a rewriting rule or an older configuration still answer.

use super::Findings;
use crate::config::Settings;
use crate::host;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// The portal is known by what it calls itself, and by its policy where a module changes that.
const SERVER: &str = "qemu-web-desktop";
const POLICY: &str =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'";
const PATH: &str = "/qemu-web-desktop/";
/// Apache passes a request on within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// More of an answer is not looked at.
const LONGEST: u64 = 64 << 10;

/// Ask at each port on which Apache speaks plain HTTP, until the portal answers.
pub(super) fn own_address(found: &mut Findings, root: &Path, settings: &Settings) {
    let apache = root.join("etc/apache2");
    let Ok(text) = std::fs::read_to_string(apache.join("ports.conf")) else { return };
    let host = host_of(settings);
    let mut wrong = None;
    for port in plain_ports(&text) {
        match ask(port, &host) {
            // A port that is closed belongs to a unit that is down, which is reported by itself.
            None => {}
            Some(answer) if answer.is_ours() => return,
            Some(answer) => wrong = wrong.or_else(|| Some(answer.explain(port, &host))),
        }
    }
    wrong.into_iter().for_each(|sentence| found.error(sentence));
}

/// The host that people ask for. While the service is open, it answers under loopback names only.
fn host_of(settings: &Settings) -> String {
    let public = settings.public_url.as_deref().and_then(|url| url.split_once("://")).map(|(_, host)| host.to_owned());
    match settings.sign_in.methods.is_empty() {
        true => "localhost".to_owned(),
        false => public.unwrap_or_else(host::name),
    }
}

/// The ports of Apache's `Listen` that are not for TLS.
fn plain_ports(text: &str) -> Vec<u16> {
    let mut in_tls = 0;
    let mut ports = Vec::new();
    for line in text.lines().map(|line| line.trim().to_ascii_lowercase()) {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some("<ifmodule"), Some(module), _) if module.contains("ssl") || module.contains("gnutls") => in_tls += 1,
            (Some("<ifmodule"), ..) if in_tls > 0 => in_tls += 1,
            (Some("</ifmodule>"), ..) => in_tls = i32::max(in_tls - 1, 0),
            (Some("listen"), Some(address), protocol) if in_tls == 0 && protocol != Some("https") => {
                ports.extend(address.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()));
            }
            _ => {}
        }
    }
    ports.dedup();
    ports
}

/// What came back.
struct Answer {
    status: String,
    head: String,
    body: String,
}

fn ask(port: u16, host: &str) -> Option<Answer> {
    let end = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: qwdctl\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while (text.len() as u64) < LONGEST {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            break;
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(n) => text.extend_from_slice(&chunk[..n]),
        }
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.as_str(), ""));
    let status = head.split_ascii_whitespace().nth(1).unwrap_or("nothing").to_owned();
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(known, _)| known.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    fn is_ours(&self) -> bool {
        let policy = self.header("content-security-policy");
        self.header("server") == Some(SERVER) || policy.is_some_and(|policy| policy.starts_with(POLICY))
    }

    fn explain(&self, port: u16, host: &str) -> String {
        let address = format!("http://127.0.0.1:{port}{PATH} (asked for as {host})");
        if self.body.contains("qemu-web-desktop/static/") {
            return format!(
                "{address} is answered by Apache alone (status {}), which does not reach the portal: \
                 'systemctl status qwd-portal.socket qwd-portal' tells why.",
                self.status
            );
        }
        let title = self.body.split_once("<title>").and_then(|(_, rest)| rest.split("</title>").next());
        let facts = [self.header("server"), self.header("location").map(|_| "a redirect elsewhere"), title];
        let facts: Vec<String> = facts.into_iter().flatten().map(plain).collect();
        let facts = if facts.is_empty() { String::new() } else { format!(": {}", facts.join(", ")) };
        format!(
            "{address} is answered by something else (status {}{facts}), so nobody reaches the pages: 'apachectl -S' shows \
             the sites. If /etc/apache2/conf-available/qemu-web-desktop.conf is not this version's, 'apt install \
             --reinstall -o Dpkg::Options::=--force-confask,confnew,confmiss qemu-web-desktop' takes the package's; if a \
             site rewrites all addresses (RewriteRule), put 'RewriteRule ^/?qemu-web-desktop(/|$) - [END]' before that.",
            self.status
        )
    }
}

/// A few words of what somebody else's page says, on one line.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn ports_of_plain_http_are_found() {
        let text = "# Listen 81\nListen 80\nListen [::]:8080\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n\
                    <IfModule mod_gnutls.c>\nListen 444\n</IfModule>\nListen 127.0.0.1:8443 https\nListen 8081 http\n";
        assert_eq!(plain_ports(text), [80, 8080, 8081]);
    }

    /// What is found where this answers.
    fn errors(answer: &'static str) -> Vec<String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let mut head = [0; 1024];
            let n = stream.read(&mut head).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&head[..n]).into_owned()
        });
        let root = std::env::temp_dir().join(format!("qwd-address-{}-{port}", std::process::id()));
        std::fs::create_dir_all(root.join("etc/apache2")).unwrap();
        std::fs::write(root.join("etc/apache2/ports.conf"), format!("Listen {port}\n")).unwrap();
        let mut settings = Settings { public_url: Some("https://desk.example.org:8443".into()), ..Settings::default() };
        settings.sign_in.methods = vec![crate::config::Method::Pam];
        let mut found = Findings::default();
        own_address(&mut found, &root, &settings);
        std::fs::remove_dir_all(root).unwrap();
        assert!(served.join().unwrap().contains("\r\nHost: desk.example.org:8443\r\n"));
        found.errors
    }

    #[test]
    fn what_answers_at_our_address_is_told_from_the_portal() {
        assert!(errors("HTTP/1.1 307 X\r\nServer: qemu-web-desktop\r\n\r\n").is_empty());
        let all = errors("HTTP/1.1 404 Not Found\r\nServer: Apache/2.4\r\n\r\n<title>404 Not Found</title>");
        assert!(all.len() == 1 && all[0].contains("(status 404: Apache/2.4, 404 Not Found)"), "{all:?}");
        assert!(all[0].contains("'apachectl -S'") && all[0].contains("RewriteRule"), "{all:?}");
        let all = errors("HTTP/1.1 503 X\r\n\r\n<link href=\"/qemu-web-desktop/static/style.css\">");
        assert!(all[0].contains("systemctl status qwd-portal.socket"), "{all:?}");
        assert!(errors("")[0].contains("(status nothing)"), "{:?}", errors(""));
    }

    #[test]
    fn a_server_without_apache_is_not_asked() {
        let mut found = Findings::default();
        own_address(&mut found, Path::new("/nonexistent"), &Settings::default());
        assert!(found.errors.is_empty() && found.warnings.is_empty());
    }
}
