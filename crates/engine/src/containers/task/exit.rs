//! The end of the process: what is told, written down and done next.

use super::{AfterExit, BACKOFF_FIRST, BACKOFF_LAST, BACKOFF_RESET, Owner};
use crate::container::{EndedBy, RemoveRequest, RestartPolicy, Status, Who, signal};
use crate::error::reworded;
use crate::flows;
use crate::ports::Exit;

impl Owner {
    /// Docker tells of it at once, also when the container goes on without the process that was killed.
    pub(super) async fn on_oom(&mut self) {
        self.record.oom_killed = true;
        self.save_started().await;
        self.publish();
        self.event("oom", &[]);
    }

    pub(super) async fn on_exit(&mut self, exit: Exit) {
        self.oom = None;
        self.detached = None;
        self.suspend_health();
        let ran = self.ran();
        self.kill_at = None;
        self.exits += 1;
        self.record.pid = 0;
        self.record.exit_code = exit.code;
        self.record.end.signal = exit.signal;
        if exit.is_lost {
            self.record.end.by = Some(EndedBy { who: Who::MonitorLost, signal: 0 });
        }
        if exit.checkpointed {
            // As after a stop by a person: it comes again when somebody wants it to.
            self.policy_over = true;
            self.record.stopped_by_user = true;
            self.record.end.by = Some(EndedBy { who: Who::Checkpoint, signal: signal::KILL });
        }
        // Of which nobody heard: it happened while no engine listened, or in the very last moment.
        let is_news = exit.oom_killed && !self.record.oom_killed;
        self.record.oom_killed |= exit.oom_killed;
        self.record.error = exit.error.map(reworded).unwrap_or_default();
        self.record.finished_at = Some(exit.at);
        self.record.status = Status::Exited;
        self.core.stats.ended(&self.record.id);
        // An end cannot fail: these two only stop the engine.
        let _ = self.core.failpoints.hit("stop.release");
        flows::start::release(&self.core, &mut self.record).await;
        self.core.execs.container_ended(&self.record.id);

        if is_news {
            self.event("oom", &[]);
        }
        self.event(
            "die",
            &[("exitCode", exit.code.to_string()), ("execDuration", ran.as_secs().to_string())],
        );

        let after = std::mem::take(&mut self.after_exit);
        let planned =
            after.iter().any(|next| !matches!(next, AfterExit::Stopped(_) | AfterExit::Checkpointed(_)));
        let again = !planned && self.wants_restart(exit.code);
        if again {
            self.backoff = if ran >= BACKOFF_RESET { BACKOFF_FIRST } else { self.backoff };
            self.restart_at = Some(self.core.ports.clock.sleep(self.backoff));
            self.backoff = (self.backoff * 2).min(BACKOFF_LAST);
            self.record.restart_count += 1;
            self.record.status = Status::Restarting;
        }
        // An auto-removed container's last state is of no use on disk.
        let removed_now = self.record.spec.host.auto_remove && !again && !planned;
        let _ = self.core.failpoints.hit("stop.record");
        if !removed_now {
            self.save(false).await;
            // Not before: an engine killed in between finds the exit code there.
            flows::start::forget(&self.core, &self.record).await;
        }
        self.publish();

        if removed_now {
            let request = RemoveRequest { force: true, volumes: true, link: false };
            if let Err(error) = self.remove(request).await {
                tracing::warn!(container = %self.record.id, %error, "could not remove it after its exit");
            }
        }
        for next in after {
            match next {
                AfterExit::Stopped(reply) => {
                    self.event("stop", &[]);
                    let _ = reply.send(Ok(()));
                }
                AfterExit::Restart(reply) => {
                    self.event("stop", &[]);
                    let count = self.unhealthy.then_some(self.record.restart_count + 1);
                    let result = if self.exit.is_some() { Ok(()) } else { self.start_by_user(None).await };
                    let started = result.is_ok();
                    if let Some(count) = count {
                        // Nobody asked for it, so it is counted.
                        self.record.restart_count = count;
                        self.publish();
                    }
                    if started {
                        self.event("restart", &[]);
                    }
                    let _ = reply.send(result);
                    if started {
                        self.save_started().await;
                    }
                }
                AfterExit::Checkpointed(reply) => drop(reply.send(Ok(()))),
                AfterExit::Remove(request, reply) => {
                    let result = if self.gone { Ok(()) } else { self.remove(request).await };
                    let _ = reply.send(result);
                }
            }
        }
    }

    pub(super) fn wants_restart(&self, code: i32) -> bool {
        if self.policy_over || self.core.stopping.load(std::sync::atomic::Ordering::Relaxed) {
            return false;
        }
        let more = |max: u32| max == 0 || self.record.restart_count < max;
        match self.record.spec.host.restart {
            RestartPolicy::No => false,
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => !self.record.stopped_by_user,
            RestartPolicy::OnFailure { max_retries } => code != 0 && more(max_retries),
            RestartPolicy::OnUnhealthy { max_retries } => (code != 0 || self.unhealthy) && more(max_retries),
        }
    }
}
