//! By which proxy an address is reached, and how a web proxy is spoken to.
//!
//! ureq opens a tunnel (CONNECT) through every proxy, also for `http:`, which many proxies permit for
//! `https:` only. For `http:` the request therefore goes to the proxy itself, with the whole address
//! in its first line (RFC 9112, section 3.2.2): `ToProxy` and `WholeAddress` see to that.

use super::address::{is_near, percent_decoded};
use std::net::IpAddr;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Error, config::Config};

/// Which proxy goes where: the configuration's, else the environment's, but none for the hosts of `no_proxy`.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For everything, if not empty.
    pub service: String,
    /// `http_proxy`.
    pub http: String,
    /// `https_proxy`.
    pub https: String,
    /// `all_proxy`.
    pub all: String,
    /// `no_proxy`.
    pub none: String,
}

impl Proxies {
    /// With the configuration's `service_proxy`, and the variables of the environment in lower or upper case.
    pub fn from_env(service: &str) -> Self {
        let variable = |name: &str| {
            let value = std::env::var(name).ok().filter(|v| !v.is_empty());
            value.or_else(|| std::env::var(name.to_ascii_uppercase()).ok()).unwrap_or_default()
        };
        Self {
            service: service.to_owned(),
            http: variable("http_proxy"),
            https: variable("https_proxy"),
            all: variable("all_proxy"),
            none: variable("no_proxy"),
        }
    }

    /// The proxy for an address, as a URI with a scheme; `None`: straight there.
    pub(super) fn to(&self, uri: &Uri) -> Result<Option<Uri>, String> {
        if self.spares(uri) {
            return Ok(None);
        }
        let own = if uri.scheme_str() == Some("https") { &self.https } else { &self.http };
        let Some(text) = [&self.service, own, &self.all].into_iter().find(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let whole = if text.contains("://") { text.clone() } else { format!("http://{text}") };
        let proxy: Option<Uri> = whole.parse().ok().filter(|proxy: &Uri| {
            matches!(proxy.scheme_str(), Some("http" | "https")) && proxy.host().is_some_and(|h| !h.is_empty())
        });
        // The text may have a password in it, so it is not shown.
        proxy.map(Some).ok_or_else(|| "The proxy's address cannot be used; it is written http://HOST:PORT.".to_owned())
    }

    fn spares(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default);
        let entries = self.none.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
        entries.into_iter().any(|entry| entry_spares(&entry.to_ascii_lowercase(), &host, port))
    }
}

/// An entry is `*`, a host or domain (with its subdomains; a leading dot or `*.` changes nothing), an
/// address, a network such as 10.0.0.0/8; a host may have `:PORT`.
fn entry_spares(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" || entry == host {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        return in_network(entry, address) || entry == format!("{host}:{port}");
    }
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, digits)) => (name, digits.parse().ok()),
        None => (entry, Some(port)),
    };
    let name = name.trim_start_matches('*').trim_start_matches('.');
    let below = host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.is_empty() && below && wanted == Some(port)
}

fn in_network(entry: &str, address: IpAddr) -> bool {
    let Some((base, bits)) = entry.split_once('/') else { return entry.parse() == Ok(address) };
    let prefix = |a: u128, width: u32, bits: u32| if bits == 0 { 0 } else { a >> (width - bits) };
    match (base.parse(), address, bits.parse::<u32>()) {
        (Ok(IpAddr::V4(base)), IpAddr::V4(a), Ok(bits @ 0..=32)) => {
            prefix(base.to_bits().into(), 32, bits) == prefix(a.to_bits().into(), 32, bits)
        }
        (Ok(IpAddr::V6(base)), IpAddr::V6(a), Ok(bits @ 0..=128)) => {
            prefix(base.to_bits(), 128, bits) == prefix(a.to_bits(), 128, bits)
        }
        _ => false,
    }
}

/// The value of `Proxy-Authorization` for a proxy with a login.
pub(super) fn authorization(proxy: &Uri) -> Option<String> {
    let (login, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    Some(basic(&percent_decoded(login)))
}

/// A login as HTTP's Basic credentials.
pub(super) fn basic(login: &str) -> String {
    format!("Basic {}", data_encoding::BASE64.encode(login.as_bytes()))
}

/// Resolves every name to the proxy's address.
#[derive(Debug)]
pub(super) struct ToProxy(pub(super) Uri);

impl Resolver for ToProxy {
    fn resolve(&self, _: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        DefaultResolver::default().resolve(&self.0, config, timeout)
    }
}

/// Resolves names as ever, but leaves out the addresses of this host.
#[derive(Debug)]
pub(super) struct Outwards;

impl Resolver for Outwards {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let mut outside = self.empty();
        found.iter().filter(|address| !is_near(address.ip())).for_each(|address| outside.push(*address));
        if outside.is_empty() {
            let why = "it is this server itself, where no other server may send us";
            return Err(Error::Io(std::io::Error::other(why)));
        }
        Ok(outside)
    }
}

/// Puts the scheme and host before the path in a request's first line.
#[derive(Debug)]
pub(super) struct WholeAddress(pub(super) String);

impl<In: Transport> Connector<In> for WholeAddress {
    type Out = Rewriting<In>;

    fn connect(&self, _: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|inner| Rewriting { inner, prefix: Some(self.0.clone()) }))
    }
}

/// A connection to a proxy, used for one request only.
#[derive(Debug)]
pub(super) struct Rewriting<T> {
    inner: T,
    prefix: Option<String>,
}

impl<T: Transport> Transport for Rewriting<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        const METHOD: &[u8] = b"GET ";
        let Some(prefix) = self.prefix.take() else { return self.inner.transmit_output(amount, timeout) };
        let output = self.inner.buffers().output();
        let more = amount + prefix.len();
        if output.len() < more || !output.starts_with(METHOD) {
            return Err(Error::InvalidProxyUrl);
        }
        output.copy_within(METHOD.len()..amount, METHOD.len() + prefix.len());
        output[METHOD.len()..METHOD.len() + prefix.len()].copy_from_slice(prefix.as_bytes());
        self.inner.transmit_output(more, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        // A second request would need its own first line.
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.to(&url.parse().unwrap()).unwrap().map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_configuration_goes_before_the_environment() {
        let env = Proxies { http: "h:1".into(), https: "http://s:2".into(), ..Proxies::default() };
        assert_eq!(to(&env, "http://x/").as_deref(), Some("http://h:1/"));
        assert_eq!(to(&env, "https://x/").as_deref(), Some("http://s:2/"));
        let both = Proxies { service: "http://c:3".into(), ..env };
        assert_eq!(to(&both, "https://x/").as_deref(), Some("http://c:3/"));
        assert_eq!(to(&Proxies::default(), "http://x/"), None);
        assert_eq!(
            to(&Proxies { all: "a:4".into(), ..Proxies::default() }, "http://x/").as_deref(),
            Some("http://a:4/")
        );
    }

    #[test]
    fn no_proxy_means_hosts_domains_and_networks() {
        let none = "localhost, .corp.example,*.lab.example,10.0.0.0/8 fd00::/8,host.example:8080,192.0.2.1";
        let proxies = Proxies { service: "p:1".into(), none: none.into(), ..Proxies::default() };
        for url in [
            "http://localhost/",
            "http://corp.example/",
            "http://a.b.CORP.example/",
            "http://x.lab.example/",
            "http://10.1.2.3/",
            "http://[fd00::1]/",
            "http://host.example:8080/",
            "http://192.0.2.1:81/",
        ] {
            assert_eq!(to(&proxies, url), None, "{url}");
        }
        for url in ["http://notcorp.example/", "http://11.1.2.3/", "http://host.example/", "http://corp.example.org/"] {
            assert!(to(&proxies, url).is_some(), "{url}");
        }
        assert_eq!(to(&Proxies { service: "p:1".into(), none: "*".into(), ..Proxies::default() }, "http://x/"), None);
    }

    #[test]
    fn a_proxy_we_cannot_speak_to_is_a_fault_that_hides_its_password() {
        let proxies = Proxies { service: "socks5://u:secret@p:1".into(), ..Proxies::default() };
        let message = proxies.to(&"http://x/".parse().unwrap()).unwrap_err();
        assert!(message.contains("http://HOST:PORT") && !message.contains("secret"));
    }

    #[test]
    fn a_login_becomes_credentials() {
        let proxy: Uri = "http://Aladdin:open%20sesame@p:1".parse().unwrap();
        assert_eq!(authorization(&proxy).as_deref(), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!(authorization(&"http://p:1".parse().unwrap()), None);
    }
}
