//! `/images`.

use crate::connection::{Http, no_body, stream_body};
use crate::error::Result;
use crate::query::{Target, escape};
use crate::stream::{ByteStream, JsonStream};
use api::filters::Filters;
use api::image::{HistoryItem, ImageDeleteItem, ImageInspectResponse, ImageSummary};
use api::progress::ProgressMessage;
use http::Method;
use tokio::io::AsyncRead;

/// Everything about images. `image` is an id, a prefix of one, or a reference.
#[derive(Debug, Clone, Copy)]
pub struct Images<'a> {
    pub(crate) http: &'a Http,
}

/// An import's destination and dressing; empty fields are not sent.
#[derive(Clone, Debug, Default)]
pub struct Import<'a> {
    pub repo: &'a str,
    pub tag: &'a str,
    pub message: &'a str,
    pub changes: &'a [String],
    pub platform: &'a str,
}

impl Images<'_> {
    fn on(image: &str, verb: &str) -> Target {
        Target::new(format!("/images/{}/{verb}", escape(image)))
    }

    pub async fn list(&self, all: bool, digests: bool, filters: &Filters) -> Result<Vec<ImageSummary>> {
        let target = Target::new("/images/json")
            .flag("all", all)
            .flag("digests", digests)
            .arg_if("filters", &filters.to_json());
        self.http.json(Method::GET, target, no_body()).await
    }

    pub async fn inspect(&self, image: &str) -> Result<ImageInspectResponse> {
        self.http.json(Method::GET, Self::on(image, "json"), no_body()).await
    }

    /// The answer as it came, for `inspect` without a loss.
    pub async fn inspect_raw(&self, image: &str) -> Result<serde_json::Value> {
        self.http.json(Method::GET, Self::on(image, "json"), no_body()).await
    }

    pub async fn history(&self, image: &str) -> Result<Vec<HistoryItem>> {
        self.http.json(Method::GET, Self::on(image, "history"), no_body()).await
    }

    pub async fn tag(&self, image: &str, repo: &str, tag: &str) -> Result<()> {
        let target = Self::on(image, "tag").arg("repo", repo).arg_if("tag", tag);
        self.http.whole(Method::POST, target, no_body()).await.map(drop)
    }

    pub async fn remove(&self, image: &str, force: bool, no_prune: bool) -> Result<Vec<ImageDeleteItem>> {
        let target =
            Target::new(format!("/images/{}", escape(image))).flag("force", force).flag("noprune", no_prune);
        self.http.json(Method::DELETE, target, no_body()).await
    }

    /// `from`: a docker-archive or OCI-layout tar, compressed or not.
    pub async fn load(
        &self,
        from: impl AsyncRead + Send + Unpin + 'static,
        quiet: bool,
    ) -> Result<JsonStream<ProgressMessage>> {
        let target = Target::new("/images/load").flag("quiet", quiet);
        Ok(self.http.stream(Method::POST, target, stream_body(from)).await?.json())
    }

    /// A tar of these images.
    pub async fn save(&self, images: &[String]) -> Result<ByteStream> {
        let target = images.iter().fold(Target::new("/images/get"), |t, name| t.arg("names", name));
        self.http.stream(Method::GET, target, no_body()).await
    }

    /// `from`: a root file system tar, compressed or not.
    pub async fn import(
        &self,
        how: &Import<'_>,
        from: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<JsonStream<ProgressMessage>> {
        let target = Target::new("/images/create")
            .arg("fromSrc", "-")
            .arg_if("repo", how.repo)
            .arg_if("tag", how.tag)
            .arg_if("message", how.message)
            .arg_if("platform", how.platform);
        let target = how.changes.iter().fold(target, |t, change| t.arg("changes", change));
        Ok(self.http.stream(Method::POST, target, stream_body(from)).await?.json())
    }

    /// `name` without tag or digest; these go into `tag`.
    pub async fn pull(&self, name: &str, tag: &str, platform: &str) -> Result<JsonStream<ProgressMessage>> {
        let target = Target::new("/images/create")
            .arg("fromImage", name)
            .arg_if("tag", tag)
            .arg_if("platform", platform);
        Ok(self.http.stream(Method::POST, target, no_body()).await?.json())
    }
}
