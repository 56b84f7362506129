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
    watched: HashMap<String, Watched>,
    /// The task runs.
    counting: bool,
}

#[derive(Debug, Clone)]
struct Watched {
    handle: Handle,
    samples: watch::Sender<Arc<Sample>>,
    /// Of the process that was started then.
    meter: Option<(Option<Timestamp>, Arc<dyn Meter>)>,
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
        let meter = self.shared.lock().watched.get_mut(id).and_then(|watched| watched.meter.take());
        if let Some((_, meter)) = meter {
            meter.end();
        }
    }

    #[cfg(test)]
    pub(super) fn is_counting(&self) -> bool {
        self.shared.lock().counting
    }

    /// One sample, at once, for one who asks.
    pub(crate) async fn sample(&self, handle: &Handle) -> Arc<Sample> {
        let mut meter = None;
        self.shared.measure(handle, &mut meter).await
    }

    /// A sample a second from now on, the first of them at once.
    pub(crate) async fn watch(&self, handle: &Handle) -> watch::Receiver<Arc<Sample>> {
        let id = handle.view().id.clone();
        if let Some(watched) = self.shared.lock().watched.get(&id) {
            return watched.samples.subscribe();
        }
        let mut meter = None;
        let first = self.shared.measure(handle, &mut meter).await;
        let mut state = self.shared.lock();
        // Another may have come meanwhile.
        let watched = state.watched.entry(id).or_insert_with(|| Watched {
            handle: handle.clone(),
            samples: watch::Sender::new(first),
            meter,
        });
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
        let mut round = {
            let mut state = shared.lock();
            state.watched.retain(|_, watched| {
                watched.samples.receiver_count() > 0 && !watched.handle.published.borrow().removed
            });
            if state.watched.is_empty() {
                state.counting = false;
                return;
            }
            state.watched.values().cloned().collect::<Vec<_>>()
        };
        let at_once = meters_max();
        let keep = round.len() <= at_once;
        for several in round.chunks_mut(at_once) {
            for watched in several.iter_mut() {
                shared.open(&watched.handle.view(), &mut watched.meter).await;
            }
            let (counting, mut counted) = (shared.clone(), several.to_vec());
            let (counted, samples) = crate::core::blocking(move || {
                let machine = machine::cpu();
                let read = |watched: &mut Watched| {
                    let view = watched.handle.view();
                    let sample = counting.read(&view, &mut watched.meter, machine.as_ref().ok());
                    watched.meter.take_if(|_| !keep);
                    Arc::new(sample)
                };
                let samples: Vec<_> = counted.iter_mut().map(read).collect();
                (counted, samples)
            })
            .await;
            // Told from here, and all at once: from the other thread, each would wake a sleeping one.
            for (watched, sample) in counted.iter().zip(samples) {
                watched.samples.send_replace(sample);
            }
            several.clone_from_slice(&counted);
        }
        let mut state = shared.lock();
        for watched in round {
            let id = &watched.samples.borrow().id;
            if let Some(kept) = state.watched.get_mut(id) {
                kept.meter.clone_from(&watched.meter);
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the watched")
    }

    async fn measure(
        self: &Arc<Self>,
        handle: &Handle,
        meter: &mut Option<(Option<Timestamp>, Arc<dyn Meter>)>,
    ) -> Arc<Sample> {
        let view = handle.view();
        self.open(&view, meter).await;
        let (shared, mut opened) = (self.clone(), meter.take());
        let (sample, opened) = crate::core::blocking(move || {
            let sample = shared.read(&view, &mut opened, machine::cpu().as_ref().ok());
            (sample, opened)
        })
        .await;
        *meter = opened;
        Arc::new(sample)
    }

    /// Opens the counters of a process that is new.
    async fn open(&self, view: &Container, meter: &mut Option<(Option<Timestamp>, Arc<dyn Meter>)>) {
        if !has_process(view) {
            *meter = None;
            return;
        }
        let started_at = view.state.started_at;
        if meter.as_ref().is_some_and(|(of, _)| *of == started_at) {
            return;
        }
        let own_network = view.spec.host.network_mode != NetworkMode::Host && !view.spec.network_disabled;
        *meter = match self.runtime.meter(&view.id, own_network).await {
            Ok(opened) => Some((started_at, opened)),
            Err(error) => {
                // It has just ended, mostly.
                tracing::debug!(container = %view.id, %error, "its counters cannot be opened");
                None
            }
        };
    }

    fn read(
        &self,
        view: &Container,
        meter: &mut Option<(Option<Timestamp>, Arc<dyn Meter>)>,
        machine: Option<&(u64, u32)>,
    ) -> Sample {
        let nothing = Sample { id: view.id.clone(), name: view.name.clone(), ..Sample::default() };
        let (Some((_, open)), Some((machine_cpu_ns, online_cpus))) = (meter.as_ref(), machine) else {
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
                *meter = None;
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
