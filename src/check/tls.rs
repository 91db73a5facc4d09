//! How we speak TLS: 1.2 at least, and with a server that an authority vouches for by its name.

use super::trouble::Trouble;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore};
use rustls::{SignatureScheme, crypto::ring, version};
use rustls_platform_verifier::BuilderVerifierExt;
use std::path::Path;
use std::sync::Arc;

/// Whose word is taken for who a server is.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The authorities that this system trusts.
    System,
    /// These alone.
    Only(Vec<CertificateDer<'static>>),
}

impl Trust {
    /// Reads the authorities of a PEM file; without one, the system's count.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, String> {
        let Some(path) = ca_file else { return Ok(Self::System) };
        let unreadable = |e: std::io::Error| {
            format!(
                "The file of certificate authorities {} cannot be read: {e}. The service does not see /home, /root and /tmp.",
                path.display()
            )
        };
        let text = std::fs::read(path).map_err(unreadable)?;
        let text = crate::config::text::without_marks(&text)
            .map_err(|why| format!("The file of certificate authorities {} cannot be used: {why}.", path.display()))?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        match found {
            Ok(all) if !all.is_empty() => Ok(Self::Only(all)),
            _ => Err(format!(
                "The file of certificate authorities {} has no certificate in the form of PEM in it.",
                path.display()
            )),
        }
    }
}

/// TLS 1.2 and 1.3, with the ciphers of those.
pub fn config(trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .map_err(|e| format!("TLS is not available: {e}."))?;
    let builder = match trust {
        Trust::System => builder.with_platform_verifier().map_err(|_| {
            "This system has no certificate authorities: 'apt install ca-certificates' brings them.".to_owned()
        })?,
        Trust::Only(authorities) => {
            let mut roots = RootCertStore::empty();
            let (_, odd) = roots.add_parsable_certificates(authorities.iter().cloned());
            if odd > 0 {
                return Err("The file of certificate authorities has a certificate in it that cannot be used.".into());
            }
            let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|_| "The file of certificate authorities has no certificate in it that can be used.")?;
            let verifier = FileVerifier { chains, pinned: authorities.clone() };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// Verifies a server by the certificates of a file: those are authorities, or the server's own.
///
/// What openssl makes by default is both: a certificate that signs itself, says that it is an authority's, and has no
/// name of a host. A server that shows just this certificate, and has its key, is the one that is meant.
#[derive(Debug)]
struct FileVerifier {
    chains: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for FileVerifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let result = self.chains.verify_server_cert(shown, chain, name, ocsp, now);
        match result {
            // The period of validity has been looked at before this.
            Err(Error::InvalidCertificate(why)) if self.pinned.contains(shown) && is_authority(&why) => {
                accept_nameless(verify_server_name(&ParsedCertificate::try_from(shown)?, name))
            }
            Err(error) if self.pinned.contains(shown) => accept_nameless(Err(error)),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Return true if a server's certificate is refused only because it is an authority's.
pub(super) fn is_authority(error: &CertificateError) -> bool {
    // The type of this error is not exported.
    matches!(error, CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity")
}

/// A certificate without any name cannot be for another host; one with names has to have this host's.
fn accept_nameless(result: Result<(), Error>) -> Result<ServerCertVerified, Error> {
    match result {
        Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))
            if presented.is_empty() =>
        {
            Ok(ServerCertVerified::assertion())
        }
        other => other.map(|()| ServerCertVerified::assertion()),
    }
}

/// Our side of a conversation with the server of this name.
pub(super) fn client(config: Arc<ClientConfig>, host: &str) -> Result<ClientConnection, Trouble> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Trouble::Certificate("what the server is called here is no name".into()))?;
    ClientConnection::new(config, name).map_err(|e| (&e).into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::time::Duration;

    /// A certificate that no server of a test has.
    pub(in crate::check) fn nameless() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(NAMELESS).unwrap()
    }

    /// As `openssl req -x509 -subj /CN=mail.example.org` makes it: an authority's, and without a name.
    const NAMELESS: &[u8] = b"-----BEGIN CERTIFICATE-----\n\
        MIIBjjCCATOgAwIBAgIUOLJEfXeqfsLW34uI2RYxSLb7wIwwCgYIKoZIzj0EAwIw\n\
        GzEZMBcGA1UEAwwQbWFpbC5leGFtcGxlLm9yZzAgFw0yNjExMjkxMTI4MzFaGA8y\n\
        MTI2MTEwNTExMjgzMVowGzEZMBcGA1UEAwwQbWFpbC5leGFtcGxlLm9yZzBZMBMG\n\
        ByqGSM49AgEGCCqGSM49AwEHA0IABGVPqIOQy9qt1LipLhJ9VC0MO/e3qF8gcQfa\n\
        anpixnysjsWnK4nt42HCLOh0EGheLHwsJ06mt3rS2fABGX3M91+jUzBRMB0GA1Ud\n\
        DgQWBBQKhjwrmC6a4VKG+hU5a7hWSpAMNDAfBgNVHSMEGDAWgBQKhjwrmC6a4VKG\n\
        +hU5a7hWSpAMNDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQDG\n\
        0JCqOnS+gwrW1aBwak/ixNDcovGu9tdo5ji8w4p5rgIhAKCFJX9qSX4rt7IeggXX\n\
        jC677IZ6WMalvxvEu+8Al2f7\n\
        -----END CERTIFICATE-----\n";
    /// The same with a name.
    const NAMED: &[u8] = b"-----BEGIN CERTIFICATE-----\n\
        MIIBqzCCAVCgAwIBAgIUAyGTrpzItwMhSAbVn5MiPo6t32YwCgYIKoZIzj0EAwIw\n\
        GzEZMBcGA1UEAwwQbWFpbC5leGFtcGxlLm9yZzAgFw0yNjExMjkxMTI4MzFaGA8y\n\
        MTI2MTEwNTExMjgzMVowGzEZMBcGA1UEAwwQbWFpbC5leGFtcGxlLm9yZzBZMBMG\n\
        ByqGSM49AgEGCCqGSM49AwEHA0IABGVPqIOQy9qt1LipLhJ9VC0MO/e3qF8gcQfa\n\
        anpixnysjsWnK4nt42HCLOh0EGheLHwsJ06mt3rS2fABGX3M91+jcDBuMB0GA1Ud\n\
        DgQWBBQKhjwrmC6a4VKG+hU5a7hWSpAMNDAfBgNVHSMEGDAWgBQKhjwrmC6a4VKG\n\
        +hU5a7hWSpAMNDAPBgNVHRMBAf8EBTADAQH/MBsGA1UdEQQUMBKCEG1haWwuZXhh\n\
        bXBsZS5vcmcwCgYIKoZIzj0EAwIDSQAwRgIhANzFuNfVWlFIk1Zq95gADPfCZPED\n\
        8MFpSQFCCNAj580aAiEAsXIbeOtduH0CVto2GA8AOgzjenxOiHJESMfzY14CVGI=\n\
        -----END CERTIFICATE-----\n";
    /// In 2040.
    const THEN: u64 = 2_208_988_800;

    fn verify(file: &[u8], shown: &[u8], host: &str, now: u64) -> Result<ServerCertVerified, Error> {
        let one = |pem: &[u8]| CertificateDer::from_pem_slice(pem).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(one(file)).unwrap();
        let provider = Arc::new(ring::default_provider());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let verifier = FileVerifier { chains, pinned: vec![one(file)] };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        verifier.verify_server_cert(&one(shown), &[], &ServerName::try_from(host).unwrap(), &[], now)
    }

    #[test]
    fn certificates_are_found_whatever_editor_wrote_the_file() {
        const PEM: &str = "-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n";
        let path = std::env::temp_dir().join(format!("qwd-ca-{}", std::process::id()));
        std::fs::write(&path, format!("\u{feff}{PEM}\u{feff}{PEM}")).unwrap();
        let found = Trust::load(Some(&path));
        std::fs::write(&path, b"\xff\xfe-\0").unwrap();
        let utf16 = Trust::load(Some(&path));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(found, Ok(Trust::Only(all)) if all.len() == 2));
        assert!(utf16.unwrap_err().contains("UTF-16"));
    }

    #[test]
    fn a_certificate_that_signs_itself_is_good_where_it_is_the_file() {
        for host in ["mail.example.org", "other.example.org", "192.0.2.1"] {
            assert!(verify(NAMELESS, NAMELESS, host, THEN).is_ok(), "{host}");
        }
        assert!(verify(NAMED, NAMED, "mail.example.org", THEN).is_ok());
        let refused = |result: Result<_, Error>| match result {
            Err(Error::InvalidCertificate(why)) => Trouble::from(&why),
            other => panic!("{other:?}"),
        };
        let names = vec!["mail.example.org".to_owned()];
        assert_eq!(refused(verify(NAMED, NAMED, "other.example.org", THEN)), Trouble::OtherName(names));
        assert_eq!(refused(verify(NAMED, NAMED, "mail.example.org", 1)), Trouble::NotYetValid);
        assert_eq!(refused(verify(NAMELESS, NAMELESS, "mail.example.org", 1 << 40)), Trouble::Expired);
        // Another certificate, though of the same key and with the same subject.
        assert_eq!(refused(verify(NAMED, NAMELESS, "mail.example.org", THEN)), Trouble::SelfSigned);
    }
}
