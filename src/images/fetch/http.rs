//! Downloads over HTTP: conditional, resumed after a break, through proxies and redirections.

use super::address::Address;
use super::meter::Meter;
use super::proxy::{Outwards, ToProxy, WholeAddress, authorization, basic};
use super::shelf::{Kept, Shelf};
use super::{Delivery, Network, Progress, Validators};
use crate::model::{Problem, Word};
use std::io::{Read, Write};
use ureq::http::{Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::{Connector, DefaultConnector, TcpConnector};
use ureq::{Agent, Body, Error, Proxy};

/// As often a download goes on after a break, if each time something more has come.
const BREAKS: u32 = 10;
const REDIRECTIONS: u32 = 10;

type Answer = Response<Body>;

/// How a try ended that did not deliver.
enum Trouble {
    /// The connection broke: what has come is kept.
    Broken(Problem),
    /// What has come does not fit any more and has been dropped.
    Stale,
    /// There is no point in another try.
    Final(Problem),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Final(problem)
    }
}

/// What a request asks for.
enum Ask {
    Everything,
    Rest(u64, String),
    IfChanged(Validators),
}

/// One image to be downloaded.
pub(super) struct Download<'a> {
    /// From where.
    pub address: &'a Address,
    /// To where.
    pub shelf: &'a Shelf,
    /// What is there already.
    pub kept: Option<&'a Kept>,
    /// How the network is used.
    pub network: &'a Network,
    /// A checksum is known, so that it does not matter by which way it comes.
    pub guarded: bool,
}

/// Downloads into the shelf's `.part` file, unless the image that is there is the present one.
pub(super) fn deliver(download: &Download<'_>, progress: Progress<'_>) -> Result<Delivery, Problem> {
    let url = download.address.uri.to_string();
    let there = || download.shelf.resumable(&url).map_or(0, |(there, _)| there);
    let mut breaks = 0;
    loop {
        let before = there();
        match attempt(download, &url, progress) {
            Ok(delivery) => return Ok(delivery),
            Err(Trouble::Final(problem)) => return Err(problem),
            Err(Trouble::Broken(problem)) => {
                breaks += 1;
                if breaks > BREAKS || there() <= before {
                    return Err(problem);
                }
            }
            // Once at most: there is nothing left to be stale.
            Err(Trouble::Stale) => {}
        }
    }
}

fn attempt(download: &Download<'_>, url: &str, progress: Progress<'_>) -> Result<Delivery, Trouble> {
    let &Download { address, shelf, kept, network, guarded } = download;
    let ask = what_to_ask(shelf.resumable(url), kept);
    let answer = request(address, &ask, network, guarded)?;
    let validators = validators(&answer);
    match (answer.status().as_u16(), &ask) {
        (304, Ask::IfChanged(_)) => Ok(Delivery::Unchanged),
        (200, _) if kept.is_some_and(|kept| is_same(kept, &validators, &answer)) => Ok(Delivery::Unchanged),
        (200, _) => {
            shelf.create_part()?;
            shelf.remember_part(url, &validators)?;
            receive(answer, 0, shelf, network, progress)?;
            Ok(Delivery::Whole(validators))
        }
        (206, Ask::Rest(from, _)) if starts_at(&answer, *from) => {
            receive(answer, *from, shelf, network, progress)?;
            Ok(Delivery::Whole(validators))
        }
        (416, Ask::Rest(from, _)) if is_all(&answer, *from) => {
            Ok(Delivery::Whole(shelf.resumable(url).map(|(_, validators)| validators).unwrap_or_default()))
        }
        (206 | 416, Ask::Rest(..)) => {
            shelf.drop_part();
            Err(Trouble::Stale)
        }
        (status, _) => Err(Trouble::Final(refused(status, &address.uri))),
    }
}

fn what_to_ask(part: Option<(u64, Validators)>, kept: Option<&Kept>) -> Ask {
    // A weak entity tag does not promise the same bytes (RFC 9110, section 13.1.5).
    let strong = |v: Validators| v.etag.filter(|etag| !etag.starts_with("W/")).or(v.last_modified);
    if let Some((from, validator)) = part.and_then(|(from, v)| Some((from, strong(v)?))) {
        return Ask::Rest(from, validator);
    }
    kept.map_or(Ask::Everything, |kept| Ask::IfChanged(kept.validators.clone()))
}

fn validators(answer: &Answer) -> Validators {
    let header = |name| answer.headers().get(name)?.to_str().ok().filter(|v| v.len() <= 512).map(str::to_owned);
    Validators { etag: header("etag"), last_modified: header("last-modified") }
}

/// Whether a server that does not know conditions sends what we have.
fn is_same(kept: &Kept, found: &Validators, answer: &Answer) -> bool {
    let known = found.etag.is_some() && found.etag == kept.validators.etag
        || found.last_modified.is_some() && found.last_modified == kept.validators.last_modified;
    known && length(answer) == Some(kept.fetched.unwrap_or(kept.size))
}

fn length(answer: &Answer) -> Option<u64> {
    answer.headers().get("content-length")?.to_str().ok()?.parse().ok()
}

/// Whether a partial answer is the part that was asked for: `Content-Range: bytes FROM-TO/ALL`.
fn starts_at(answer: &Answer, from: u64) -> bool {
    let range = answer.headers().get("content-range").and_then(|v| v.to_str().ok());
    let start = range.and_then(|r| r.strip_prefix("bytes ")).and_then(|r| r.split_once('-'));
    start.is_some_and(|(start, _)| start.parse() == Ok(from))
}

/// Whether there is no rest because all is there: `Content-Range: bytes */ALL`.
fn is_all(answer: &Answer, there: u64) -> bool {
    let range = answer.headers().get("content-range").and_then(|v| v.to_str().ok());
    range.and_then(|r| r.strip_prefix("bytes */")).is_some_and(|all| all.parse() == Ok(there))
}

/// Appends the body to the `.part` file, of which `there` bytes are there. A download that comes to a bound
/// is not left half done.
fn receive(
    answer: Answer,
    there: u64,
    shelf: &Shelf,
    network: &Network,
    progress: Progress<'_>,
) -> Result<(), Trouble> {
    let host = "The server";
    let total = length(&answer).map(|rest| there.saturating_add(rest));
    let mut meter = Meter::new(shelf.folder(), network.most, there, total).inspect_err(|_| shelf.drop_part())?;
    let mut done = there;
    let mut file = shelf.append_part()?;
    let mut body = answer.into_body().into_reader();
    let mut buffer = vec![0; 256 << 10];
    progress(done, total);
    loop {
        let read = body.read(&mut buffer).map_err(|e| Trouble::Broken(told(&e.into(), host, network)))?;
        if read == 0 {
            break;
        }
        done = meter.count(read).inspect_err(|_| shelf.drop_part())?;
        shelf.written(file.write_all(&buffer[..read]))?;
        progress(done, total);
    }
    match total {
        Some(total) if done < total => Err(Trouble::Broken(broken_off(host))),
        _ => Ok(()),
    }
}

/// Sends the request, and sends it on as long as servers say so.
fn request(address: &Address, ask: &Ask, network: &Network, guarded: bool) -> Result<Answer, Trouble> {
    let mut address = address.clone();
    for _ in 0..=REDIRECTIONS {
        let answer = hop(&address, ask, network)?;
        if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(answer);
        }
        let location = answer.headers().get("location").map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
        let location = location.ok_or_else(|| Problem::failed("The server sends us on, but does not say where to."))?;
        address = address.redirected(&location, guarded).map_err(Problem::failed)?;
    }
    Err(Trouble::Final(Problem::failed(format!("The server sends us on more than {REDIRECTIONS} times."))))
}

fn hop(address: &Address, ask: &Ask, network: &Network) -> Result<Answer, Trouble> {
    let proxy = network.proxies.to(&address.uri).map_err(Problem::failed)?;
    let direct = proxy.as_ref().filter(|proxy| takes_whole_address(proxy, &address.uri));
    let agent = agent(address, proxy.as_ref(), network)?;
    let mut request = agent.get(&address.uri);
    if let Some(login) = &address.login {
        request = request.header("Authorization", basic(login));
    }
    if let Some(login) = direct.and_then(authorization) {
        request = request.header("Proxy-Authorization", login);
    }
    request = match ask {
        Ask::Everything => request,
        Ask::Rest(from, validator) => request.header("Range", format!("bytes={from}-")).header("If-Range", validator),
        Ask::IfChanged(known) => {
            let etag = known.etag.iter().map(|v| ("If-None-Match", v));
            let time = known.last_modified.iter().map(|v| ("If-Modified-Since", v));
            etag.chain(time).fold(request, |request, (name, value)| request.header(name, value))
        }
    };
    let whom = proxy.as_ref().and_then(Uri::host).or(address.uri.host()).unwrap_or_default();
    request.call().map_err(|e| Trouble::Broken(told(&e, whom, network)))
}

/// Whether the request is for the proxy itself, not for a tunnel through it.
fn takes_whole_address(proxy: &Uri, target: &Uri) -> bool {
    proxy.scheme_str() == Some("http") && target.scheme_str() == Some("http")
}

fn agent(address: &Address, proxy: Option<&Uri>, network: &Network) -> Result<Agent, Problem> {
    let target = &address.uri;
    let time = Some(network.timeout);
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    let config = Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("qwdctl/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_resolve(time)
        .timeout_connect(time)
        .timeout_recv_response(time)
        .timeout_per_read(time)
        .timeout_per_write(time)
        .proxy(None);
    match proxy {
        None if address.sent => Ok(Agent::with_parts(config.build(), DefaultConnector::default(), Outwards)),
        None => Ok(config.build().new_agent()),
        Some(proxy) if takes_whole_address(proxy, target) => {
            let prefix = format!("http://{}", target.authority().map_or("", |a| a.as_str()));
            let connector = TcpConnector::default().chain(WholeAddress(prefix));
            Ok(Agent::with_parts(config.build(), connector, ToProxy(proxy.clone())))
        }
        Some(proxy) => {
            let tunnel = Proxy::new(&proxy.to_string()).map_err(|_| Problem::failed("The proxy cannot be used."))?;
            Ok(config.proxy(Some(tunnel)).build().new_agent())
        }
    }
}

fn refused(status: u16, uri: &Uri) -> Problem {
    let host = uri.host().unwrap_or_default();
    let text = match status {
        401 | 403 => format!("{host} does not let us have the image (HTTP status {status})."),
        404 | 410 => format!("{host} has no such file (HTTP status {status}): correct url= in machines.conf."),
        407 => "The proxy wants a name and password: write service_proxy = \"http://NAME:PASSWORD@HOST:PORT\".".into(),
        500.. => format!("{host} has a problem of its own (HTTP status {status}); try again later."),
        _ => format!("{host} answers with HTTP status {status}, which is no download."),
    };
    Problem::failed(text)
}

fn broken_off(whom: &str) -> Problem {
    let text = "broke the connection off before all had come; the next 'qwdctl download' goes on from there.";
    Problem::new(Word::Unavailable, format!("{whom} {text}"))
}

/// An error of the network as a sentence.
fn told(error: &Error, whom: &str, network: &Network) -> Problem {
    let text = match error {
        Error::Timeout(_) => {
            let seconds = network.timeout.as_secs();
            format!("{whom} has sent nothing for {seconds} s (download.timeout); the download was given up.")
        }
        Error::HostNotFound => format!("No name server knows {whom}."),
        Error::ConnectionFailed => format!("{whom} cannot be reached."),
        Error::ConnectProxyFailed(why) => format!("The proxy {whom} refuses the connection: {why}."),
        Error::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => return broken_off(whom),
        Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            format!("{whom} refuses the connection: nothing listens there.")
        }
        Error::Io(e) => format!("The connection to {whom} failed: {e}."),
        other => format!("The download from {whom} failed: {other}."),
    };
    Problem::new(Word::Unavailable, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(etag: Option<&str>, time: Option<&str>) -> Validators {
        Validators { etag: etag.map(str::to_owned), last_modified: time.map(str::to_owned) }
    }

    #[test]
    fn only_a_strong_validator_lets_a_download_go_on() {
        let rest = |v| match what_to_ask(Some((5, v)), None) {
            Ask::Rest(5, validator) => Some(validator),
            _ => None,
        };
        assert_eq!(rest(known(Some("\"a\""), Some("t"))).as_deref(), Some("\"a\""));
        assert_eq!(rest(known(Some("W/\"a\""), Some("t"))).as_deref(), Some("t"));
        assert_eq!(rest(known(Some("W/\"a\""), None)), None);
        assert_eq!(rest(known(None, None)), None);
    }
}
