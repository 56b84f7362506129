//! One reading for all who watch, and none when nobody does.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::container::index::Published;
use crate::container::{Container, StateView, Status};
use crate::ports::*;

/// Counts how often it was read; its seconds are short.
#[derive(Debug, Default)]
struct Fake {
    opened: AtomicUsize,
    read: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    renewed: Arc<AtomicUsize>,
    networks: Mutex<Vec<bool>>,
}

#[derive(Debug)]
struct Counter {
    read: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    renewed: Arc<AtomicUsize>,
}

impl Meter for Counter {
    fn read(&self) -> Result<Usage, RuntimeError> {
        let pids = self.read.fetch_add(1, Ordering::Relaxed) as u64;
        let interfaces = ["eth0", "eth12", "ethernet", "veth1", "docker0", "tunl0"];
        let interfaces = interfaces.map(|name| (name.to_owned(), InterfaceUsage::default()));
        let memory = MemoryUsage { limit_bytes: u64::MAX, ..MemoryUsage::default() };
        Ok(Usage { pids, memory, interfaces: interfaces.into(), ..Usage::default() })
    }

    fn renew(&self) {
        self.renewed.fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

fn never<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T, RuntimeError>> {
    Box::pin(std::future::ready(Err(RuntimeError {
        kind: RuntimeErrorKind::Other,
        message: "nobody asks".into(),
    })))
}

impl ContainerRuntime for Fake {
    fn meter<'a>(&'a self, _: &'a str, network: bool) -> BoxFuture<'a, Result<Arc<dyn Meter>, RuntimeError>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.networks.lock().unwrap().push(network);
        let meter: Arc<dyn Meter> = Arc::new(Counter {
            read: self.read.clone(),
            ended: self.ended.clone(),
            renewed: self.renewed.clone(),
        });
        Box::pin(std::future::ready(Ok(meter)))
    }
    fn start(&self, _: StartRequest) -> BoxFuture<'_, Result<Started, RuntimeError>> {
        never()
    }
    fn exec(&self, _: ExecRequest) -> BoxFuture<'_, Result<Started, RuntimeError>> {
        never()
    }
    fn signal<'a>(&'a self, _: &'a ProcessRef, _: i32) -> BoxFuture<'a, Result<(), RuntimeError>> {
        never()
    }
    fn pause<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        never()
    }
    fn resume<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        never()
    }
    fn resize<'a>(&'a self, _: &'a ProcessRef, _: u16, _: u16) -> BoxFuture<'a, Result<(), RuntimeError>> {
        never()
    }
    fn attach<'a>(&'a self, _: &'a ProcessRef, _: Attachment) -> BoxFuture<'a, Result<(), RuntimeError>> {
        never()
    }
    fn pids<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<u32>, RuntimeError>> {
        never()
    }
    fn clear_log<'a>(&'a self, _: &'a ProcessRef) -> BoxFuture<'a, Result<(), RuntimeError>> {
        never()
    }
    fn reconnect<'a>(&'a self, _: &'a ProcessRef) -> BoxFuture<'a, Reconnected> {
        Box::pin(std::future::ready(Reconnected::Gone))
    }
    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    fn forget<'a>(&'a self, _: &'a ProcessRef) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Clock for Fake {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn steady(&self) -> Duration {
        Duration::try_from(Timestamp::now().as_duration()).unwrap_or_default()
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(Duration::from_millis(20)))
    }
}

impl Default for Rootfs {
    fn default() -> Self {
        Self::Directory("/nowhere".into())
    }
}

/// A container that runs, and the means to change what is seen of it.
fn container(id: &str) -> (watch::Sender<Published>, Handle) {
    let view = Container {
        id: id.into(),
        name: format!("name-{id}"),
        state: StateView {
            status: Status::Running,
            started_at: Some(Timestamp::now()),
            ..StateView::default()
        },
        ..Container::default()
    };
    let published = Published { view: Arc::new(view), exits: 0, removed: false, removal_failures: 0 };
    let (publish, published) = watch::channel(published);
    let (commands, _) = tokio::sync::mpsc::channel(1);
    (publish, Handle { commands, files: Default::default(), published })
}

fn change(publish: &watch::Sender<Published>, status: Status) {
    publish.send_modify(|published| {
        let mut view = Container::clone(&published.view);
        view.state.status = status;
        if status == Status::Running {
            view.state.started_at = Some(Timestamp::now());
        }
        published.view = Arc::new(view);
    });
}

fn stream(samples: watch::Receiver<Arc<Sample>>) -> StatsStream {
    StatsStream { source: Source::Live { samples, is_first: true }, previous: None }
}

#[tokio::test]
async fn many_who_watch_cost_one_reading() {
    let fake = Arc::new(Fake::default());
    let collector = Collector::new(fake.clone(), fake.clone());
    collector.set_machine_memory(1 << 30);
    let (_publish, handle) = container("abc");
    let mut one = stream(collector.watch(&handle).await);
    let mut two = stream(collector.watch(&handle).await);
    let (first, before) = one.next().await.unwrap();
    assert!(before.is_none() && first.at.is_some() && first.online_cpus > 0);
    assert_eq!((first.id.as_str(), first.name.as_str(), first.usage.pids), ("abc", "name-abc", 0));
    assert_eq!(first.usage.memory.limit_bytes, 1 << 30, "the machine's");
    assert_eq!(first.usage.interfaces.keys().collect::<Vec<_>>(), ["eth0", "eth12"]);
    assert_eq!(two.next().await.unwrap().0.usage.pids, 0, "the same reading");
    for expected in 1..4 {
        let (sample, before) = one.next().await.unwrap();
        assert_eq!((sample.usage.pids, before.unwrap().usage.pids), (expected, expected - 1));
        assert_eq!(two.next().await.unwrap().0.usage.pids, expected);
    }
    assert_eq!((fake.opened.load(Ordering::Relaxed), fake.read.load(Ordering::Relaxed)), (1, 4));
    drop((one, two));
    while collector.is_counting() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(fake.read.load(Ordering::Relaxed), 4, "nobody watches");
    // And it begins again.
    let mut again = stream(collector.watch(&handle).await);
    assert_eq!(again.next().await.unwrap().0.usage.pids, 4);
    assert_eq!(again.next().await.unwrap().0.usage.pids, 5);
}

#[tokio::test]
async fn a_stopped_container_has_zeros_and_a_removed_one_ends() {
    let fake = Arc::new(Fake::default());
    let collector = Collector::new(fake.clone(), fake.clone());
    let (publish, handle) = container("abc");
    let mut samples = stream(collector.watch(&handle).await);
    assert!(samples.next().await.unwrap().0.at.is_some());
    // New limits are told to who counts, and to no other.
    let before = fake.renewed.load(Ordering::Relaxed);
    collector.limits_changed("other");
    assert_eq!(fake.renewed.load(Ordering::Relaxed), before);
    collector.limits_changed("abc");
    assert_eq!(fake.renewed.load(Ordering::Relaxed), before + 1);
    // What it holds of the process goes with the process, not with the next second.
    collector.ended("other");
    collector.ended("abc");
    assert_eq!(fake.ended.load(Ordering::Relaxed), 1);
    change(&publish, Status::Exited);
    let (sample, _) = samples.next().await.unwrap();
    assert!(sample.at.is_none() && sample.usage == Usage::default() && sample.name == "name-abc");
    change(&publish, Status::Running);
    assert!(samples.next().await.unwrap().0.at.is_some());
    assert_eq!(fake.opened.load(Ordering::Relaxed), 2, "another process, another group");
    publish.send_modify(|published| published.removed = true);
    assert!(samples.next().await.is_none());
}
