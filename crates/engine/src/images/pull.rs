//! Pull: a name becomes a digest, the digest a manifest, for one platform, and that a config and layers. All that is
//! brought in is leased until the record names it; the record comes last, so that an image is there whole or not at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use distribution::{Access, Credentials, MANIFEST_BYTES_MAX, RemoteManifest, Repository};
use oci::{Descriptor, Digest, Digester, Manifest, Platform, Reference, media_type};
use store::builtin::Builtin;
use store::{Image, ImageLayer, Lease};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::index::Chosen;
use super::layers::{Below, Stage, Transfer};
use super::registry::pull_error;
use super::service::name_of;
use super::{Images, Progress, Report};
use crate::core::blocking;
use crate::error::{Error, Result};

/// As many as overlayfs stacks.
const LAYERS_MAX: usize = 500;
/// Between two lines about the same layer's bytes.
const LINE_PAUSE: Duration = Duration::from_millis(100);

/// `POST /images/create?fromImage=`.
#[derive(Debug, Clone, Default)]
pub struct PullRequest {
    /// With tag or digest, or without.
    pub name: String,
    /// Or a digest. Where neither says, all tags are pulled.
    pub tag: String,
    /// Empty: this machine's.
    pub platform: String,
    pub credentials: Credentials,
}

type Shared = Arc<Mutex<Report>>;

/// One name on its way in.
pub(super) struct Pull {
    pub(super) images: Images,
    pub(super) repository: Repository,
    pub(super) reference: Reference,
    pub(super) platform: Platform,
    report: Shared,
    pub(super) lease: Arc<Lease>,
}

impl Images {
    /// Pulls one image, or all tags of a repository. Built-in images come out of the binary. Dropped half-way, it leaves
    /// no image, and what was downloaded for the next attempt.
    pub async fn pull(&self, request: PullRequest, report: Report) -> Result<()> {
        let report: Shared = Arc::new(Mutex::new(report));
        let reference = given_name(&request)?;
        let platform = match request.platform.as_str() {
            "" => Platform::host(),
            text => text.parse().map_err(|error: oci::PlatformError| Error::invalid(error.to_string()))?,
        };
        if let Some(builtin) = Builtin::of(&reference).filter(|_| Platform::host().satisfies(&platform)) {
            return self.pull_builtin(builtin, &reference, &report).await;
        }
        let client = self.registries.client();
        let repository = client
            .repository(&reference, &request.credentials, Access::Pull)
            .map_err(|error| pull_error(&error, &reference))?;
        let mut names = Vec::new();
        if reference.is_name_only() {
            for tag in repository.tags().await.map_err(|error| pull_error(&error, &reference))? {
                names.push(reference.with_tag(&tag).map_err(|error| Error::internal(error.to_string()))?);
            }
        } else {
            names.push(reference.clone());
        }
        let mut newer = false;
        for name in names {
            let pull = Pull {
                images: self.clone(),
                repository: repository.clone(),
                reference: name,
                platform: platform.clone(),
                report: report.clone(),
                lease: Arc::new(self.store.content().lease()),
            };
            newer |= pull.run().await?;
        }
        say_status(&report, newer, &reference.familiar());
        if !request.platform.is_empty()
            && let Err(error) = self.check_platform(&reference.familiar(), &platform)
        {
            say(&report, Progress::Line(format!("WARNING: {error}")));
        }
        Ok(())
    }

    /// Under the name that was asked for; a bare one stands for all of its tags, as ever.
    async fn pull_builtin(&self, builtin: Builtin, reference: &Reference, report: &Shared) -> Result<()> {
        let mut names = vec![reference.clone()];
        if reference.is_name_only() {
            let tagged = builtin.tags().iter().map(|tag| reference.with_tag(tag));
            names = tagged.collect::<Result<_, _>>().map_err(|error| Error::internal(error.to_string()))?;
        }
        let mut newer = false;
        for name in names {
            let before = self.store.images().by_name(&name).map(|image| image.id.clone());
            let (store, wanted) = (self.store.clone(), name.clone());
            let image = blocking(move || -> Result<Arc<Image>> {
                let executable = std::fs::File::open("/proc/self/exe")
                    .map_err(|error| Error::internal(format!("open /proc/self/exe: {error}")))?;
                Ok(builtin.make(store.images(), wanted, executable)?)
            })
            .await?;
            newer |= before.as_ref() != Some(&image.id);
            say(report, Progress::Line(format!("Made {} from this binary", name.familiar())));
            say(report, Progress::Line(format!("Digest: {}", image.manifest)));
            self.event("pull", &name.familiar(), &name.familiar_name());
        }
        say_status(report, newer, &reference.familiar());
        Ok(())
    }
}

impl Pull {
    /// Is the name another image's now than before?
    async fn run(&self) -> Result<bool> {
        let what = self.what();
        let failed = |error: distribution::Error| pull_error(&error, &self.reference);
        let resolved = self.repository.resolve(&what).await.map_err(failed)?;
        let before = self.images.store.images().by_name(&self.reference).map(|image| image.id.clone());
        if let Some(digest) = &resolved
            && let Some(image) = self.known(digest).await?
        {
            self.begin();
            self.end(digest, &image);
            return Ok(before.as_ref() != Some(&image.id));
        }
        // By its digest: the tag may move at any time.
        let what = resolved.map_or(what, |digest| digest.to_string());
        let top = self.repository.manifest(&what).await.map_err(failed)?;
        let chosen = self.for_platform(top.clone()).await?;
        self.begin();
        let is_new =
            self.images.store.images().by_name(&self.reference.with_digest(top.digest.clone())).is_none();
        let image = self.bring_in(&top.digest, chosen).await?;
        self.end(&top.digest, &image);
        Ok(is_new || before.as_ref() != Some(&image.id))
    }

    /// Tag or digest, as the registry is asked for it.
    fn what(&self) -> String {
        match (self.reference.digest(), self.reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or(oci::DEFAULT_TAG).to_owned(),
        }
    }

    /// The names that the image gets: the tag, and the digest that it was found under.
    fn names(&self, digest: &Digest) -> Vec<Reference> {
        let canonical = self.reference.with_digest(digest.clone());
        let tag = self.reference.tag().filter(|_| self.reference.digest().is_none());
        let tagged = tag.and_then(|tag| self.reference.with_tag(tag).ok());
        tagged.into_iter().chain([canonical]).collect()
    }

    fn begin(&self) {
        let status = format!("Pulling from {}", self.repository.path());
        say(&self.report, Progress::Status { id: self.what(), status });
    }

    fn end(&self, digest: &Digest, image: &Image) {
        say(&self.report, Progress::Line(format!("Digest: {digest}")));
        tracing::info!(image = %image.id, name = %self.reference, "pulled");
        self.images.event("pull", &self.reference.familiar(), &self.reference.familiar_name());
    }

    /// The image that this digest already is here, for the same platform; it has the name then.
    async fn known(&self, digest: &Digest) -> Result<Option<Arc<Image>>> {
        let canonical = self.reference.with_digest(digest.clone());
        let images = self.images.store.images();
        let Some(image) = images.by_name(&canonical) else { return Ok(None) };
        let Some(index) = images.index_of_name(&canonical) else {
            // An index of which an earlier engine kept only an image is fetched once more.
            if image.manifest != *digest || !image.config.platform().satisfies(&self.platform) {
                return Ok(None);
            }
            return self.rename(image.id.clone(), digest, None).await;
        };
        let Some((member, image)) = images.member_for(&index, &self.platform) else { return Ok(None) };
        if !images.is_available(&member) {
            return Ok(None);
        }
        self.rename(image.id.clone(), digest, Some(digest)).await
    }

    /// Gives an image that is there the names, where it does not have them.
    async fn rename(
        &self,
        id: Digest,
        digest: &Digest,
        index: Option<&Digest>,
    ) -> Result<Option<Arc<Image>>> {
        let names = self.names(digest);
        let images = self.images.store.images();
        let has = |name: &Reference| match index {
            Some(index) => images.index_of_name(name).is_some_and(|of| of.digest == *index),
            None => images.by_name(name).is_some_and(|image| image.id == id),
        };
        if names.iter().all(has) {
            return Ok(images.get(&id));
        }
        let (store, lease, index) = (self.images.store.clone(), self.lease.clone(), index.cloned());
        Ok(blocking(move || store.images().rename(&lease, &id, &names, index.as_ref())).await?)
    }

    async fn bring_in(&self, top: &Digest, chosen: Chosen) -> Result<Arc<Image>> {
        let remote = chosen.manifest;
        let manifest = self.checked(&remote)?;
        let id = manifest.config.digest.clone();
        let index = (!chosen.indexes.is_empty()).then_some(top);
        if index.is_none()
            && let Some(image) = self.rename(id.clone(), top, None).await?
        {
            return Ok(image);
        }
        // Everything is leased before it is looked for.
        for digest in manifest.layers.iter().map(|layer| &layer.digest).chain([&id, &remote.digest]) {
            self.lease.hold(digest);
        }
        self.keep_indexes(chosen.indexes).await?;
        let config = self.config(&manifest.config).await?;
        let (store, lease, config_digest) = (self.images.store.clone(), self.lease.clone(), id.clone());
        let (manifest_digest, layers) = blocking(move || -> store::Result<(Digest, Vec<ImageLayer>)> {
            store.content().add(&lease, &config_digest, &config)?;
            store.content().add(&lease, &remote.digest, &remote.bytes)?;
            let layers = store.images().layers_of(&config_digest, &remote.digest)?;
            Ok((remote.digest, layers))
        })
        .await?;
        // Kept until the record is there: with the last of them goes the task that brings a layer in.
        let transfers = self.begin_layers(&layers);
        self.attend(&transfers).await?;
        for attestation in &chosen.attestations {
            self.attestation(attestation).await?;
        }
        let (store, lease, names) = (self.images.store.clone(), self.lease.clone(), self.names(top));
        let index = index.cloned();
        Ok(blocking(move || store.images().add(&lease, &id, &manifest_digest, &names, index.as_ref()))
            .await?)
    }

    /// A manifest of an image, with layers that can be had.
    fn checked(&self, remote: &RemoteManifest) -> Result<Manifest> {
        let name = self.reference.familiar();
        if remote.media_type.starts_with("application/vnd.docker.distribution.manifest.v1+") {
            return Err(Error::invalid(format!(
                "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest \
                 the author of {name} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More \
                 information at https://docs.docker.com/go/deprecated-image-specs/"
            )));
        }
        if !media_type::is_manifest(&remote.media_type) {
            return Err(Error::internal(format!("unsupported manifest media type: {}", remote.media_type)));
        }
        let manifest: Manifest = serde_json::from_slice(&remote.bytes)
            .map_err(|error| Error::internal(format!("manifest {}: {error}", remote.digest)))?;
        if !media_type::is_config(&manifest.config.media_type) {
            return Err(Error::internal(format!(
                "Encountered remote {:?}(unknown) when fetching",
                manifest.config.media_type
            )));
        }
        if manifest.layers.len() > LAYERS_MAX {
            return Err(Error::internal(format!(
                "manifest {}: more than {LAYERS_MAX} layers",
                remote.digest
            )));
        }
        let foreign = |layer: &&Descriptor| {
            layer.media_type.contains(".foreign.") || layer.media_type.contains(".nondistributable.")
        };
        if let Some(layer) = manifest.layers.iter().find(foreign) {
            return Err(Error::unsupported(format!(
                "{name}: layer {} is a foreign one ({}), which is not to be had from a registry: such images are not \
                 supported",
                layer.digest, layer.media_type
            )));
        }
        Ok(manifest)
    }

    /// The image's config, which is small.
    async fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if descriptor.size > MANIFEST_BYTES_MAX as u64 {
            return Err(Error::internal(format!(
                "image config {} of {} bytes is too large",
                descriptor.digest, descriptor.size
            )));
        }
        let mut blob = self.repository.blob(&descriptor.digest, descriptor.size, 0);
        let mut bytes = Vec::new();
        while let Some(chunk) = blob.chunk().await.map_err(|error| pull_error(&error, &self.reference))? {
            bytes.extend_from_slice(&chunk);
        }
        let mut digester = Digester::new(descriptor.digest.algorithm());
        digester.update(&bytes);
        if digester.finish() != descriptor.digest {
            return Err(Error::internal(format!(
                "image config verification failed for digest {}",
                descriptor.digest
            )));
        }
        let config: oci::ImageConfig = serde_json::from_slice(&bytes)
            .map_err(|error| Error::internal(format!("image config {}: {error}", descriptor.digest)))?;
        if !matches!(config.os.as_str(), "" | "linux") {
            return Err(Error::internal(format!(
                "image operating system {:?} cannot be used on this platform",
                config.os
            )));
        }
        Ok(bytes)
    }

    fn begin_layers(&self, layers: &[ImageLayer]) -> Vec<(ImageLayer, Arc<Transfer>)> {
        let mut transfers = Vec::new();
        let mut below: Option<Below> = None;
        for layer in layers {
            self.lease.hold(&layer.chain_id);
            let mut transfer = None;
            if self.images.store.images().has_layer(layer) {
                say_layer(&self.report, layer, "Already exists", 0);
            } else {
                say_layer(&self.report, layer, "Pulling fs layer", 0);
                let begun = self.images.layers.bring_in(&self.repository, layer, below.take());
                transfers.push((layer.clone(), begun.clone()));
                transfer = Some(begun);
            }
            below = Some(Below { chain_id: layer.chain_id.clone(), transfer });
        }
        transfers
    }

    /// Waits for all, and tells how they go on. The first failure is that of the pull.
    async fn attend(&self, transfers: &[(ImageLayer, Arc<Transfer>)]) -> Result<()> {
        let mut watching = JoinSet::new();
        for (layer, transfer) in transfers {
            watching.spawn(tell(layer.clone(), transfer.watch(), self.report.clone()));
        }
        while let Some(ended) = watching.join_next().await {
            ended.map_err(|error| Error::internal(error.to_string()))??;
        }
        Ok(())
    }
}

/// Tells of one layer until it is there.
async fn tell(layer: ImageLayer, mut stages: watch::Receiver<Stage>, report: Shared) -> Result<()> {
    let total = layer.descriptor.size;
    let mut said: Option<Stage> = None;
    let mut last_line = Instant::now() - LINE_PAUSE;
    let mut downloading = false;
    loop {
        let stage = stages.borrow_and_update().clone();
        if said.as_ref() != Some(&stage) {
            let arrived = matches!(stage, Stage::Downloaded | Stage::Extracting | Stage::Done);
            if std::mem::take(&mut downloading) && arrived {
                say_layer(&report, &layer, "Verifying Checksum", 0);
                say_layer(&report, &layer, "Download complete", 0);
            }
            match &stage {
                Stage::Waiting => say_layer(&report, &layer, "Waiting", 0),
                Stage::Downloading { current } => {
                    downloading = true;
                    if last_line.elapsed() >= LINE_PAUSE {
                        last_line = Instant::now();
                        say_layer(&report, &layer, "Downloading", *current);
                    }
                }
                Stage::Downloaded => {}
                Stage::Extracting => say_layer(&report, &layer, "Extracting", total),
                Stage::Done => {
                    say_layer(&report, &layer, "Pull complete", 0);
                    return Ok(());
                }
                Stage::Failed(error) => return Err(error.clone()),
            }
            said = Some(stage);
        }
        if stages.changed().await.is_err() {
            return Err(Error::internal("the download of a layer was broken off"));
        }
    }
}

fn given_name(request: &PullRequest) -> Result<Reference> {
    if !request.tag.is_empty() {
        return name_of(&request.name, &request.tag);
    }
    Reference::parse(&request.name).map_err(|error| Error::invalid(error.to_string()))
}

fn say(report: &Shared, progress: Progress) {
    (report.lock().unwrap_or_else(PoisonError::into_inner))(progress);
}

/// `current` of nothing is no number at all.
fn say_layer(report: &Shared, layer: &ImageLayer, status: &'static str, current: u64) {
    let id = layer.descriptor.digest.short().to_owned();
    let total = if current > 0 { layer.descriptor.size } else { 0 };
    say(report, Progress::Layer { id, status, current, total });
}

fn say_status(report: &Shared, newer: bool, name: &str) {
    let what = if newer { "Downloaded newer image" } else { "Image is up to date" };
    say(report, Progress::Line(format!("Status: {what} for {name}")));
}
