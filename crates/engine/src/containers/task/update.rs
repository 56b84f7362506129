//! Update: other limits, another restart policy, other labels, ports and mounts, while it is what it is.

use std::sync::Arc;

use super::Owner;
use crate::container::{ContainerSpec, MountPoint, Status, UpdateRequest, update};
use crate::error::{Error, Result};
use crate::failpoints::is_crash;
use crate::flows::{Undo, finish, remount};
use crate::records::Record;

/// What an update changes of a record.
struct Was {
    spec: Arc<ContainerSpec>,
    mounts: Vec<MountPoint>,
    anonymous_volumes: Vec<String>,
}

impl Was {
    fn of(record: &Record) -> Self {
        let Record { spec, mounts, anonymous_volumes, .. } = record.clone();
        Self { spec, mounts, anonymous_volumes }
    }

    fn put_back(self, record: &mut Record) {
        (record.spec, record.mounts) = (self.spec, self.mounts);
        record.anonymous_volumes = self.anonymous_volumes;
        record.unapplied = None;
        record.unapplied_mounts = None;
    }
}

impl Owner {
    pub(super) async fn update(&mut self, request: &UpdateRequest) -> Result<()> {
        let id = self.record.id.clone();
        let updated = self.try_update(request).await;
        // Also where limits were put back.
        self.core.stats.limits_changed(&id);
        updated.map_err(|e| e.context(format_args!("Cannot update container {id}")))
    }

    async fn try_update(&mut self, request: &UpdateRequest) -> Result<()> {
        if matches!(self.record.status, Status::Removing | Status::Dead) {
            return Err(Error::internal("container is marked for removal and cannot be \"update\""));
        }
        let mut undo = Undo::default();
        let result = self.change(request, &mut undo).await;
        let crashed = is_crash(&result);
        let finished = finish(undo, result).await;
        if !crashed && !request.mounts_add.is_empty() {
            remount::forget_note(&self.core, &self.record);
        }
        let gone = finished?;
        let runs = matches!(self.record.status, Status::Running | Status::Paused);
        remount::let_go(&self.core, &self.record, &gone, runs).await;
        self.publish();
        self.event("update", &[]);
        Ok(())
    }

    /// First the record, then the kernel, as in Docker. An engine that is killed in between has promised nothing; the next
    /// one finds what is left to do in the record, so that the two do not say different things for long. Answers which
    /// mounts have gone.
    async fn change(&mut self, request: &UpdateRequest, undo: &mut Undo) -> Result<Vec<MountPoint>> {
        let mut changed = update::changed(&self.record.spec, request)?;
        let live = update::live(&request.resources, &changed.host.resources)?;
        let wanted = (&request.mounts_add[..], &request.mounts_remove[..]);
        let mounts = remount::prepare(&self.core, &self.record, &mut changed, wanted, undo).await?;
        self.core.failpoints.hit("update.volumes")?;
        let unapplied = self.unapplied_mounts(&mounts).await?;
        let ports = self.reserve_ports(&changed).await?;
        let durable = !changed.host.auto_remove;
        let runs = matches!(self.record.status, Status::Running | Status::Paused);
        let applies = runs && live != oci::runtime::Resources::default();
        let was = Was::of(&self.record);
        self.record.spec = changed.into();
        self.record.mounts = mounts.change.points;
        self.record.anonymous_volumes.extend(mounts.anonymous);
        self.record.unapplied = applies.then(|| request.resources.clone());
        self.record.unapplied_mounts = unapplied;
        let remounts = self.record.unapplied_mounts.is_some();
        if let Some(ports) = &ports {
            self.note_ports(ports);
        }
        if let Err(error) = self.try_save(durable).await {
            was.put_back(&mut self.record);
            if let Some(ports) = ports {
                self.give_up_ports(ports).await;
            }
            return Err(error);
        }
        if applies {
            self.core.failpoints.hit("update.apply")?;
            if let Err(error) = self.core.ports.runtime.update(&self.record.id, Box::new(live)).await {
                if let Some(ports) = ports {
                    self.give_up_ports(ports).await;
                }
                self.take_back(request, was).await;
                return Err(Error::internal(error.message));
            }
            self.record.unapplied = None;
        }
        let republishes = ports.is_some();
        if let Some(ports) = ports
            && let Err(error) = self.apply_ports(ports).await
        {
            self.take_back(request, was).await;
            return Err(error);
        }
        let remounted = self.apply_mounts(undo).await;
        if is_crash(&remounted) {
            remounted?;
        } else if let Err(error) = remounted {
            self.take_back(request, was).await;
            if republishes {
                self.follow_ports().await;
            }
            return Err(error);
        }
        if applies || republishes || remounts {
            self.save(false).await;
        }
        Ok(mounts.change.gone)
    }

    /// What an engine that was killed in an update had still to do.
    pub(crate) async fn finish_update(&mut self) {
        let Some(asked) = self.record.unapplied.take() else { return };
        let applied = match update::live(&asked, &self.record.spec.host.resources) {
            Ok(live) => {
                self.core.ports.runtime.update(&self.record.id, Box::new(live)).await.map_err(|e| e.message)
            }
            Err(error) => Err(error.message),
        };
        if let Err(error) = applied {
            tracing::warn!(container = %self.record.id, error, "could not finish the update of its limits");
        }
        self.save(false).await;
    }

    /// The kernel refused: what it had taken before is put back as it was, and the record.
    async fn take_back(&mut self, request: &UpdateRequest, was: Was) {
        let offered = self.core.settings().limits.clone();
        match update::undo(&request.resources, &was.spec.host.resources, &offered) {
            Ok(before) => {
                if let Err(error) = self.core.ports.runtime.update(&self.record.id, Box::new(before)).await {
                    tracing::warn!(container = %self.record.id, %error, "could not put its limits back");
                }
            }
            Err(error) => {
                tracing::warn!(container = %self.record.id, %error, "could not put its limits back")
            }
        }
        was.put_back(&mut self.record);
        self.save(!self.record.spec.host.auto_remove).await;
    }
}
