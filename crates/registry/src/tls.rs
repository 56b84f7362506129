//! TLS as the settings want it.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use crate::error::{Code, Error, Result};
use crate::settings::Tls;

/// Whether there is a cipher suite of this name (IANA's; of TLS 1.3 also as rustls calls it).
pub(crate) fn knows(name: &str) -> bool {
    rustls::crypto::ring::default_provider().cipher_suites.iter().any(|suite| is(suite, name))
}

fn is(suite: &rustls::SupportedCipherSuite, name: &str) -> bool {
    // `TLS13_AES_128_GCM_SHA256` is TLS_AES_128_GCM_SHA256; Go leaves the hash out of ChaCha's names.
    let known = format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1);
    known == name
        || known.strip_suffix("_SHA256").is_some_and(|short| short == name && short.ends_with("POLY1305"))
}

pub(crate) fn acceptor(tls: &Tls, http2: bool) -> Result<TlsAcceptor> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| {
        Error::new(Code::Unknown, format!("{}: {error}", path.display()))
    };
    let certificates = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| wrong(&tls.key, &error))?;
    let mut provider = rustls::crypto::ring::default_provider();
    if !tls.cipher_suites.is_empty() {
        // As in Go, those of 1.3 are not chosen among.
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some() || tls.cipher_suites.iter().any(|name| is(suite, name)));
    }
    let provider: Arc<CryptoProvider> = Arc::new(provider);
    let versions: &[&rustls::SupportedProtocolVersion] = match tls.only_1_3 {
        true => &[&rustls::version::TLS13],
        false => rustls::ALL_VERSIONS,
    };
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(|error| wrong(&tls.certificate, &error))?;
    let builder = match tls.client_authorities.first() {
        None => builder.with_no_client_auth(),
        Some(first) => {
            let mut roots = rustls::RootCertStore::empty();
            for path in &tls.client_authorities {
                for certificate in self::certificates(path)? {
                    roots.add(certificate).map_err(|error| wrong(path, &error))?;
                }
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match tls.client_optional {
                true => verifier.allow_unauthenticated(),
                false => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| wrong(first, &error))?)
        }
    };
    let config = builder.with_single_cert(certificates, key);
    let mut config = config.map_err(|error| wrong(&tls.certificate, &error))?;
    config.alpn_protocols = match http2 {
        true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        false => vec![b"http/1.1".to_vec()],
    };
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let found = read.map_err(|error| Error::new(Code::Unknown, format!("{}: {error}", path.display())))?;
    match found.is_empty() {
        true => Err(Error::new(Code::Unknown, format!("{}: no certificate in it", path.display()))),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn cipher_suites_have_the_names_of_go() {
        for name in [
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
            "TLS_AES_128_GCM_SHA256",
        ] {
            assert!(super::knows(name), "{name}");
        }
        assert!(!super::knows("TLS_RSA_WITH_RC4_128_SHA"));
    }
}
