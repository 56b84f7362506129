//! Events: whoever wants to know is told of every push, pull, mount and delete, in the envelopes of Docker's registry.
//!
//! ```text
//! a request was answered ─► event.rs: what it did ─► queue.rs: on disk, once per endpoint ─► send.rs: until somebody takes it
//! ```
//!
//! An event is in the queue before the client has its answer, and leaves it when the endpoint has said that it has it: a
//! restart, of the registry or of the endpoint, loses none. Processes that serve one directory have one queue; who holds its
//! lock sends.

mod event;
mod queue;
mod send;

use std::sync::Arc;

use crate::blocking::blocking;
use crate::log::{Level, Log};
use crate::settings::Notifications;
use crate::storage::Storage;

pub(crate) use event::Happened;
use event::Source;
use queue::Queue;

#[derive(Debug)]
pub(crate) struct Notifier {
    settings: Notifications,
    /// In the order of the settings' endpoints.
    queues: Vec<Arc<Queue>>,
    source: Source,
    storage: Storage,
    log: Log,
}

impl Notifier {
    pub(crate) fn new(
        settings: &Notifications,
        port: Option<u16>,
        storage: &Storage,
        log: &Log,
    ) -> Arc<Notifier> {
        let below = storage.root().join("events");
        let queues = settings
            .endpoints
            .iter()
            .map(|endpoint| Arc::new(Queue::new(&below.join(file_name(&endpoint.name)))));
        Arc::new(Notifier {
            queues: queues.collect(),
            settings: settings.clone(),
            source: Source::of_this_process(port),
            storage: storage.clone(),
            log: log.clone(),
        })
    }

    /// Nobody wants to know.
    pub(crate) fn is_idle(&self) -> bool {
        self.queues.is_empty()
    }

    /// Queues what a request did. What cannot be queued is told in the log: the request was answered well.
    pub(crate) async fn tell(self: &Arc<Self>, happened: Happened) {
        let notifier = self.clone();
        let queued = blocking(move || {
            let Some(event) =
                event::of(&notifier.storage, &notifier.source, &happened, notifier.settings.references)?
            else {
                return Ok(());
            };
            for (endpoint, queue) in notifier.settings.endpoints.iter().zip(&notifier.queues) {
                if !event.is_ignored(&endpoint.ignored_types, &endpoint.ignored_actions) {
                    queue.push(&event.envelope())?;
                }
            }
            Ok(())
        });
        if let Err(error) = queued.await {
            self.log.say(Level::Error, &format!("an event is lost: {error}"));
        }
    }

    /// One for each endpoint; they go on for ever.
    pub(crate) fn senders(&self) -> Vec<impl Future<Output = ()> + Send + 'static> {
        let pairs = self.settings.endpoints.iter().cloned().zip(self.queues.iter().cloned());
        pairs.map(|(endpoint, queue)| send::all(endpoint, queue, self.log.clone())).collect()
    }
}

/// A name that an administrator chose, as the name of a directory.
fn file_name(name: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    name.bytes().map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_become_directories() {
        assert_eq!(super::file_name("my_hook-1"), "my_hook-1");
        assert_eq!(super::file_name("../x"), "%2e%2e%2fx");
    }
}
