//! Copy: an image, or an index with all that it names, from one registry to another. Nothing of it is kept here: manifests go
//! over as they are, so that digests stay what they are, and blobs pass through in pieces.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use distribution::{Access, Credentials, Pushed, RemoteManifest, Repository};
use oci::{Descriptor, Index, Manifest, Reference, media_type};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::registry::pull_error;
use super::{Images, Progress, Report};
use crate::error::{Error, Result};

/// Indexes in indexes, deeper than anybody has reason to nest them.
const DEPTH_MAX: usize = 4;
/// In all of them together.
const MANIFESTS_MAX: usize = 2000;
/// Between two lines about the same blob's bytes.
const LINE_PAUSE: Duration = Duration::from_millis(100);

/// `POST /distribution/{name}/copy`, which Docker does not have.
#[derive(Debug, Clone, Default)]
pub struct CopyRequest {
    pub from: String,
    /// Without a tag: the source's. With a digest, which must be what the source has: without a tag there, either.
    pub to: String,
    pub credentials: Credentials,
    pub credentials_there: Credentials,
    /// Whatever the registries' certificates are.
    pub insecure: bool,
}

type Shared = Arc<Mutex<Report>>;

/// A copy at work.
pub(super) struct Copy {
    from: Repository,
    to: Repository,
    /// A repository of the target's registry that has all of it.
    mount: Option<String>,
    turns: Arc<Semaphore>,
    report: Shared,
    // What was looked at: layers and manifests are shared by platforms. Never held across an await.
    seen: Mutex<BTreeSet<String>>,
}

impl Images {
    /// Copies one name. What is there already is not sent; what another repository of the same registry has is mounted.
    pub async fn copy(&self, request: CopyRequest, report: Report) -> Result<()> {
        let report: Shared = Arc::new(Mutex::new(report));
        let parse = |text: &str| Reference::parse(text).map_err(|error| Error::invalid(error.to_string()));
        let from = parse(&request.from)?.or_latest();
        let to = parse(&request.to)?;
        let tag = match to.digest() {
            Some(digest) => digest.to_string(),
            None => to.tag().or(from.tag()).unwrap_or(oci::DEFAULT_TAG).to_owned(),
        };
        let (client, client_there) = (
            self.registries.client_for(from.domain(), request.insecure),
            self.registries.client_for(to.domain(), request.insecure),
        );
        let source = client
            .repository(&from, &request.credentials, Access::Pull)
            .map_err(|error| pull_error(&error, &from))?;
        let target = client_there.repository(&to, &request.credentials_there, Access::Push)?;
        let what = from
            .digest()
            .map_or_else(|| from.tag().unwrap_or(oci::DEFAULT_TAG).to_owned(), |digest| digest.to_string());
        let top = source.manifest(&what).await.map_err(|error| pull_error(&error, &from))?;
        if to.digest().is_some_and(|wanted| *wanted != top.digest) {
            return Err(Error::invalid(format!(
                "{} has the digest {}, not {tag}",
                from.familiar(),
                top.digest
            )));
        }
        let names = format!(
            "{} to {}{}{tag}",
            from.familiar(),
            to.familiar_name(),
            if to.digest().is_some() { '@' } else { ':' }
        );
        say(&report, Progress::Line(format!("Copying {names}")));
        if target.has_manifest(&tag, &top.digest).await? {
            say(&report, Progress::Line("All of it is there".into()));
        } else {
            let copy = Copy {
                mount: (from.domain() == to.domain()).then(|| from.path().to_owned()),
                from: source,
                to: target,
                turns: Arc::new(Semaphore::new(self.core.settings().uploads_max.max(1))),
                report: report.clone(),
                seen: Mutex::default(),
            };
            copy.below(&top, DEPTH_MAX).await?;
            copy.to.put_manifest(&tag, &top.media_type, &top.bytes).await?;
        }
        let (digest, size) = (top.digest.to_string(), top.bytes.len() as u64);
        say(&report, Progress::Line(format!("{tag}: digest: {digest} size: {size}")));
        say(&report, Progress::Pushed { tag, digest, size });
        tracing::info!(from = %from, to = %to, digest = %top.digest, "copied");
        Ok(())
    }
}

impl Copy {
    /// Between two repositories of one registry.
    pub(super) fn between(
        from: Repository,
        to: Repository,
        mount: &str,
        turns: usize,
        report: &Shared,
    ) -> Copy {
        Copy {
            from,
            to,
            mount: Some(mount.to_owned()),
            turns: Arc::new(Semaphore::new(turns.max(1))),
            report: report.clone(),
            seen: Mutex::default(),
        }
    }

    /// Does the source have it?
    pub(super) async fn has(&self, digest: &oci::Digest) -> Result<bool> {
        Ok(self.from.has_manifest(digest.as_str(), digest).await?)
    }

    /// Brings a manifest over, with all that it names.
    pub(super) async fn bring(&self, descriptor: &Descriptor) -> Result<()> {
        self.child(descriptor, DEPTH_MAX).await
    }

    /// All that a manifest or index names, before itself: a registry takes it only then.
    fn below<'a>(
        &'a self,
        top: &'a RemoteManifest,
        depth: usize,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>> {
        Box::pin(async move {
            let damaged =
                |error: serde_json::Error| Error::internal(format!("manifest {}: {error}", top.digest));
            if media_type::is_manifest(&top.media_type) {
                let manifest: Manifest = serde_json::from_slice(&top.bytes).map_err(damaged)?;
                return self.blobs(&manifest).await;
            }
            if !media_type::is_index(&top.media_type) {
                return Err(Error::internal(format!("unsupported manifest media type: {}", top.media_type)));
            }
            if depth == 0 {
                return Err(Error::internal(format!("{}: indexes are nested too deeply", top.digest)));
            }
            let index: Index = serde_json::from_slice(&top.bytes).map_err(damaged)?;
            for child in &index.manifests {
                self.child(child, depth - 1).await?;
            }
            Ok(())
        })
    }

    async fn child(&self, descriptor: &Descriptor, depth: usize) -> Result<()> {
        let digest = &descriptor.digest;
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.len() > MANIFESTS_MAX {
                return Err(Error::internal(format!("more than {MANIFESTS_MAX} manifests and blobs")));
            }
            if !seen.insert(digest.to_string()) {
                return Ok(());
            }
        }
        let platform = descriptor.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        let id = digest.short().to_owned();
        // Whoever has the manifest has all that it names.
        if self.to.has_manifest(digest.as_str(), digest).await? {
            say(
                &self.report,
                Progress::Status { id, status: format!("Manifest already exists {platform}").trim().into() },
            );
            return Ok(());
        }
        let child = self.from.manifest(digest.as_str()).await?;
        self.below(&child, depth).await?;
        self.to.put_manifest(digest.as_str(), &child.media_type, &child.bytes).await?;
        say(&self.report, Progress::Status { id, status: format!("Copied {platform}").trim().into() });
        Ok(())
    }

    async fn blobs(&self, manifest: &Manifest) -> Result<()> {
        let mut passing = JoinSet::new();
        for descriptor in manifest.layers.iter().chain([&manifest.config]) {
            // What is to be had elsewhere only is no registry's.
            let foreign = descriptor.media_type.contains(".foreign.")
                || descriptor.media_type.contains(".nondistributable.");
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if foreign || !seen.insert(descriptor.digest.to_string()) {
                continue;
            }
            let one = Passing {
                from: self.from.clone(),
                to: self.to.clone(),
                mount: self.mount.clone(),
                descriptor: descriptor.clone(),
                report: self.report.clone(),
            };
            let turns = self.turns.clone();
            passing.spawn(async move {
                let _turn = turns.acquire().await;
                one.run().await
            });
        }
        while let Some(ended) = passing.join_next().await {
            ended.map_err(|error| Error::internal(error.to_string()))??;
        }
        Ok(())
    }
}

/// One blob on its way over.
struct Passing {
    from: Repository,
    to: Repository,
    mount: Option<String>,
    descriptor: Descriptor,
    report: Shared,
}

impl Passing {
    async fn run(&self) -> Result<()> {
        let Descriptor { digest, size, .. } = &self.descriptor;
        if self.to.has_blob(digest).await? {
            self.say("Layer already exists", 0);
            return Ok(());
        }
        let last_line = Mutex::new(None::<Instant>);
        let line = |sent: u64| {
            let mut last = last_line.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|at| at.elapsed() >= LINE_PAUSE) {
                *last = Some(Instant::now());
                self.say("Copying", sent);
            }
        };
        // It is many steps, and large.
        let passing = Box::pin(self.to.pass_blob(&self.from, digest, *size, self.mount.as_deref(), line));
        match passing.await? {
            Pushed::Exists => self.say("Layer already exists", 0),
            Pushed::Uploaded => self.say("Copied", 0),
            Pushed::Mounted(from) => {
                let id = digest.short().to_owned();
                say(&self.report, Progress::Status { id, status: format!("Mounted from {from}") });
            }
        }
        Ok(())
    }

    fn say(&self, status: &'static str, current: u64) {
        let id = self.descriptor.digest.short().to_owned();
        let total = if current > 0 { self.descriptor.size } else { 0 };
        say(&self.report, Progress::Layer { id, status, current, total });
    }
}

fn say(report: &Shared, progress: Progress) {
    (report.lock().unwrap_or_else(PoisonError::into_inner))(progress);
}
