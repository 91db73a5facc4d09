//! How we speak TLS: 1.2 at least, and with a server that an authority vouches for by its name.

use super::trouble::Trouble;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::ring, version};
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
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
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
            builder.with_root_certificates(roots)
        }
    };
    Ok(Arc::new(builder.with_no_client_auth()))
}

/// Our side of a conversation with the server of this name.
pub(super) fn client(config: Arc<ClientConfig>, host: &str) -> Result<ClientConnection, Trouble> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Trouble::Certificate("what the server is called here is no name".into()))?;
    ClientConnection::new(config, name).map_err(|e| (&e).into())
}
