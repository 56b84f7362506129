//! The flows over fake ports: undo at each step, a killed engine at each step, name races, boot.

mod plugins;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::containers::{
    ContainerSpec, Containers, EndpointSpec, Filters, NetworkMode, RemoveRequest, Status, WaitCondition,
};
use crate::core::{Core, Ports};
use crate::error::{Class, Result};
use crate::images::ImageConfig;
use crate::networks::{CreateRequest as NetworkRequest, Inspected, Networks};
use crate::ports::*;
use crate::settings::Settings;
use crate::volumes::{CreateRequest, Volumes};

/// Everything the fakes hold; survives the "engine", as machine and disk do.
#[derive(Debug, Default)]
pub(crate) struct World {
    layers: Mutex<BTreeSet<String>>,
    records: Mutex<BTreeMap<String, Vec<u8>>>,
    volumes: Mutex<BTreeMap<String, Vec<u8>>>,
    sandboxes: Mutex<BTreeSet<String>>,
    bridges: Mutex<BTreeSet<String>>,
    networks: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Ends when something is sent.
    pub(crate) processes: Mutex<BTreeMap<String, watch::Sender<Option<i32>>>>,
    ids: Mutex<u64>,
    pub(crate) clock: FakeClock,
    /// When processes were started.
    pub(crate) starts: Mutex<Vec<Duration>>,
    /// Processes end with this code by themselves, after that time.
    pub(crate) life: Mutex<Option<(i32, Duration)>>,
    /// What the next execs do; without, there are none.
    pub(crate) execs: Mutex<VecDeque<FakeExec>>,
    /// What the plugin `plug` has, and for which ids it is mounted.
    plugged: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// It answers nothing.
    hangs: Mutex<bool>,
    /// Execs that were killed.
    pub(crate) killed_execs: Mutex<u32>,
}

/// Writes, works, ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FakeExec {
    pub(crate) code: i32,
    pub(crate) output: &'static str,
    pub(crate) takes: Duration,
}

/// The machine's time, until [`FakeClock::take_over`].
#[derive(Debug, Default)]
pub(crate) struct FakeClock {
    /// Since the epoch, and who sleeps until when.
    own: Mutex<Option<(Duration, Vec<Sleeper>)>>,
    /// By how much somebody has set the wall clock.
    pub(crate) step: Mutex<jiff::SignedDuration>,
}

type Sleeper = (Duration, tokio::sync::oneshot::Sender<()>);

impl FakeClock {
    /// From now on time passes only when nothing else is to be done, and then at once.
    pub(crate) fn take_over(world: &Arc<World>) {
        *world.clock.own.lock().unwrap() = Some((Duration::from_secs(1_800_000_000), Vec::new()));
        let world = Arc::downgrade(world);
        tokio::spawn(async move {
            loop {
                // A timer of the runtime's is looked at when all tasks wait.
                tokio::time::sleep(Duration::from_millis(1)).await;
                let Some(world) = world.upgrade() else { return };
                world.clock.step();
            }
        });
    }

    fn step(&self) {
        let mut own = self.own.lock().unwrap();
        let Some((now, sleepers)) = own.as_mut() else { return };
        sleepers.retain(|(_, sleeper)| !sleeper.is_closed());
        if let Some(next) = sleepers.iter().map(|(until, _)| *until).min() {
            *now = (*now).max(next);
            let (due, asleep) = std::mem::take(sleepers).into_iter().partition(|(until, _)| *until <= next);
            *sleepers = asleep;
            let due: Vec<Sleeper> = due;
            for (_, sleeper) in due {
                let _ = sleeper.send(());
            }
        }
    }

    pub(crate) fn since_epoch(&self) -> Duration {
        let own = self.own.lock().unwrap().as_ref().map(|(now, _)| *now);
        own.unwrap_or_else(|| Duration::try_from(jiff::Timestamp::now().as_duration()).unwrap())
    }

    pub(crate) fn sleep(&self, for_: Duration) -> BoxFuture<'static, ()> {
        match self.own.lock().unwrap().as_mut() {
            None => Box::pin(tokio::time::sleep(for_)),
            Some((now, sleepers)) => {
                let (wake, woken) = tokio::sync::oneshot::channel();
                sleepers.push((now.saturating_add(for_), wake));
                Box::pin(async move {
                    let _ = woken.await;
                })
            }
        }
    }
}

impl World {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH + self.clock.since_epoch() + *self.clock.step.lock().unwrap()
    }
}

#[derive(Debug, Clone)]
struct Fake(Arc<World>);

fn started(world: &Arc<World>, ended: &watch::Sender<Option<i32>>) -> Started {
    let (mut ended, at) = (ended.subscribe(), world.now());
    let world = world.clone();
    let exit = async move {
        let code = ended.wait_for(Option::is_some).await.ok().and_then(|code| *code).unwrap_or(255);
        Exit { code, at: world.now(), ..Exit::default() }
    };
    Started {
        pid: 4242,
        started_at: at,
        exit: Box::pin(exit),
        oom: watch::channel(0).1,
        detached: watch::channel(0).1,
    }
}

impl ContainerRuntime for Fake {
    fn start(&self, request: StartRequest) -> BoxFuture<'_, Result<Started, RuntimeError>> {
        Box::pin(async move {
            if request.spec.process.as_ref().is_some_and(|process| process.args[0] == "missing") {
                let message = "exec: \"missing\": executable file not found in $PATH".into();
                return Err(RuntimeError { kind: RuntimeErrorKind::ExecutableNotFound, message });
            }
            let (ended, _) = watch::channel(None);
            let started = started(&self.0, &ended);
            self.0.starts.lock().unwrap().push(self.0.clock.since_epoch());
            if let Some((code, life)) = *self.0.life.lock().unwrap() {
                let (ended, life) = (ended.clone(), self.0.clock.sleep(life));
                tokio::spawn(async move {
                    life.await;
                    ended.send_replace(Some(code));
                });
            }
            self.0.processes.lock().unwrap().insert(request.id, ended);
            Ok(started)
        })
    }
    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Started, RuntimeError>> {
        Box::pin(async move {
            let Some(exec) = self.0.execs.lock().unwrap().pop_front() else {
                let message = "no execs here".into();
                return Err(RuntimeError { kind: RuntimeErrorKind::Other, message });
            };
            let (ended, _) = watch::channel(None);
            self.0.processes.lock().unwrap().insert(request.process.exec.unwrap(), ended.clone());
            let (mut killed, world) = (ended.subscribe(), self.0.clone());
            let limit = request.time_limit.unwrap_or(Duration::MAX);
            let exit = async move {
                if let Some(client) = request.attachment {
                    rustix::io::write(&client.stream, exec.output.as_bytes()).unwrap();
                }
                let timed_out = exec.takes > limit;
                let code = tokio::select! {
                    () = world.clock.sleep(exec.takes.min(limit)) => if timed_out { 137 } else { exec.code },
                    code = killed.wait_for(Option::is_some) => code.unwrap().unwrap(),
                };
                Exit { code, timed_out, at: world.now(), ..Exit::default() }
            };
            let exit = Box::pin(exit);
            Ok(Started {
                pid: 4243,
                started_at: self.0.now(),
                exit,
                oom: watch::channel(0).1,
                detached: watch::channel(0).1,
            })
        })
    }
    fn signal<'a>(&'a self, process: &'a ProcessRef, signal: i32) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            *self.0.killed_execs.lock().unwrap() += u32::from(process.exec.is_some());
            let name = process.exec.as_ref().unwrap_or(&process.container);
            if let Some(ended) = self.0.processes.lock().unwrap().get(name) {
                ended.send_replace(Some(128 + signal));
            }
            Ok(())
        })
    }
    fn pause<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }
    fn resume<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }
    fn resize<'a>(&'a self, _: &'a ProcessRef, _: u16, _: u16) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }
    fn clear_log<'a>(&'a self, _: &'a ProcessRef) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }
    fn attach<'a>(&'a self, _: &'a ProcessRef, _: Attachment) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }
    fn pids<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<u32>, RuntimeError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn reconnect<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, Reconnected> {
        Box::pin(async move {
            match self.0.processes.lock().unwrap().get(&process.container) {
                None => Reconnected::Gone,
                Some(ended) => match *ended.borrow() {
                    None => Reconnected::Running { started: started(&self.0, ended), paused: false },
                    Some(code) => Reconnected::Exited(Exit { code, at: self.0.now(), ..Exit::default() }),
                },
            }
        })
    }
    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async { self.0.processes.lock().unwrap().keys().cloned().collect() })
    }
    fn forget<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let name = process.exec.as_ref().unwrap_or(&process.container);
            self.0.processes.lock().unwrap().remove(name);
        })
    }
}

fn endpoint(request: &EndpointRequest) -> Endpoint {
    Endpoint {
        network: request.network.clone(),
        network_id: request.network_id.clone(),
        endpoint_id: "e".repeat(64),
        ipv4: Some(std::net::Ipv4Addr::new(172, 17, 0, 2)),
        is_gateway: request.is_gateway,
        dns_names: request.dns_names.clone(),
        ..Endpoint::default()
    }
}

impl NetworkFabric for Fake {
    fn prepare(&self) {}
    fn look_up<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<std::net::IpAddr, NetworkError>> {
        Box::pin(async move {
            match name {
                "server" => Ok([10, 0, 0, 1].into()),
                _ => Err(NetworkError {
                    class: Class::Internal,
                    message: format!("lookup {name}: no such host"),
                }),
            }
        })
    }
    fn take<'a>(
        &'a self,
        id: &'a str,
        request: &'a SandboxRequest,
    ) -> BoxFuture<'a, Result<Sandbox, NetworkError>> {
        Box::pin(async move {
            self.0.sandboxes.lock().unwrap().insert(id.to_owned());
            let netns = std::fs::File::open("/dev/null").unwrap().into();
            let endpoints = request.endpoints.iter().map(endpoint).collect();
            Ok(Sandbox { netns, sandbox_id: "5".repeat(64), endpoints })
        })
    }
    fn release<'a>(&'a self, id: &'a str, _: &'a [Endpoint]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.0.sandboxes.lock().unwrap().remove(id);
        })
    }
    fn reconcile(
        &self,
        networks: Vec<BridgeNetwork>,
        running: Vec<(String, Vec<Endpoint>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async move {
            *self.0.bridges.lock().unwrap() = networks.into_iter().map(|network| network.id).collect();
            self.0.sandboxes.lock().unwrap().retain(|id| running.iter().any(|(other, _)| other == id));
            Ok(())
        })
    }
    fn publish<'a>(
        &'a self,
        _: &'a str,
        _: Reach,
        _: Vec<PortWish>,
    ) -> BoxFuture<'a, Result<PublishedPorts, NetworkError>> {
        Box::pin(async { Ok(PublishedPorts::default()) })
    }
    fn unpublish<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
    fn open_links<'a>(
        &'a self,
        _: &'a str,
        _: Option<std::net::Ipv4Addr>,
        _: Vec<(std::net::Ipv4Addr, Vec<(u16, PortProtocol)>)>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
    fn name(&self, _: Named) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }
    fn adopt_names(&self, _: Vec<Named>) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }
    fn adopt_ports(
        &self,
        _: Vec<(String, Reach, Vec<PortMapping>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }
    fn add_network<'a>(
        &'a self,
        network: &'a BridgeNetwork,
    ) -> BoxFuture<'a, Result<BridgeNetwork, NetworkError>> {
        Box::pin(async move {
            self.0.bridges.lock().unwrap().insert(network.id.clone());
            let chosen = network.subnet.or("172.18.0.0/16".parse().ok());
            Ok(BridgeNetwork { subnet: chosen, gateway: "172.18.0.1".parse().ok(), ..network.clone() })
        })
    }
    fn remove_network<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            self.0.bridges.lock().unwrap().remove(id);
            Ok(())
        })
    }
    fn connect<'a>(
        &'a self,
        _: &'a str,
        _: u32,
        request: &'a EndpointRequest,
    ) -> BoxFuture<'a, Result<Endpoint, NetworkError>> {
        Box::pin(async { Ok(endpoint(request)) })
    }
    fn disconnect<'a>(
        &'a self,
        _: &'a str,
        _: u32,
        _: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }
    fn route_via<'a>(
        &'a self,
        _: &'a str,
        _: u32,
        _: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }
    fn facts(&self) -> NetworkFacts {
        NetworkFacts { network_id: "b".repeat(64), bridge: Some("docker0".into()), ..NetworkFacts::default() }
    }
}

impl Storage for Fake {
    fn note_use(&self, _: &StoredImage) {}
    fn resolve(&self, _: &str, _: Option<&oci::Platform>) -> Result<Arc<StoredImage>> {
        let config = ImageConfig {
            cmd: Some(vec!["sh".into()]),
            volumes: vec!["/v".into()],
            ..ImageConfig::default()
        };
        let (os, architecture) = ("linux".into(), "amd64".into());
        Ok(Arc::new(StoredImage { id: "sha256:1".into(), manifest: None, os, architecture, config }))
    }
    fn create_layer(&self, id: &str, _: &StoredImage, _: Option<u64>) -> Result<Rootfs> {
        self.0.layers.lock().unwrap().insert(id.to_owned());
        Ok(Rootfs::Directory("/nowhere".into()))
    }
    fn remove_layer(&self, id: &str) -> Result<()> {
        self.0.layers.lock().unwrap().remove(id);
        Ok(())
    }
    fn discard(&self, id: &str, directories: &[PathBuf]) -> Result<()> {
        directories.iter().for_each(|directory| drop(std::fs::remove_dir_all(directory)));
        self.remove_layer(id)
    }
    fn layers(&self) -> Result<Vec<String>> {
        Ok(self.0.layers.lock().unwrap().iter().cloned().collect())
    }
    fn image_directories(&self, _: &str) -> Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }
    fn layer_size(&self, _: &str, _: &str) -> Result<(u64, u64)> {
        Ok((1, 2))
    }
    fn copy_out(&self, _: &str, _: &Path, _: &Path) -> Result<()> {
        Ok(())
    }
    fn changes(&self, _: &str) -> Result<Vec<store::Change>> {
        Ok(Vec::new())
    }
    fn commit(
        &self,
        _: &str,
        _: &str,
        _: &store::CommitOptions,
        _: Box<dyn FnOnce() + Send>,
    ) -> Result<String> {
        Ok("sha256:2".into())
    }
    fn open_root(&self, _: &str, _: store::Access, _: bool, _: &[store::Bind]) -> Result<OpenRoot> {
        Err(crate::Error::internal("there are no files"))
    }
    fn put_record(&self, id: &str, json: &[u8], _: bool) -> Result<()> {
        self.0.records.lock().unwrap().insert(id.to_owned(), json.to_vec());
        Ok(())
    }
    fn delete_record(&self, id: &str, _: bool) -> Result<()> {
        self.0.records.lock().unwrap().remove(id);
        Ok(())
    }
    fn make_room(&self) {}
    fn keep_room(&self) {}
    fn records(&self) -> Result<Vec<(String, Result<Vec<u8>>)>> {
        let records = self.0.records.lock().unwrap().clone();
        Ok(records.into_iter().map(|(id, json)| (id, Ok(json))).collect())
    }
    fn make_limited(&self, directory: &Path, _: u64) -> Result<()> {
        std::fs::create_dir(directory).map_err(|error| crate::Error::internal(error.to_string()))
    }
    fn renew_limit(&self, _: &Path, _: u64) -> Result<()> {
        Ok(())
    }
    fn release_limit(&self, _: &Path) {}
    fn put_volume(&self, name: &str, json: &[u8], _: bool) -> Result<()> {
        self.0.volumes.lock().unwrap().insert(name.to_owned(), json.to_vec());
        Ok(())
    }
    fn delete_volume(&self, name: &str, _: bool) -> Result<()> {
        self.0.volumes.lock().unwrap().remove(name);
        Ok(())
    }
    fn volumes(&self) -> Result<Vec<(String, Result<Vec<u8>>)>> {
        let volumes = self.0.volumes.lock().unwrap().clone();
        Ok(volumes.into_iter().map(|(name, json)| (name, Ok(json))).collect())
    }
    fn tree_size(&self, _: &Path) -> Result<u64> {
        Ok(7)
    }
    fn put_network(&self, id: &str, json: &[u8], _: bool) -> Result<()> {
        self.0.networks.lock().unwrap().insert(id.to_owned(), json.to_vec());
        Ok(())
    }
    fn delete_network(&self, id: &str, _: bool) -> Result<()> {
        self.0.networks.lock().unwrap().remove(id);
        Ok(())
    }
    fn networks(&self) -> Result<Vec<(String, Result<Vec<u8>>)>> {
        let networks = self.0.networks.lock().unwrap().clone();
        Ok(networks.into_iter().map(|(id, json)| (id, Ok(json))).collect())
    }
    fn driver(&self) -> &'static str {
        "vfs"
    }
}

impl SeccompCompiler for Fake {
    fn compile(&self, _: Option<&str>, _: &[String]) -> Result<Arc<[u8]>, String> {
        Ok(Arc::new([]))
    }
    fn resolve(&self, _: Option<&str>, _: &[String]) -> Result<oci::runtime::LinuxSeccomp, String> {
        Err("nobody asks".into())
    }
}

impl Clock for Fake {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }
    fn steady(&self) -> Duration {
        self.0.clock.since_epoch()
    }
    fn sleep(&self, for_: Duration) -> BoxFuture<'static, ()> {
        self.0.clock.sleep(for_)
    }
}

impl Mirror for Fake {
    fn files(&self, container: &crate::container::Container) -> Vec<(&'static str, Vec<u8>)> {
        vec![("config.v2.json", container.state.status.word().into())]
    }
}

impl Roots for Fake {
    fn open(&self, _: std::os::fd::OwnedFd, _: RootView) -> std::io::Result<OpenRoot> {
        Err(std::io::Error::other("there are no files"))
    }
}

impl Ids for Fake {
    fn id(&self) -> String {
        let mut ids = self.0.ids.lock().unwrap();
        *ids += 1;
        format!("{:0>64x}", *ids + 0xabc000)
    }
    fn number(&self) -> u64 {
        *self.0.ids.lock().unwrap()
    }
}

pub(crate) fn engine(world: &Arc<World>, root: &Path) -> Containers {
    let fake = Fake(world.clone());
    let ports = Ports {
        runtime: Arc::new(fake.clone()),
        network: Arc::new(fake.clone()),
        storage: Arc::new(fake.clone()),
        seccomp: Arc::new(fake.clone()),
        clock: Arc::new(fake.clone()),
        ids: Arc::new(fake.clone()),
        mirror: Arc::new(fake.clone()),
        roots: Arc::new(fake.clone()),
        plugins: Arc::new(fake),
    };
    Containers { core: Core::new(Settings::new(root.join("data"), root.join("exec")), ports) }
}

pub(crate) async fn boot(containers: &Containers) -> Result<()> {
    let bridges = crate::networks::boot::load(&containers.core)?;
    crate::containers::boot::run(&containers.core, bridges).await
}

pub(crate) fn spec() -> ContainerSpec {
    ContainerSpec { image: "i".into(), ..ContainerSpec::default() }
}

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

/// Nothing of any container is left, in the fakes or on disk.
fn assert_clean(world: &World, root: &Path, when: &str) {
    assert!(world.layers.lock().unwrap().is_empty(), "layer left {when}");
    assert!(world.records.lock().unwrap().is_empty(), "record left {when}");
    assert!(world.sandboxes.lock().unwrap().is_empty(), "sandbox left {when}");
    assert!(world.processes.lock().unwrap().is_empty(), "process left {when}");
    assert_eq!(entries(&root.join("data/containers")), 0, "directory left {when}");
}

const CREATE: [&str; 10] = [
    "create.name",
    "create.directory",
    "create.layer",
    "create.volumes",
    "volume.directory",
    "volume.record",
    "volume.data",
    "volume.publish",
    "create.record",
    "create.publish",
];
const START: [&str; 5] = ["start.network", "start.files", "start.spec", "start.process", "start.publish"];
const REMOVE: [&str; 6] =
    ["remove.mark", "remove.process", "remove.layer", "remove.directory", "remove.volumes", "remove.record"];

#[tokio::test]
async fn a_create_that_fails_anywhere_leaves_nothing() {
    for point in CREATE {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        containers.core.failpoints.arm(point);
        containers.create("web", spec()).await.unwrap_err();
        assert_clean(&world, root.path(), point);
        assert_eq!(entries(&root.path().join("data/volumes")), 0, "volume left after {point}");
        containers.core.failpoints.arm("");
        containers.create("web", spec()).await.expect("the name is free again");
    }
}

#[tokio::test]
async fn an_engine_killed_in_create_is_tidied_up_by_the_next() {
    for point in &CREATE[..9] {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        containers.core.failpoints.arm(&format!("{point}:crash"));
        containers.create("web", spec()).await.unwrap_err();
        let next = engine(&world, root.path());
        boot(&next).await.unwrap();
        assert_clean(&world, root.path(), point);
        assert_eq!(entries(&root.path().join("data/volumes")), 0, "volume left after {point}");
        assert!(next.core.volumes.all().is_empty(), "volume known after {point}");
    }
}

#[tokio::test]
async fn a_start_that_fails_anywhere_can_be_repeated() {
    for point in START {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        let id = containers.create("web", spec()).await.unwrap().id;
        containers.core.failpoints.arm(point);
        containers.start(&id).await.unwrap_err();
        assert!(world.sandboxes.lock().unwrap().is_empty(), "sandbox left after {point}");
        assert!(world.processes.lock().unwrap().is_empty(), "process left after {point}");
        containers.core.failpoints.arm("");
        containers.start("web").await.unwrap();
        assert_eq!(containers.inspect("web", false).await.unwrap().state.status, Status::Running);
    }
}

#[tokio::test]
async fn an_engine_killed_in_start_leaves_a_container_that_starts() {
    for point in START {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        containers.create("web", spec()).await.unwrap();
        containers.core.failpoints.arm(&format!("{point}:crash"));
        containers.start("web").await.unwrap_err();
        let next = engine(&world, root.path());
        boot(&next).await.unwrap();
        let view = next.inspect("web", false).await.unwrap();
        if view.state.status == Status::Running {
            assert_eq!(point, "start.publish", "adopted");
        } else {
            next.start("web").await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_engine_killed_in_remove_is_finished_by_the_next() {
    // Killed before the mark, nothing has begun.
    for point in &REMOVE[1..] {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        containers.create("web", spec()).await.unwrap();
        // Play the kill inside the flow itself: the task would write its own failure.
        let mut record =
            crate::records::read("web", world.records.lock().unwrap().values().next().unwrap()).unwrap();
        record.status = Status::Removing;
        containers.core.failpoints.arm(&format!("{point}:crash"));
        super::remove::run(&containers.core, &record).await.unwrap_err();
        let next = engine(&world, root.path());
        boot(&next).await.unwrap();
        assert_clean(&world, root.path(), point);
        assert_eq!(next.inspect("web", false).await.unwrap_err().class, Class::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_creates_with_one_name_one_wins() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let containers = containers.clone();
        tasks.spawn(async move { containers.create("web", spec()).await });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let losers = results.iter().filter_map(|result| result.as_ref().err());
    for error in losers {
        assert!(
            error.message.starts_with("Conflict. The container name \"/web\" is already in use by container")
        );
    }
    assert_eq!(world.records.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_running_container_outlives_its_engine() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let id = containers.create("web", spec()).await.unwrap().id;
    containers.start("web").await.unwrap();
    assert_eq!(containers.start("web").await.unwrap_err().class, Class::NotModified);

    let next = engine(&world, root.path());
    boot(&next).await.unwrap();
    assert_eq!(next.inspect(&id[..60], false).await.unwrap().state.status, Status::Running);
    let wait = next.wait("web", WaitCondition::NextExit).await.unwrap();
    next.kill("web", "KILL").await.unwrap();
    assert_eq!(wait.answer().await.unwrap().status_code, 137);
    next.remove("web", RemoveRequest::default()).await.unwrap();
    assert_clean(&world, root.path(), "after remove");
}

#[tokio::test]
async fn what_ended_while_no_engine_ran_is_told_by_the_next() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let id = containers.create("web", spec()).await.unwrap().id;
    containers.start("web").await.unwrap();
    // The first engine is gone as far as the records go: it never sees this.
    world.processes.lock().unwrap()[&id].send_replace(None);
    let (ended, _) = watch::channel(Some(7));
    let _first = world.processes.lock().unwrap().insert(id, ended);
    let next = engine(&world, root.path());
    boot(&next).await.unwrap();
    let state = next.inspect("web", false).await.unwrap().state.clone();
    assert_eq!((state.status, state.exit_code), (Status::Exited, 7));
}

#[tokio::test]
async fn a_missing_executable_keeps_its_code_and_an_auto_removed_one_goes() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let missing = ContainerSpec { cmd: Some(vec!["missing".into()]), ..spec() };
    containers.create("web", missing.clone()).await.unwrap();
    containers.start("web").await.unwrap_err();
    let state = containers.inspect("web", false).await.unwrap().state.clone();
    assert_eq!((state.status, state.exit_code), (Status::Created, 127));
    assert!(state.error.contains("executable file not found"));
    containers.remove("web", RemoveRequest::default()).await.unwrap();

    let mut auto = missing;
    auto.host.auto_remove = true;
    containers.create("web", auto).await.unwrap();
    let wait = containers.wait("web", WaitCondition::Removed).await.unwrap();
    containers.start("web").await.unwrap_err();
    let answer = wait.answer().await.unwrap();
    assert_eq!((answer.status_code, answer.error), (127, None));
    assert_clean(&world, root.path(), "after a failed --rm start");
}

fn volumes(containers: &Containers) -> Volumes {
    let registries = crate::registries::Registries::new(containers.core.settings().registries.clone());
    Volumes { core: containers.core.clone(), pruning: Arc::default(), registries: Arc::new(registries) }
}

fn labelled(name: &str) -> CreateRequest {
    CreateRequest { name: name.into(), labels: [("a".into(), "b".into())].into(), ..CreateRequest::default() }
}

async fn rebooted(world: &Arc<World>, root: &Path) -> Containers {
    let next = engine(world, root);
    boot(&next).await.unwrap();
    next
}

#[tokio::test]
async fn a_volume_is_made_whole_or_not_at_all() {
    for point in ["volume.directory", "volume.record", "volume.data", "volume.publish"] {
        for crash in ["", ":crash"] {
            let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
            let containers = engine(&world, root.path());
            containers.core.failpoints.arm(&format!("{point}{crash}"));
            volumes(&containers).create(labelled("data")).await.unwrap_err();
            let next = if crash.is_empty() { containers } else { rebooted(&world, root.path()).await };
            next.core.failpoints.arm("");
            match volumes(&next).inspect("data").await {
                Ok(volume) => {
                    assert_eq!((point, crash), ("volume.publish", ":crash"), "it is there");
                    assert_eq!(volume.labels["a"], "b");
                }
                Err(error) => {
                    assert_eq!(error.message, "get data: no such volume", "{point}{crash}");
                    assert_eq!(entries(&root.path().join("data/volumes")), 0, "left after {point}{crash}");
                    assert!(world.volumes.lock().unwrap().is_empty(), "record left after {point}{crash}");
                }
            }
            assert_eq!(volumes(&next).create(labelled("data")).await.unwrap().labels["a"], "b");
        }
    }
}

#[tokio::test]
async fn a_volume_is_removed_whole_or_not_at_all() {
    for point in ["volume.mark", "volume.tree", "volume.forget"] {
        for crash in ["", ":crash"] {
            let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
            let containers = engine(&world, root.path());
            let data = volumes(&containers).create(labelled("data")).await.unwrap().mountpoint.clone();
            std::fs::write(data.join("kept"), "x").unwrap();
            containers.core.failpoints.arm(&format!("{point}{crash}"));
            volumes(&containers).remove("data", false).await.unwrap_err();
            containers.core.failpoints.arm("");
            let next = rebooted(&world, root.path()).await;
            let found = volumes(&next).inspect("data").await;
            // Behind the mark a killed engine's removal is finished, and a failed one's is off.
            let is_there = point == "volume.mark" || crash.is_empty() && point == "volume.tree";
            assert_eq!(found.is_ok(), is_there, "{point}{crash}");
            assert_eq!(data.join("kept").exists(), is_there, "{point}{crash}");
            assert_eq!(world.volumes.lock().unwrap().len(), usize::from(is_there), "{point}{crash}");
        }
    }
}

#[tokio::test]
async fn who_refers_to_a_volume_keeps_it_over_engines_and_the_last_takes_an_anonymous_one_along() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let mut one = spec();
    one.host.binds = vec!["named:/n".into()];
    let id = containers.create("one", one).await.unwrap().id;
    let mut two = spec();
    two.host.volumes_from = vec!["one:ro".into()];
    containers.create("two", two).await.unwrap();
    let next = rebooted(&world, root.path()).await;
    let error = volumes(&next).remove("named", true).await.unwrap_err();
    assert_eq!(error.class, Class::Conflict);
    assert!(error.message.starts_with("remove named: volume is in use - [") && error.message.contains(&id));
    let anonymous = next
        .inspect("one", false)
        .await
        .unwrap()
        .mounts
        .iter()
        .find(|m| m.destination == "/v")
        .unwrap()
        .name
        .clone();
    let with_volumes = RemoveRequest { volumes: true, ..RemoveRequest::default() };
    next.remove("one", with_volumes).await.unwrap();
    assert!(volumes(&next).inspect(&anonymous).await.is_ok(), "another container has it");
    let next = rebooted(&world, root.path()).await;
    next.remove("two", with_volumes).await.unwrap();
    assert!(volumes(&next).inspect(&anonymous).await.is_err(), "nobody has it");
    assert!(volumes(&next).inspect("named").await.is_ok());
    volumes(&next).remove("named", false).await.unwrap();
    assert_clean(&world, root.path(), "after all");
    assert_eq!(entries(&root.path().join("data/volumes")), 0);
}

#[tokio::test]
async fn prune_takes_anonymous_ones_unless_told_otherwise() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let volumes = volumes(&containers);
    volumes.create(labelled("data")).await.unwrap();
    let anonymous = volumes.create(CreateRequest::default()).await.unwrap().name.clone();
    let filters = |key: &str, value: &str| Filters([(key.to_owned(), vec![value.to_owned()])].into());
    assert_eq!(volumes.prune(filters("label", "nosuch")).await.unwrap().ids.len(), 0);
    let pruned = volumes.prune(Filters::default()).await.unwrap();
    assert_eq!((pruned.ids, pruned.space_bytes), (vec![anonymous], 7));
    assert_eq!(volumes.prune(filters("all", "true")).await.unwrap().ids, ["data"]);
    assert!(volumes.prune(filters("all", "maybe")).await.is_err());
}

// ------------------------------------------------------------------------------------------ networks

fn networks(containers: &Containers) -> Networks {
    Networks { core: containers.core.clone() }
}

fn network(name: &str) -> NetworkRequest {
    NetworkRequest { name: name.into(), ..NetworkRequest::default() }
}

#[tokio::test]
async fn a_network_is_made_whole_or_not_at_all() {
    for point in ["network.bridge", "network.record", "network.publish"] {
        for crash in ["", ":crash"] {
            let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
            let containers = engine(&world, root.path());
            boot(&containers).await.unwrap();
            containers.core.failpoints.arm(&format!("{point}{crash}"));
            networks(&containers).create(network("n")).await.unwrap_err();
            let next = engine(&world, root.path());
            boot(&next).await.unwrap();
            let bridges = world.bridges.lock().unwrap().len();
            match networks(&next).inspect("n").await {
                Ok(_) => assert_eq!((point, crash, bridges), ("network.publish", ":crash", 1)),
                Err(error) => {
                    assert_eq!(
                        (error.message.as_str(), bridges),
                        ("network n not found", 0),
                        "{point}{crash}"
                    );
                    networks(&next).create(network("n")).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn names_ids_and_the_predefined() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    boot(&containers).await.unwrap();
    let all = networks(&containers);
    let id = all.create(network("n")).await.unwrap().id.clone();
    let names =
        |found: Vec<Inspected>| -> Vec<String> { found.iter().map(|n| n.network.name.clone()).collect() };
    assert_eq!(names(all.list(Filters::default()).await.unwrap()), ["bridge", "host", "n", "none"]);
    let twice = all.create(network("n")).await.unwrap_err();
    assert_eq!(
        (twice.class, twice.message.as_str()),
        (Class::Conflict, "network with name n already exists")
    );
    assert_eq!(all.inspect(&id).await.unwrap().network.name, "n");
    let many = all.inspect(&id[..10]).await.unwrap_err();
    assert_eq!(many.message, "network 0000000000 is ambiguous (3 matches found based on ID prefix)");
    let refused = all.remove("host").await.unwrap_err();
    assert_eq!(
        (refused.class, refused.message.as_str()),
        (Class::Forbidden, "host is a pre-defined network and cannot be removed")
    );
    let host = all.inspect("host").await.unwrap().network.id.clone();
    let next = engine(&world, root.path());
    boot(&next).await.unwrap();
    assert_eq!(networks(&next).inspect("host").await.unwrap().network.id, host, "ids are kept");
    networks(&next).remove("n").await.unwrap();
    assert_eq!(networks(&next).remove("n").await.unwrap_err().message, "network n not found");
    assert!(world.bridges.lock().unwrap().is_empty());
}

#[tokio::test]
async fn containers_come_and_go_on_networks() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    boot(&containers).await.unwrap();
    let all = networks(&containers);
    all.create(network("m")).await.unwrap();
    all.create(NetworkRequest { internal: true, ..network("a") }).await.unwrap();
    let on = async |name: &str| -> Vec<(String, bool)> {
        let view = containers.inspect(name, false).await.unwrap();
        view.network.endpoints.values().map(|one| (one.network.clone(), one.is_gateway)).collect()
    };
    let at = |name: &str, gateway| (name.to_owned(), gateway);
    let mut wish = spec();
    wish.host.network_mode = NetworkMode::Named("m".into());
    wish.endpoints.insert("a".into(), EndpointSpec { aliases: vec!["db".into()], ..EndpointSpec::default() });
    let id = containers.create("web", wish).await.unwrap().id;
    containers.start("web").await.unwrap();
    assert_eq!(on("web").await, [at("a", false), at("m", true)], "an internal network leads nowhere");
    let member = all.inspect("a").await.unwrap().containers.remove(&id).unwrap();
    assert_eq!(member.endpoint.dns_names, ["web", "db", &id[..12]]);
    let refused = all.remove("a").await.unwrap_err();
    assert_eq!(refused.class, Class::Forbidden);
    assert!(
        refused
            .message
            .starts_with("error while removing network: network a has active endpoints (name:\"web\"")
    );

    let again = all.connect("m", "web", EndpointSpec::default()).await.unwrap_err();
    assert_eq!(again.message, "endpoint with name web already exists in network m");
    all.connect("bridge", "web", EndpointSpec::default()).await.unwrap();
    all.disconnect("m", "web").await.unwrap();
    assert_eq!(on("web").await, [at("a", false), at("bridge", true)]);
    assert!(all.disconnect("m", "web").await.unwrap_err().message.contains("is not connected to network m"));
    // The next start finds it so, and the next engine.
    containers.restart("web", Default::default()).await.unwrap();
    assert_eq!(on("web").await, [at("a", false), at("bridge", true)]);
    let next = engine(&world, root.path());
    boot(&next).await.unwrap();
    assert_eq!(next.inspect("web", false).await.unwrap().network.endpoints.len(), 2);

    // One that does not run is connected when it starts, and without any it starts alone.
    containers.create("idle", spec()).await.unwrap();
    all.disconnect("bridge", "idle").await.unwrap();
    assert_eq!(on("idle").await, []);
    containers.start("idle").await.unwrap();
    assert_eq!(on("idle").await, []);
    all.connect("m", "idle", EndpointSpec::default()).await.unwrap();
    assert_eq!(on("idle").await, [at("m", true)]);
    let error = all.connect("host", "idle", EndpointSpec::default()).await.unwrap_err();
    assert_eq!(error.class, Class::Invalid);
    assert_eq!(all.prune(Filters::default()).await.unwrap(), Vec::<String>::new());
}
