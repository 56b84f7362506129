//! Links: what a container is told of others while it runs.

use std::time::Duration;

use tokio::time::Instant;

use super::Owner;
use crate::container::command::Command;
use crate::container::index::Published;
use crate::container::links::{self, Linked};
use crate::error::{Error, Result};
use crate::layout;
use crate::ports::RuntimeErrorKind;

/// As long as Docker waits.
pub(super) const LINKED_WAIT: Duration = Duration::from_secs(5);

impl Owner {
    /// Its own start is news to those that have a link to it.
    pub(super) fn tell_linked(&self) {
        for handle in self.core.index.linked_to(&self.record.id) {
            // From a task of its own: that container's may be asking something of this one.
            tokio::spawn(async move { handle.commands.send(Command::LinkChanged).await });
        }
    }

    /// Those it has links to may start again together with it, as after a boot.
    pub(super) async fn await_linked(&mut self, until: Instant) {
        for link in self.record.links.clone() {
            let Ok(mut handle) = self.core.index.find(&link.target) else { continue };
            let decided = |published: &Published| {
                published.removed || published.view.state.pid != 0 || !published.view.state.is_running()
            };
            let _ = tokio::time::timeout_at(until, handle.published.wait_for(decided)).await;
        }
    }

    /// The last start failed because one that it has a link to did not run, and that one is about to, or does already.
    pub(super) fn is_linked_on_its_way(&self) -> bool {
        let runs = |link: &links::Link| {
            self.core.index.find(&link.target).map_or(true, |handle| handle.view().state.is_running())
        };
        self.record.end.failed_start == Some(RuntimeErrorKind::NotRunning)
            && self.record.links.iter().all(runs)
    }

    /// Another that it has a link to has started, maybe with another address.
    pub(super) async fn follow_links(&mut self) {
        self.record.links.clone_from(&self.core.index.links_of(&self.record.id));
        if self.exit.is_none() {
            return;
        }
        let linked = links::follow_running(&self.core, &self.record.links);
        self.rewrite_hosts(|text| links::in_hosts(text, &linked));
        crate::flows::start::open_links(&self.core, &self.record, &linked).await;
    }

    pub(super) async fn unlink(&mut self, alias: &str) -> Result<()> {
        let Some(at) = self.record.links.iter().position(|link| link.alias == alias) else {
            return Err(Error::no_such_container(&format!("{}/{alias}", self.record.name)));
        };
        let gone = links::follow_running(&self.core, &self.record.links[at..=at]);
        let link = self.record.links.remove(at);
        if let Err(error) = self.try_save(true).await {
            self.record.links.insert(at, link);
            return Err(error);
        }
        self.core.index.link(&self.record.id, &self.record.links);
        for link in &gone {
            self.rewrite_hosts(|text| links::not_in_hosts(text, link));
        }
        if self.exit.is_some() {
            let linked: Vec<Linked> = links::follow_running(&self.core, &self.record.links);
            crate::flows::start::open_links(&self.core, &self.record, &linked).await;
        }
        self.publish();
        Ok(())
    }

    /// In place: a running container has it bound by inode.
    fn rewrite_hosts(&self, change: impl FnOnce(&str) -> String) {
        let path = layout::container(&self.core.settings().data_root, &self.record.id).join("hosts");
        let rewritten = std::fs::read_to_string(&path).and_then(|old| {
            let new = change(&old);
            if new == old { Ok(()) } else { std::fs::write(&path, new) }
        });
        if let Err(error) = rewritten {
            tracing::warn!(container = %self.record.id, %error, "could not rewrite its hosts");
        }
    }
}
