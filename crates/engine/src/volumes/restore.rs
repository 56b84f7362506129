//! A new volume with what a backup in a registry has: unpacked as it comes, and there when all of it has come and is what its
//! digest says.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use distribution::{Access, Credentials, Repository};
use oci::{Descriptor, Reference};
use tokio::sync::mpsc;

use super::arriving::Arriving;
use super::artifact;
use super::import;
use super::{CreateRequest, Volumes};
use crate::error::{Error, Result};
use crate::images::{Progress, Report};

/// Pieces that have come and are not unpacked yet.
const PIECES: usize = 16;

/// `POST /volumes/restore`.
#[derive(Debug, Clone, Default)]
pub struct RestoreRequest {
    /// Empty: as the volume was called that the backup is of.
    pub name: String,
    pub from: String,
    /// Beside those that it had, or in their place.
    pub labels: BTreeMap<String, String>,
    pub credentials: Credentials,
}

pub(super) async fn run(volumes: &Volumes, request: RestoreRequest, report: Report) -> Result<()> {
    let doing = format!("restore {}", request.from);
    let said = |error: Error| error.context(&doing);
    let from = Reference::parse(&request.from).map_err(|error| said(Error::invalid(error.to_string())))?;
    let from = from.or_latest();
    let repository = volumes
        .registries
        .client()
        .repository(&from, &request.credentials, Access::Pull)
        .map_err(|error| said(error.into()))?;
    let what = from.digest().map(ToString::to_string);
    let what = what.as_deref().or(from.tag()).unwrap_or_default();
    let manifest = repository.manifest(what).await.map_err(|error| said(error.into()))?;
    let (data, about) = artifact::read(&manifest.bytes).map_err(said)?;
    let name = if request.name.is_empty() { about.name } else { request.name };
    if name.is_empty() {
        return Err(said(Error::invalid("the backup does not say what the volume was called: name one")));
    }
    let labels = about.labels.into_iter().chain(request.labels).collect();
    let create = CreateRequest { name: name.clone(), labels, ..CreateRequest::default() };

    let report = Arc::new(Mutex::new(report));
    let tell = |progress| (report.lock().unwrap_or_else(PoisonError::into_inner))(progress);
    let (pieces, come) = mpsc::channel(PIECES);
    let fetching = fetch(&repository, &data, pieces, |current| {
        tell(Progress::Layer { id: name.clone(), status: "Downloading", current, total: data.size });
    });
    let arriving = Arriving::new(come, &data);
    // In a task of its own: when nobody waits for this any more, what comes breaks off, and it takes back what it has made.
    let core = volumes.core.clone();
    let importing = tokio::spawn(async move { import::run_checked(&core, create, arriving).await });
    fetching.await;
    let imported = importing.await.map_err(|error| said(Error::internal(error.to_string())))?;
    let made = imported.map_err(said)?;
    tell(Progress::Status { id: made.name.clone(), status: "Restore complete".to_owned() });
    tell(Progress::Line(made.name.clone()));
    Ok(())
}

async fn fetch(
    repository: &Repository,
    data: &Descriptor,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    report: impl Fn(u64),
) {
    let mut blob = repository.blob(&data.digest, data.size, 0);
    loop {
        let piece = match blob.chunk().await {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => return,
            Err(error) => Err(io::Error::other(error.to_string())),
        };
        let failed = piece.is_err();
        // Whoever unpacks may have failed.
        if pieces.send(piece).await.is_err() || failed {
            return;
        }
        report(blob.position());
    }
}
