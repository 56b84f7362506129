//! Accepting connections, with or without TLS, until told to stop.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::error::{Code, Error, Result};
use crate::service::Service;
use crate::settings::{Settings, Tls};
use crate::storage::Storage;

/// A client that does not send its head within this time is let go.
const HEAD: Duration = Duration::from_secs(30);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long open requests may go on once the registry is told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// After accept failed (out of descriptors, mostly) there is no point in asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Uploads read in pieces of this size: a system call costs little beside it.
const BUFFER_BYTES: usize = 512 << 10;
/// What nobody has is kept this long: an upload may be about to name it.
const GRACE: Duration = Duration::from_secs(3600);

/// Serves until `shutdown` resolves.
///
/// # Errors
/// A file of the settings cannot be read or understood.
pub async fn serve(
    settings: Settings,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let tls = settings.tls.as_ref().map(acceptor).transpose()?;
    let storage = Storage::open(&settings.root)?;
    if let Some(every) = settings.collect_every {
        tokio::spawn(collect(storage.clone(), every));
    }
    let service = Arc::new(Service::new(settings, storage)?);
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let Ok((stream, remote)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (service, tls, watcher) = (service.clone(), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            // What goes wrong with one connection is its client's business; requests are in the access log.
            let _ = match tls {
                None => converse(service, stream, remote.ip(), watcher).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => converse(service, stream, remote.ip(), watcher).await,
                    Ok(Err(error)) => Err(error),
                    Err(_) => Ok(()),
                },
            };
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, graceful.shutdown()).await;
    Ok(())
}

async fn converse(
    service: Arc<Service>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    remote: IpAddr,
    watcher: hyper_util::server::graceful::Watcher,
) -> io::Result<()> {
    let answer = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(service.answer(request, remote).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER_BYTES);
    builder.http2().timer(TokioTimer::new()).adaptive_window(true);
    let connection = builder.serve_connection(TokioIo::new(stream), answer).into_owned();
    watcher.watch(connection).await.map_err(io::Error::other)
}

async fn collect(storage: Storage, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let storage = storage.clone();
        let _ = tokio::task::spawn_blocking(move || storage.collect(GRACE, false, false)).await;
    }
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| {
        Error::new(Code::Unknown, format!("{}: {error}", path.display()))
    };
    let certificates = certificates(&tls.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| wrong(&tls.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
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
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build();
            builder.with_client_cert_verifier(verifier.map_err(|error| wrong(first, &error))?)
        }
    };
    let config = builder.with_single_cert(certificates, key);
    let mut config = config.map_err(|error| wrong(&tls.certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
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
