//! One request, one answer: connections that are kept per origin, their TLS, proxies, and time limits. Nothing here knows
//! of registries, and no redirect is followed.

mod body;
mod connect;

use std::collections::HashMap;
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;

use crate::error::{Error, Result};
use crate::hosts::HostTls;
use crate::settings::Settings;
use crate::url::{Origin, Url};

use body::Body;
pub(crate) use body::{Payload, Sent};
use connect::Way;

/// A server closes what is idle after a minute or so; we before that.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// All connections to everywhere.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) settings: Settings,
    // Looked up for each request, held for no longer.
    hosts: Mutex<HashMap<Key, Arc<Host>>>,
}

/// An origin, and how to shake hands with it if that was said.
type Key = (Origin, Option<Arc<HostTls>>);

/// One origin: the way there, and the connections that nobody uses.
#[derive(Debug)]
struct Host {
    way: Way,
    // A take or a put; never across an await.
    idle: Mutex<Vec<(SendRequest<Body>, Instant)>>,
}

/// What to ask.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
    /// In place of what the machine has for this host.
    pub(crate) tls: Option<Arc<HostTls>>,
}

impl Asked {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), payload: Payload::Empty, tls: None }
    }

    /// The error of this request, in Go's words.
    pub(crate) fn failed(&self, why: impl Into<String>, transient: bool) -> Error {
        Error::Transport {
            method: self.method.clone(),
            url: self.url.to_string(),
            why: why.into(),
            transient,
        }
    }
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, hosts: Mutex::default() })
    }

    /// Asks once; a kept connection that turns out to be dead is replaced.
    pub(crate) async fn ask(&self, asked: Asked) -> Result<Answer> {
        let host = self.host(&asked)?;
        loop {
            let (mut sender, kept) = match host.take().await {
                Some(sender) => (sender, true),
                None => (host.way.connect(&self.settings, &asked).await?, false),
            };
            match self.once(&host, &mut sender, &asked).await {
                Ok(response) => {
                    let (head, body) = response.into_parts();
                    return Ok(Answer {
                        status: head.status,
                        headers: head.headers,
                        body,
                        sender: Some(sender),
                        host,
                        asked: Asked { payload: Payload::Empty, ..asked },
                        waited: Duration::ZERO,
                        bytes: 0,
                        stall: self.settings.network.stall,
                        least_bytes: self.settings.network.least_bytes,
                    });
                }
                // The server may have closed it just when we wrote.
                Err(error) if kept && error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn once(
        &self,
        host: &Host,
        sender: &mut SendRequest<Body>,
        asked: &Asked,
    ) -> Result<http::Response<Incoming>> {
        let (body, sent) = asked.payload.body();
        let uri = match host.way.absolute() {
            true => asked.url.to_string(),
            false => asked.url.target.clone(),
        };
        let mut request = Request::builder()
            .method(&asked.method)
            .uri(uri)
            .body(body)
            .map_err(|error| asked.failed(error.to_string(), false))?;
        *request.headers_mut() = asked.headers.clone();
        let header = |text: &str| HeaderValue::try_from(text).map_err(|e| asked.failed(e.to_string(), false));
        request.headers_mut().insert(HOST, header(&asked.url.origin.authority())?);
        request.headers_mut().insert(USER_AGENT, header(&self.settings.user_agent)?);
        host.way.introduce(request.headers_mut());
        let mut answer = std::pin::pin!(sender.send_request(request));
        let mut before = sent.bytes();
        loop {
            tokio::select! {
                response = &mut answer => return response.map_err(|error| broken(asked, &error)),
                // An upload may take long, as long as it goes on.
                () = tokio::time::sleep(self.settings.network.stall) => match sent.bytes() {
                    now if now > before => before = now,
                    _ => return Err(asked.failed("net/http: timeout awaiting response headers", true)),
                },
            }
        }
    }

    fn host(&self, asked: &Asked) -> Result<Arc<Host>> {
        let key = (asked.url.origin.clone(), asked.tls.clone());
        if let Some(host) = self.hosts().get(&key) {
            return Ok(host.clone());
        }
        let way = Way::to(&key.0, key.1.as_deref(), &self.settings)?;
        let host = Arc::new(Host { way, idle: Mutex::default() });
        Ok(self.hosts().entry(key).or_insert(host).clone())
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Host>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    async fn take(&self) -> Option<SendRequest<Body>> {
        loop {
            let (mut sender, since) = self.idle().pop()?;
            if since.elapsed() < IDLE_MAX && sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, sender: SendRequest<Body>) {
        let mut idle = self.idle();
        idle.retain(|(_, since)| since.elapsed() < IDLE_MAX);
        idle.push((sender, Instant::now()));
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<(SendRequest<Body>, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) asked: Asked,
    body: Incoming,
    sender: Option<SendRequest<Body>>,
    host: Arc<Host>,
    /// Time spent waiting since `bytes` was last zero: what we do in between is not the server's fault.
    waited: Duration,
    bytes: u64,
    stall: Duration,
    least_bytes: u64,
}

impl Answer {
    /// The next piece; `None` at the end, when the connection is kept for others.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let begun = Instant::now();
            let frame = tokio::time::timeout(self.stall, self.body.frame()).await;
            self.waited += begun.elapsed();
            let Ok(frame) = frame else {
                return Err(self.asked.failed("context deadline exceeded while reading body", true));
            };
            let Some(frame) = frame else {
                self.sender.take().into_iter().for_each(|sender| self.host.keep(sender));
                return Ok(None);
            };
            let frame = frame.map_err(|error| broken(&self.asked, &error))?;
            let Ok(data) = frame.into_data() else { continue };
            self.bytes += data.len() as u64;
            if self.waited >= self.stall {
                if self.bytes < self.least_bytes {
                    let why = format!("only {} bytes in {:?}: given up", self.bytes, self.waited);
                    return Err(self.asked.failed(why, true));
                }
                (self.waited, self.bytes) = (Duration::ZERO, 0);
            }
            if !data.is_empty() {
                return Ok(Some(data));
            }
        }
    }

    /// All of it, if it is not more than `limit` bytes.
    pub(crate) async fn whole(mut self, limit: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let deadline = Instant::now() + 2 * self.stall;
        while let Some(chunk) = self.chunk().await? {
            if bytes.len() + chunk.len() > limit {
                return Err(Error::Invalid(format!(
                    "{}: an answer of more than {limit} bytes",
                    self.asked.url
                )));
            }
            bytes.extend_from_slice(&chunk);
            if Instant::now() > deadline {
                return Err(self.asked.failed("context deadline exceeded while reading body", true));
            }
        }
        Ok(bytes)
    }

    /// What it refuses with.
    pub(crate) async fn refusal(self) -> Error {
        const REFUSAL_BYTES_MAX: usize = 64 << 10;
        let status = self.status;
        let challenged = crate::challenge::Challenge::all(&self.headers);
        // It says no, whether its reason can be read or not.
        let body = self.whole(REFUSAL_BYTES_MAX).await.unwrap_or_default();
        // Some say what is wrong in the challenge only (RFC 6750, 3.1).
        let reason = challenged.iter().find(|c| c.scheme == "bearer" && status.is_client_error());
        match reason.map(|challenge| challenge.parameter("error")) {
            Some("insufficient_scope") => Error::Refused {
                status,
                code: "DENIED".into(),
                message: "requested access to the resource is denied".into(),
            },
            Some("invalid_token") => Error::Refused {
                status,
                code: "UNAUTHORIZED".into(),
                message: "authentication required".into(),
            },
            _ => Error::of(status, &body),
        }
    }
}

/// Why a conversation broke, in Go's words.
fn broken(asked: &Asked, error: &hyper::Error) -> Error {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            // Of TLS 1.3 a client hears only now what the server has against it.
            if !connect::is_passing(io) {
                return asked.failed(connect::tls_reason(io, &asked.url.origin.host), false);
            }
            return asked.failed(connect::reason(io), true);
        }
        cause = inner.source();
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return asked.failed("EOF", true);
    }
    if error.is_parse() {
        return asked.failed(format!("net/http: HTTP/1.x transport connection broken: {error}"), false);
    }
    asked.failed(error.to_string(), true)
}
