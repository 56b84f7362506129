//! The machine, faked: what it holds, its clock, and the ports of an engine on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;

use crate::containers::{ContainerSpec, Containers};
use crate::core::{Core, Ports};
use crate::error::{Class, Result};
use crate::images::ImageConfig;
use crate::ports::*;
use crate::settings::Settings;

/// Everything the fakes hold; survives the "engine", as machine and disk do.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(super) layers: Mutex<BTreeSet<String>>,
    pub(super) records: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(super) volumes: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(super) sandboxes: Mutex<BTreeSet<String>>,
    pub(super) bridges: Mutex<BTreeSet<String>>,
    pub(super) networks: Mutex<BTreeMap<String, Vec<u8>>>,
    /// Ends when something is sent.
    pub(crate) processes: Mutex<BTreeMap<String, watch::Sender<Option<i32>>>>,
    pub(super) ids: Mutex<u64>,
    pub(crate) clock: FakeClock,
    /// When processes were started.
    pub(crate) starts: Mutex<Vec<Duration>>,
    /// Processes end with this code by themselves, after that time.
    pub(crate) life: Mutex<Option<(i32, Duration)>>,
    /// What the next execs do; without, there are none.
    pub(crate) execs: Mutex<VecDeque<FakeExec>>,
    /// What the plugin `plug` has, and for which ids it is mounted.
    pub(super) plugged: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// It answers nothing.
    pub(super) hangs: Mutex<bool>,
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
pub(super) struct Fake(pub(super) Arc<World>);

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

/// The next engine.
pub(super) async fn rebooted(world: &Arc<World>, root: &Path) -> Containers {
    let next = engine(world, root);
    boot(&next).await.unwrap();
    next
}

pub(crate) fn spec() -> ContainerSpec {
    ContainerSpec { image: "i".into(), ..ContainerSpec::default() }
}
