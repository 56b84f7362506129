//! Push: the blobs that the registry does not have, side by side, then the manifest as it is here, so that the digest is
//! the same there. What another repository of the registry is known to have is mounted.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use distribution::{Access, Client, Credentials, Pushed, Repository};
use oci::{Descriptor, Digest, Manifest, Platform, Reference, media_type};
use store::{Image, Lease, Store};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Images, Progress, Report};
use crate::core::blocking;
use crate::error::{Error, Result};

/// Between two lines about the same layer's bytes.
const LINE_PAUSE: Duration = Duration::from_millis(100);

/// `POST /images/{name}/push`.
#[derive(Debug, Clone, Default)]
pub struct PushRequest {
    pub name: String,
    /// Empty: all tags.
    pub tag: String,
    pub platform: Option<Platform>,
    pub credentials: Credentials,
}

pub(super) type Shared = Arc<Mutex<Report>>;

/// Where to, and what of it.
pub(super) struct Pushing<'a> {
    pub(super) repository: &'a Repository,
    pub(super) client: &'a Client,
    pub(super) credentials: &'a Credentials,
    pub(super) platform: Option<&'a Platform>,
    pub(super) report: &'a Shared,
}

/// What the tag is there.
pub(super) struct PushedAs {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// All that the name stands for here.
    pub(super) whole: bool,
}

/// One blob, and what it takes to send it.
struct Upload {
    store: Arc<Store>,
    repository: Repository,
    descriptor: Descriptor,
    /// A repository of the registry that has it.
    source: Option<String>,
    report: Shared,
    /// A config is sent without a line.
    is_layer: bool,
}

impl Images {
    /// Pushes one tag, or all of a repository. Dropped half-way, it leaves blobs there that no manifest names.
    pub async fn push(&self, request: PushRequest, report: Report) -> Result<()> {
        let report: Shared = Arc::new(Mutex::new(report));
        let invalid = |error: oci::ReferenceError| Error::invalid(error.to_string());
        let name = Reference::parse(&request.name).map_err(invalid)?;
        if name.digest().is_some() {
            return Err(Error::invalid("cannot push a digest reference"));
        }
        let tag = match (request.tag.as_str(), name.tag()) {
            ("", tag) => tag.map(str::to_owned),
            (tag, _) => Some(tag.to_owned()),
        };
        let name = name.name_only();
        let tagged = tag.map(|tag| name.with_tag(&tag)).transpose().map_err(invalid)?;
        say(&report, Progress::Line(format!("The push refers to repository [{}]", name.name())));
        let images = self.store.images();
        let of_repository: BTreeSet<Reference> = images
            .list()
            .iter()
            .flat_map(|image| images.names(&image.id))
            .filter(|other| other.name() == name.name())
            .collect();
        if of_repository.is_empty() {
            let familiar = name.familiar_name();
            return Err(Error::not_found(format!(
                "An image does not exist locally with the tag: {familiar}"
            )));
        }
        let wanted: Vec<Reference> = match tagged {
            Some(tagged) if of_repository.contains(&tagged) => vec![tagged],
            Some(tagged) => {
                return Err(Error::not_found(format!("tag does not exist: {}", tagged.familiar())));
            }
            None => of_repository.into_iter().filter(|name| name.tag().is_some()).collect(),
        };
        if wanted.is_empty() {
            return Err(Error::not_found(format!("no tags to push for {}", name.familiar_name())));
        }
        let client = self.registries.client();
        let repository = client.repository(&name, &request.credentials, Access::Push)?;
        let pushing = Pushing {
            repository: &repository,
            client: &client,
            credentials: &request.credentials,
            platform: request.platform.as_ref(),
            report: &report,
        };
        for tagged in wanted {
            self.push_one(&pushing, &tagged).await?;
        }
        Ok(())
    }

    async fn push_one(&self, pushing: &Pushing<'_>, name: &Reference) -> Result<()> {
        let lease = Arc::new(self.store.content().lease());
        let images = self.store.images();
        let missing = || Error::not_found(format!("tag does not exist: {}", name.familiar()));
        let image = images.by_name(name).ok_or_else(missing)?;
        // What is on its way is no garbage; what was removed in between is gone.
        lease.hold(&image.id);
        lease.hold(&image.manifest);
        let image = images.by_name(name).filter(|now| now.id == image.id).ok_or_else(missing)?;
        let pushed = match images.index_of_name(name) {
            Some(index) => self.push_of_index(pushing, &lease, name, &index).await?,
            None => {
                if let Some(platform) = pushing.platform {
                    self.check_platform(&name.familiar(), platform)?;
                }
                let whole = PushedAs { size: 0, digest: image.manifest.clone(), whole: true };
                let size =
                    self.push_manifest(pushing, &lease, name, &image.manifest, Some(tag_of(name))).await?;
                PushedAs { size, ..whole }
            }
        };
        if pushed.whole {
            self.remember(&lease, &image, name, &pushed.digest).await?;
        }
        let (tag, digest, size) = (tag_of(name), pushed.digest.to_string(), pushed.size);
        say(pushing.report, Progress::Line(format!("{tag}: digest: {digest} size: {size}")));
        say(pushing.report, Progress::Pushed { tag: tag.to_owned(), digest, size });
        tracing::info!(image = %image.id, %name, "pushed");
        self.event("push", &name.familiar(), &name.familiar_name());
        Ok(())
    }

    /// A manifest with all that it names, under a tag, or under its digest only. Answers its size.
    pub(super) async fn push_manifest(
        &self,
        pushing: &Pushing<'_>,
        lease: &Arc<Lease>,
        name: &Reference,
        digest: &Digest,
        tag: Option<&str>,
    ) -> Result<u64> {
        lease.hold(digest);
        let (store, wanted) = (self.store.clone(), digest.clone());
        let bytes = blocking(move || store.content().read(&wanted)).await?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|error| Error::internal(format!("manifest {digest}: {error}")))?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            lease.hold(&blob.digest);
        }
        for layer in manifest.layers.iter().rev() {
            say_layer(pushing.report, layer, "Preparing", 0);
        }
        let what = tag.unwrap_or(digest.as_str());
        // Whoever has the manifest has all that it names.
        if pushing.repository.has_manifest(what, digest).await? {
            for layer in manifest.layers.iter().rev() {
                say_layer(pushing.report, layer, "Layer already exists", 0);
            }
        } else {
            self.push_blobs(pushing.repository, name, &manifest, pushing.report).await?;
            let docker =
                manifest.layers.first().is_some_and(|layer| layer.media_type.contains("vnd.docker."));
            let usual = if docker { media_type::DOCKER_MANIFEST } else { media_type::OCI_MANIFEST };
            let media_type = manifest.media_type.as_deref().unwrap_or(usual);
            pushing.repository.put_manifest(what, media_type, &bytes).await?;
        }
        Ok(bytes.len() as u64)
    }

    /// From now on the image is known by the digest that the registry has for it.
    async fn remember(
        &self,
        lease: &Arc<Lease>,
        image: &Image,
        name: &Reference,
        digest: &Digest,
    ) -> Result<()> {
        let canonical = name.with_digest(digest.clone());
        let images = self.store.images();
        if images.by_name(&canonical).is_some_and(|known| known.id == image.id) {
            return Ok(());
        }
        let index = images.index_of_name(name).map(|index| index.digest.clone());
        let (store, lease, id) = (self.store.clone(), lease.clone(), image.id.clone());
        blocking(move || store.images().rename(&lease, &id, &[canonical], index.as_ref())).await?;
        Ok(())
    }

    async fn push_blobs(
        &self,
        repository: &Repository,
        name: &Reference,
        manifest: &Manifest,
        report: &Shared,
    ) -> Result<()> {
        let turns = Arc::new(Semaphore::new(self.core.settings().uploads_max.max(1)));
        let mut uploads = JoinSet::new();
        let mut seen = BTreeSet::new();
        let layers = manifest.layers.iter().map(|layer| (layer, true));
        for (descriptor, is_layer) in layers.chain([(&manifest.config, false)]) {
            if !seen.insert(&descriptor.digest) {
                continue;
            }
            let upload = Upload {
                store: self.store.clone(),
                repository: repository.clone(),
                descriptor: descriptor.clone(),
                source: is_layer.then(|| self.source(name, descriptor)).flatten(),
                report: report.clone(),
                is_layer,
            };
            let turns = turns.clone();
            uploads.spawn(async move {
                let _turn = turns.acquire().await;
                upload.run().await
            });
        }
        while let Some(ended) = uploads.join_next().await {
            ended.map_err(|error| Error::internal(error.to_string()))??;
        }
        Ok(())
    }

    /// Another repository of the same registry that an image with this layer came from, or went to.
    fn source(&self, name: &Reference, layer: &Descriptor) -> Option<String> {
        let images = self.store.images();
        let with_it = images
            .list()
            .into_iter()
            .filter(|image| image.layers.iter().any(|other| other.descriptor.digest == layer.digest));
        with_it
            .flat_map(|image| images.names(&image.id))
            .find(|other| {
                other.digest().is_some() && other.domain() == name.domain() && other.path() != name.path()
            })
            .map(|other| other.path().to_owned())
    }
}

impl Upload {
    async fn run(&self) -> Result<()> {
        let digest = &self.descriptor.digest;
        if self.repository.has_blob(digest).await? {
            self.say("Layer already exists", 0);
            return Ok(());
        }
        let file = self.store.content().file(digest)?;
        let size = file.metadata().map_err(|error| Error::internal(format!("{digest}: {error}")))?.len();
        let last_line = Mutex::new(None::<Instant>);
        let line = |sent: u64| {
            let mut last = last_line.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|at| at.elapsed() >= LINE_PAUSE) && sent > 0 {
                *last = Some(Instant::now());
                self.say("Pushing", sent);
            }
        };
        match self.repository.push_blob(digest, size, file, self.source.as_deref(), line).await? {
            Pushed::Exists => self.say("Layer already exists", 0),
            Pushed::Uploaded => self.say("Pushed", 0),
            Pushed::Mounted(from) if self.is_layer => {
                let id = digest.short().to_owned();
                say(&self.report, Progress::Status { id, status: format!("Mounted from {from}") });
            }
            Pushed::Mounted(_) => {}
        }
        Ok(())
    }

    fn say(&self, status: &'static str, current: u64) {
        if self.is_layer {
            say_layer(&self.report, &self.descriptor, status, current);
        }
    }
}

pub(super) fn tag_of(name: &Reference) -> &str {
    name.tag().unwrap_or(oci::DEFAULT_TAG)
}

pub(super) fn say(report: &Shared, progress: Progress) {
    (report.lock().unwrap_or_else(PoisonError::into_inner))(progress);
}

fn say_layer(report: &Shared, layer: &Descriptor, status: &'static str, current: u64) {
    let id = layer.digest.short().to_owned();
    let total = if current > 0 { layer.size } else { 0 };
    say(report, Progress::Layer { id, status, current, total });
}
