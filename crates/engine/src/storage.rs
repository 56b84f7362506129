//! The real [`Storage`], over `store`.

use std::collections::BTreeMap;
use std::io::pipe;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{Durability, Root, Store};

use crate::container::Healthcheck;
use crate::error::{Class, Error, Result};
use crate::images::ImageConfig;
use crate::ports::{ImageManifest, OpenRoot, Rootfs, Storage, StoredImage};
use crate::quota;

/// A data root, seen as the engine needs it.
#[derive(Debug)]
pub struct Disk {
    store: Arc<Store>,
}

/// A container's record as text: the engine versions it itself (`records/`).
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct ContainerJson(Box<RawValue>);

impl store::Record for ContainerJson {
    const NAMESPACE: &'static str = "containers";
    const VERSION: u32 = 1;
}

/// A volume's, likewise (`volumes/record.rs`).
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct VolumeJson(Box<RawValue>);

impl store::Record for VolumeJson {
    const NAMESPACE: &'static str = "volumes";
    const VERSION: u32 = 1;
}

fn raw(json: &[u8]) -> Result<Box<RawValue>> {
    let text = String::from_utf8_lossy(json).into_owned();
    RawValue::from_string(text).map_err(|error| Error::internal(error.to_string()))
}

/// A network's, likewise (`networks/record.rs`).
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct NetworkJson(Box<RawValue>);

impl store::Record for NetworkJson {
    const NAMESPACE: &'static str = "networks";
    const VERSION: u32 = 1;
}

impl Disk {
    pub fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    fn manifest(&self, image: &store::Image) -> ImageManifest {
        ImageManifest {
            digest: image.manifest.to_string(),
            media_type: image.manifest_type().to_owned(),
            // It is here as long as the image is; who starts a container does not wait for it to be read.
            size_bytes: self.store.content().size(&image.manifest).unwrap_or_default(),
            os: image.config.os.clone(),
            architecture: image.config.architecture.clone(),
            variant: image.config.variant.clone().unwrap_or_default(),
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        let class = match error.class() {
            store::ErrorClass::NotFound => Class::NotFound,
            store::ErrorClass::Conflict => Class::Conflict,
            store::ErrorClass::Invalid => Class::Invalid,
            store::ErrorClass::Unsupported => Class::Unsupported,
            store::ErrorClass::Internal => Class::Internal,
        };
        Self::new(class, error.to_string())
    }
}

/// Docker's text, and behind it what is the matter.
fn refused(error: store::Error, text: &str) -> Error {
    match error {
        store::Error::NoQuotas { .. } => Error::invalid(format!("{text}: {error}")),
        other => other.into(),
    }
}

fn durability(durable: bool) -> Durability {
    if durable { Durability::Full } else { Durability::Relaxed }
}

/// The image's defaults in the engine's shape.
pub(crate) fn image_config(config: &oci::ContainerConfig) -> ImageConfig {
    let keys = |set: &Option<oci::GoSet>| set.iter().flat_map(|set| set.keys().cloned()).collect();
    ImageConfig {
        user: config.user.clone().unwrap_or_default(),
        exposed_ports: keys(&config.exposed_ports),
        env: config.env.clone().unwrap_or_default(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        volumes: keys(&config.volumes),
        working_dir: config.working_dir.clone().unwrap_or_default(),
        labels: config.labels.clone().unwrap_or_default(),
        stop_signal: config.stop_signal.clone(),
        stop_timeout_s: config.stop_timeout,
        shell: config.shell.clone(),
        on_build: config.on_build.clone(),
        healthcheck: config.healthcheck.as_ref().map(|check| Healthcheck {
            test: check.test.clone(),
            interval_ns: check.interval,
            timeout_ns: check.timeout,
            start_period_ns: check.start_period,
            start_interval_ns: check.start_interval,
            retries: check.retries,
        }),
        args_escaped: config.args_escaped.unwrap_or(false),
    }
}

impl Storage for Disk {
    fn resolve(&self, reference: &str, platform: Option<&oci::Platform>) -> Result<Arc<StoredImage>> {
        let image = self.store.images().find_for(reference, platform)?.image;
        Ok(Arc::new(StoredImage {
            id: image.id.to_string(),
            manifest: Some(self.manifest(&image)),
            os: image.config.os.clone(),
            architecture: image.config.architecture.clone(),
            config: image_config(&image.config.config),
        }))
    }

    fn note_use(&self, image: &StoredImage) {
        if let Ok(id) = image.id.parse() {
            self.store.images().note_use(&id);
        }
    }

    fn create_layer(&self, container: &str, image: &StoredImage, size_bytes: Option<u64>) -> Result<Rootfs> {
        let image = self.store.images().resolve(&image.id)?;
        let prepared = self.store.snapshots().prepare_limited(container, &image, size_bytes);
        Ok(match prepared.map_err(|error| refused(error, quota::NO_QUOTAS))? {
            Root::Directory(path) => Rootfs::Directory(path),
            Root::Overlay { lower, upper, work } => Rootfs::Overlay { lower, upper, work },
        })
    }

    fn remove_layer(&self, container: &str) -> Result<()> {
        Ok(self.store.snapshots().remove(container)?)
    }

    fn discard(&self, container: &str, directories: &[std::path::PathBuf]) -> Result<()> {
        Ok(self.store.snapshots().discard(container, directories)?)
    }

    fn layers(&self) -> Result<Vec<String>> {
        Ok(self.store.snapshots().list())
    }

    fn image_directories(&self, image: &str) -> Result<BTreeMap<String, String>> {
        let image = self.store.images().resolve(image)?;
        let data = self.store.snapshots().image_graph_data(&image);
        Ok(data.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    fn layer_size(&self, container: &str, image: &str) -> Result<(u64, u64)> {
        let own = self.store.snapshots().usage(container)?.bytes;
        let below = self.store.images().resolve(image).map_or(0, |image| image.size);
        Ok((own, below))
    }

    fn copy_out(&self, container: &str, path: &Path, to: &Path) -> Result<()> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Error::internal(format!("fill volume from {}: {what}: {error}", path.display()))
        };
        let root = self.store.snapshots().open_root(container, store::Access::Read)?;
        // Confined: the image's links may point anywhere.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let relative = path.strip_prefix("/").unwrap_or(path);
        if relative.as_os_str().is_empty() {
            return Ok(());
        }
        let from: OwnedFd = match openat2(&root, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(fd) => fd,
            // Nothing there, or a file: the volume stays empty, as in Docker.
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(()),
            Err(error) => return Err(failed("open", &error)),
        };
        let status = rustix::fs::fstat(&from).map_err(|error| failed("stat", &error))?;
        let (reader, writer) = pipe().map_err(|error| failed("pipe", &error))?;
        std::thread::scope(|scope| {
            let packing = scope.spawn(move || {
                let mut tar = archive::TarWriter::new(writer);
                tar.append_tree(from, archive::PackOptions::default())?;
                tar.finish().map(drop)
            });
            let extracted = archive::Extractor::open(to, archive::Mode::Verbatim)
                .and_then(|extractor| extractor.extract(reader).map(drop));
            let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            match (packed, extracted) {
                // Who packs only hears that nobody takes it any more.
                (Err(_), Err(why)) if !why.is_input() => Err(failed("copy", &why)),
                (packed, extracted) => packed.and(extracted).map_err(|error| failed("copy", &error)),
            }
        })?;
        rustix::fs::chmod(to, Mode::from_raw_mode(status.st_mode))
            .map_err(|error| failed("chmod", &error))?;
        std::os::unix::fs::chown(to, Some(status.st_uid), Some(status.st_gid))
            .map_err(|error| failed("chown", &error))
    }

    fn changes(&self, container: &str) -> Result<Vec<store::Change>> {
        Ok(self.store.snapshots().changes(container)?)
    }

    fn commit(
        &self,
        container: &str,
        image: &str,
        options: &store::CommitOptions,
        read: Box<dyn FnOnce() + Send>,
    ) -> Result<String> {
        let parent = self.store.images().resolve(image)?;
        Ok(self.store.images().commit_container(container, &parent, options, read)?.id.to_string())
    }

    fn open_root(
        &self,
        container: &str,
        access: store::Access,
        read_only: bool,
        binds: &[store::Bind],
    ) -> Result<OpenRoot> {
        let view = self.store.snapshots().view(container, access, read_only, binds)?;
        let (root, keep) = view.into_parts();
        Ok(OpenRoot { root, keep })
    }

    fn put_record(&self, container: &str, json: &[u8], durable: bool) -> Result<()> {
        Ok(self.store.records().put(container, &ContainerJson(raw(json)?), durability(durable))?)
    }

    fn delete_record(&self, container: &str, durable: bool) -> Result<()> {
        Ok(self.store.records().delete::<ContainerJson>(container, durability(durable))?)
    }

    fn make_room(&self) {
        self.store.make_room();
    }

    fn keep_room(&self) {
        self.store.keep_room();
    }

    fn records(&self) -> Result<Vec<(String, Result<Vec<u8>>)>> {
        let records = self.store.records().list::<ContainerJson>()?.into_iter();
        let bytes = |json: ContainerJson| json.0.get().as_bytes().to_vec();
        Ok(records.map(|(id, json)| (id, json.map(bytes).map_err(Error::from))).collect())
    }

    fn make_limited(&self, directory: &Path, bytes: u64) -> Result<()> {
        let made = self.store.quotas().create(directory, 0o755, bytes);
        made.map_err(|error| refused(error, quota::NO_VOLUME_QUOTAS))
    }

    fn renew_limit(&self, directory: &Path, bytes: u64) -> Result<()> {
        Ok(self.store.quotas().renew(directory, bytes)?)
    }

    fn release_limit(&self, directory: &Path) {
        self.store.quotas().release(directory);
    }

    fn put_volume(&self, name: &str, json: &[u8], durable: bool) -> Result<()> {
        Ok(self.store.records().put(name, &VolumeJson(raw(json)?), durability(durable))?)
    }

    fn delete_volume(&self, name: &str, durable: bool) -> Result<()> {
        Ok(self.store.records().delete::<VolumeJson>(name, durability(durable))?)
    }

    fn volumes(&self) -> Result<Vec<(String, Result<Vec<u8>>)>> {
        let records = self.store.records().list::<VolumeJson>()?.into_iter();
        let bytes = |json: VolumeJson| json.0.get().as_bytes().to_vec();
        Ok(records.map(|(name, json)| (name, json.map(bytes).map_err(Error::from))).collect())
    }

    fn tree_size(&self, directory: &Path) -> Result<u64> {
        Ok(store::tree_usage(directory)?.bytes)
    }

    fn put_network(&self, id: &str, json: &[u8], durable: bool) -> Result<()> {
        let text = String::from_utf8_lossy(json).into_owned();
        let raw = RawValue::from_string(text).map_err(|error| Error::internal(error.to_string()))?;
        Ok(self.store.records().put(id, &NetworkJson(raw), durability(durable))?)
    }

    fn delete_network(&self, id: &str, durable: bool) -> Result<()> {
        Ok(self.store.records().delete::<NetworkJson>(id, durability(durable))?)
    }

    fn networks(&self) -> Result<Vec<(String, Result<Vec<u8>>)>> {
        let records = self.store.records().list::<NetworkJson>()?.into_iter();
        let bytes = |json: NetworkJson| json.0.get().as_bytes().to_vec();
        Ok(records.map(|(id, json)| (id, json.map(bytes).map_err(Error::from))).collect())
    }

    fn driver(&self) -> &'static str {
        self.store.snapshots().driver_name()
    }
}
