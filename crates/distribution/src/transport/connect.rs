//! The way to an origin: name, socket, proxy, TLS.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use http::HeaderMap;
use http::header::{HeaderValue, PROXY_AUTHORIZATION};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Asked;
use super::body::Body;
use crate::certificates;
use crate::error::Result;
use crate::hosts::HostTls;
use crate::proxy::Proxy;
use crate::settings::Settings;
use crate::url::Origin;

/// What is read ahead of whoever takes it: lost, and sent anew by the registry, when a download is cut off.
const READ_AHEAD_BYTES_MAX: usize = 64 << 10;
/// Of the kernel's, for the same reason, where the way is so short that no more is ever in flight.
const NEAR_RECEIVE_BYTES: usize = 64 << 10;
/// A connection that took less than this to make is to somebody near.
const NEAR: Duration = Duration::from_millis(2);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

pub(super) struct Way {
    origin: Origin,
    tls: Option<Arc<ClientConfig>>,
    proxy: Option<(Proxy, Option<Arc<ClientConfig>>)>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Way {
    pub(super) fn to(origin: &Origin, said: Option<&HostTls>, settings: &Settings) -> Result<Self> {
        let tls = |origin: &Origin| -> Result<Option<Arc<ClientConfig>>> {
            if !origin.secure {
                return Ok(None);
            }
            let insecure = settings.is_insecure(&origin.host, &origin.authority());
            // Named as users name the registry: with its port, if they give one.
            let named = settings.certificates.join(origin.authority());
            let directory = match named.is_dir() {
                true => named,
                false => settings.certificates.join(format!("{}:{}", origin.host, origin.port)),
            };
            certificates::config(&directory, insecure).map(Some)
        };
        let proxy = match settings.proxies.to(origin)? {
            Some(proxy) => {
                let proxy_tls = tls(&proxy.origin)?;
                Some((proxy, proxy_tls))
            }
            None => None,
        };
        let own = match said.filter(|_| origin.secure) {
            Some(said) => Some(certificates::of_host(said)?),
            None => tls(origin)?,
        };
        Ok(Self { origin: origin.clone(), tls: own, proxy })
    }

    /// Do requests on it name the whole URL?
    pub(super) fn absolute(&self) -> bool {
        self.proxy.is_some() && !self.origin.secure
    }

    /// Adds what the proxy wants to know of a request that it sees.
    pub(super) fn introduce(&self, headers: &mut HeaderMap) {
        if self.absolute()
            && let Some(value) = self.proxy.as_ref().and_then(|(proxy, _)| introduction(proxy))
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(PROXY_AUTHORIZATION, value);
        }
    }

    pub(super) async fn connect(&self, settings: &Settings, asked: &Asked) -> Result<SendRequest<Body>> {
        let connecting = self.stream(asked);
        let stream = match tokio::time::timeout(settings.network.connect, connecting).await {
            Ok(stream) => stream?,
            Err(_) => {
                let to = self.origin.authority();
                // Nor is what was refused at once: the user would wait for each attempt.
                return Err(asked.failed(format!("dial tcp {to}: i/o timeout"), false));
            }
        };
        let (sender, connection) = Builder::new()
            .max_buf_size(READ_AHEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| super::broken(asked, &error))?;
        // Ends with the connection. Its errors come out of the request that meets them.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn stream(&self, asked: &Asked) -> Result<Box<dyn Stream>> {
        let Some((proxy, proxy_tls)) = &self.proxy else {
            let socket = socket(&self.origin, asked, "").await?;
            return secured(&self.origin, self.tls.as_ref(), Box::new(socket), asked).await;
        };
        let socket = socket(&proxy.origin, asked, "proxyconnect tcp: ").await?;
        let mut stream = secured(&proxy.origin, proxy_tls.as_ref(), Box::new(socket), asked).await?;
        if self.origin.secure {
            tunnel(&mut stream, proxy, &self.origin, asked).await?;
        }
        secured(&self.origin, self.tls.as_ref(), stream, asked).await
    }
}

async fn socket(origin: &Origin, asked: &Asked, during: &str) -> Result<TcpStream> {
    let failed = |why: String| asked.failed(format!("{during}dial tcp{why}"), false);
    let addresses = dial::resolve(&origin.host, origin.port).await.map_err(|e| failed(format!(": {e}")))?;
    let mut last = failed(format!(": lookup {}: no such host", origin.host));
    for address in addresses {
        let begun = Instant::now();
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Both only make it faster.
                let _ = stream.set_nodelay(true);
                if begun.elapsed() < NEAR || address.ip().is_loopback() {
                    let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&stream, NEAR_RECEIVE_BYTES);
                }
                return Ok(stream);
            }
            Err(error) => last = failed(format!(" {address}: connect: {}", reason(&error))),
        }
    }
    Err(last)
}

async fn secured(
    origin: &Origin,
    tls: Option<&Arc<ClientConfig>>,
    stream: Box<dyn Stream>,
    asked: &Asked,
) -> Result<Box<dyn Stream>> {
    let Some(config) = tls else { return Ok(stream) };
    let name = ServerName::try_from(origin.host.clone()).map_err(|e| asked.failed(e.to_string(), false))?;
    match TlsConnector::from(config.clone()).connect(name, stream).await {
        Ok(tls) => Ok(Box::new(tls)),
        Err(error) => Err(asked.failed(tls_reason(&error, &origin.host), is_passing(&error))),
    }
}

/// A connection that broke off may stand the next time; a certificate will be as bad as it is.
pub(super) fn is_passing(error: &io::Error) -> bool {
    error.get_ref().is_none_or(|inner| inner.downcast_ref::<rustls::Error>().is_none())
}

/// RFC 9110, 9.3.6.
async fn tunnel(stream: &mut Box<dyn Stream>, proxy: &Proxy, to: &Origin, asked: &Asked) -> Result<()> {
    const HEAD_BYTES_MAX: usize = 16 << 10;
    let host = if to.host.contains(':') { format!("[{}]", to.host) } else { to.host.clone() };
    let target = format!("{host}:{}", to.port);
    let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(introduction) = introduction(proxy) {
        head.push_str(&format!("Proxy-Authorization: {introduction}\r\n"));
    }
    head.push_str("\r\n");
    let broken = |error: io::Error| asked.failed(format!("proxyconnect tcp: {}", reason(&error)), true);
    stream.write_all(head.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::new();
    // To the byte: what follows is TLS'.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= HEAD_BYTES_MAX {
            return Err(asked.failed("proxyconnect tcp: the proxy's answer is too long", false));
        }
        answer.push(stream.read_u8().await.map_err(broken)?);
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    let status = line.split_once(' ').map_or("", |(_, status)| status);
    if status.starts_with('2') {
        Ok(())
    } else {
        Err(asked.failed(format!("proxyconnect tcp: {status}"), false))
    }
}

fn introduction(proxy: &Proxy) -> Option<String> {
    let user = proxy.user.as_ref()?;
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user)))
}

/// Why a system call failed, as Go words it.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".into(),
        io::ErrorKind::TimedOut => "i/o timeout".into(),
        io::ErrorKind::UnexpectedEof => "EOF".into(),
        _ => {
            let text = error.to_string();
            text.split_once(" (os error").map_or(text.as_str(), |(bare, _)| bare).to_lowercase()
        }
    }
}

pub(super) fn tls_reason(error: &io::Error, host: &str) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let x509 = |why: &str| format!("tls: failed to verify certificate: x509: {why}");
    match inner {
        // What the first bytes of an answer in plain HTTP look like.
        Some(rustls::Error::InvalidMessage(_)) => "http: server gave HTTP response to HTTPS client".into(),
        Some(rustls::Error::InvalidCertificate(why)) => match why {
            CertificateError::UnknownIssuer => x509("certificate signed by unknown authority"),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                x509("certificate has expired or is not yet valid")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                x509(&format!("certificate is not valid for {host}"))
            }
            other => x509(&other.to_string()),
        },
        Some(rustls::Error::AlertReceived(alert)) => format!("remote error: tls: {}", alert_words(*alert)),
        Some(other) => other.to_string(),
        None => reason(error),
    }
}

/// `CertificateRequired` as `certificate required`, as Go has it.
fn alert_words(alert: AlertDescription) -> String {
    if alert == AlertDescription::UnknownCA {
        return "unknown certificate authority".into();
    }
    format!("{alert:?}").chars().fold(String::new(), |mut words, letter| {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
        words
    })
}
