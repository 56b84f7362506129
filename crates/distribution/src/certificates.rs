//! TLS towards one host: the system's authorities and those of its directory below `certs.d`, and our certificate for it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use dial::{Anybody, provider, system_roots};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Result};
use crate::hosts::HostTls;

/// How to shake hands with the host whose files are in `directory`.
///
/// # Errors
/// A file there is not what its name says, or half a pair.
pub(crate) fn config(directory: &Path, insecure: bool) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    if let Ok(pem) = system_roots() {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    }
    let mut own = None;
    for name in names(directory)? {
        let path = directory.join(&name);
        let read = |path: &Path| {
            fs::read(path).map_err(|error| Error::Local(format!("open {}: {error}", path.display())))
        };
        if name.ends_with(".crt") {
            let pem = read(&path)?;
            let (added, _) =
                roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
            if added == 0 {
                return Err(Error::Local(format!("{}: no certificate in it", path.display())));
            }
        } else if let Some(stem) = name.strip_suffix(".cert") {
            let key = directory.join(format!("{stem}.key"));
            if !key.exists() {
                return Err(Error::Local(format!(
                    "missing key {stem}.key for client certificate {name}. CA certificates must use the extension .crt"
                )));
            }
            let chain: Vec<_> =
                CertificateDer::pem_slice_iter(&read(&path)?).filter_map(Result::ok).collect();
            let key = PrivateKeyDer::from_pem_slice(&read(&key)?)
                .map_err(|error| Error::Local(format!("{}: {error}", key.display())))?;
            own = Some((chain, key));
        } else if let Some(stem) = name.strip_suffix(".key")
            && !directory.join(format!("{stem}.cert")).exists()
        {
            return Err(Error::Local(format!("missing client certificate {stem}.cert for key {name}")));
        }
    }
    build(roots, own, insecure).map_err(|error| Error::Local(format!("{}: {error}", directory.display())))
}

/// How to shake hands with a host of `hosts.toml`.
///
/// # Errors
/// A file of it cannot be read, or is not what it should be.
pub(crate) fn of_host(tls: &HostTls) -> Result<Arc<ClientConfig>> {
    let read = |path: &Path| {
        fs::read(path).map_err(|error| Error::Local(format!("open {}: {error}", path.display())))
    };
    let bad = |path: &Path, what: &str| Error::Local(format!("{}: no {what} in it", path.display()));
    let mut roots = RootCertStore::empty();
    if let Ok(pem) = system_roots() {
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    }
    for path in &tls.authorities {
        let pem = read(path)?;
        let found = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
        if roots.add_parsable_certificates(found).0 == 0 {
            return Err(bad(path, "certificate"));
        }
    }
    let own = match &tls.own {
        None => None,
        Some((certificate, key)) => {
            let key = key.as_ref().unwrap_or(certificate);
            let pem = read(certificate)?;
            let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
            if chain.is_empty() {
                return Err(bad(certificate, "certificate"));
            }
            Some((chain, PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| bad(key, "private key"))?))
        }
    };
    build(roots, own, tls.skip_verify).map_err(|error| Error::Local(error.to_string()))
}

/// A chain of certificates, and the key of its first.
type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn build(
    roots: RootCertStore,
    own: Option<Own>,
    insecure: bool,
) -> std::result::Result<Arc<ClientConfig>, rustls::Error> {
    let provider = provider();
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = if insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new(provider)))
    } else {
        builder.with_root_certificates(roots)
    };
    let config = match own {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Sorted, so that the same file wins everywhere.
fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::Local(format!("open {}: {error}", directory.display()))),
    };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_and_empty_authorities_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let says = |insecure| config(directory.path(), insecure).map(drop).unwrap_err().to_string();
        assert!(config(&directory.path().join("nosuch"), false).is_ok());
        fs::write(directory.path().join("client.cert"), "").unwrap();
        assert!(says(false).starts_with("missing key client.key for client certificate client.cert"));
        fs::remove_file(directory.path().join("client.cert")).unwrap();
        fs::write(directory.path().join("client.key"), "").unwrap();
        assert_eq!(says(true), "missing client certificate client.cert for key client.key");
        fs::remove_file(directory.path().join("client.key")).unwrap();
        fs::write(directory.path().join("ca.crt"), "junk").unwrap();
        assert!(says(false).ends_with("ca.crt: no certificate in it"));
    }
}
