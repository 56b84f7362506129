//! A server over a real engine and store in a temporary directory; only processes and networks are fakes.

use engine::ports::*;
use engine::{Class, Disk, Engine, Ports, Settings};
use server::{Listener, Server};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// Nothing runs, so nobody looks.
#[derive(Debug)]
struct NoRoots;

impl Roots for NoRoots {
    fn open(&self, _: OwnedFd, _: RootView) -> std::io::Result<OpenRoot> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// There are none.
#[derive(Debug)]
struct NoPlugins;

fn no_plugin<'a, T: Send + 'a>(driver: &'a str) -> BoxFuture<'a, Result<T, PluginError>> {
    let message = format!("error looking up volume plugin {driver}: plugin \"{driver}\" not found");
    Box::pin(async { Err(PluginError { kind: PluginErrorKind::NotFound, message }) })
}

impl VolumePlugins for NoPlugins {
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
    fn drivers(&self) -> Vec<String> {
        Vec::new()
    }
    fn look_up<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, Result<(), PluginError>> {
        no_plugin(driver)
    }
    fn create<'a>(
        &'a self,
        driver: &'a str,
        _: &'a str,
        _: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<(), PluginError>> {
        no_plugin(driver)
    }
    fn remove<'a>(&'a self, driver: &'a str, _: &'a str) -> BoxFuture<'a, Result<(), PluginError>> {
        no_plugin(driver)
    }
    fn mount<'a>(
        &'a self,
        driver: &'a str,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<PathBuf, PluginError>> {
        no_plugin(driver)
    }
    fn unmount<'a>(
        &'a self,
        driver: &'a str,
        _: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<(), PluginError>> {
        no_plugin(driver)
    }
    fn get<'a>(
        &'a self,
        driver: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<PluginVolume>, PluginError>> {
        no_plugin(driver)
    }
    fn list<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, Result<Vec<PluginVolume>, PluginError>> {
        no_plugin(driver)
    }
    fn is_global<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async { false })
    }
}

#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) client: client::Client,
    stop: Option<oneshot::Sender<()>>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (data, exec) = (directory.path().join("data"), directory.path().join("exec"));
        std::fs::create_dir_all(&exec).unwrap();
        let store = Arc::new(store::Store::open(&data).unwrap());
        let ports = Ports {
            runtime: Arc::new(Processes::default()),
            network: Arc::new(NoNetwork),
            storage: Arc::new(Disk::new(store.clone())),
            seccomp: Arc::new(NoSeccomp),
            clock: Arc::new(RealClock),
            ids: Arc::new(Counter::default()),
            mirror: Arc::new(server::ConfigFiles),
            roots: Arc::new(NoRoots),
            plugins: Arc::new(NoPlugins),
        };
        let facts = engine::system::Facts {
            server_version: "29.0.0-test".into(),
            architecture: "x86_64".into(),
            kernel_version: "6".into(),
            cgroup_driver: "cgroupfs".into(),
            cgroup_version: "1".into(),
            ..Default::default()
        };
        let engine = Engine::new(Settings::new(data, exec), ports, store, facts);
        engine.boot().await.unwrap();
        let path = directory.path().join("api.sock");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = Server::new(engine);
        tokio::spawn(async move {
            server
                .serve(Listener::Unix(listener), async {
                    let _ = stopped.await;
                })
                .await;
        });
        let client = client::Client::new(client::Address::Unix(path));
        Self { directory, client, stop: Some(stop) }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("api.sock")
    }

    /// An image with one empty file system.
    pub(crate) async fn image(&self, name: &str) {
        let from = std::io::Cursor::new(vec![0_u8; 1024]);
        let how = client::Import { repo: name, tag: "latest", message: "a test", ..Default::default() };
        let mut lines = self.client.images().import(&how, from).await.unwrap();
        let line = lines.next().await.unwrap().unwrap();
        assert!(line.status.starts_with("sha256:"), "{line:?}");
    }

    /// Sends raw bytes, optionally closes the sending side, and reads to the end.
    pub(crate) async fn raw(&self, request: &[u8], half_close: bool) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::UnixStream::connect(self.socket()).await.unwrap();
        stream.write_all(request).await.unwrap();
        if half_close {
            stream.shutdown().await.unwrap();
        }
        let mut out = Vec::new();
        let read = stream.read_to_end(&mut out);
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("an answer").unwrap();
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// Processes that do nothing until they are signalled. One with `echo` as its name prints what it is sent.
#[derive(Debug, Default)]
struct Processes {
    running: Mutex<HashMap<ProcessRef, oneshot::Sender<i32>>>,
}

impl Processes {
    fn launch(&self, process: ProcessRef) -> Started {
        let (sender, receiver) = oneshot::channel();
        self.running.lock().unwrap().insert(process, sender);
        let exit = async move {
            let code = receiver.await.unwrap_or(0);
            Exit { code, at: jiff::Timestamp::now(), ..Exit::default() }
        };
        let oom = tokio::sync::watch::channel(0).1;
        let detached = tokio::sync::watch::channel(0).1;
        Started { pid: 4242, started_at: jiff::Timestamp::now(), exit: Box::pin(exit), oom, detached }
    }

    /// Echoes one line, framed, then ends the process.
    fn echo(&self, process: ProcessRef, attachment: Attachment, tty: bool) {
        let exit = self.running.lock().unwrap().remove(&process);
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            let stream = std::os::unix::net::UnixStream::from(attachment.stream);
            stream.set_nonblocking(false).unwrap();
            let mut input = attachment.leftover;
            if attachment.stdin {
                (&stream).read_to_end(&mut input).unwrap();
            }
            if !tty {
                let mut header = vec![1, 0, 0, 0];
                header.extend((input.len() as u32).to_be_bytes());
                (&stream).write_all(&header).unwrap();
            }
            (&stream).write_all(&input).unwrap();
            if let Some(exit) = exit {
                let _ = exit.send(7);
            }
        });
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl ContainerRuntime for Processes {
    fn clear_log<'a>(&'a self, _: &'a ProcessRef) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async { Ok(()) })
    }
    fn start(&self, request: StartRequest) -> BoxFuture<'_, Result<Started, RuntimeError>> {
        let process = ProcessRef::container(&request.id);
        let started = self.launch(process.clone());
        for attachment in request.attachments {
            self.echo(process.clone(), attachment, request.stdio.tty);
        }
        ready(Ok(started))
    }
    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Started, RuntimeError>> {
        let started = self.launch(request.process.clone());
        if let Some(attachment) = request.attachment {
            self.echo(request.process, attachment, request.stdio.tty);
        }
        ready(Ok(started))
    }
    fn signal<'a>(&'a self, process: &'a ProcessRef, signal: i32) -> BoxFuture<'a, Result<(), RuntimeError>> {
        if let Some(exit) = self.running.lock().unwrap().remove(process) {
            let _ = exit.send(128 + signal);
        }
        ready(Ok(()))
    }
    fn pause<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        ready(Ok(()))
    }
    fn resume<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        ready(Ok(()))
    }
    fn resize<'a>(&'a self, _: &'a ProcessRef, _: u16, _: u16) -> BoxFuture<'a, Result<(), RuntimeError>> {
        ready(Ok(()))
    }
    fn attach<'a>(
        &'a self,
        process: &'a ProcessRef,
        it: Attachment,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        self.echo(process.clone(), it, false);
        ready(Ok(()))
    }
    fn pids<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<u32>, RuntimeError>> {
        ready(Ok(vec![std::process::id()]))
    }
    fn reconnect<'a>(&'a self, _: &'a ProcessRef) -> BoxFuture<'a, Reconnected> {
        ready(Reconnected::Gone)
    }
    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        ready(Vec::new())
    }
    fn forget<'a>(&'a self, _: &'a ProcessRef) -> BoxFuture<'a, ()> {
        ready(())
    }
}

#[derive(Debug)]
struct NoNetwork;

impl NetworkFabric for NoNetwork {
    fn prepare(&self) {}
    fn look_up<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<std::net::IpAddr, NetworkError>> {
        let message = format!("lookup {name}: no such host");
        ready(Err(NetworkError { class: Class::Internal, message }))
    }
    fn take<'a>(
        &'a self,
        _: &'a str,
        request: &'a SandboxRequest,
    ) -> BoxFuture<'a, Result<Sandbox, NetworkError>> {
        let netns = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let endpoint = |_| Endpoint {
            network: "bridge".into(),
            network_id: "b".repeat(64),
            endpoint_id: "e".repeat(64),
            mac: "02:42:ac:11:00:02".into(),
            ipv4: Some("172.17.0.2".parse().unwrap()),
            ipv4_prefix: 16,
            gateway: Some("172.17.0.1".parse().unwrap()),
            is_gateway: true,
            interface: "eth0".into(),
            dns_names: Vec::new(),
            ..Endpoint::default()
        };
        let endpoints = request.endpoints.iter().map(endpoint).collect();
        ready(Ok(Sandbox { netns, sandbox_id: "5".repeat(64), endpoints }))
    }
    fn release<'a>(&'a self, _: &'a str, _: &'a [Endpoint]) -> BoxFuture<'a, ()> {
        ready(())
    }
    fn reconcile(
        &self,
        _: Vec<BridgeNetwork>,
        _: Vec<(String, Vec<Endpoint>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>> {
        ready(Ok(()))
    }
    fn add_network<'a>(
        &'a self,
        network: &'a BridgeNetwork,
    ) -> BoxFuture<'a, Result<BridgeNetwork, NetworkError>> {
        let subnet = network.subnet.or("172.18.0.0/16".parse().ok());
        ready(Ok(BridgeNetwork { subnet, gateway: "172.18.0.1".parse().ok(), ..network.clone() }))
    }
    fn remove_network<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), NetworkError>> {
        ready(Ok(()))
    }
    fn connect<'a>(
        &'a self,
        _: &'a str,
        _: u32,
        _: &'a EndpointRequest,
    ) -> BoxFuture<'a, Result<Endpoint, NetworkError>> {
        ready(Ok(Endpoint::default()))
    }
    fn disconnect<'a>(
        &'a self,
        _: &'a str,
        _: u32,
        _: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        ready(Ok(()))
    }
    fn route_via<'a>(
        &'a self,
        _: &'a str,
        _: u32,
        _: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        ready(Ok(()))
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
        ready(Ok(()))
    }
    fn adopt_names(&self, _: Vec<Named>) -> BoxFuture<'_, Result<(), NetworkError>> {
        ready(Ok(()))
    }
    fn adopt_ports(
        &self,
        _: Vec<(String, Reach, Vec<PortMapping>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }
    fn facts(&self) -> NetworkFacts {
        NetworkFacts::default()
    }
}

#[derive(Debug)]
struct NoSeccomp;

impl SeccompCompiler for NoSeccomp {
    fn compile(&self, _: Option<&str>, _: &[String]) -> Result<Arc<[u8]>, String> {
        Ok(Arc::from([]))
    }
    fn resolve(&self, _: Option<&str>, _: &[String]) -> Result<oci::runtime::LinuxSeccomp, String> {
        Err("nobody asks".into())
    }
}

#[derive(Debug)]
struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
    fn steady(&self) -> Duration {
        Duration::try_from(jiff::Timestamp::now().as_duration()).unwrap_or_default()
    }
    fn sleep(&self, for_: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

#[derive(Debug, Default)]
struct Counter(std::sync::atomic::AtomicU64);

impl Ids for Counter {
    fn id(&self) -> String {
        format!("{:x}{:063x}", 0xa, self.number())
    }
    fn number(&self) -> u64 {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}
