//! TLS to a collector: whom to trust, and who we are, from PEM files.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde::{Deserialize, Serialize};

/// Where Debian and most others keep the authorities of the system; `SSL_CERT_FILE` names another place, as in Go.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = if files.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody { provider }))
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
    let system = std::env::var("SSL_CERT_FILE").unwrap_or_else(|_| SYSTEM_ROOTS.to_owned());
    let system = match read(&system) {
        Ok(pem) => pem,
        Err(_) if !ca.is_empty() && !Path::new(&system).exists() => Vec::new(),
        Err(e) => return Err(e),
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

/// Any certificate will do, as long as its holder signs the handshake.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
