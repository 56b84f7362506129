//! `/images`.

use crate::connection::{Http, no_body, stream_body};
use crate::error::{Error, Result};
use crate::query::{Target, escape};
use crate::stream::{ByteStream, JsonStream};
use api::filters::Filters;
use api::image::{
    HistoryItem, ImageDeleteItem, ImageGarbage, ImageInspectResponse, ImageSummary, ImagesPruneResponse,
};
use api::progress::ProgressMessage;
use api::registry::AuthConfig;
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
    /// Where the engine fetches the archive from; empty when it is sent.
    pub url: &'a str,
}

impl Images<'_> {
    fn on(image: &str, verb: &str) -> Target {
        Target::new(format!("/images/{}/{verb}", escape(image)))
    }

    /// `manifests`: with what each image consists of, by platform.
    pub async fn list(&self, all: bool, manifests: bool, filters: &Filters) -> Result<Vec<ImageSummary>> {
        let target = Target::new("/images/json")
            .flag("all", all)
            .flag("manifests", manifests)
            .arg_if("filters", &filters.to_json());
        self.http.json(Method::GET, target, no_body()).await
    }

    pub async fn inspect(&self, image: &str) -> Result<ImageInspectResponse> {
        self.http.json(Method::GET, Self::on(image, "json"), no_body()).await
    }

    /// The answer as it came, for `inspect` without a loss. `platform`: JSON of the one asked for, or empty.
    pub async fn inspect_raw(&self, image: &str, platform: &str) -> Result<serde_json::Value> {
        if image.is_empty() {
            return Err(Error::NoSuch { kind: "image" });
        }
        let target = Self::on(image, "json").arg_if("platform", platform);
        self.http.json(Method::GET, target, no_body()).await
    }

    /// `platform`: JSON of the one asked for, or empty.
    pub async fn history(&self, image: &str, platform: &str) -> Result<Vec<HistoryItem>> {
        let target = Self::on(image, "history").arg_if("platform", platform);
        self.http.json(Method::GET, target, no_body()).await
    }

    pub async fn tag(&self, image: &str, repo: &str, tag: &str) -> Result<()> {
        let target = Self::on(image, "tag").arg("repo", repo).arg_if("tag", tag);
        self.http.whole(Method::POST, target, no_body()).await.map(drop)
    }

    /// `platforms`: JSON of those whose part goes; none for the whole image.
    pub async fn remove(
        &self,
        image: &str,
        force: bool,
        no_prune: bool,
        platforms: &[String],
    ) -> Result<Vec<ImageDeleteItem>> {
        let target =
            Target::new(format!("/images/{}", escape(image))).flag("force", force).flag("noprune", no_prune);
        let target = platforms.iter().fold(target, |t, platform| t.arg("platforms", platform));
        self.http.json(Method::DELETE, target, no_body()).await
    }

    /// Removes what nothing uses and the filters let through.
    pub async fn prune(&self, filters: &Filters) -> Result<ImagesPruneResponse> {
        let target = Target::new("/images/prune").arg_if("filters", &filters.to_json());
        self.http.json(Method::POST, target, no_body()).await
    }

    /// Removes what the water marks ask for (the engine's, if these are empty), or tells what that would be.
    pub async fn collect_garbage(
        &self,
        dry_run: bool,
        high: &str,
        low: &str,
        age_s: &str,
    ) -> Result<ImageGarbage> {
        let target = Target::new("/images/gc")
            .flag("dryrun", dry_run)
            .arg_if("high", high)
            .arg_if("low", low)
            .arg_if("minage", age_s);
        self.http.json(Method::POST, target, no_body()).await
    }

    /// `from`: a docker-archive or OCI-layout tar, compressed or not. `platforms`: JSON of those wanted; none for all.
    pub async fn load(
        &self,
        from: impl AsyncRead + Send + Unpin + 'static,
        quiet: bool,
        platforms: &[String],
    ) -> Result<JsonStream<ProgressMessage>> {
        let target = Target::new("/images/load").arg("quiet", if quiet { "1" } else { "0" });
        let target = platforms.iter().fold(target, |t, platform| t.arg("platform", platform));
        Ok(self.http.stream(Method::POST, target, stream_body(from)).await?.json())
    }

    /// A tar of these images. `platforms`: JSON of those wanted; none for all.
    pub async fn save(&self, images: &[String], platforms: &[String]) -> Result<ByteStream> {
        let target = images.iter().fold(Target::new("/images/get"), |t, name| t.arg("names", name));
        let target = platforms.iter().fold(target, |t, platform| t.arg("platform", platform));
        self.http.stream(Method::GET, target, no_body()).await
    }

    /// `from`: a root file system tar, compressed or not.
    pub async fn import(
        &self,
        how: &Import<'_>,
        from: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<JsonStream<ProgressMessage>> {
        let target = Target::new("/images/create")
            .arg("fromSrc", if how.url.is_empty() { "-" } else { how.url })
            .arg_if("repo", how.repo)
            .arg_if("tag", how.tag)
            .arg_if("message", how.message)
            .arg_if("platform", how.platform);
        let target = how.changes.iter().fold(target, |t, change| t.arg("changes", change));
        Ok(self.http.stream(Method::POST, target, stream_body(from)).await?.json())
    }

    /// `name` without tag or digest; these go into `tag`, which is empty for all tags. `auth`: a registry's
    /// [`AuthConfig`](api::registry::AuthConfig) as a header, or empty.
    pub async fn pull(
        &self,
        name: &str,
        tag: &str,
        platform: &str,
        auth: &str,
    ) -> Result<JsonStream<ProgressMessage>> {
        let target = Target::new("/images/create")
            .arg("fromImage", name)
            .arg_if("tag", tag)
            .arg_if("platform", platform);
        Ok(self.http.stream_as(Method::POST, target, auth, no_body()).await?.json())
    }

    /// `name` without a tag; all tags if `tag` is empty. `platform`: JSON of the one to push, or empty. `auth` as in
    /// [`Images::pull`].
    pub async fn push(
        &self,
        name: &str,
        tag: &str,
        platform: &str,
        auth: &str,
    ) -> Result<JsonStream<ProgressMessage>> {
        let target = Self::on(name, "push").arg_if("tag", tag).arg_if("platform", platform);
        // Docker's engine wants the header even if it says nothing.
        let auth = if auth.is_empty() { AuthConfig::default().to_header() } else { auth.to_owned() };
        Ok(self.http.stream_as(Method::POST, target, &auth, no_body()).await?.json())
    }
}
