//! Start, and the restart policy's next try.

use std::path::Path;

use super::links::LINKED_WAIT;
use super::{ATTACH_WAIT, BACKOFF_FIRST, Owner};
use crate::container::state::Action;
use crate::container::{End, Status};
use crate::error::Result;
use crate::flows;
use crate::networks::names;

impl Owner {
    /// From a checkpoint, if one is named.
    pub(super) async fn start_by_user(&mut self, from: Option<&Path>) -> Result<()> {
        self.allow(Action::Start)?;
        self.restart_at = None;
        self.backoff = BACKOFF_FIRST;
        self.record.restart_count = 0;
        self.record.stopped_by_user = false;
        self.policy_over = false;
        self.start(from).await
    }

    pub(super) async fn start(&mut self, from: Option<&Path>) -> Result<()> {
        let mut attachments = Vec::new();
        for client in std::mem::take(&mut self.waiting_clients) {
            // An error here is a client that gave up during its upgrade.
            if let Ok(Ok(attachment)) = tokio::time::timeout(ATTACH_WAIT, client).await {
                attachments.push(attachment);
            }
        }
        match flows::start::run(&self.core, &mut self.record, attachments, from).await {
            Ok(started) => {
                self.record.status = Status::Running;
                self.record.pid = started.pid;
                self.record.started_at = Some(started.started_at);
                self.record.error.clear();
                self.record.oom_killed = false;
                self.record.end = End::default();
                self.began = self.core.ports.clock.steady();
                self.exit = Some(started.exit);
                self.oom = Some(started.oom);
                self.detached = Some(started.detached);
                if names::are_asked_here(&self.record.endpoints) {
                    names::tell(&self.core, &self.record).await;
                }
                self.begin_health();
                self.publish();
                self.event("start", &[]);
                self.tell_linked();
                Ok(())
            }
            Err(failure) => {
                self.record.status =
                    if self.record.started_at.is_some() { Status::Exited } else { Status::Created };
                self.record.pid = 0;
                self.record.exit_code = failure.exit_code;
                self.record.error.clone_from(&failure.error.message);
                self.record.end = End { failed_start: Some(failure.kind), ..End::default() };
                if self.record.status == Status::Exited {
                    self.record.finished_at = Some(self.core.ports.clock.now());
                }
                self.save(false).await;
                self.publish();
                Err(failure.error)
            }
        }
    }

    /// After the news: that it runs is known to its monitor, so that nothing is lost if the engine ends before.
    pub(super) async fn save_started(&mut self) {
        if !self.record.spec.host.auto_remove {
            self.save(false).await;
        }
    }

    /// One try: a start that fails ends the policy's work, as in Docker (`handleContainerExit` sets it stopped). One that
    /// failed because what it has a link to ended in that moment, and comes again, is none.
    pub(super) async fn restart(&mut self) {
        let until = tokio::time::Instant::now() + LINKED_WAIT;
        let ended = (self.record.exit_code, self.record.finished_at);
        loop {
            self.await_linked(until).await;
            let Err(error) = self.start(None).await else { return self.save_started().await };
            // How it ended is how its last process ended, with this error beside it.
            (self.record.exit_code, self.record.finished_at) = ended;
            if self.is_linked_on_its_way() && tokio::time::Instant::now() < until {
                self.record.status = Status::Restarting;
                self.publish();
                continue;
            }
            tracing::warn!(container = %self.record.id, %error, "restart failed");
            self.save(false).await;
            return self.publish();
        }
    }
}
