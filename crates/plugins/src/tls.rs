//! How to shake hands with a plugin on another machine: what its `.json` file says.

use std::path::Path;
use std::sync::Arc;

use dial::{Anybody, provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::discovery::Tls;

/// # Errors
/// A file of it cannot be read, or is not what it should be.
pub(crate) fn config(tls: &Tls) -> Result<Arc<ClientConfig>, String> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match tls.insecure_skip_verify {
        true => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new(provider))),
        false => builder.with_root_certificates(roots(&tls.authority)?),
    };
    let config = match (tls.certificate.as_str(), tls.key.as_str()) {
        ("", "") => Ok(builder.with_no_client_auth()),
        (certificate, key) => {
            let chain = certificates(certificate)?;
            let key =
                PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| format!("{key}: {error}"))?;
            builder.with_client_auth_cert(chain, key)
        }
    };
    config.map(Arc::new).map_err(|error| error.to_string())
}

fn roots(path: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(path)?);
    if roots.is_empty() { Err(format!("{path}: no authority in it")) } else { Ok(roots) }
}

fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if found.is_empty() { Err(format!("{path}: no certificate in it")) } else { Ok(found) }
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(Path::new(path)).map_err(|error| format!("{path}: {error}"))
}
