//! `/volumes`.

use crate::connection::{Http, json_body, no_body, stream_body};
use crate::error::{Error, Result};
use crate::query::{Target, escape};
use crate::stream::{ByteStream, JsonStream};
use api::filters::Filters;
use api::progress::ProgressMessage;
use api::volume::{Volume, VolumeCreateRequest, VolumeListResponse, VolumePruneResponse};
use http::Method;
use tokio::io::AsyncRead;

/// Everything about volumes.
#[derive(Debug, Clone, Copy)]
pub struct Volumes<'a> {
    pub(crate) http: &'a Http,
}

impl Volumes<'_> {
    fn of(name: &str) -> Target {
        Target::new(format!("/volumes/{}", escape(name)))
    }

    pub async fn create(&self, request: &VolumeCreateRequest) -> Result<Volume> {
        self.http.json(Method::POST, Target::new("/volumes/create"), json_body(request)?).await
    }

    pub async fn list(&self, filters: &Filters) -> Result<VolumeListResponse> {
        let target = Target::new("/volumes").arg_if("filters", &filters.to_json());
        self.http.json(Method::GET, target, no_body()).await
    }

    /// The answer as it came, for `inspect` without a loss.
    pub async fn inspect_raw(&self, name: &str) -> Result<serde_json::Value> {
        if name.is_empty() {
            return Err(Error::Nameless { kind: "volume" });
        }
        self.http.json(Method::GET, Self::of(name), no_body()).await
    }

    pub async fn remove(&self, name: &str, force: bool) -> Result<()> {
        let target = Self::of(name).flag("force", force);
        self.http.whole(Method::DELETE, target, no_body()).await.map(drop)
    }

    /// Wharf's own.
    pub async fn rename(&self, old: &str, new: &str) -> Result<()> {
        let target = Target::new(format!("/volumes/{}/rename", escape(old))).arg("name", new);
        self.http.whole(Method::POST, target, no_body()).await.map(drop)
    }

    /// Wharf's own. `new` empty: a name is made up.
    pub async fn clone_of(&self, source: &str, new: &str) -> Result<Volume> {
        let target = Target::new(format!("/volumes/{}/clone", escape(source))).arg_if("name", new);
        self.http.json(Method::POST, target, no_body()).await
    }

    /// Not in Docker.
    pub async fn export(&self, name: &str) -> Result<ByteStream> {
        let target = Target::new(format!("/volumes/{}/export", escape(name)));
        self.http.stream(Method::GET, target, no_body()).await
    }

    /// Not in Docker. `labels` are `key` or `key=value`.
    pub async fn import(
        &self,
        name: &str,
        labels: &[String],
        options: &[String],
        from: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<Volume> {
        let target = Target::new(format!("/volumes/{}/import", escape(name)));
        let target = labels.iter().fold(target, |target, label| target.arg("label", label));
        let target = options.iter().fold(target, |target, option| target.arg("opt", option));
        self.http.json(Method::POST, target, stream_body(from)).await
    }

    /// Not in Docker. To a registry; lines as they come. `auth`: a registry's header, or empty.
    pub async fn backup(&self, name: &str, to: &str, auth: &str) -> Result<JsonStream<ProgressMessage>> {
        let target = Target::new(format!("/volumes/{}/backup", escape(name))).arg("to", to);
        Ok(self.http.stream_as(Method::POST, target, auth, no_body()).await?.json())
    }

    /// Not in Docker. From a registry; `name` empty: as it was called. The last line is its name.
    pub async fn restore(
        &self,
        name: &str,
        from: &str,
        labels: &[String],
        auth: &str,
    ) -> Result<JsonStream<ProgressMessage>> {
        let target = Target::new("/volumes/restore").arg("from", from).arg_if("name", name);
        let target = labels.iter().fold(target, |target, label| target.arg("label", label));
        Ok(self.http.stream_as(Method::POST, target, auth, no_body()).await?.json())
    }

    pub async fn prune(&self, filters: &Filters) -> Result<VolumePruneResponse> {
        let target = Target::new("/volumes/prune").arg_if("filters", &filters.to_json());
        self.http.json(Method::POST, target, no_body()).await
    }
}
