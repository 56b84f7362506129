//! TLS to a collector: whom to trust, and who we are, from PEM files.

use std::io;
use std::sync::Arc;

use ::dial::{Anybody, provider, system_roots};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};

/// Paths of PEM files; empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Files {
    /// Trusted beside the system's authorities.
    pub(super) ca: String,
    pub(super) cert: String,
    pub(super) key: String,
    /// Encrypt, but believe anybody.
    pub(super) skip_verify: bool,
}

pub(super) fn config(files: &Files) -> io::Result<Arc<ClientConfig>> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = if files.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new(provider)))
    } else {
        builder.with_root_certificates(roots(&files.ca)?)
    };
    if files.cert.is_empty() && files.key.is_empty() {
        return Ok(Arc::new(builder.with_no_client_auth()));
    }
    let (cert, key) = (read(&files.cert)?, read(&files.key)?);
    let chain = CertificateDer::pem_slice_iter(&cert).filter_map(Result::ok).collect();
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| io::Error::other(format!("{}: no valid private key found", files.key)))?;
    builder
        .with_client_auth_cert(chain, key)
        .map(Arc::new)
        .map_err(|e| io::Error::other(format!("could not load X509 key pair: {e}")))
}

fn read(path: &str) -> io::Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|e| io::Error::new(e.kind(), format!("open {path}: {}", super::dial::reason(&e))))
}

fn roots(ca: &str) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let system = match system_roots() {
        Ok(pem) => pem,
        Err(_) if !ca.is_empty() => Vec::new(),
        Err(e) => {
            let why = super::dial::reason(&e);
            return Err(io::Error::new(e.kind(), format!("the system's certificates: {why}")));
        }
    };
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&system).filter_map(Result::ok));
    if !ca.is_empty() {
        let pem = read(ca)?;
        let (added, _) =
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
        if added == 0 {
            return Err(io::Error::other(format!("failed to append certificates from PEM file: {ca:?}")));
        }
    }
    Ok(roots)
}

pub(super) fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    ServerName::try_from(host.to_owned()).map_err(io::Error::other)
}
