//! `/auth` and `/distribution`: registries, through the engine.

use api::registry::{AuthConfig, AuthResponse};
use http::Method;

use crate::connection::{Http, json_body};
use crate::error::Result;
use crate::query::Target;

/// What the engine asks registries.
#[derive(Debug, Clone, Copy)]
pub struct Registries<'a> {
    pub(crate) http: &'a Http,
}

impl Registries<'_> {
    /// Does the registry know somebody by this name and password?
    pub async fn login(&self, auth: &AuthConfig) -> Result<AuthResponse> {
        self.http.json(Method::POST, Target::new("/auth"), json_body(auth)?).await
    }
}
