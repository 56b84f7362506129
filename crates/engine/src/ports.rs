//! What the engine needs from the outside, as traits it owns.
//!
//! The engine decides; processes, network namespaces, BPF and the wall clock are somebody else's trade. The
//! adapters live in `daemon` (`adapters/runtime.rs` over `shim`, `adapters/network.rs` over `net`), the fakes
//! in this crate's tests. Futures are boxed so that the ports are object safe: one allocation per call is
//! nothing beside a system call.

mod usage;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ipnet::Ipv4Net;
use jiff::Timestamp;
use tokio::sync::watch;

pub use usage::{BlockIoEntry, BlockIoUsage, CpuUsage, InterfaceUsage, MemoryUsage, Meter, Traffic, Usage};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

// ---------------------------------------------------------------------------------------- processes

/// A process the engine can name: a container's PID 1, or one exec in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProcessRef {
    /// Full container id, 64 hex digits.
    pub container: String,
    /// Full exec id, 64 hex digits; `None` is the container's own process.
    pub exec: Option<String>,
}

impl ProcessRef {
    pub fn container(id: impl Into<String>) -> Self {
        Self { container: id.into(), exec: None }
    }
    pub fn exec(container: impl Into<String>, exec: impl Into<String>) -> Self {
        Self { container: container.into(), exec: Some(exec.into()) }
    }
}

/// Where the root file system comes from. Overlay layers are mounted by the container's set-up code inside
/// its own mount namespace; nothing is mounted on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rootfs {
    /// A plain directory (vfs).
    Directory(PathBuf),
    /// overlayfs; `lower` is ordered top layer first, as the kernel wants it.
    Overlay { lower: Vec<PathBuf>, upper: PathBuf, work: PathBuf },
}

/// Which standard streams a process has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stdio {
    /// A pty instead of pipes.
    pub tty: bool,
    /// Keep stdin open (`-i`); otherwise it is /dev/null.
    pub open_stdin: bool,
    /// Close stdin when the first attached client's stdin ends.
    pub stdin_once: bool,
    /// First size of the pty: rows, columns.
    pub console_size: Option<(u16, u16)>,
}

/// One client's connection, handed down to the monitor as a file descriptor.
#[derive(Debug)]
pub struct Attachment {
    /// The raw connection: frames (or tty bytes) are written here, stdin is read from here.
    pub stream: OwnedFd,
    /// Bytes the HTTP layer had read beyond the request; they come before what is read from `stream`.
    pub leftover: Vec<u8>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// Docker's 8-byte headers before each chunk. Usually the opposite of a pty, but the client of an exec says it
    /// itself.
    pub framed: bool,
    /// Raw bytes of the detach sequence; empty switches detaching off.
    pub detach_keys: Vec<u8>,
}

/// Everything needed to bring a container's process up.
#[derive(Debug)]
pub struct StartRequest {
    /// Full container id.
    pub id: String,
    /// Complete runtime spec: nothing is defaulted further down.
    pub spec: Box<oci::runtime::Spec>,
    pub rootfs: Rootfs,
    /// Nothing of the root need survive a power cut (`--rm`): syncs of it may be left out.
    pub volatile_root: bool,
    /// The sandbox's network namespace; `None`: the spec's network namespace entry (or its absence) decides.
    pub netns: Option<OwnedFd>,
    /// Kept open until the process has ended: [`PublishedPorts::holder`].
    pub ports: Option<OwnedFd>,
    /// Compiled classic BPF, `None` for unconfined. When set it stands for `spec.linux.seccomp`.
    pub seccomp: Option<Arc<[u8]>>,
    pub stdio: Stdio,
    pub log: logs::Destination,
    /// PID 1 stays as a reaper and forks the command (`--init`).
    pub init_reaper: bool,
    /// `--user` values with names in them; resolved in the container's own files by the set-up code.
    pub user: Option<String>,
    /// `--group-add` entries, numbers or names.
    pub additional_groups: Vec<String>,
    /// Clients that were attached before the start: they miss no byte.
    pub attachments: Vec<Attachment>,
    /// A different OCI runtime to be run by the monitor: (path, extra arguments). `None` is the built-in one.
    pub foreign_runtime: Option<(PathBuf, Vec<String>)>,
}

/// Everything needed to run one more process in a running container.
#[derive(Debug)]
pub struct ExecRequest {
    pub process: ProcessRef,
    /// PID 1 of the container, as the engine knows it.
    pub pid: u32,
    pub spec: Box<oci::runtime::Process>,
    pub seccomp: Option<Arc<[u8]>>,
    pub stdio: Stdio,
    /// `--user` as written (`name`, `uid`, `name:group` ...), resolved inside the container.
    pub user: Option<String>,
    pub additional_groups: Vec<String>,
    /// Relative or absolute cgroup path of the container (`spec.linux.cgroupsPath`).
    pub cgroup_path: String,
    pub attachment: Option<Attachment>,
    /// After this long it is killed, by its monitor: with an engine or without.
    pub time_limit: Option<Duration>,
}

/// A process that has been started (its `execve` succeeded).
pub struct Started {
    pub pid: u32,
    pub started_at: Timestamp,
    /// Resolves when the process has ended and its output is drained, also when it ended before this moment.
    pub exit: BoxFuture<'static, Exit>,
    /// Grows each time the container's memory runs out.
    pub oom: watch::Receiver<u64>,
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("pid", &self.pid)
            .field("started_at", &self.started_at)
            .finish_non_exhaustive()
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// 0 to 255; death by signal is 128 + number.
    pub code: i32,
    pub oom_killed: bool,
    /// [`ExecRequest::time_limit`] ended it.
    pub timed_out: bool,
    pub at: Timestamp,
    /// What the monitor had to say beyond the number (it was lost, the log could not be written ...).
    pub error: Option<String>,
}

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    pub healthy: bool,
    /// For people, one line.
    pub words: String,
}

/// What is left of a process after the engine was away.
#[derive(Debug)]
pub enum Reconnected {
    /// Its monitor answers.
    Running { started: Started, paused: bool },
    /// It ended meanwhile; `exit.json` told.
    Exited(Exit),
    /// Neither monitor nor exit record: the machine was restarted, or the monitor was killed.
    Gone,
}

/// Why a process did not come up. The engine turns the kind into Docker's text and exit code (127, 126, 128).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeErrorKind {
    /// ENOENT of the executable, or not in `$PATH`.
    ExecutableNotFound,
    /// EACCES of the executable.
    PermissionDenied,
    /// The executable is a directory.
    IsADirectory,
    /// ENOEXEC.
    ExecFormat,
    /// `--user` names nobody.
    NoSuchUser,
    /// The working directory cannot be entered.
    WorkingDirectory,
    /// A mount of the spec failed.
    Mount,
    /// No such process or container (any more).
    NotRunning,
    /// The log's collector cannot be reached.
    Log,
    /// The spec or the request is refused.
    Invalid,
    Other,
}

/// A typed failure of the runtime side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuntimeError {
    pub kind: RuntimeErrorKind,
    /// runc-like text with the object in it, e.g. `exec: "foo": executable file not found in $PATH`.
    pub message: String,
}

/// A container's root directory, opened. What is mounted in it goes when this does.
#[derive(Debug)]
pub struct OpenRoot {
    pub root: OwnedFd,
    /// What keeps the mounts in it.
    pub keep: Option<OwnedFd>,
}

/// How much of a running container's root is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootView {
    /// With what is mounted in it, but for what is mounted at these places.
    Mounted { hidden: Vec<&'static str> },
    /// The root file system alone.
    Alone,
}

/// Looks into the roots of running containers.
pub trait Roots: Send + Sync + fmt::Debug {
    /// The root directory that a process sees, which `process`, its directory in `/proc`, stands for. Blocks.
    ///
    /// # Errors
    /// `NotFound` when the process has ended.
    fn open(&self, process: OwnedFd, view: RootView) -> std::io::Result<OpenRoot>;
}

/// Processes: starting, signalling, attaching, and finding them again.
pub trait ContainerRuntime: Send + Sync + fmt::Debug {
    /// Make namespaces, cgroup, mounts; exec. Returns when the command's `execve` has succeeded.
    fn start(&self, request: StartRequest) -> BoxFuture<'_, Result<Started, RuntimeError>>;
    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Started, RuntimeError>>;
    /// Send a signal to the process (through its pidfd, so never to a stranger). SIGKILL of an exec takes what it has
    /// started with it, as far as that is still of its process group.
    fn signal<'a>(&'a self, process: &'a ProcessRef, signal: i32) -> BoxFuture<'a, Result<(), RuntimeError>>;
    /// Freeze every process of the container.
    fn pause<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;
    fn resume<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>>;
    fn resize<'a>(
        &'a self,
        process: &'a ProcessRef,
        rows: u16,
        columns: u16,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;
    /// Forget what is kept of a running container's output.
    fn clear_log<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, Result<(), RuntimeError>>;
    /// Hand a client's connection to the monitor of the process.
    fn attach<'a>(
        &'a self,
        process: &'a ProcessRef,
        attachment: Attachment,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;
    /// Whether there is somebody to hand a client to, asked before its connection is upgraded.
    fn attachable<'a>(&'a self, _process: &'a ProcessRef) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// Look at something of a running container, from its network or its files: a health check without a process.
    fn probe<'a>(
        &'a self,
        _container: &'a str,
        _probe: &'a crate::container::Probe,
    ) -> BoxFuture<'a, Result<Probed, RuntimeError>> {
        let message = "this runtime knows no probes".into();
        Box::pin(std::future::ready(Err(RuntimeError { kind: RuntimeErrorKind::Other, message })))
    }
    /// Opens a running container's counters; `network`: also those of its interfaces.
    fn meter<'a>(
        &'a self,
        _container: &'a str,
        _network: bool,
    ) -> BoxFuture<'a, Result<Arc<dyn Meter>, RuntimeError>> {
        let kind = RuntimeErrorKind::Other;
        Box::pin(std::future::ready(Err(RuntimeError { kind, message: "nothing is counted here".into() })))
    }
    /// Changes the limits of a running container; what `resources` do not name stays.
    fn update<'a>(
        &'a self,
        _container: &'a str,
        _resources: Box<oci::runtime::Resources>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// All processes in the container's cgroup, as host pids.
    fn pids<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Vec<u32>, RuntimeError>>;
    /// How a process ended, if that is on record: known before its output ends, and so before `Started::exit` may
    /// have been heard.
    fn ended(&self, _process: &ProcessRef) -> Option<Exit> {
        None
    }
    /// Find a process again after an engine restart.
    fn reconnect<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, Reconnected>;
    /// Containers that left something in the exec root (from the last engine).
    fn leftovers(&self) -> BoxFuture<'_, Vec<String>>;
    /// Remove what a dead process left: `<exec-root>/containers/<id>` (or its exec's files), a stale cgroup. The
    /// container may be started again afterwards.
    fn forget<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, ()>;
    /// Resolves once nothing of an ended process lives any more: one hears of an exit before its cgroup is removed.
    fn settled<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, ()> {
        let _ = process;
        Box::pin(std::future::ready(()))
    }
}

// ------------------------------------------------------------------------------------------ network

/// A container's place on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// Network name (`bridge`) and 64-digit id.
    pub network: String,
    pub network_id: String,
    pub endpoint_id: String,
    pub mac: String,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv4_prefix: u8,
    pub gateway: Option<Ipv4Addr>,
    /// The container's default route goes this way, and what it publishes comes in here.
    pub is_gateway: bool,
    /// `eth0` ...
    pub interface: String,
    /// What it is called on a user-defined network: name, aliases, short id.
    pub dns_names: Vec<String>,
}

/// A network namespace ready to be joined.
#[derive(Debug)]
pub struct Sandbox {
    pub netns: OwnedFd,
    /// 64 hex digits.
    pub sandbox_id: String,
    /// As they were asked for, in that order.
    pub endpoints: Vec<Endpoint>,
}

/// What a container's network namespace is to have beside loopback.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SandboxRequest {
    /// In the order of their interfaces (`eth0`, `eth1` ...). None of them: `--network none`.
    pub endpoints: Vec<EndpointRequest>,
}

/// One of its places on networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointRequest {
    /// Name and id of the network.
    pub network: String,
    pub network_id: String,
    pub mac: Option<String>,
    pub ipv4: Option<Ipv4Addr>,
    /// The default route goes this way.
    pub is_gateway: bool,
    pub dns_names: Vec<String>,
}

/// A transport with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortProtocol {
    Tcp,
    Udp,
    Sctp,
}

impl PortProtocol {
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A container's port that is to be reached at an address of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortWish {
    pub container: u16,
    pub protocol: PortProtocol,
    /// First and last of those that will do; `None`: any.
    pub host: Option<(u16, u16)>,
    pub address: IpAddr,
}

/// Published ports that lie side by side, on the host and in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortMapping {
    pub protocol: PortProtocol,
    pub address: IpAddr,
    /// The first on the host, the first in the container, and how many there are.
    pub host: u16,
    pub container: u16,
    pub count: u16,
}

/// What wishes came to.
#[derive(Debug, Default)]
pub struct PublishedPorts {
    pub mappings: Vec<PortMapping>,
    /// Keeps the ports from everybody else as long as it is open.
    pub holder: Option<OwnedFd>,
}

/// A bridge network as the fabric makes it. What is not said is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct BridgeNetwork {
    pub id: String,
    /// Name of the interface on the host.
    pub bridge: String,
    pub subnet: Option<Ipv4Net>,
    /// The part of the subnet that addresses are given out from.
    pub range: Option<Ipv4Net>,
    /// The bridge's own address.
    pub gateway: Option<Ipv4Addr>,
    /// What containers get as their gateway, if it is not the bridge.
    pub default_gateway: Option<Ipv4Addr>,
    /// Addresses that are never given out.
    pub auxiliary: Vec<Ipv4Addr>,
    pub internal: bool,
    pub inter_container: bool,
    pub masquerade: bool,
    /// The host has no address on it.
    pub bare: bool,
    pub mtu: Option<u32>,
}

/// A network failure, with the object in its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NetworkError {
    pub class: crate::error::Class,
    pub message: String,
}

/// What `network ls`/`inspect` and `info` show of the default bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Of the default network, the same after a restart.
    pub network_id: String,
    /// `None` with `--bridge none`.
    pub bridge: Option<String>,
    pub subnet: Option<String>,
    pub gateway: Option<IpAddr>,
    pub mtu: u32,
    pub inter_container: bool,
    pub masquerade: bool,
    pub firewall_backend: String,
    pub warnings: Vec<String>,
}

/// Network namespaces with addresses. Sandboxes are prepared ahead, so `take` normally costs nothing.
pub trait NetworkFabric: Send + Sync + fmt::Debug {
    /// A create happened: have a sandbox ready soon. Returns at once.
    fn prepare(&self);
    fn take<'a>(
        &'a self,
        container: &'a str,
        request: &'a SandboxRequest,
    ) -> BoxFuture<'a, Result<Sandbox, NetworkError>>;
    /// Give addresses and names back after the container ended. Idempotent.
    fn release<'a>(&'a self, container: &'a str, endpoints: &'a [Endpoint]) -> BoxFuture<'a, ()>;
    /// At boot, before the first `take`: these networks there are, and these running containers own these endpoints;
    /// everything else of ours goes.
    fn reconcile(
        &self,
        networks: Vec<BridgeNetwork>,
        running: Vec<(String, Vec<Endpoint>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>>;
    /// Makes a network, and answers it with all that was chosen.
    fn add_network<'a>(
        &'a self,
        network: &'a BridgeNetwork,
    ) -> BoxFuture<'a, Result<BridgeNetwork, NetworkError>>;
    /// Idempotent. `Forbidden` while somebody has an address on it.
    fn remove_network<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), NetworkError>>;
    /// Gives a running container an interface more; the default route stays where it is.
    fn connect<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        request: &'a EndpointRequest,
    ) -> BoxFuture<'a, Result<Endpoint, NetworkError>>;
    /// Takes an interface away from a running container, and its address back.
    fn disconnect<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>>;
    /// Lets a running container's default route go through this endpoint.
    fn route_via<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>>;
    /// Has ports of the host's lead to a container, by this endpoint: all that it wishes, or none.
    fn publish<'a>(
        &'a self,
        container: &'a str,
        endpoint: &'a Endpoint,
        wishes: Vec<PortWish>,
    ) -> BoxFuture<'a, Result<PublishedPorts, NetworkError>>;
    /// Its ports lead nowhere from now on. Before [`NetworkFabric::release`], as the address may be given to another
    /// then. Idempotent.
    fn unpublish<'a>(&'a self, container: &'a str) -> BoxFuture<'a, ()>;
    /// At boot, after [`NetworkFabric::reconcile`]: these running containers have these ports, and nobody else has any.
    fn adopt_ports(
        &self,
        running: Vec<(String, Endpoint, Vec<PortMapping>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>>;
    fn facts(&self) -> NetworkFacts;
}

// -------------------------------------------------------------------------------------- small ports

/// Prepares a seccomp profile (Docker's JSON) for a set of capabilities. The engine caches the result.
pub trait SeccompCompiler: Send + Sync + fmt::Debug {
    /// The built-in default profile when `profile_json` is `None`.
    fn compile(&self, profile_json: Option<&str>, capabilities: &[String]) -> Result<Arc<[u8]>, String>;
    /// The same as the spec's `linux.seccomp`, for a runtime that compiles it itself.
    fn resolve(
        &self,
        profile_json: Option<&str>,
        capabilities: &[String],
    ) -> Result<oci::runtime::LinuxSeccomp, String>;
}

/// The wall clock.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Timestamp;
    /// Wait; a fake clock returns when its test says so.
    fn sleep(&self, for_: Duration) -> BoxFuture<'static, ()>;
}

/// Sources of identifiers.
pub trait Ids: Send + Sync + fmt::Debug {
    /// 32 random bytes as 64 hex digits.
    fn id(&self) -> String;
    /// A random number for generated names.
    fn number(&self) -> u64;
}

/// A container as other programs read it in its directory: Docker's `config.v2.json` and `hostconfig.json`. Their
/// shape is the API's, which the engine does not know.
pub trait Mirror: Send + Sync + fmt::Debug {
    /// Names and contents of the files.
    fn files(&self, container: &crate::container::Container) -> Vec<(&'static str, Vec<u8>)>;
}

// ------------------------------------------------------------------------------------------ storage

/// An image, resolved: what a container needs of it.
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// `sha256:...` of the config.
    pub id: String,
    pub manifest: Option<String>,
    pub os: String,
    pub architecture: String,
    pub config: crate::images::ImageConfig,
}

/// Disk: images to make containers from, their layers, and the records. Synchronous and short; what syncs the
/// disk (`durable`) is called from a blocking thread. The real one is [`crate::storage::Disk`] over `store`.
pub trait Storage: Send + Sync + fmt::Debug {
    /// By any form of reference. `NotFound` with Docker's `No such image: x`.
    fn resolve(&self, reference: &str) -> crate::Result<Arc<StoredImage>>;
    /// A writable layer on top of the image.
    fn create_layer(&self, container: &str, image: &StoredImage) -> crate::Result<Rootfs>;
    /// Idempotent.
    fn remove_layer(&self, container: &str) -> crate::Result<()>;
    /// Take a container's layer and these directories of the data root away, at once: they are renamed, and deleted
    /// behind the caller's back, at the latest when the data root is opened again. Idempotent.
    fn discard(&self, container: &str, directories: &[PathBuf]) -> crate::Result<()>;
    /// Containers that have a layer.
    fn layers(&self) -> crate::Result<Vec<String>>;
    /// What `GraphDriver.Data` of an image shows: the directories of its unpacked layers.
    fn image_directories(&self, image: &str) -> crate::Result<BTreeMap<String, String>>;
    /// Bytes in the container's own layer, and in the image below it.
    fn layer_size(&self, container: &str, image: &str) -> crate::Result<(u64, u64)>;
    /// Copy what the container's root has at `path` into `to` (owner, mode, everything below). Nothing there is no
    /// error.
    fn copy_out(&self, container: &str, path: &std::path::Path, to: &std::path::Path) -> crate::Result<()>;
    /// What the container has changed in its root, in the order of the names.
    fn changes(&self, container: &str) -> crate::Result<Vec<store::Change>>;
    /// A new image of these changes on another, by its id. `read` is called when the container's files are needed no
    /// more.
    fn commit(
        &self,
        container: &str,
        image: &str,
        options: &store::CommitOptions,
        read: Box<dyn FnOnce() + Send>,
    ) -> crate::Result<String>;
    /// The root directory of a container that has no process, with these mounts in it. `read_only` is the root itself.
    fn open_root(
        &self,
        container: &str,
        access: store::Access,
        read_only: bool,
        binds: &[store::Bind],
    ) -> crate::Result<OpenRoot>;
    fn put_record(&self, container: &str, json: &[u8], durable: bool) -> crate::Result<()>;
    fn delete_record(&self, container: &str, durable: bool) -> crate::Result<()>;
    /// Gives up a little space that is kept for removals on a full disk.
    fn make_room(&self);
    /// Takes it again, if there is some.
    fn keep_room(&self);
    /// By id; one that cannot be read is an error of its own.
    fn records(&self) -> crate::Result<Vec<(String, crate::Result<Vec<u8>>)>>;
    /// A volume's record, by its name.
    fn put_volume(&self, name: &str, json: &[u8], durable: bool) -> crate::Result<()>;
    fn delete_volume(&self, name: &str, durable: bool) -> crate::Result<()>;
    /// As [`Storage::records`].
    fn volumes(&self) -> crate::Result<Vec<(String, crate::Result<Vec<u8>>)>>;
    /// Bytes of the files below a directory, each counted once.
    fn tree_size(&self, directory: &std::path::Path) -> crate::Result<u64>;
    /// A network's record, by its id.
    fn put_network(&self, id: &str, json: &[u8], durable: bool) -> crate::Result<()>;
    fn delete_network(&self, id: &str, durable: bool) -> crate::Result<()>;
    /// By id; one that cannot be read is an error of its own.
    fn networks(&self) -> crate::Result<Vec<(String, crate::Result<Vec<u8>>)>>;
    /// `overlay2` or `vfs`.
    fn driver(&self) -> &'static str;
}
