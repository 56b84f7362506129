//! Events: what happened, kept for latecomers on disk (`journal.rs`), and the newest in a ring in memory.
//!
//! A broadcast channel rather than a list of callbacks: a slow subscriber loses events (and is told so in the
//! log) instead of holding the publisher up.

mod journal;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::broadcast;

use crate::container::Filters;
use crate::error::Result;
use crate::ports::Clock;
use journal::{Journal, Numbered};

/// All kinds that there are.
const KINDS: &[&str] = &[
    "builder",
    "config",
    "container",
    "daemon",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "volume",
];
/// Those that are not asked of the disk. Docker keeps as many, and no others.
const RING_LENGTH: usize = 256;
/// Room for a subscriber that is slow to read.
const CHANNEL_LENGTH: usize = 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `container`, `image`, `network`, `volume`, `daemon`.
    pub kind: &'static str,
    /// `create`, `start`, `die`, `exec_create: sh` ...
    pub action: String,
    /// Id (or name) of the thing.
    pub actor_id: String,
    pub attributes: BTreeMap<String, String>,
    pub at: Timestamp,
}

/// The event service.
#[derive(Debug, Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    /// The lock is held for a push or a copy, and also around the send, so that a subscriber's backlog and its
    /// live part meet without gap or overlap.
    ring: Mutex<Ring>,
    journal: Journal,
    live: broadcast::Sender<Event>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Numbered>,
    /// Of the next event; goes on over engine restarts.
    next: u64,
}

/// A subscription: the asked-for part of the past, then what happens.
#[derive(Debug)]
pub struct EventStream {
    backlog: VecDeque<Event>,
    live: broadcast::Receiver<Event>,
    filters: Filters,
    until: Option<Timestamp>,
    clock: Arc<dyn Clock>,
}

const FILTER_KEYS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

impl Events {
    /// `path`: of the file that has the past.
    pub fn new(clock: Arc<dyn Clock>, path: PathBuf) -> Self {
        let (live, _) = broadcast::channel(CHANNEL_LENGTH);
        let (journal, next) = Journal::open(path);
        let ring = Mutex::new(Ring { events: VecDeque::with_capacity(RING_LENGTH), next });
        Self { shared: Arc::new(Shared { clock, ring, journal, live }) }
    }

    pub(crate) fn publish(
        &self,
        kind: &'static str,
        action: impl Into<String>,
        actor_id: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        let at = self.shared.clock.now();
        let event = Event { kind, action: action.into(), actor_id: actor_id.into(), attributes, at };
        let mut ring = self.shared.ring.lock().expect("nothing panics while it holds the ring");
        let numbered = Numbered { number: ring.next, event: event.clone() };
        ring.next += 1;
        if ring.events.len() == RING_LENGTH {
            ring.events.pop_front();
        }
        ring.events.push_back(numbered.clone());
        self.shared.journal.keep(numbered);
        // An error only says that nobody listens.
        let _ = self.shared.live.send(event);
    }

    #[cfg(test)]
    pub(crate) fn seen(&self) -> Vec<Event> {
        self.shared.ring.lock().unwrap().events.iter().map(|numbered| numbered.event.clone()).collect()
    }

    /// Everything from `since` (exclusive of nothing) until `until`, or for ever, as far back as the disk goes. Without
    /// `since` only what happens from now on.
    pub async fn subscribe(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        filters: Filters,
    ) -> Result<EventStream> {
        filters.check(FILTER_KEYS)?;
        let (newest, before, live) = {
            let ring = self.shared.ring.lock().expect("nothing panics while it holds the ring");
            let before = ring.events.front().map_or(ring.next, |oldest| oldest.number);
            (ring.events.clone(), before, self.shared.live.subscribe())
        };
        // As Docker: `until` alone also asks for the past.
        let asked = since.is_some() || until.is_some();
        let mut backlog = VecDeque::new();
        if asked {
            let is_wanted = move |event: &Event| since.is_none_or(|since| event.at >= since);
            let only = filters.clone();
            let of_disk = move |event: &Event| {
                is_wanted(event) && until.is_none_or(|until| event.at <= until) && matches(event, &only)
            };
            backlog.extend(self.shared.journal.read(before, Box::new(of_disk)).await);
            backlog.extend(newest.into_iter().map(|numbered| numbered.event).filter(is_wanted));
        }
        Ok(EventStream { backlog, live, filters, until, clock: self.shared.clock.clone() })
    }

    /// Returns when all that was published is written.
    pub async fn flush(&self) {
        self.shared.journal.flush().await;
    }

    /// How many listen now (`NEventsListener`).
    pub fn listeners(&self) -> usize {
        self.shared.live.receiver_count()
    }
}

impl EventStream {
    /// The next matching event; `None` when `until` has passed.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let event = match self.backlog.pop_front() {
                Some(event) => event,
                None => self.next_live().await?,
            };
            if self.until.is_some_and(|until| event.at > until) {
                return None;
            }
            if matches(&event, &self.filters) {
                return Some(event);
            }
        }
    }

    async fn next_live(&mut self) -> Option<Event> {
        loop {
            let received = match self.until {
                None => self.live.recv().await,
                Some(until) => {
                    let left = until.duration_since(self.clock.now());
                    let left = std::time::Duration::try_from(left).ok()?;
                    tokio::select! {
                        received = self.live.recv() => received,
                        () = self.clock.sleep(left) => return None,
                    }
                }
            };
            match received {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::warn!(lost, "a subscriber of events is too slow, it has lost some");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

fn matches(event: &Event, filters: &Filters) -> bool {
    let names = |kind: &str| {
        let asked = filters.get(kind);
        asked.is_empty()
            || event.kind == kind
                && asked.iter().any(|a| {
                    event.actor_id.starts_with(a.as_str())
                        || event
                            .attributes
                            .get("name")
                            .is_some_and(|name| name.starts_with(a.trim_start_matches('/')))
                })
    };
    // `event=exec_create` also means `exec_create: sh`.
    let action = event.action.split(':').next().unwrap_or_default();
    let image = filters.get("image");
    filters.exact("type", event.kind)
        && filters.exact("scope", "local")
        && (filters.exact("event", &event.action) || filters.exact("event", action))
        && names("container")
        && names("network")
        && names("volume")
        && names("daemon")
        && (image.is_empty()
            || image.iter().any(|asked| {
                let of =
                    if event.kind == "image" { Some(&event.actor_id) } else { event.attributes.get("image") };
                let name = event.attributes.get("name").filter(|_| event.kind == "image");
                [of, name].into_iter().flatten().any(|have| {
                    have == asked || have.rsplit_once(':').is_some_and(|(repository, _)| repository == asked)
                })
            }))
        && filters.labels_match("label", &event.attributes)
}
