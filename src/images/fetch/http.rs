//! Downloads over HTTP: conditional, resumed after a break, through proxies and redirections.

use super::super::facts::printable;
use super::address::Address;
use super::content::{Content, length, unknown_encoding, validators};
use super::informational::SkipInformational;
use super::meter::Meter;
use super::proxy::{Outwards, ToProxy, WholeAddress, authorization, basic};
use super::refused::refused;
use super::shelf::{Kept, Shelf};
use super::{Answer, Delivery, Network, Progress, Validators};
use crate::model::{Problem, Word};
use std::io::{Read, Write};
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector, TcpConnector};
use ureq::{Agent, Error, Proxy};

/// As often a download goes on after a break, if each time something more has come.
const BREAKS: u32 = 10;
const REDIRECTIONS: u32 = 10;

/// How a try ended that did not deliver.
enum Trouble {
    /// The connection broke: what has come is kept.
    Broken(Problem),
    /// What has come, or what is there, does not fit what the server says now.
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
    let (mut breaks, mut kept) = (0, download.kept);
    loop {
        let before = there();
        match attempt(download, kept, &url, progress) {
            Ok(delivery) => return Ok(delivery),
            Err(Trouble::Final(problem)) => return Err(problem),
            Err(Trouble::Broken(problem)) => {
                breaks += 1;
                if breaks > BREAKS || there() <= before {
                    return Err(problem);
                }
            }
            // Until the next break there is nothing left to be stale.
            Err(Trouble::Stale) => {
                download.shelf.drop_part();
                kept = None;
            }
        }
    }
}

fn attempt(
    download: &Download<'_>,
    kept: Option<&Kept>,
    url: &str,
    progress: Progress<'_>,
) -> Result<Delivery, Trouble> {
    let &Download { address, shelf, network, guarded, .. } = download;
    let part = shelf.resumable(url);
    let ask = what_to_ask(part.as_ref(), kept);
    let (answer, place) = request(address, &ask, network, guarded)?;
    let found = validators(&answer);
    match (answer.status().as_u16(), &ask, part) {
        (304, Ask::IfChanged(known), _) if known.deny(&found) => Err(Trouble::Stale),
        (304, Ask::IfChanged(_), _) => Ok(Delivery::Unchanged),
        (200, _, _) if kept.is_some_and(|kept| is_same(kept, &found, &answer)) => {
            shelf.drop_part();
            Ok(Delivery::Unchanged)
        }
        (200, _, _) => {
            refuse_encoding(&answer, &place)?;
            shelf.create_part()?;
            shelf.remember_part(url, Content::of(&answer, &place).without_weak_time(&answer))?;
            let total = length(&answer);
            receive(answer, 0, total, shelf, network, progress)?;
            Ok(Delivery::Whole(found))
        }
        (206, Ask::Rest(from, _), Some((_, content))) => {
            let total = content.followed_by(*from, &answer, &place, guarded).ok_or(Trouble::Stale)?;
            receive(answer, *from, Some(total), shelf, network, progress)?;
            Ok(Delivery::Whole(content.validators.or(found)))
        }
        (416, Ask::Rest(from, _), Some((_, content))) if content.is_complete(*from, &answer) => {
            Ok(Delivery::Whole(content.validators.or(found)))
        }
        (416, Ask::Rest(..), _) => Err(Trouble::Stale),
        _ => Err(Trouble::Final(refused(&answer, &place))),
    }
}

fn what_to_ask(part: Option<&(u64, Content)>, kept: Option<&Kept>) -> Ask {
    if let Some((from, validator)) = part.and_then(|(from, content)| Some((*from, content.strong_validator()?))) {
        return Ask::Rest(from, validator.to_owned());
    }
    kept.map_or(Ask::Everything, |kept| Ask::IfChanged(kept.validators.clone()))
}

/// Whether a server that does not know conditions sends what we have.
fn is_same(kept: &Kept, found: &Validators, answer: &Answer) -> bool {
    kept.validators.same(found) && length(answer) == Some(kept.fetched.unwrap_or(kept.size))
}

fn refuse_encoding(answer: &Answer, place: &Uri) -> Result<(), Problem> {
    let host = place.host().unwrap_or_default();
    unknown_encoding(answer).map_or(Ok(()), |encoding| {
        let encoding = printable(&encoding, 40);
        let text = format!(
            "{host} sends the image in the encoding '{encoding}', which qwdctl did not ask for and cannot undo."
        );
        Err(Problem::failed(text))
    })
}

/// Appends the body to the `.part` file, of which `there` bytes of `total` are there. A download that comes to a
/// bound is not left half done.
fn receive(
    answer: Answer,
    there: u64,
    total: Option<u64>,
    shelf: &Shelf,
    network: &Network,
    progress: Progress<'_>,
) -> Result<(), Trouble> {
    let host = "The server";
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
        Some(total) if done > total => Err(Trouble::Stale),
        _ => Ok(()),
    }
}

/// Sends the request, and sends it on as long as servers say so. Returns the address that answers, too.
fn request(address: &Address, ask: &Ask, network: &Network, guarded: bool) -> Result<(Answer, Uri), Trouble> {
    let mut address = address.clone();
    for _ in 0..=REDIRECTIONS {
        let answer = hop(&address, ask, network)?;
        if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok((answer, address.uri));
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
    let connector = DefaultConnector::default().chain(SkipInformational);
    match proxy {
        None if address.sent => Ok(Agent::with_parts(config.build(), connector, Outwards)),
        None => Ok(Agent::with_parts(config.build(), connector, DefaultResolver::default())),
        Some(proxy) if takes_whole_address(proxy, target) => {
            let prefix = format!("http://{}", target.authority().map_or("", |a| a.as_str()));
            let connector = TcpConnector::default().chain(WholeAddress(prefix)).chain(SkipInformational);
            Ok(Agent::with_parts(config.build(), connector, ToProxy(proxy.clone())))
        }
        Some(proxy) => {
            let tunnel = Proxy::new(&proxy.to_string()).map_err(|_| Problem::failed("The proxy cannot be used."))?;
            Ok(Agent::with_parts(config.proxy(Some(tunnel)).build(), connector, DefaultResolver::default()))
        }
    }
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
