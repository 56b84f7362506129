//! TLS to an engine behind TCP: whom to trust, and who we are, from PEM texts.

use std::io;
use std::sync::Arc;

use dial::{Anybody, SYSTEM_ROOTS, provider, system_roots};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// PEM texts of one engine (`ca.pem`, `cert.pem`, `key.pem`).
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Authorities to trust, and no others; without them, the system's.
    pub ca: Option<Vec<u8>>,
    /// Our certificate, used when the key is there, too.
    pub cert: Option<Vec<u8>>,
    pub key: Option<Vec<u8>>,
    /// Off: encrypt, but believe anybody.
    pub verify: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("failed to retrieve context tls info: ca.pem seems invalid")]
    Ca,
    #[error("{SYSTEM_ROOTS}: {0}")]
    SystemRoots(io::Error),
    #[error("no valid private key found")]
    Key,
    #[error("failed to retrieve context tls info: {0}")]
    Config(#[from] rustls::Error),
}

/// How to shake hands. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// # Errors
    /// Texts that are no certificates or keys, or that do not belong together.
    pub fn new(files: &TlsFiles) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if files.verify {
            builder.with_root_certificates(roots(files.ca.as_deref())?)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new(provider)))
        };
        let config = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => {
                let chain = CertificateDer::pem_slice_iter(cert).filter_map(Result::ok).collect();
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
                builder.with_client_auth_cert(chain, key)?
            }
            _ => builder.with_no_client_auth(),
        };
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.connector.connect(name, stream).await
    }
}

fn roots(ca: Option<&[u8]>) -> Result<RootCertStore, TlsError> {
    let system;
    let pem = match ca {
        Some(pem) => pem,
        None => {
            system = system_roots().map_err(TlsError::SystemRoots)?;
            &system
        }
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).filter_map(Result::ok));
    if roots.is_empty() { Err(TlsError::Ca) } else { Ok(roots) }
}

#[cfg(test)]
mod tests;
