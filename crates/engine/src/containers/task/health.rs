//! Health of the running process: the next check, and what its result makes of the container.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{AfterExit, Owner};
use crate::container::health::{Check, HealthResult, HealthStatus, OnFailure};
use crate::container::{EndedBy, RestartPolicy, StopRequest, Who, signal};

impl Owner {
    /// A process has been started.
    pub(super) fn begin_health(&mut self) {
        self.unhealthy = false;
        if Check::of(&self.record.spec).is_some() {
            self.record.health.get_or_insert_default().begin();
            self.next_check();
        }
    }

    /// A process runs that was started before: by an earlier engine, or before a pause.
    pub(super) fn resume_health(&mut self) {
        if Check::of(&self.record.spec).is_some() {
            self.record.health.get_or_insert_default();
            self.next_check();
        }
    }

    /// Paused, or ended. As in Docker, what is not checked is not healthy; no event tells of it.
    pub(super) fn suspend_health(&mut self) {
        if self.check.take().is_some()
            && let Some(health) = &mut self.record.health
        {
            health.status = HealthStatus::Unhealthy;
        }
    }

    fn next_check(&mut self) {
        let (Some(check), Some(health)) = (&self.record.spec.healthcheck, &self.record.health) else {
            return;
        };
        let wait = check.wait(health.status, self.ran());
        let ran = self.ran() + wait;
        let (core, published) = (self.core.clone(), self.publish.subscribe());
        let result = crate::containers::health::after(core, published, wait);
        self.check = Some(Box::pin(async move { (ran, result.await) }));
    }

    /// `ran`: how long the process had been running when the check began.
    pub(super) async fn on_check(&mut self, ran: Duration, result: HealthResult) {
        let (Some(check), Some(health)) = (&self.record.spec.healthcheck, &mut self.record.health) else {
            return;
        };
        let changed = health.take(check, ran, result);
        let status = health.status;
        if changed {
            // Only then, and not synced: a hundred checks a second are not worth as many writes.
            self.save_started().await;
            self.publish();
            self.event(&format!("health_status: {}", status.word()), &[]);
        } else {
            let health = self.record.health.clone();
            self.publish.send_modify(|published| {
                Arc::make_mut(&mut published.view).state.health = health;
            });
        }
        if status == HealthStatus::Unhealthy {
            self.on_unhealthy().await;
        }
        self.next_check();
    }

    /// `--health-on-failure` and `--restart on-unhealthy`.
    async fn on_unhealthy(&mut self) {
        // It is on its way out already.
        if self.kill_at.is_some() || !self.after_exit.is_empty() {
            return;
        }
        let action = OnFailure::of(&self.record.spec.host.annotations).unwrap_or_default();
        let policy = matches!(self.record.spec.host.restart, RestartPolicy::OnUnhealthy { .. });
        if action == OnFailure::None && !policy {
            return;
        }
        tracing::info!(container = %self.record.id, action = action.word(), "it is unhealthy");
        self.unhealthy = true;
        if action == OnFailure::Kill {
            self.record.end.by = Some(EndedBy { who: Who::Health, signal: signal::KILL });
            // Not a person's doing: the restart policy goes on.
            match self.send(signal::KILL).await {
                Ok(()) => self.event("kill", &[("signal", signal::KILL.to_string())]),
                Err(error) => tracing::warn!(container = %self.record.id, %error, "could not kill"),
            }
            return;
        }
        if let Err(error) = self.begin_stop(&StopRequest::default(), Who::Health).await {
            tracing::warn!(container = %self.record.id, %error, "could not stop it, which is unhealthy");
            return;
        }
        // Nobody waits for these.
        let (reply, _) = oneshot::channel();
        match action {
            OnFailure::Stop => {
                self.note_signal(signal::KILL);
                self.after_exit.push(AfterExit::Stopped(reply));
            }
            OnFailure::Restart => self.after_exit.push(AfterExit::Restart(reply)),
            OnFailure::None | OnFailure::Kill => {}
        }
    }
}
