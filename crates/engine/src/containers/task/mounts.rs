//! Mounts of a container that runs, changed by an update: what the record says of them, and an engine that was killed
//! between record and kernel.

use super::Owner;
use crate::container::Status;
use crate::error::{Error, Result};
use crate::flows::{Undo, finish, remount};
use crate::ports::RuntimeError;
use crate::records::UnappliedMounts;

impl Owner {
    /// What the record says while it is not sure that the kernel has them; `None`: it need not.
    pub(super) async fn unapplied_mounts(
        &mut self,
        prepared: &remount::Prepared,
    ) -> Result<Option<UnappliedMounts>> {
        let change = &prepared.change;
        let runs = matches!(self.record.status, Status::Running | Status::Paused);
        if !runs || change.added.is_empty() && change.unmounted.is_empty() {
            return Ok(None);
        }
        let mut mounts = UnappliedMounts {
            added: change.added.iter().map(|point| point.destination.clone()).collect(),
            removed: change.unmounted.clone(),
            before: Default::default(),
        };
        let places = mounts.places();
        let numbers = self.core.ports.runtime.mounted(&self.record.id, places.clone()).await;
        mounts.before = places.into_iter().zip(numbers.map_err(failed)?).collect();
        Ok(Some(mounts))
    }

    pub(super) async fn apply_mounts(&mut self, undo: &mut Undo) -> Result<()> {
        let Some(mounts) = self.record.unapplied_mounts.clone() else { return Ok(()) };
        remount::apply(&self.core, &mut self.record, &mounts.added, mounts.removed, undo).await?;
        self.core.failpoints.hit("update.mounted")?;
        self.record.unapplied_mounts = None;
        Ok(())
    }

    /// What an engine that was killed in an update had still to do.
    pub(crate) async fn finish_mounts(&mut self) {
        let Some(mounts) = self.record.unapplied_mounts.take() else { return };
        let mut undo = Undo::default();
        let done = self.rest_of(mounts, &mut undo).await;
        if let Err(error) = finish(undo, done).await {
            tracing::warn!(container = %self.record.id, %error, "could not finish the update of its mounts");
        }
        self.save(false).await;
    }

    async fn rest_of(&mut self, mounts: UnappliedMounts, undo: &mut Undo) -> Result<()> {
        let places = mounts.places();
        let numbers =
            self.core.ports.runtime.mounted(&self.record.id, places.clone()).await.map_err(failed)?;
        let rest = mounts.rest(&places.into_iter().zip(numbers).collect());
        remount::apply(&self.core, &mut self.record, &rest.added, rest.removed, undo).await
    }
}

fn failed(error: RuntimeError) -> Error {
    Error::internal(error.message)
}
