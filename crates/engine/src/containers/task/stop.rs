//! Stop, restart and kill: signals, and a deadline beside which everything else is served.

use std::time::Duration;

use super::{AfterExit, Owner};
use crate::container::command::Reply;
use crate::container::state::Action;
use crate::container::{EndedBy, Status, StopRequest, Who, signal};
use crate::error::{Error, Result};
use crate::ports::RuntimeErrorKind;

impl Owner {
    pub(super) async fn stop(&mut self, request: StopRequest, reply: Reply<()>) {
        if let Err(error) = self.allow(Action::Stop) {
            let _ = reply.send(Err(error));
            return;
        }
        self.record.stopped_by_user = true;
        if self.cancel_restart().await {
            self.event("stop", &[]);
            let _ = reply.send(Ok(()));
            return;
        }
        match self.begin_stop(&request, Who::Stop).await {
            Ok(()) => self.after_exit.push(AfterExit::Stopped(reply)),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    pub(super) async fn shut_down(&mut self, reply: Reply<()>) {
        if self.cancel_restart().await {
            let _ = reply.send(Ok(()));
            return;
        }
        match self.begin_stop(&StopRequest::default(), Who::Shutdown).await {
            Ok(()) => self.after_exit.push(AfterExit::Stopped(reply)),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Waiting for its next try counts as running, but there is no process. True when that was the case.
    pub(super) async fn cancel_restart(&mut self) -> bool {
        if self.exit.is_some() {
            return false;
        }
        self.restart_at = None;
        if self.record.status != Status::Restarting {
            return true;
        }
        self.record.status = Status::Exited;
        self.save(false).await;
        self.publish();
        true
    }

    pub(super) async fn begin_stop(&mut self, request: &StopRequest, who: Who) -> Result<()> {
        let number = match (&request.signal, &self.record.spec.stop_signal) {
            (Some(asked), _) => signal::parse(asked)?,
            (None, Some(own)) => signal::parse(own)?,
            (None, None) => signal::TERM,
        };
        let timeout_s = request.timeout_s.or(self.record.spec.stop_timeout_s).unwrap_or(10);
        self.stop_by_user = who.is_person();
        if self.stop_by_user {
            self.note_signal(number);
        }
        self.record.end.by = Some(EndedBy { who, signal: number });
        self.core.failpoints.hit("stop.signal")?;
        let sent = self.send(number).await;
        if sent.is_ok() {
            self.event("kill", &[("signal", number.to_string())]);
        }
        self.core.failpoints.hit("stop.wait")?;
        let wait = match (&sent, u64::try_from(timeout_s)) {
            // Could not be told: it is probably ending already.
            (Err(_), _) => Some(Duration::from_secs(2)),
            (Ok(()), Ok(seconds)) => Some(Duration::from_secs(seconds)),
            (Ok(()), Err(_)) => None,
        };
        if let Some(wait) = wait {
            self.kill_at = Some(self.core.ports.clock.sleep(wait));
        }
        Ok(())
    }

    /// The stop's patience is over.
    pub(super) async fn force(&mut self) {
        tracing::info!(container = %self.record.id, "did not stop in time, killing it");
        if self.stop_by_user {
            self.note_signal(signal::KILL);
        }
        if let Some(by) = &mut self.record.end.by {
            by.signal = signal::KILL;
        }
        match self.send(signal::KILL).await {
            Ok(()) => self.event("kill", &[("signal", signal::KILL.to_string())]),
            Err(error) => tracing::warn!(container = %self.record.id, %error, "could not kill"),
        }
    }

    pub(super) async fn restart_by_user(&mut self, request: StopRequest, reply: Reply<()>) {
        if matches!(self.record.status, Status::Removing | Status::Dead) {
            let _ = reply.send(self.allow(Action::Start));
            return;
        }
        if self.exit.is_none() {
            // Between two tries it is stopped first, as far as one can see.
            if self.record.status == Status::Restarting && self.cancel_restart().await {
                self.event("stop", &[]);
            }
            let result = self.start_by_user(None).await;
            let started = result.is_ok();
            if started {
                self.event("restart", &[]);
            }
            let _ = reply.send(result);
            if started {
                self.save_started().await;
            }
            return;
        }
        match self.begin_stop(&request, Who::Restart).await {
            Ok(()) => self.after_exit.push(AfterExit::Restart(reply)),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    pub(super) async fn kill(&mut self, number: i32) -> Result<()> {
        self.allow(Action::Kill)?;
        self.note_signal(number);
        if self.exit.is_none() {
            if self.policy_over {
                self.cancel_restart().await;
            }
            return Ok(());
        }
        // What comes of a stop that is on its way is the stop's.
        if self.kill_at.is_none() {
            self.record.end.by = Some(EndedBy { who: Who::Kill, signal: number });
        }
        self.send(number).await?;
        self.event("kill", &[("signal", number.to_string())]);
        Ok(())
    }

    /// A person's signal. Docker's rule: whoever sends SIGKILL or the container's own stop signal does not want it back,
    /// and for a container without one any signal is that. (`unless-stopped` stays down after any at all.)
    pub(super) fn note_signal(&mut self, number: i32) {
        self.policy_over |= self.is_final(number);
        self.record.stopped_by_user = true;
    }

    fn is_final(&self, number: i32) -> bool {
        let own = self.record.spec.stop_signal.as_deref().and_then(|own| signal::parse(own).ok());
        number == signal::KILL || own.is_none_or(|own| own == number)
    }

    /// Signal PID 1; thaw it when a paused one is to end.
    pub(super) async fn send(&mut self, number: i32) -> Result<()> {
        let runtime = &self.core.ports.runtime;
        runtime.signal(&self.process, number).await.map_err(|error| match error.kind {
            RuntimeErrorKind::NotRunning => {
                Error::conflict(format!("container {} is not running", self.record.id))
            }
            _ => Error::internal(error.message),
        })?;
        if self.record.status == Status::Paused && self.is_final(number) {
            runtime.resume(&self.record.id).await.map_err(|error| Error::internal(error.message))?;
            self.record.status = Status::Running;
            self.resume_health();
            self.publish();
        }
        Ok(())
    }
}
