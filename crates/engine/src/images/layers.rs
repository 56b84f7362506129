//! Layers on their way in. Each is brought in once, however many pulls want it: they share the task that does it, and
//! watch. When the last of them gives up, so does the task; what has come is kept for the next.
//!
//! ```text
//! waiting ─► downloading (hashed and unpacked on the way) ─► downloaded ─► extracting: the layer below is there ─► done
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use distribution::Repository;
use oci::Digest;
use store::{Arrived, ImageLayer, Lease, Store};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use super::pieces::Pieces;
use crate::core::blocking;
use crate::error::{Error, Result};

/// Pieces between the network and the disk: enough to keep both busy, few enough to lose little with the process.
const PIECES_IN_FLIGHT: usize = 2;

/// How far one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Downloading { current: u64 },
    Downloaded,
    Extracting,
    Done,
    Failed(Error),
}

/// A layer being brought in, for as long as somebody has this.
#[derive(Debug)]
pub(super) struct Transfer {
    stage: watch::Receiver<Stage>,
    task: JoinHandle<()>,
    /// Until the last who watched has a record that names the layer, or a lease of its own.
    _lease: Arc<Lease>,
}

impl Transfer {
    pub(super) fn watch(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }

    /// Waits for the end of it.
    async fn done(&self) -> Result<()> {
        let mut stage = self.stage.clone();
        let ended = stage.wait_for(|stage| matches!(stage, Stage::Done | Stage::Failed(_))).await;
        match ended.as_deref() {
            Ok(Stage::Failed(error)) => Err(error.clone()),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::internal("the download of a layer was broken off")),
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
pub(crate) struct Layers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    // By chain id. A look or an insertion; never across an await.
    transfers: Mutex<HashMap<Digest, Weak<Transfer>>>,
    // Equal blobs of different layers wait for each other: held while one of them downloads.
    blobs: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
    // First come, first served: a layer never waits here for one that was begun after it.
    downloads: Semaphore,
}

/// What a layer is put on: the chain id, and who brings it in, unless it is there.
#[derive(Debug, Clone)]
pub(super) struct Below {
    pub(super) chain_id: Digest,
    pub(super) transfer: Option<Arc<Transfer>>,
}

/// What one layer needs.
#[derive(Debug, Clone)]
struct Job {
    repository: Repository,
    layer: ImageLayer,
    below: Option<Below>,
}

impl Layers {
    pub(super) fn new(store: Arc<Store>, downloads_max: usize) -> Self {
        let shared = Shared {
            store,
            transfers: Mutex::default(),
            blobs: Mutex::default(),
            downloads: Semaphore::new(downloads_max.max(1)),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Begins to bring in a layer, or joins those who have begun. `below` is the layer under it, if there is one.
    pub(super) fn bring_in(
        &self,
        repository: &Repository,
        layer: &ImageLayer,
        below: Option<Below>,
    ) -> Arc<Transfer> {
        let mut transfers = lock(&self.shared.transfers);
        transfers.retain(|_, transfer| transfer.strong_count() > 0);
        if let Some(transfer) = transfers.get(&layer.chain_id).and_then(Weak::upgrade)
            && !matches!(*transfer.stage.borrow(), Stage::Failed(_))
        {
            return transfer;
        }
        let (sender, stage) = watch::channel(Stage::Waiting);
        let lease = Arc::new(self.shared.store.content().lease());
        lease.hold(&layer.descriptor.digest);
        lease.hold(&layer.chain_id);
        let job = Job { repository: repository.clone(), layer: layer.clone(), below };
        let (shared, held) = (self.shared.clone(), lease.clone());
        let task = tokio::spawn(async move {
            let end = match shared.run(job, &held, &sender).await {
                Ok(()) => Stage::Done,
                Err(error) => Stage::Failed(error),
            };
            sender.send_replace(end);
        });
        let transfer = Arc::new(Transfer { stage, task, _lease: lease });
        transfers.insert(layer.chain_id.clone(), Arc::downgrade(&transfer));
        transfer
    }
}

impl Shared {
    async fn run(self: &Arc<Self>, job: Job, lease: &Arc<Lease>, stage: &watch::Sender<Stage>) -> Result<()> {
        let digest = &job.layer.descriptor.digest;
        let turn = self.blob(digest).lock_owned().await;
        if self.store.images().has_layer(&job.layer) {
            return Ok(());
        }
        let arrived = if self.store.content().contains(digest) {
            None
        } else {
            let _permit = self.downloads.acquire().await;
            self.download(&job, lease, stage, turn).await?
        };
        stage.send_replace(Stage::Downloaded);
        if let Some(transfer) = job.below.as_ref().and_then(|below| below.transfer.as_ref()) {
            transfer.done().await?;
        }
        let below = job.below.as_ref().map(|below| below.chain_id.clone());
        stage.send_replace(Stage::Extracting);
        let (store, lease, layer) = (self.store.clone(), lease.clone(), job.layer.clone());
        blocking(move || store.images().settle(&lease, arrived, &layer, below.as_ref()))
            .await
            .map_err(damaged)
    }

    /// Downloads the blob, from where an earlier attempt broke off. What was kept may be wrong; then all of it is.
    async fn download(
        self: &Arc<Self>,
        job: &Job,
        lease: &Arc<Lease>,
        stage: &watch::Sender<Stage>,
        turn: tokio::sync::OwnedMutexGuard<()>,
    ) -> Result<Option<Arrived>> {
        let descriptor = &job.layer.descriptor;
        // Until the blob is in its place, also when nobody waits for it any more.
        let turn = Arc::new(turn);
        let unpacked = self.store.snapshots().layer_size(&job.layer.chain_id).is_some();
        let diff_id = (!unpacked).then(|| job.layer.diff_id.clone());
        let mut anew = false;
        loop {
            let (store, held, wanted) = (self.store.clone(), lease.clone(), descriptor.clone());
            let partial = blocking(move || -> store::Result<_> {
                let mut partial = store.content().partial(&held, &wanted.digest, wanted.size)?;
                if anew {
                    partial.restart()?;
                }
                Ok(partial)
            })
            .await?;
            let kept = partial.kept();
            let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
            let (store, held, diff_id, turn) =
                (self.store.clone(), lease.clone(), diff_id.clone(), turn.clone());
            let receiving = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                let pieces = Pieces::new(pieces);
                store.images().receive(&held, partial, diff_id.as_ref(), pieces)
            });
            let mut blob = job.repository.blob(&descriptor.digest, descriptor.size, kept);
            stage.send_replace(Stage::Downloading { current: kept });
            let failed = loop {
                match blob.chunk().await {
                    Ok(piece) => {
                        stage.send_replace(Stage::Downloading { current: blob.position() });
                        let last = piece.is_none();
                        // Who receives has stopped, and will say why.
                        if sender.send(piece).await.is_err() || last {
                            break None;
                        }
                    }
                    Err(error) => break Some(error),
                }
            };
            drop(sender);
            let received = receiving.await.map_err(|error| Error::internal(error.to_string()))?;
            match (failed, received) {
                (Some(error), _) => return Err(error.into()),
                (None, Ok(arrived)) => return Ok(arrived),
                (None, Err(error)) => {
                    if anew || kept == 0 || error.class() != store::ErrorClass::Invalid {
                        return Err(damaged(error));
                    }
                    tracing::warn!(digest = %descriptor.digest, %error, "what was kept of a download is of no use");
                    anew = true;
                }
            }
        }
    }

    fn blob(&self, digest: &Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut blobs = lock(&self.blobs);
        blobs.retain(|_, blob| blob.strong_count() > 0);
        if let Some(blob) = blobs.get(digest).and_then(Weak::upgrade) {
            return blob;
        }
        let blob = Arc::default();
        blobs.insert(digest.clone(), Arc::downgrade(&blob));
        blob
    }
}

/// A layer that is not what it should be, in Docker's words.
fn damaged(error: store::Error) -> Error {
    match error {
        store::Error::DigestMismatch { expected, .. } => {
            Error::internal(format!("filesystem layer verification failed for digest {expected}"))
        }
        other => Error::internal(format!("failed to register layer: {other}")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
