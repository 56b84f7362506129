//! The execs this engine knows. One that is not started yet lives in memory only, as in Docker; one that runs outlives
//! the engine in its monitor, and the next engine finds it there (`boot`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use super::{ExecSpec, ExecView};
use crate::error::{Error, Result};

#[derive(Debug, Clone)]
pub(crate) struct Exec {
    pub(crate) view: ExecView,
    pub(crate) spec: ExecSpec,
    /// Somebody has begun to start it.
    pub(crate) taken: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Held for map operations only.
    execs: Mutex<HashMap<String, Exec>>,
    /// One has been started, or could not be.
    changed: tokio::sync::Notify,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Exec>> {
        self.execs.lock().expect("nothing panics while it holds the execs")
    }

    pub(crate) fn insert(&self, exec: Exec) {
        self.lock().insert(exec.view.id.clone(), exec);
    }

    pub(crate) fn get(&self, id: &str) -> Result<Exec> {
        self.lock().get(id).cloned().ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))
    }

    /// Reserve it for one start.
    pub(crate) fn take(&self, id: &str) -> Result<Exec> {
        let mut execs = self.lock();
        let exec =
            execs.get_mut(id).ok_or_else(|| Error::not_found(format!("No such exec instance: {id}")))?;
        if exec.view.exit_code.is_some() {
            return Err(Error::conflict(format!("exec command {id} has already run")));
        }
        if exec.taken {
            return Err(Error::conflict(format!("exec command {id} is already running")));
        }
        exec.taken = true;
        Ok(exec.clone())
    }

    /// A start that did not come to be.
    pub(crate) fn give_back(&self, id: &str) {
        if let Some(exec) = self.lock().get_mut(id) {
            exec.taken = false;
        }
        self.changed.notify_waiters();
    }

    pub(crate) fn started(&self, id: &str, pid: u32) {
        // One that is over so soon may have been found to be.
        if let Some(exec) = self.lock().get_mut(id).filter(|exec| exec.view.exit_code.is_none()) {
            exec.view.running = true;
            exec.view.pid = pid;
        }
        self.changed.notify_waiters();
    }

    /// As [`Registry::get`], when a start that is under way has come to its end.
    pub(crate) async fn settled(&self, id: &str) -> Result<Exec> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let exec = self.get(id)?;
            if !exec.taken || exec.view.running || exec.view.exit_code.is_some() {
                return Ok(exec);
            }
            changed.await;
        }
    }

    /// `error`: what there is to say beyond the code.
    pub(crate) fn ended(&self, id: &str, code: i32, error: Option<String>) {
        if let Some(exec) = self.lock().get_mut(id) {
            exec.view.running = false;
            exec.view.pid = 0;
            exec.view.exit_code = Some(code);
            exec.view.error = error.unwrap_or_default();
        }
        self.changed.notify_waiters();
    }

    /// Ids of a container's execs that have not ended.
    pub(crate) fn of_container(&self, container: &str) -> Vec<String> {
        let execs = self.lock();
        let mut ids: Vec<_> = execs
            .values()
            .filter(|exec| exec.view.container_id == container && exec.view.exit_code.is_none())
            .map(|exec| exec.view.id.clone())
            .collect();
        ids.sort();
        ids
    }

    /// The container's process has ended: what was not started never will be. (Running ones die with the pid
    /// namespace and report by themselves.)
    pub(crate) fn container_ended(&self, container: &str) {
        self.lock().retain(|_, exec| exec.view.container_id != container || exec.taken);
    }

    pub(crate) fn forget(&self, id: &str) {
        self.lock().remove(id);
        self.changed.notify_waiters();
    }

    pub(crate) fn container_removed(&self, container: &str) {
        self.lock().retain(|_, exec| exec.view.container_id != container);
        self.changed.notify_waiters();
    }
}
