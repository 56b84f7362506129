//! Does a registry know somebody by this name and password?

use http::{Method, StatusCode};

use crate::auth::Caller;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::settings::Credentials;
use crate::transport::Asked;

impl Client {
    /// Asks the registry of a domain. A token that may be kept in place of the password is the answer, if it gives one.
    ///
    /// # Errors
    /// It does not, or no registry answers.
    pub async fn login(&self, domain: &str, credentials: &Credentials) -> Result<Option<String>> {
        let endpoint = self.registry(domain)?;
        let (url, challenges) = endpoint.challenges().await?;
        let caller = Caller { credentials: credentials.clone(), scopes: Vec::new() };
        let asked = Asked::new(Method::GET, url.clone());
        let at =
            |error: Error| Error::At { method: Method::GET, url: url.to_string(), source: Box::new(error) };
        let bearer = challenges.iter().find(|challenge| challenge.scheme == "bearer");
        let identity = match bearer {
            Some(challenge) => self.auth().identity(challenge, &caller, &asked).await.map_err(at)?,
            None => None,
        };
        let answer = endpoint.ask(&caller, asked).await?;
        let status = answer.status;
        drop(answer.refusal().await);
        if status != StatusCode::OK {
            let reason = status.canonical_reason().unwrap_or_default();
            return Err(Error::Local(format!(
                "login attempt to {url} failed with status: {} {reason}",
                status.as_u16()
            )));
        }
        Ok(identity)
    }
}
