//! `/auth`, `/distribution` and `/images/search`: registries, through the engine.

use api::filters::Filters;
use api::progress::ProgressMessage;
use api::registry::{
    AuthConfig, AuthResponse, CopyTarget, DistributionInspect, DistributionManifest, RepositoryTags,
    SearchResult,
};
use http::Method;

use crate::connection::{Http, json_body, no_body};
use crate::error::Result;
use crate::query::{Target, escape};
use crate::stream::JsonStream;

/// What the engine asks registries. `auth` is an [`AuthConfig`] as a header, or empty.
#[derive(Debug, Clone, Copy)]
pub struct Registries<'a> {
    pub(crate) http: &'a Http,
}

impl Registries<'_> {
    fn on(name: &str, verb: &str) -> Target {
        Target::new(format!("/distribution/{}/{verb}", escape(name)))
    }

    /// Does the registry know somebody by this name and password?
    pub async fn login(&self, auth: &AuthConfig) -> Result<AuthResponse> {
        self.http.json(Method::POST, Target::new("/auth"), json_body(auth)?).await
    }

    /// `limit`: zero for as many as is usual.
    pub async fn search(
        &self,
        term: &str,
        limit: i64,
        filters: &Filters,
        auth: &str,
    ) -> Result<Vec<SearchResult>> {
        let limit = if limit == 0 { String::new() } else { limit.to_string() };
        let target = Target::new("/images/search")
            .arg("term", term)
            .arg_if("limit", &limit)
            .arg_if("filters", &filters.to_json());
        self.http.json_as(Method::GET, target, auth, no_body()).await
    }

    /// All tags of a repository.
    pub async fn tags(&self, repository: &str, auth: &str) -> Result<RepositoryTags> {
        self.http.json_as(Method::GET, Self::on(repository, "tags"), auth, no_body()).await
    }

    /// A manifest or index, byte by byte. `insecure`: whatever the registry's certificate is.
    pub async fn manifest(&self, name: &str, insecure: bool, auth: &str) -> Result<DistributionManifest> {
        let target = Self::on(name, "manifest").flag("insecure", insecure);
        self.http.json_as(Method::GET, target, auth, no_body()).await
    }

    /// Puts one there, under a tag or its digest.
    pub async fn put_manifest(
        &self,
        name: &str,
        manifest: &DistributionManifest,
        insecure: bool,
        auth: &str,
    ) -> Result<DistributionInspect> {
        let target = Self::on(name, "manifest").flag("insecure", insecure);
        self.http.json_as(Method::PUT, target, auth, json_body(manifest)?).await
    }

    /// From one registry to another; `auth` is for the first.
    pub async fn copy(
        &self,
        from: &str,
        target: &CopyTarget,
        auth: &str,
    ) -> Result<JsonStream<ProgressMessage>> {
        let body = json_body(target)?;
        Ok(self.http.stream_as(Method::POST, Self::on(from, "copy"), auth, body).await?.json())
    }
}
