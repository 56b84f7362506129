//! What a registry wants to see before it answers: nothing, a password, or a token of the server that it names.
//!
//! Tokens are kept until shortly before they expire, by server, scope and who asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use crate::challenge::Challenge;
use crate::error::{Error, Result};
use crate::settings::Credentials;
use crate::transport::{Asked, Payload, Transport};
use crate::url::{Url, encode};

/// Of a token server's answer.
const TOKEN_BYTES_MAX: usize = 1 << 20;
/// What a token is good for when its server does not say; Docker's clients take no less.
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// How long before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(5);

/// Who asks, and what for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Caller {
    pub(crate) credentials: Credentials,
    /// `repository:library/debian:pull`.
    pub(crate) scopes: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Auth {
    transport: Arc<Transport>,
    // Never held across an await.
    tokens: Mutex<HashMap<Key, Token>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    realm: String,
    service: String,
    caller: Caller,
}

#[derive(Debug, Clone)]
struct Token {
    text: String,
    until: Instant,
}

#[derive(Debug, Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: u64,
    #[serde(default)]
    refresh_token: String,
}

impl Auth {
    pub(crate) fn new(transport: Arc<Transport>) -> Self {
        Self { transport, tokens: Mutex::default() }
    }

    /// The `Authorization` for a request that was, or will be, challenged like this. `fresh`: what was given before was not
    /// good enough.
    ///
    /// # Errors
    /// The registry wants to know who asks, and nobody said; or the token server refuses.
    pub(crate) async fn header(
        &self,
        challenges: &[Challenge],
        caller: &Caller,
        asked: &Asked,
        fresh: bool,
    ) -> Result<Option<HeaderValue>> {
        let credentials = &caller.credentials;
        let find = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let text = if challenges.is_empty() {
            return Ok(None);
        } else if !credentials.registry_token.is_empty() {
            format!("Bearer {}", credentials.registry_token)
        } else if let Some(challenge) = find("bearer") {
            format!("Bearer {}", self.token(challenge, caller, asked, fresh).await?)
        } else if find("basic").is_some() {
            match basic(credentials) {
                Some(text) => text,
                None => {
                    return Err(Error::NoCredentials {
                        method: asked.method.clone(),
                        url: asked.url.to_string(),
                    });
                }
            }
        } else {
            let known: Vec<_> = challenges.iter().map(|challenge| challenge.scheme.as_str()).collect();
            return Err(Error::Unsupported(format!(
                "{}: the registry wants authentication by {}, which is not supported",
                asked.url.origin,
                known.join(", ")
            )));
        };
        let mut value = HeaderValue::try_from(text)
            .map_err(|_| Error::Invalid("credentials have characters that cannot be sent".into()))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn token(
        &self,
        challenge: &Challenge,
        caller: &Caller,
        asked: &Asked,
        fresh: bool,
    ) -> Result<String> {
        let mut caller = caller.clone();
        // It may want more than we thought of.
        let wanted = challenge.parameter("scope").split_whitespace().map(str::to_owned);
        if caller.scopes.is_empty() {
            caller.scopes.extend(wanted);
        }
        let key = Key {
            realm: challenge.parameter("realm").to_owned(),
            service: challenge.parameter("service").to_owned(),
            caller,
        };
        if !fresh && let Some(token) = self.known(&key) {
            return Ok(token);
        }
        let (token, _) = self.fetch(&key, asked, false).await?;
        let text = token.text.clone();
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, token| token.until > Instant::now());
        tokens.insert(key, token);
        Ok(text)
    }

    fn known(&self, key: &Key) -> Option<String> {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(key).filter(|token| token.until > Instant::now()).map(|token| token.text.clone())
    }

    /// A token that may be exchanged for others, for a login with a password; if the server gives one.
    pub(crate) async fn identity(
        &self,
        challenge: &Challenge,
        caller: &Caller,
        asked: &Asked,
    ) -> Result<Option<String>> {
        let key = Key {
            realm: challenge.parameter("realm").to_owned(),
            service: challenge.parameter("service").to_owned(),
            caller: caller.clone(),
        };
        let (_, refresh) = self.fetch(&key, asked, true).await?;
        Ok(Some(refresh).filter(|token| !token.is_empty()))
    }

    async fn fetch(&self, key: &Key, asked: &Asked, offline: bool) -> Result<(Token, String)> {
        let credentials = &key.caller.credentials;
        let realm = Url::parse(&key.realm)
            .map_err(|_| Error::Invalid(format!("{}: no usable realm in the challenge", asked.url.origin)))?;
        if asked.url.origin.secure && !realm.origin.secure && !credentials.is_empty() {
            return Err(Error::Invalid(format!(
                "{}: its token server {} does not encrypt: credentials are not sent there",
                asked.url.origin, realm.origin
            )));
        }
        let request = if credentials.identity_token.is_empty() {
            let mut url = realm;
            if !key.service.is_empty() {
                url = url.and("service", &key.service);
            }
            for scope in &key.caller.scopes {
                url = url.and("scope", scope);
            }
            if offline {
                url = url.and("offline_token", "true").and("client_id", "docker");
            }
            if !credentials.username.is_empty() {
                url = url.and("account", &credentials.username);
            }
            let mut request = Asked::new(Method::GET, url);
            if let Some(text) = basic(credentials) {
                let mut value = HeaderValue::try_from(text)
                    .map_err(|_| Error::Invalid("credentials have characters that cannot be sent".into()))?;
                value.set_sensitive(true);
                request.headers.insert(AUTHORIZATION, value);
            }
            request
        } else {
            let mut request = Asked::new(Method::POST, realm);
            let form = [
                ("grant_type", "refresh_token"),
                ("service", &key.service),
                ("client_id", "docker"),
                ("scope", &key.caller.scopes.join(" ")),
                ("refresh_token", &credentials.identity_token),
            ];
            let form: Vec<_> = form.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
            request.payload = Payload::Bytes(form.join("&").into());
            request
                .headers
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
            request
        };
        let url = request.url.clone();
        let answer = self.transport.ask(request).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal().await);
        }
        let bytes = answer.whole(TOKEN_BYTES_MAX).await?;
        let answer: TokenAnswer = serde_json::from_slice(&bytes).map_err(|error| {
            Error::Invalid(format!("{}: unable to decode token response: {error}", url.origin))
        })?;
        let text = if answer.token.is_empty() { answer.access_token } else { answer.token };
        if text.is_empty() {
            return Err(Error::Invalid(
                "authorization server did not include a token in the response".into(),
            ));
        }
        let life = Duration::from_secs(answer.expires_in).max(TOKEN_LIFE);
        let life = life.min(Duration::from_secs(24 * 3600));
        Ok((Token { text, until: Instant::now() + life - MARGIN }, answer.refresh_token))
    }
}

fn basic(credentials: &Credentials) -> Option<String> {
    if credentials.username.is_empty() && credentials.password.is_empty() {
        return None;
    }
    let both = format!("{}:{}", credentials.username, credentials.password);
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
}
