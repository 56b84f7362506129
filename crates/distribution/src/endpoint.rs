//! One place where a registry answers: found out about once, then asked with the right authentication, with patience, and
//! along its redirects.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Method, StatusCode};

use crate::auth::{Auth, Caller};
use crate::challenge::Challenge;
use crate::error::{Error, Result, is_transient};
use crate::hosts::Host;
use crate::transport::{Answer, Asked, Payload, Transport};
use crate::url::Url;

const REDIRECTS_MAX: usize = 10;
/// What was found out is believed for this long.
const PING_LIFE: Duration = Duration::from_secs(600);
/// A registry that wants us to wait longer than this is told of instead.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Its base, or several of which the first that answers is it: an insecure registry may speak HTTP only.
    candidates: Vec<Url>,
    /// A mirror gets no credentials.
    pub(crate) is_mirror: bool,
    /// What `hosts.toml` says of it.
    host: Option<Host>,
    transport: Arc<Transport>,
    auth: Arc<Auth>,
    // A look or a replacement; never across an await.
    ping: Mutex<Option<Ping>>,
}

#[derive(Debug, Clone)]
struct Ping {
    base: Url,
    challenges: Vec<Challenge>,
    at: Instant,
}

impl Endpoint {
    pub(crate) fn new(
        candidates: Vec<Url>,
        is_mirror: bool,
        host: Option<Host>,
        transport: Arc<Transport>,
        auth: Arc<Auth>,
    ) -> Self {
        Self { candidates, is_mirror, host, transport, auth, ping: Mutex::default() }
    }

    /// The URL of `path`, which begins with `/v2/`.
    pub(crate) async fn url(&self, path: &str) -> Result<Url> {
        let base = self.ping().await?.base;
        Ok(self.below(&base, path))
    }

    fn below(&self, base: &Url, path: &str) -> Url {
        let bare = self.host.as_ref().is_some_and(|host| host.bare);
        let path = if bare { path.strip_prefix("/v2").unwrap_or(path) } else { path };
        base.origin.with(format!("{}{path}", base.target.trim_end_matches('/')))
    }

    /// May it say which manifest a tag is?
    pub(crate) fn resolves(&self) -> bool {
        self.host.as_ref().is_none_or(|host| host.resolve)
    }

    /// Its challenges, and the URL that was asked.
    pub(crate) async fn challenges(&self) -> Result<(Url, Vec<Challenge>)> {
        let ping = self.ping().await?;
        Ok((self.url("/v2/").await?, ping.challenges))
    }

    async fn ping(&self) -> Result<Ping> {
        let known = self.ping.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(ping) = known.filter(|ping| ping.at.elapsed() < PING_LIFE) {
            return Ok(ping);
        }
        let mut failed = None;
        for base in &self.candidates {
            let url = self.below(base, "/v2/");
            match self.patiently(Asked::new(Method::GET, url)).await {
                Ok(answer) => {
                    let challenges = match answer.status {
                        StatusCode::UNAUTHORIZED => Challenge::all(&answer.headers),
                        status if is_transient(status) => return Err(answer.refusal().await),
                        _ => Vec::new(),
                    };
                    let ping = Ping { base: base.clone(), challenges, at: Instant::now() };
                    // Read to its end, so that the connection is kept.
                    drop(answer.refusal().await);
                    self.learn(ping.clone());
                    return Ok(ping);
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| Error::Invalid("a registry without a URL".into())))
    }

    fn learn(&self, ping: Ping) {
        *self.ping.lock().unwrap_or_else(PoisonError::into_inner) = Some(ping);
    }

    /// Asks, as `caller`. A challenge is met once; whatever comes then is the answer.
    pub(crate) async fn ask(&self, caller: &Caller, asked: Asked) -> Result<Answer> {
        let ping = self.ping().await?;
        // An upload may have been sent somewhere else, where our credentials mean nothing.
        let ours = asked.url.origin == ping.base.origin;
        let first = match ours {
            true => self.auth.header(&ping.challenges, caller, &asked, false).await?,
            false => None,
        };
        let answer = self.follow(with(&asked, first.as_ref())).await?;
        let challenges = Challenge::all(&answer.headers);
        let challenged = answer.status == StatusCode::UNAUTHORIZED
            && ours
            && answer.asked.url.origin == ping.base.origin
            && !challenges.is_empty();
        if !challenged {
            return Ok(answer);
        }
        let again = self.auth.header(&challenges, caller, &asked, true).await?;
        // A password that was refused will be again.
        if again.is_none() || again == first {
            return Ok(answer);
        }
        drop(answer.refusal().await);
        self.learn(Ping { challenges, at: Instant::now(), ..ping });
        self.follow(with(&asked, again.as_ref())).await
    }

    /// Where redirects lead. `Authorization` does not go along to anybody else.
    pub(crate) async fn follow(&self, mut asked: Asked) -> Result<Answer> {
        let method = asked.method.clone();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.patiently(asked.clone()).await?;
            let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
            let redirect = matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(location) =
                location.filter(|_| redirect && matches!(method, Method::GET | Method::HEAD))
            else {
                return Ok(answer);
            };
            let next = asked.url.join(location)?;
            if next.origin != asked.url.origin {
                asked.headers.remove(AUTHORIZATION);
            }
            asked.url = next;
            drop(answer.refusal().await);
        }
        Err(asked.failed(format!("stopped after {REDIRECTS_MAX} redirects"), false))
    }

    /// Asks again what fails for reasons that may pass, if it can be asked again.
    async fn patiently(&self, mut asked: Asked) -> Result<Answer> {
        // Nobody else is meant, where redirects may lead.
        if let Some(host) = self.host.as_ref().filter(|host| host.url.origin == asked.url.origin) {
            asked.tls = Some(host.tls.clone());
            asked.headers.extend(host.headers.clone());
        }
        let network = &self.transport.settings.network;
        let again = !matches!(asked.payload, Payload::File { .. });
        let attempts = if again { network.attempts.max(1) } else { 1 };
        for attempt in 1.. {
            let pause = network.backoff * 2_u32.saturating_pow(attempt - 1).min(64);
            match self.transport.ask(asked.clone()).await {
                Ok(answer) if is_transient(answer.status) && attempt < attempts => {
                    let wanted = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                    let wanted = wanted.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
                    if wanted.is_some_and(|wanted| wanted > RETRY_AFTER_MAX) {
                        return Ok(answer);
                    }
                    tracing::debug!(url = %asked.url, status = %answer.status, "registry: once more");
                    drop(answer.refusal().await);
                    tokio::time::sleep(wanted.unwrap_or(pause)).await;
                }
                Err(error) if error.is_transient() && attempt < attempts => {
                    tracing::debug!(%error, "registry: once more");
                    tokio::time::sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
        unreachable!("the last attempt returns")
    }
}

fn with(asked: &Asked, authorization: Option<&HeaderValue>) -> Asked {
    let mut asked = asked.clone();
    if let Some(value) = authorization {
        asked.headers.insert(AUTHORIZATION, value.clone());
    }
    asked
}
