//! Images that go by themselves when there is too little space: unused ones, the oldest first, from the high water mark down to
//! the low one. Off unless the administrator says where the marks are.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use store::{Garbage, ImageUse};

use super::{Images, Removed};
use crate::core::blocking;
use crate::error::{Error, Result};
use crate::settings::{ImageGc, Mark};

/// What grows without anybody telling (volumes, logs) is seen this late at most.
const EVERY: Duration = Duration::from_secs(60);
/// A container may be on its way to its record: what it is made from stays, however short the least age is.
const IN_THE_MAKING: Duration = Duration::from_secs(10);

/// `POST /images/gc`, which Docker does not have.
#[derive(Debug, Clone, Default)]
pub struct GarbageRequest {
    /// Only tell.
    pub dry_run: bool,
    /// In place of the settings'.
    pub marks: Option<ImageGc>,
}

/// An image that went, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GarbageStep {
    pub id: String,
    /// Tags and digests, familiar.
    pub names: Vec<String>,
    pub last_used: Timestamp,
    pub bytes: u64,
}

#[derive(Debug, Clone, Default)]
pub struct GarbageReport {
    /// Before anything went: of the file system, or of images, as the marks are.
    pub used_bytes: u64,
    pub high_bytes: u64,
    pub low_bytes: u64,
    pub steps: Vec<GarbageStep>,
    /// Of what went: all of it, names and layers.
    pub removed: Vec<Removed>,
    /// What came free, or would.
    pub freed_bytes: u64,
}

impl Images {
    /// Looks at the marks when images come, and every now and then; for as long as the engine lives.
    pub(crate) fn watch_garbage(&self) {
        let images = self.clone();
        tokio::spawn(async move {
            loop {
                let core = &images.core;
                if core.settings().image_gc.is_some() {
                    let _ = tokio::time::timeout(EVERY, core.garbage.notified()).await;
                } else {
                    core.garbage.notified().await;
                }
                if core.settings().image_gc.is_none() {
                    continue;
                }
                match images.collect_garbage(GarbageRequest::default()).await {
                    Ok(report) if report.steps.is_empty() && report.used_bytes < report.high_bytes => {}
                    Ok(report) => {
                        let (images, freed_bytes) = (report.steps.len(), report.freed_bytes);
                        let (used_bytes, low_bytes) = (report.used_bytes, report.low_bytes);
                        if used_bytes.saturating_sub(freed_bytes) > low_bytes {
                            tracing::warn!(
                                images,
                                freed_bytes,
                                used_bytes,
                                low_bytes,
                                "not enough images are unused"
                            );
                        } else {
                            tracing::info!(
                                images,
                                freed_bytes,
                                used_bytes,
                                low_bytes,
                                "unused images removed"
                            );
                        }
                    }
                    Err(error) => tracing::warn!(%error, "could not remove unused images"),
                }
            }
        });
    }

    /// Removes what the marks ask for, or tells what that would be.
    pub async fn collect_garbage(&self, request: GarbageRequest) -> Result<GarbageReport> {
        let marks = request.marks.or(self.core.settings().image_gc).ok_or_else(|| {
            Error::invalid(
                "no water marks are set: put \"image-gc\": {\"high\": \"85%\", \"low\": \"80%\"} into daemon.json, or say \
                 --high and --low",
            )
        })?;
        self.note_uses();
        let store = self.store.clone();
        let data_root = self.core.settings().data_root.clone();
        let measured = blocking(move || -> Result<(u64, u64, u64)> {
            store.images().keep_uses()?;
            measure(&marks, &data_root, || store.images().footprint())
        });
        let (used_bytes, high_bytes, low_bytes) = measured.await?;
        let mut report = GarbageReport { used_bytes, high_bytes, low_bytes, ..GarbageReport::default() };
        if used_bytes < high_bytes {
            return Ok(report);
        }
        let images = self.clone();
        let plan = blocking(move || images.plan_garbage(used_bytes - low_bytes, marks.min_age)).await;
        for one in plan {
            let step = GarbageStep {
                id: one.id.to_string(),
                names: one.names.iter().map(oci::Reference::familiar).collect(),
                last_used: one.last_used,
                bytes: one.bytes,
            };
            if !request.dry_run {
                let removed = self.remove_garbage(&one).await?;
                if removed.is_empty() {
                    // Somebody came to need it.
                    continue;
                }
                report.removed.extend(removed);
            }
            report.freed_bytes += step.bytes;
            report.steps.push(step);
        }
        if !report.steps.is_empty() && !request.dry_run {
            let store = self.store.clone();
            let layers = blocking(move || store.images().collect()).await?;
            report.removed.extend(layers.into_iter().map(|layer| Removed::Deleted(layer.to_string())));
            let attributes = BTreeMap::from([("reclaimed".to_owned(), report.freed_bytes.to_string())]);
            self.core.events.publish("image", "prune", "", attributes);
        }
        Ok(report)
    }

    /// What containers are made from is in use as long as they are there.
    fn note_uses(&self) {
        for view in self.core.index.views() {
            if let Ok(id) = view.image_id.parse() {
                self.store.images().note_use(&id);
            }
        }
    }

    fn plan_garbage(&self, bytes: u64, min_age: Duration) -> Vec<Garbage> {
        let before = |age: Duration| Timestamp::now().checked_sub(age).unwrap_or(Timestamp::UNIX_EPOCH);
        let youngest = before(min_age);
        self.store.images().plan_garbage(bytes, &|about, id| about.last_used > youngest || self.is_used(id))
    }

    fn is_used(&self, id: &oci::Digest) -> bool {
        !self.uses(id).is_empty() || self.store.images().was_used_within(id, IN_THE_MAKING)
    }

    async fn remove_garbage(&self, one: &Garbage) -> Result<Vec<Removed>> {
        let (images, id) = (self.clone(), one.id.clone());
        let deleted = blocking(move || {
            let uses = |id: &oci::Digest| -> Vec<ImageUse> {
                let making = images.store.images().was_used_within(id, IN_THE_MAKING);
                let making = making.then(|| ImageUse { container: String::new(), running: true });
                images.uses(id).into_iter().chain(making).collect()
            };
            images.store.images().remove_garbage(&id, &uses)
        })
        .await?;
        Ok(self.told(one.id.as_ref(), deleted))
    }
}

/// How much is taken, and where the marks are, in bytes.
fn measure(
    marks: &ImageGc,
    data_root: &std::path::Path,
    footprint: impl Fn() -> u64,
) -> Result<(u64, u64, u64)> {
    let status = rustix::fs::statvfs(data_root)
        .map_err(|error| Error::internal(format!("statvfs {}: {error}", data_root.display())))?;
    // As df(1) counts: what is reserved for root is nobody's.
    let used = (status.f_blocks - status.f_bfree) * status.f_frsize;
    let total = used + status.f_bavail * status.f_frsize;
    let at = |mark: Mark| match mark {
        Mark::Percent(percent) => total / 100 * u64::from(percent),
        Mark::Bytes(bytes) => bytes,
    };
    let taken = if matches!(marks.high, Mark::Percent(_)) { used } else { footprint() };
    Ok((taken, at(marks.high), at(marks.low)))
}
