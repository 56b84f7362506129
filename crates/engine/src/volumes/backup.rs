//! A volume's data into a registry, piece by piece as it is packed: nothing of it is kept here, and what the registry has
//! when it is not finished is taken back. The name there is given last, to all of it.

use std::io::{self, Write};

use archive::Compressor;
use bytes::Bytes;
use distribution::{Access, Credentials};
use oci::{Digest, Reference};
use tokio::sync::mpsc;

use super::artifact::{self, About};
use super::export::Export;
use super::{Volumes, event, export};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::images::{Progress, Report};

/// Each is a request to the registry.
const PIECE_BYTES: usize = 4 << 20;
/// One is sent while the next is made.
const PIECES: usize = 1;

/// `POST /volumes/{name}/backup`.
#[derive(Debug, Clone, Default)]
pub struct BackupRequest {
    pub name: String,
    /// Where: a repository, with a tag or without.
    pub to: String,
    pub credentials: Credentials,
}

pub(super) async fn run(volumes: &Volumes, request: BackupRequest, mut report: Report) -> Result<()> {
    let doing = format!("back up {} to {}", request.name, request.to);
    let said = |error: Error| error.context(&doing);
    let to = Reference::parse(&request.to).map_err(|error| said(Error::invalid(error.to_string())))?;
    if to.digest().is_some() {
        return Err(said(Error::invalid("a digest is what comes of it: name a tag")));
    }
    let to = to.or_latest();
    let export = export::run(&volumes.core, &request.name)?;
    let volume = export.volume();
    let about = About { name: volume.name.clone(), labels: volume.labels.clone() };
    let repository = volumes
        .registries
        .client()
        .repository(&to, &request.credentials, Access::Push)
        .map_err(|error| said(error.into()))?;
    report(Progress::Line(format!("The backup refers to repository [{}]", to.name())));

    let (pieces, mut packed) = mpsc::channel(PIECES);
    let packing = tokio::task::spawn_blocking(move || pack(export, pieces));
    let id = about.name.clone();
    let sent = repository
        .push_stream(&mut packed, |current| {
            report(Progress::Layer { id: id.clone(), status: "Uploading", current, total: 0 });
        })
        .await;
    // Who packs has nobody to give it to any more.
    drop(packed);
    let packed = packing.await.map_err(|error| said(Error::internal(error.to_string())))?;
    let (data, size) = match (packed, sent) {
        // Its own words, rather than those of whom it broke off.
        (Err(error), Err(_)) if !error.message.ends_with(GONE) => return Err(said(error)),
        (_, Err(error)) => return Err(said(error.into())),
        (Err(error), Ok(_)) => return Err(said(error)),
        (Ok(()), Ok(sent)) => sent,
    };
    report(Progress::Status { id: id.clone(), status: "Pushed".to_owned() });
    let (tag, digest, size) =
        finish(&volumes.core, &repository, &to, &about, data, size).await.map_err(said)?;
    event(&volumes.core, &about.name, "backup", &[("to", &to.familiar()), ("digest", &digest)]);
    report(Progress::Line(format!("{tag}: digest: {digest} size: {size}")));
    report(Progress::Pushed { tag, digest, size });
    Ok(())
}

async fn finish(
    core: &Core,
    repository: &distribution::Repository,
    to: &Reference,
    about: &About,
    data: Digest,
    size: u64,
) -> Result<(String, String, u64)> {
    let config = Digest::of(artifact::NO_CONFIG);
    if !repository.has_blob(&config).await? {
        repository.push_bytes(&config, artifact::NO_CONFIG).await?;
    }
    let created = core.ports.clock.now().to_string();
    let manifest = artifact::manifest(about, &created, data, size)?;
    let tag = to.tag().unwrap_or_default();
    repository.put_manifest(tag, oci::media_type::OCI_MANIFEST, &manifest).await?;
    Ok((tag.to_owned(), Digest::of(&manifest).to_string(), manifest.len() as u64))
}

/// Nobody takes the pieces any more.
const GONE: &str = "the upload is over";

/// In a blocking thread.
fn pack(export: Export, pieces: mpsc::Sender<io::Result<Bytes>>) -> Result<()> {
    let mut to = Pieces { begun: Vec::with_capacity(PIECE_BYTES), pieces };
    let packed = (|| {
        let mut compressor = Compressor::new(&mut to)?;
        export.pack_to(&mut compressor).map_err(|error| io::Error::other(error.to_string()))?;
        compressor.finish().map(drop)
    })();
    let packed = packed.and_then(|()| to.flush());
    // An empty one is the end; nothing at all is none.
    let last = match &packed {
        Ok(()) => Ok(Bytes::new()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    };
    let gone = to.pieces.blocking_send(last).is_err();
    match packed {
        Ok(()) if gone => Err(Error::internal(GONE)),
        Ok(()) => Ok(()),
        Err(error) if gone => Err(Error::internal(GONE).context(error)),
        Err(error) => Err(Error::internal(error.to_string())),
    }
}

struct Pieces {
    begun: Vec<u8>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE_BYTES - self.begun.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.begun.extend_from_slice(taken);
        if self.begun.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.begun.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.begun, Vec::with_capacity(PIECE_BYTES));
        self.pieces.blocking_send(Ok(piece.into())).map_err(|_| io::Error::other(GONE))
    }
}
