//! Accepting connections, with or without TLS, until told to stop; and what goes on beside them.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::blocking::blocking;
use crate::debug;
use crate::error::Result;
use crate::health::Health;
use crate::log::{Level, Log};
use crate::metrics::Metrics;
use crate::notify::Notifier;
use crate::retention::Rule;
use crate::service::Service;
use crate::settings::{Purge, Settings};
use crate::storage::Storage;
use crate::tls;
use crate::upstream::Upstreams;

/// A client that does not send its head within this time is let go.
const HEAD: Duration = Duration::from_secs(30);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After accept failed (out of descriptors, mostly) there is no point in asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Uploads read in pieces of this size: a system call costs little beside it.
const BUFFER_BYTES: usize = 512 << 10;
/// What nobody has is kept this long: an upload may be about to name it.
const GRACE: Duration = Duration::from_secs(3600);

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok(Stream::Tcp(stream, remote))
            }
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        }
    }
}

/// Serves until `shutdown` resolves.
///
/// # Errors
/// A file of the settings cannot be read or understood, or the address for debugging is not to be had.
pub async fn serve(settings: Settings, listener: Listener, shutdown: impl Future<Output = ()>) -> Result<()> {
    let tls = settings.tls.as_ref().map(|tls| tls::acceptor(tls, settings.http2)).transpose()?;
    let storage = {
        let settings = settings.clone();
        blocking(move || settings.storage()).await?
    };
    let health = Health::watch(&settings.health, &storage);
    let metrics = Arc::new(Metrics::default());
    // Those that go on for as long as this does.
    let mut beside = tokio::task::JoinSet::new();
    for check in health.checks() {
        beside.spawn(check);
    }
    if let Some(debug) = &settings.debug {
        beside.spawn(debug::serve(debug.clone(), health.clone(), metrics.clone()).await?);
    }
    if let Some(every) = settings.collect_every {
        beside.spawn(collect(storage.clone(), every, settings.log.clone()));
    }
    if let Some(every) = settings.retention.every.filter(|_| !settings.read_only) {
        beside.spawn(retain(storage.clone(), every, settings.retention.rules.clone(), settings.log.clone()));
    }
    if let Some(purge) = settings.purge.filter(|_| !settings.read_only) {
        beside.spawn(self::purge(storage.clone(), purge, settings.log.clone()));
    }
    let upstreams = Upstreams::new(&settings.upstreams, &storage, &settings.log)?;
    for upstream in upstreams.all() {
        if let Some(expiry) = upstream.expiry() {
            beside.spawn(expiry);
        }
    }
    let port = match &listener {
        Listener::Tcp(listener) => listener.local_addr().ok().map(|address| address.port()),
        Listener::Unix(_) => None,
    };
    let notifier = Notifier::new(&settings.notifications, port, &storage, &settings.log);
    for sender in notifier.senders() {
        beside.spawn(sender);
    }
    let drain = settings.drain;
    let http1_only = match settings.tls {
        Some(_) => !settings.http2,
        None => !settings.h2c,
    };
    let service = Arc::new(Service::new(settings, storage, upstreams, health, metrics, notifier)?);
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let Ok(stream) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (service, tls, watcher) = (service.clone(), tls.clone(), graceful.watcher());
        tokio::spawn(async move {
            let remote = match &stream {
                Stream::Tcp(_, remote) => Some(*remote),
                Stream::Unix(_) => None,
            };
            let conversation = Conversation { service, remote, watcher, http1_only };
            // What goes wrong with one connection is its client's business; requests are in the access log.
            let _ = match (stream, tls) {
                (Stream::Tcp(stream, _), None) => conversation.hold(stream).await,
                (Stream::Unix(stream), None) => conversation.hold(stream).await,
                (Stream::Tcp(stream, _), Some(tls)) => conversation.secretly(tls, stream).await,
                (Stream::Unix(stream), Some(tls)) => conversation.secretly(tls, stream).await,
            };
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(drain, graceful.shutdown()).await;
    beside.shutdown().await;
    Ok(())
}

struct Conversation {
    service: Arc<Service>,
    remote: Option<SocketAddr>,
    watcher: Watcher,
    http1_only: bool,
}

impl Conversation {
    async fn secretly(
        self,
        tls: tokio_rustls::TlsAcceptor,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> io::Result<()> {
        match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(stream) => self.hold(stream?).await,
            Err(_) => Ok(()),
        }
    }

    async fn hold(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<()> {
        let Conversation { service, remote, watcher, http1_only } = self;
        let answer = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(service.answer(request, remote).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        if http1_only {
            builder = builder.http1_only();
        }
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(BUFFER_BYTES);
        // Spelled as Go does: scripts look for `Docker-Content-Digest:` in what curl prints.
        builder.http1().title_case_headers(true);
        builder.http2().timer(TokioTimer::new()).adaptive_window(true);
        let connection = builder.serve_connection(TokioIo::new(stream), answer).into_owned();
        watcher.watch(connection).await.map_err(io::Error::other)
    }
}

async fn collect(storage: Storage, every: Duration, log: Log) {
    loop {
        tokio::time::sleep(every).await;
        let storage = storage.clone();
        let done = tokio::task::spawn_blocking(move || storage.collect(GRACE, false, false)).await;
        if let Ok(Err(error)) = done {
            log.say(Level::Error, &format!("what nobody has could not be removed: {error}"));
        }
    }
}

async fn retain(storage: Storage, every: Duration, rules: Vec<Rule>, log: Log) {
    loop {
        tokio::time::sleep(every).await;
        let (storage, rules) = (storage.clone(), rules.clone());
        let done = tokio::task::spawn_blocking(move || {
            let retired = storage.retain(&rules, false)?;
            storage.collect(GRACE, false, false).map(|_| retired)
        });
        match done.await {
            Ok(Ok(retired)) => {
                retired.iter().for_each(|one| log.say(Level::Info, &format!("removed {one}")));
            }
            Ok(Err(error)) => log.say(Level::Error, &format!("tags could not be removed: {error}")),
            Err(_) => return,
        }
    }
}

async fn purge(storage: Storage, purge: Purge, log: Log) {
    loop {
        let storage = storage.clone();
        let done = tokio::task::spawn_blocking(move || storage.purge(purge.age, purge.dry_run)).await;
        match done {
            Ok(Ok(ids)) => {
                let verb = if purge.dry_run { "would be" } else { "was" };
                for id in ids {
                    log.say(Level::Info, &format!("upload {id}: nobody went on with it, it {verb} removed"));
                }
            }
            Ok(Err(error)) => log.say(Level::Error, &format!("uploads could not be purged: {error}")),
            Err(_) => return,
        }
        tokio::time::sleep(purge.every).await;
    }
}
