//! Update: other limits, another restart policy, other labels, other published ports, while it is what it is.

use super::Owner;
use crate::container::{Status, UpdateRequest, update};
use crate::error::{Error, Result};

impl Owner {
    pub(super) async fn update(&mut self, request: &UpdateRequest) -> Result<()> {
        let id = self.record.id.clone();
        self.try_update(request).await.map_err(|e| e.context(format_args!("Cannot update container {id}")))
    }

    /// First the record, then the kernel, as in Docker. An engine that is killed in between has promised nothing; the next
    /// one finds what is left to do in the record, so that the two do not say different things for long.
    async fn try_update(&mut self, request: &UpdateRequest) -> Result<()> {
        if matches!(self.record.status, Status::Removing | Status::Dead) {
            return Err(Error::internal("container is marked for removal and cannot be \"update\""));
        }
        let changed = update::changed(&self.record.spec, request)?;
        let live = update::live(&request.resources, &changed.host.resources)?;
        let ports = self.reserve_ports(&changed).await?;
        let durable = !changed.host.auto_remove;
        let runs = matches!(self.record.status, Status::Running | Status::Paused);
        let applies = runs && live != oci::runtime::Resources::default();
        let was = std::mem::replace(&mut self.record.spec, changed);
        self.record.unapplied = applies.then(|| request.resources.clone());
        if let Some(ports) = &ports {
            self.note_ports(ports);
        }
        if let Err(error) = self.try_save(durable).await {
            self.record.spec = was;
            self.record.unapplied = None;
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
        if applies || republishes {
            self.save(false).await;
        }
        self.publish();
        self.event("update", &[]);
        Ok(())
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
    async fn take_back(&mut self, request: &UpdateRequest, was: crate::container::ContainerSpec) {
        let offered = self.core.settings().limits.clone();
        match update::undo(&request.resources, &was.host.resources, &offered) {
            Ok(before) => {
                if let Err(error) = self.core.ports.runtime.update(&self.record.id, Box::new(before)).await {
                    tracing::warn!(container = %self.record.id, %error, "could not put its limits back");
                }
            }
            Err(error) => {
                tracing::warn!(container = %self.record.id, %error, "could not put its limits back")
            }
        }
        self.record.spec = was;
        self.record.unapplied = None;
        self.save(!self.record.spec.host.auto_remove).await;
    }
}
