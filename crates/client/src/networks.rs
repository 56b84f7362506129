//! `/networks`.

use crate::connection::{Http, json_body, no_body};
use crate::error::{Error, Result};
use crate::query::{Target, escape};
use api::filters::Filters;
use api::network::{
    NetworkConnectRequest, NetworkCreateRequest, NetworkCreateResponse, NetworkDisconnectRequest,
    NetworkPruneResponse, NetworkSummary,
};
use http::Method;

/// Everything about networks. `network` is an id, a prefix of one, or a name.
#[derive(Debug, Clone, Copy)]
pub struct Networks<'a> {
    pub(crate) http: &'a Http,
}

impl Networks<'_> {
    fn of(network: &str) -> Target {
        Target::new(format!("/networks/{}", escape(network)))
    }

    fn on(network: &str, verb: &str) -> Target {
        Target::new(format!("/networks/{}/{verb}", escape(network)))
    }

    pub async fn create(&self, request: &NetworkCreateRequest) -> Result<NetworkCreateResponse> {
        self.http.json(Method::POST, Target::new("/networks/create"), json_body(request)?).await
    }

    pub async fn list(&self, filters: &Filters) -> Result<Vec<NetworkSummary>> {
        let target = Target::new("/networks").arg_if("filters", &filters.to_json());
        self.http.json(Method::GET, target, no_body()).await
    }

    /// The answer as it came, for `inspect` without a loss.
    pub async fn inspect_raw(&self, network: &str, verbose: bool) -> Result<serde_json::Value> {
        if network.is_empty() {
            return Err(Error::Nameless { kind: "network" });
        }
        self.http.json(Method::GET, Self::of(network).flag("verbose", verbose), no_body()).await
    }

    pub async fn remove(&self, network: &str) -> Result<()> {
        self.http.whole(Method::DELETE, Self::of(network), no_body()).await.map(drop)
    }

    pub async fn prune(&self, filters: &Filters) -> Result<NetworkPruneResponse> {
        let target = Target::new("/networks/prune").arg_if("filters", &filters.to_json());
        self.http.json(Method::POST, target, no_body()).await
    }

    pub async fn connect(&self, network: &str, request: &NetworkConnectRequest) -> Result<()> {
        self.http.whole(Method::POST, Self::on(network, "connect"), json_body(request)?).await.map(drop)
    }

    pub async fn disconnect(&self, network: &str, request: &NetworkDisconnectRequest) -> Result<()> {
        self.http.whole(Method::POST, Self::on(network, "disconnect"), json_body(request)?).await.map(drop)
    }
}
