//! Processes: starting them, asking and telling them, finding them again.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{BoxFuture, Meter};

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
    /// Nothing is executed: its processes go on from where they were when this checkpoint was made.
    pub checkpoint: Option<PathBuf>,
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
    /// Grows each time a client leaves by its detach keys.
    pub detached: watch::Receiver<u64>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// 0 to 255; death by signal is 128 + number.
    pub code: i32,
    /// What ended it; `None`: it exited, or nobody knows.
    pub signal: Option<i32>,
    /// Its monitor was killed, and it was ended with that.
    pub is_lost: bool,
    pub oom_killed: bool,
    /// [`ExecRequest::time_limit`] ended it.
    pub timed_out: bool,
    /// A checkpoint without `leave_running` ended it.
    pub checkpointed: bool,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// A mount that is to go from a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmounted {
    pub destination: String,
    /// Of a bind mount: what it shows.
    pub source: Option<String>,
    /// Of another: its file system.
    pub kind: String,
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
    /// Hand over what holds ports of the host's, to be kept until the process ends.
    fn hold_ports<'a>(
        &'a self,
        _process: &'a ProcessRef,
        _holder: OwnedFd,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// These of them are held no longer.
    fn let_go_ports<'a>(
        &'a self,
        _process: &'a ProcessRef,
        _mappings: Vec<super::PortMapping>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(std::future::ready(Ok(())))
    }
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
    /// Writes a running container's processes down into `place`, which is there when it is whole, and not before. They
    /// end with it, unless they are to go on.
    fn checkpoint<'a>(
        &'a self,
        _container: &'a str,
        _place: PathBuf,
        _leave_running: bool,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        let message = "this runtime knows no checkpoints".into();
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
    /// Changes what is mounted in a running container: all of it, or nothing.
    fn change_mounts<'a>(
        &'a self,
        _container: &'a str,
        _remove: Vec<Unmounted>,
        _add: Vec<oci::runtime::Mount>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// What is mounted at places of a running container, as a number each: the same as long as that is mounted.
    fn mounted<'a>(
        &'a self,
        _container: &'a str,
        places: Vec<String>,
    ) -> BoxFuture<'a, Result<Vec<Option<u64>>, RuntimeError>> {
        Box::pin(std::future::ready(Ok(vec![None; places.len()])))
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
    /// Keep a word about a process, as long as there is anything of it, for a later engine.
    fn note<'a>(&'a self, _process: &'a ProcessRef, _note: &'a [u8]) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
    /// A container's execs of which something is in the exec root (from the last engine), with what it noted of them.
    fn execs<'a>(&'a self, _container: &'a str) -> BoxFuture<'a, Vec<(ProcessRef, Option<Vec<u8>>)>> {
        Box::pin(std::future::ready(Vec::new()))
    }
    /// Remove what a dead process left: `<exec-root>/containers/<id>` (or its exec's files), a stale cgroup. The
    /// container may be started again afterwards.
    fn forget<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, ()>;
    /// Resolves once nothing of an ended process lives any more: one hears of an exit before its cgroup is removed.
    fn settled<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, ()> {
        let _ = process;
        Box::pin(std::future::ready(()))
    }
}
