//! Pause, unpause, resize, rename, forgetting the log: what changes a container without ending it.

use std::sync::Arc;

use super::Owner;
use super::words::view_of;
use crate::container::Status;
use crate::container::state::Action;
use crate::containers::logs;
use crate::error::{Error, Result};
use crate::networks::names;

impl Owner {
    pub(super) async fn pause(&mut self) -> Result<()> {
        self.allow(Action::Pause)?;
        self.is_not_being_written_down()?;
        self.core.ports.runtime.pause(&self.record.id).await.map_err(|error| {
            Error::internal(format!("cannot pause container {}: {error}", self.record.id))
        })?;
        self.record.status = Status::Paused;
        self.suspend_health();
        self.save(false).await;
        self.publish();
        self.event("pause", &[]);
        Ok(())
    }

    pub(super) async fn unpause(&mut self) -> Result<()> {
        self.allow(Action::Unpause)?;
        self.core.ports.runtime.resume(&self.record.id).await.map_err(|error| {
            Error::internal(format!("Cannot unpause container {}: {error}", self.record.id))
        })?;
        self.record.status = Status::Running;
        self.resume_health();
        self.save(false).await;
        self.publish();
        self.event("unpause", &[]);
        Ok(())
    }

    /// Whoever writes the log forgets it: the monitor, or where there is none, we.
    pub(super) async fn clear_logs(&mut self) -> Result<()> {
        let view = view_of(&self.core, &self.record);
        if !view.state.is_running() {
            return logs::clear(&Arc::new(view)).await;
        }
        let cleared = self.core.ports.runtime.clear_log(&self.process).await;
        cleared.map_err(|error| {
            Error::internal(format!(
                "could not clear the log of container {}: {}",
                self.record.id, error.message
            ))
        })
    }

    pub(super) async fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        self.allow(Action::Resize)?;
        let resized = self.core.ports.runtime.resize(&self.process, rows, columns).await;
        resized.map_err(|error| Error::internal(error.message))?;
        self.event("resize", &[("height", rows.to_string()), ("width", columns.to_string())]);
        Ok(())
    }

    pub(super) async fn rename(&mut self, name: String) -> Result<()> {
        if name == self.record.name {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        let index = &self.core.index;
        index.reserve(&name, &self.record.id).map_err(|e| e.context("Error when allocating new name"))?;
        let old = std::mem::replace(&mut self.record.name, name);
        if let Err(error) = self.try_save(true).await {
            let name = std::mem::replace(&mut self.record.name, old);
            self.core.index.release(&name, &self.record.id);
            return Err(error);
        }
        self.core.index.release(&old, &self.record.id);
        if names::are_asked_here(&self.record.endpoints) {
            names::rename(&mut self.record);
            names::tell(&self.core, &self.record).await;
            self.save(false).await;
        }
        self.publish();
        self.event("rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }
}
