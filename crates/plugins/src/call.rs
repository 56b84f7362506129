//! One question to a plugin: a connection, a POST, an answer in JSON. A connection is used once, so that nothing has to
//! be known of a plugin that was started again meanwhile.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::discovery::Found;
use crate::error::Error;
use crate::{PATIENCE, PAUSE_FIRST, PAUSE_LAST, Patience, tls};

/// The version of the protocol.
const MEDIA_TYPE: &str = "application/vnd.docker.plugins.v1.2+json";
/// For a list of some ten thousand volumes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where questions to one plugin go.
#[derive(Clone)]
pub(crate) struct Call {
    name: String,
    address: String,
    way: Way,
    patience: Patience,
}

#[derive(Clone)]
enum Way {
    Socket(String),
    Host { host: String, port: u16, tls: Option<Arc<ClientConfig>> },
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Call {
    pub(crate) fn new(name: &str, found: &Found, patience: Patience) -> Result<Self, Error> {
        let address = found.address.clone();
        let wrong = |why: String| Error::Place { path: format!("plugin \"{name}\" at {address}"), why };
        let (protocol, rest) = address.split_once("://").unwrap_or(("", &address));
        let way = match protocol {
            "unix" => Way::Socket(rest.to_owned()),
            _ => {
                let secure = protocol == "https";
                // What is behind the host is nobody's business: the methods are the paths.
                let authority = rest.split('/').next().unwrap_or_default();
                let (host, port) = split_port(authority);
                let port = match port {
                    None => {
                        if secure {
                            443
                        } else {
                            80
                        }
                    }
                    Some(port) => port.parse().map_err(|_| wrong(format!("invalid port {port:?}")))?,
                };
                let tls = secure.then(|| tls::config(&found.tls)).transpose().map_err(wrong)?;
                Way::Host { host: host.to_owned(), port, tls }
            }
        };
        Ok(Self { name: name.to_owned(), address, way, patience })
    }

    /// `method` with `argument`, answered within `limit`, in which a connection may be tried several times.
    pub(crate) async fn ask<A: Serialize + Sync, R: DeserializeOwned>(
        &self,
        method: &str,
        argument: Option<&A>,
        limit: Duration,
    ) -> Result<R, Error> {
        let garbled =
            |why: String| Error::Garbled { name: self.name.clone(), method: method.to_owned(), why };
        let body = match argument {
            None => Vec::new(),
            Some(argument) => serde_json::to_vec(argument).map_err(|error| garbled(error.to_string()))?,
        };
        let asked = async {
            let stream = self.connect().await?;
            let (status, answer) = exchange(stream, method, body).await.map_err(garbled)?;
            if status != 200 {
                return Err(Error::Refused(refusal(method, &answer)));
            }
            serde_json::from_slice(&answer)
                .map_err(|error| garbled(format!("its answer is not understood: {error}")))
        };
        match tokio::time::timeout(limit, asked).await {
            Ok(answered) => answered,
            Err(_) => Err(Error::Silent { name: self.name.clone(), method: method.to_owned(), limit }),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, Error> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match self.try_connect().await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            let is_passing =
                matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound);
            if self.patience == Patience::None || !is_passing || Instant::now() + pause > deadline {
                let text = error.to_string();
                let why = text.split_once(" (os error").map_or(text.as_str(), |(bare, _)| bare).to_owned();
                return Err(Error::Unreachable {
                    name: self.name.clone(),
                    address: self.address.clone(),
                    why,
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LAST);
        }
    }

    async fn try_connect(&self) -> io::Result<Box<dyn Stream>> {
        let (host, port, tls) = match &self.way {
            Way::Socket(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
            Way::Host { host, port, tls } => (host, *port, tls),
        };
        let addresses = dial::resolve(host, port).await.map_err(io::Error::other)?;
        let stream = TcpStream::connect(&addresses[..]).await?;
        match tls {
            None => Ok(Box::new(stream)),
            Some(config) => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                Ok(Box::new(TlsConnector::from(config.clone()).connect(name, stream).await?))
            }
        }
    }
}

/// `[::1]:80`, `host:80`, `host`.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    }
}

/// Ends the connection with whoever waited for its answer.
struct Connection(tokio::task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(stream: Box<dyn Stream>, method: &str, body: Vec<u8>) -> Result<(u16, Bytes), String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let _connection = Connection(tokio::spawn(async move {
        // Its errors come out of the request.
        let _ = connection.await;
    }));
    let request = Request::post(format!("/{method}"))
        .header(HOST, "plugin.moby.localhost")
        .header(ACCEPT, MEDIA_TYPE)
        .header(CONTENT_TYPE, MEDIA_TYPE)
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(|error| reason(&error))?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
}

fn reason(error: &hyper::Error) -> String {
    match error.is_incomplete_message() {
        true => "it closed the connection without an answer".to_owned(),
        false => error.to_string(),
    }
}

/// What stands in its `Err`, or all that it said.
fn refusal(method: &str, answer: &[u8]) -> String {
    let told = serde_json::from_slice::<serde_json::Value>(answer).ok();
    let told = told.as_ref().and_then(|answer| answer.get("Err")?.as_str()).filter(|text| !text.is_empty());
    let all = || String::from_utf8_lossy(answer).trim().to_owned();
    format!("{method}: {}", told.map_or_else(all, str::to_owned))
}
