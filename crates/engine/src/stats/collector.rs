//! The task that counts, and who watches what.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Sample, machine};
use crate::container::index::Handle;
use crate::container::{Container, NetworkMode, Status};
use crate::ports::{Clock, ContainerRuntime, Meter, Usage};

/// Between two samples of one container.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Counts for everybody.
#[derive(Debug, Clone)]
pub(crate) struct Collector {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    runtime: Arc<dyn ContainerRuntime>,
    clock: Arc<dyn Clock>,
    /// A container without a limit has the machine's memory; set once, before the first request.
    machine_memory_bytes: std::sync::OnceLock<u64>,
    /// The lock is held for a look-up or a copy, never while something is read.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    watched: HashMap<String, Arc<Watched>>,
    /// The task runs.
    counting: bool,
}

#[derive(Debug)]
struct Watched {
    handle: Handle,
    samples: watch::Sender<Arc<Sample>>,
    /// The lock is held for a look or an exchange.
    meter: Mutex<Option<Opened>>,
}

/// The counters of the process that was started then.
type Opened = (Option<Timestamp>, Arc<dyn Meter>);

impl Watched {
    fn meter(&self) -> MutexGuard<'_, Option<Opened>> {
        self.meter.lock().expect("nothing panics while it holds the meter")
    }
}

impl Collector {
    pub(crate) fn new(runtime: Arc<dyn ContainerRuntime>, clock: Arc<dyn Clock>) -> Self {
        let shared = Shared {
            runtime,
            clock,
            machine_memory_bytes: std::sync::OnceLock::new(),
            state: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn set_machine_memory(&self, bytes: u64) {
        let _ = self.shared.machine_memory_bytes.set(bytes);
    }

    /// Resolves after [`INTERVAL`].
    pub(crate) async fn pause(&self) {
        self.shared.clock.sleep(INTERVAL).await;
    }

    /// The container's process has ended: nothing of it is held any longer. Its address may be another's next.
    pub(crate) fn ended(&self, id: &str) {
        let watched = self.shared.lock().watched.get(id).cloned();
        let meter = watched.and_then(|watched| watched.meter().take());
        if let Some((_, meter)) = meter {
            meter.end();
        }
    }

    /// Whoever watches sees the container's new limits in the next second.
    pub(crate) fn limits_changed(&self, id: &str) {
        let watched = self.shared.lock().watched.get(id).cloned();
        let meter = watched.and_then(|watched| watched.meter().clone());
        if let Some((_, meter)) = meter {
            meter.renew();
        }
    }

    #[cfg(test)]
    pub(super) fn is_counting(&self) -> bool {
        self.shared.lock().counting
    }

    /// One sample, at once, for one who asks.
    pub(crate) async fn sample(&self, handle: &Handle) -> Arc<Sample> {
        self.shared.measure(handle).await.0
    }

    /// A sample a second from now on, the first of them at once.
    pub(crate) async fn watch(&self, handle: &Handle) -> watch::Receiver<Arc<Sample>> {
        let id = handle.view().id.clone();
        if let Some(watched) = self.shared.lock().watched.get(&id) {
            return watched.samples.subscribe();
        }
        let (first, meter) = self.shared.measure(handle).await;
        let mut state = self.shared.lock();
        // Another may have come meanwhile.
        let watched = state.watched.entry(id).or_insert_with(|| {
            let (samples, meter) = (watch::Sender::new(first), Mutex::new(meter));
            Arc::new(Watched { handle: handle.clone(), samples, meter })
        });
        // Of an update before now, nobody could tell it.
        if let Some((_, meter)) = &*watched.meter() {
            meter.renew();
        }
        let samples = watched.samples.subscribe();
        if !std::mem::replace(&mut state.counting, true) {
            tokio::spawn(count(self.shared.clone()));
        }
        samples
    }
}

/// The task: ends when nobody watches.
async fn count(shared: Arc<Shared>) {
    loop {
        shared.clock.sleep(INTERVAL).await;
        let mut round: Vec<_> = {
            let mut state = shared.lock();
            state.watched.retain(|_, watched| {
                watched.samples.receiver_count() > 0 && !watched.handle.published.borrow().removed
            });
            if state.watched.is_empty() {
                state.counting = false;
                return;
            }
            state.watched.values().cloned().collect()
        };
        let at_once = meters_max();
        let keep = round.len() <= at_once;
        while !round.is_empty() {
            let several = round.split_off(round.len().saturating_sub(at_once));
            for watched in &several {
                shared.refresh(watched).await;
            }
            let counting = shared.clone();
            let (counted, samples) = crate::core::blocking(move || {
                let machine = machine::cpu();
                let read = |watched: &Arc<Watched>| {
                    let meter = watched.meter().clone();
                    let sample = counting.read(&watched.handle.view(), meter.as_ref(), machine.as_ref().ok());
                    if !keep || sample.at.is_none() {
                        *watched.meter() = None;
                    }
                    Arc::new(sample)
                };
                let samples: Vec<_> = several.iter().map(read).collect();
                (several, samples)
            })
            .await;
            // Told from here, and all at once: from the other thread, each would wake a sleeping one.
            for (watched, sample) in counted.iter().zip(samples) {
                watched.samples.send_replace(sample);
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the watched")
    }

    async fn measure(self: &Arc<Self>, handle: &Handle) -> (Arc<Sample>, Option<Opened>) {
        let view = handle.view();
        let meter = if has_process(&view) { self.open(&view).await } else { None };
        let shared = self.clone();
        crate::core::blocking(move || {
            let sample = shared.read(&view, meter.as_ref(), machine::cpu().as_ref().ok());
            let meter = meter.filter(|_| sample.at.is_some());
            (Arc::new(sample), meter)
        })
        .await
    }

    /// Opens the counters of a process that is new, and closes those of one that has ended.
    async fn refresh(&self, watched: &Watched) {
        let view = watched.handle.view();
        if !has_process(&view) {
            *watched.meter() = None;
        } else if watched.meter().as_ref().is_none_or(|(of, _)| *of != view.state.started_at) {
            let opened = self.open(&view).await;
            *watched.meter() = opened;
        }
    }

    async fn open(&self, view: &Container) -> Option<Opened> {
        let own_network = view.spec.host.network_mode != NetworkMode::Host && !view.spec.network_disabled;
        match self.runtime.meter(&view.id, own_network).await {
            Ok(opened) => Some((view.state.started_at, opened)),
            Err(error) => {
                // It has just ended, mostly.
                tracing::debug!(container = %view.id, %error, "its counters cannot be opened");
                None
            }
        }
    }

    /// Zeros when there is no process, or nothing could be read.
    fn read(&self, view: &Container, meter: Option<&Opened>, machine: Option<&(u64, u32)>) -> Sample {
        let nothing = Sample { id: view.id.clone(), name: view.name.clone(), ..Sample::default() };
        let (Some((_, open)), Some((machine_cpu_ns, online_cpus))) = (meter, machine) else {
            return nothing;
        };
        match open.read() {
            Ok(usage) => Sample {
                at: Some(self.clock.now()),
                usage: self.shown(usage),
                machine_cpu_ns: *machine_cpu_ns,
                online_cpus: *online_cpus,
                ..nothing
            },
            Err(error) => {
                tracing::debug!(container = %view.id, %error, "its counters cannot be read");
                nothing
            }
        }
    }

    fn shown(&self, mut usage: Usage) -> Usage {
        if let Some(&machine) = self.machine_memory_bytes.get()
            && machine > 0
        {
            usage.memory.limit_bytes = usage.memory.limit_bytes.min(machine);
        }
        usage.interfaces.retain(|name, _| is_endpoint(name));
        usage
    }
}

/// How many may have their files open at the same time: a quarter of what this process may open, so that there are
/// some left for connections and starts.
fn meters_max() -> usize {
    const FILES_OF_ONE: u64 = 24;
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / 4 / FILES_OF_ONE).unwrap_or(usize::MAX).max(1)
}

fn has_process(view: &Container) -> bool {
    matches!(view.state.status, Status::Running | Status::Paused)
}

/// Interfaces that the container was given, as opposed to those it made (an engine inside has its bridge and veths) and
/// those the kernel puts into every namespace (`tunl0`, `sit0` ...).
fn is_endpoint(name: &str) -> bool {
    name.strip_prefix("eth").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
}
