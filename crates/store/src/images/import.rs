//! `docker import`: a root file system's tar becomes an image of one layer, in one pass.

use std::io::{self, Read, Write};
use std::sync::Arc;

use archive::{Compression, Decoder};
use oci::{
    Algorithm, ContainerConfig, Descriptor, History, ImageConfig, Manifest, Platform, Reference, RootFs,
    media_type,
};

use super::{Image, Images};
use crate::content::BlobWriter;
use crate::error::Result;
use crate::lease::Lease;

/// What goes into the image's config.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    pub reference: Option<Reference>,
    /// `--change` instructions, in order; applied to `config`.
    pub changes: Vec<String>,
    pub config: ContainerConfig,
    /// Comment of the history line.
    pub message: Option<String>,
    pub platform: Platform,
    /// RFC 3339; now if missing.
    pub created: Option<String>,
}

impl Default for ImportOptions {
    fn default() -> ImportOptions {
        ImportOptions {
            reference: None,
            changes: Vec::new(),
            config: ContainerConfig::default(),
            message: None,
            platform: Platform::host(),
            created: None,
        }
    }
}

impl Images {
    /// Imports a tar, plain or compressed with gzip, zstd or xz.
    ///
    /// The blob is kept as it came, but for xz, which is no layer compression: that is kept unpacked.
    pub fn import(&self, reader: impl Read + Send, options: &ImportOptions) -> Result<Arc<Image>> {
        let mut config = options.config.clone();
        super::apply_changes(&mut config, &options.changes)?;
        let lease = self.content.lease();
        let imported = self.import_under(&lease, reader, options, config);
        drop(lease);
        if imported.is_err() {
            // What there is already of it. The failure is what the caller wants to hear of.
            self.tidy();
        }
        imported
    }

    fn import_under(
        &self,
        lease: &Lease,
        reader: impl Read + Send,
        options: &ImportOptions,
        config: ContainerConfig,
    ) -> Result<Arc<Image>> {
        let staged = self.snapshots.stage(None)?;
        let mut blob = self.content.writer()?;
        let mode = self.snapshots.mode();

        let mut head = [0; archive::SNIFF_LEN];
        let mut reader = reader;
        let filled = fill(&mut reader, &mut head)?;
        let compression = Compression::sniff(&head[..filled])?;
        let reader = io::Cursor::new(head).take(filled as u64).chain(reader);
        let (size, diff_id) = if matches!(compression, Compression::Xz | Compression::Bzip2) {
            let tee = Tee { reader: Decoder::new(reader)?, blob: &mut blob };
            crate::unpack::stream(tee, staged.path(), mode, Algorithm::Sha256)?
        } else {
            let mut tee = Tee { reader, blob: &mut blob };
            let unpacked =
                crate::unpack::stream(Decoder::new(&mut tee)?, staged.path(), mode, Algorithm::Sha256)?;
            // What a decoder leaves unread is part of the blob all the same.
            io::copy(&mut tee, &mut io::sink())?;
            unpacked
        };
        let layer_type = match compression {
            Compression::Gzip => media_type::OCI_LAYER_GZIP,
            Compression::Zstd => media_type::OCI_LAYER_ZSTD,
            Compression::None | Compression::Xz | Compression::Bzip2 => media_type::OCI_LAYER,
        };
        let blob_size = blob.size();
        let blob = blob.commit(lease, None)?;
        self.snapshots.adopt(lease, staged, None, &diff_id, &diff_id, size)?;

        let created = options.created.clone().unwrap_or_else(|| jiff::Timestamp::now().to_string());
        let config = ImageConfig {
            created: Some(created.clone()),
            architecture: options.platform.architecture.clone(),
            variant: options.platform.variant.clone(),
            os: options.platform.os.clone(),
            config,
            rootfs: RootFs { diff_ids: vec![diff_id], ..RootFs::default() },
            history: vec![History {
                created: Some(created),
                comment: options.message.clone(),
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        let layer = Descriptor::new(layer_type, blob, blob_size);
        self.create(lease, &config, vec![layer], None, options.reference.as_ref())
    }

    /// Writes config and manifest of an image whose layers are there, and records it.
    pub(crate) fn create(
        &self,
        lease: &Lease,
        config: &ImageConfig,
        layers: Vec<Descriptor>,
        parent: Option<oci::Digest>,
        name: Option<&Reference>,
    ) -> Result<Arc<Image>> {
        let bytes = serde_json::to_vec(config).map_err(io::Error::from)?;
        let id = self.content.put(lease, &bytes)?;
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.into()),
            config: Descriptor::new(media_type::OCI_CONFIG, id.clone(), bytes.len() as u64),
            layers,
            annotations: Default::default(),
            extra: Default::default(),
        };
        let manifest = self.content.put(lease, &serde_json::to_vec(&manifest).map_err(io::Error::from)?)?;
        self.insert(lease, &id, &manifest, parent, name.map(std::slice::from_ref).unwrap_or_default())
    }
}

/// Writes to the blob all that is read through it.
struct Tee<'a, R> {
    reader: R,
    blob: &'a mut BlobWriter,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.reader.read(buffer)?;
        self.blob.write_all(&buffer[..n])?;
        Ok(n)
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}
