//! The engine's `ContainerRuntime`, over `shim`.
//!
//! One [`Handle`] per process that runs: its connection to the monitor, read by one task until the process has
//! ended. Nothing here waits for a process on a worker thread, and no lock is held across an await.

mod convert;
mod criu;
mod find;
mod meter;
mod monitor;
mod mounts;
mod probe;
mod processes;
mod remains;
mod words;

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::containers::Probe;
use engine::ports::{
    Attachment, BoxFuture, ContainerRuntime, ExecRequest, Exit, Probed, ProcessRef, Reconnected, Rootfs,
    RuntimeError, RuntimeErrorKind, StartRequest, Started, Unmounted,
};
use shim::protocol::{self, HeldPorts, Order, Reply, Request, Size};
use shim::record::State;
use shim::spawner::{self, Attached, Spawner};
use tokio::io::unix::AsyncFd;

use self::convert::{client, done, streams};
use self::find::{Found, ended, find};
use self::monitor::{Birth, Monitor, With};
use self::processes::{Handle, Peer, Processes};
use self::remains::{clear, make_directory};
use self::words::{died_twice, failed, not_running, other, without_a_monitor};

/// How long a monitor may take to greet an engine that connects to it. It may be creating its process.
const WELCOME: Duration = Duration::from_secs(30);

/// How long a monitor may take to clear up after its process: longer than it waits for the cgroup to be empty.
const CLEARING: Duration = Duration::from_secs(15);

/// So many fit into one message to a monitor.
const PORTS_PER_ORDER: usize = 64;

/// Containers and execs as processes under one exec root.
#[derive(Debug)]
pub struct ShimRuntime {
    exec_root: PathBuf,
    /// Held while a spawner is started, so that two requests do not start two.
    spawner: tokio::sync::Mutex<Option<Arc<Spawner>>>,
    processes: Arc<Processes>,
    prober: probe::Prober,
}

impl ShimRuntime {
    /// Containers' directories are made under `<exec_root>/containers`.
    ///
    /// # Errors
    /// That directory cannot be made.
    pub fn new(exec_root: &Path) -> io::Result<Self> {
        let exec_root = std::path::absolute(exec_root)?;
        std::fs::create_dir_all(exec_root.join("containers"))?;
        Ok(Self {
            exec_root,
            spawner: tokio::sync::Mutex::new(None),
            processes: Arc::new(Processes::default()),
            prober: probe::Prober::default(),
        })
    }

    /// Starts the spawner, so that the first container does not wait for it.
    ///
    /// # Errors
    /// It cannot be started; the next request tries again.
    pub async fn warm(&self) -> Result<(), RuntimeError> {
        self.spawner().await.map(drop)
    }

    fn directory(&self, process: &ProcessRef) -> PathBuf {
        let container = self.exec_root.join("containers").join(&process.container);
        match &process.exec {
            None => container,
            Some(exec) => shim::layout::exec(&container, exec),
        }
    }

    async fn spawner(&self) -> Result<Arc<Spawner>, RuntimeError> {
        let mut current = self.spawner.lock().await;
        if let Some(spawner) = current.as_ref() {
            if spawner.is_alive() {
                return Ok(Arc::clone(spawner));
            }
            tracing::warn!("the spawner has died; starting another");
            *current = None;
        }
        // Copies the binary the first time: milliseconds.
        let spawner = blocking(|| Spawner::start().map_err(failed)).await??;
        Ok(Arc::clone(current.insert(Arc::new(spawner))))
    }

    /// Sends a request, and waits until its process runs; nothing is left when it does not.
    async fn launch(
        &self,
        process: ProcessRef,
        mut request: Request,
        seccomp: Option<Arc<[u8]>>,
        handed: Handed,
        attachments: Vec<Attachment>,
        tty: bool,
    ) -> Result<Started, RuntimeError> {
        let directory = self.directory(&process);
        make_directory(&process, &directory)?;
        match self.bring_up(&mut request, seccomp, handed, attachments, tty).await {
            Ok((state, peer)) => Ok(self.processes.adopt(process, directory, state, peer)),
            Err(failure) => {
                // It may have come to any point: a cgroup, a process in it, one that nobody has heard of.
                clear(process, directory).await;
                Err(failure)
            }
        }
    }

    /// A request that a dying spawner lost is sent again, once: the monitor's first word tells if anything was done.
    async fn bring_up(
        &self,
        request: &mut Request,
        seccomp: Option<Arc<[u8]>>,
        handed: Handed,
        attachments: Vec<Attachment>,
        tty: bool,
    ) -> Result<(State, Peer), RuntimeError> {
        let program = seccomp.as_deref().unwrap_or_default();
        let mut tries = 0;
        loop {
            tries += 1;
            let spawner = self.spawner().await?;
            let submitted = {
                let clients: Vec<Attached<'_>> = attachments
                    .iter()
                    .map(|attachment| Attached {
                        client: client(attachment, tty),
                        socket: attachment.stream.as_fd(),
                        input: &attachment.leftover,
                    })
                    .collect();
                spawner.submit(request, program, handed.borrow(), &clients)
            };
            let connection = match submitted {
                Ok(connection) => connection,
                Err(shim::Error::Gone(_)) if tries == 1 => {
                    self.discard(&spawner).await;
                    continue;
                }
                Err(shim::Error::Gone(_)) => return Err(died_twice()),
                Err(error) => return Err(failed(error)),
            };
            let monitor = Monitor::new(connection)?;
            match monitor.birth().await {
                Birth::Started(state) => return Ok((state, Peer::Monitor(monitor))),
                Birth::Failed(failure) => return Err(failure),
                Birth::NeverBorn if tries == 1 => self.discard(&spawner).await,
                Birth::NeverBorn => return Err(died_twice()),
            }
        }
    }

    /// Forgets a spawner that did not answer, unless another request has done so already.
    async fn discard(&self, dead: &Arc<Spawner>) {
        let mut current = self.spawner.lock().await;
        if current.as_ref().is_some_and(|spawner| Arc::ptr_eq(spawner, dead)) {
            tracing::warn!("the spawner has died; starting another");
            *current = None;
        }
    }

    fn handle(&self, process: &ProcessRef) -> Result<Arc<Handle>, RuntimeError> {
        self.processes.lock().running.get(process).cloned().ok_or_else(not_running)
    }

    async fn order(&self, process: &ProcessRef, order: Order) -> Result<Reply, RuntimeError> {
        match self.handle(process)?.peer() {
            Peer::Monitor(monitor) => monitor.call(order, With::Nothing).await,
            Peer::Nobody(_) => Err(without_a_monitor()),
        }
    }

    /// Does something with a container's cgroup, on a thread that may wait for the kernel.
    async fn with_cgroup<T: Send + 'static>(
        &self,
        container: &str,
        act: impl FnOnce(cgroups::Cgroup) -> cgroups::Result<T> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let handle = self.handle(&ProcessRef::container(container))?;
        let (path, id) = (handle.state.cgroup.clone(), container.to_owned());
        blocking(move || open_cgroup(&path, &id).and_then(act))
            .await?
            .map_err(|error| other(error.to_string()))
    }

    async fn find_again(&self, process: &ProcessRef) -> Reconnected {
        if let Ok(handle) = self.handle(process) {
            return Reconnected::Running {
                started: handle.started(),
                paused: self.is_paused(process, &handle).await,
            };
        }
        let directory = self.directory(process);
        let (state, peer) = match find(&directory).await {
            Found::Running(state, peer) => (state, peer),
            Found::Exited(exit) => return Reconnected::Exited(exit),
            Found::Gone(why) => {
                if let Some(why) = why {
                    tracing::warn!(
                        container = process.container,
                        why,
                        "cannot tell what became of a process"
                    );
                }
                return Reconnected::Gone;
            }
        };
        let started = self.processes.adopt(process.clone(), directory, state, peer);
        let paused = match self.handle(process) {
            Ok(handle) => self.is_paused(process, &handle).await,
            Err(_) => false,
        };
        Reconnected::Running { started, paused }
    }

    async fn is_paused(&self, process: &ProcessRef, handle: &Handle) -> bool {
        let (path, id) = (handle.state.cgroup.clone(), process.container.clone());
        let frozen = blocking(move || open_cgroup(&path, &id).and_then(|cgroup| cgroup.is_frozen())).await;
        matches!(frozen, Ok(Ok(true)))
    }
}

/// Descriptors that a container's monitor gets.
#[derive(Debug, Default)]
struct Handed {
    netns: Option<std::os::fd::OwnedFd>,
    ports: Option<std::os::fd::OwnedFd>,
}

impl Handed {
    fn borrow(&self) -> spawner::Handed<'_> {
        spawner::Handed {
            netns: self.netns.as_ref().map(AsFd::as_fd),
            ports: self.ports.as_ref().map(AsFd::as_fd),
        }
    }
}

impl ContainerRuntime for ShimRuntime {
    fn start(&self, request: StartRequest) -> BoxFuture<'_, Result<Started, RuntimeError>> {
        Box::pin(async move {
            let process = ProcessRef::container(&request.id);
            let tty = request.stdio.tty;
            let cgroup =
                request.spec.linux.as_ref().map(|linux| linux.cgroups_path.clone()).unwrap_or_default();
            let restore = match request.checkpoint {
                Some(images) => Some(protocol::Restore { criu: criu::find()?, images }),
                None => None,
            };
            let start = protocol::StartRequest {
                id: request.id,
                directory: self.directory(&process),
                spec: *request.spec,
                rootfs: match request.rootfs {
                    Rootfs::Directory(path) => protocol::Rootfs::Directory(path),
                    Rootfs::Overlay { lower, upper, work } => {
                        protocol::Rootfs::Overlay { lower, upper, work, volatile: request.volatile_root }
                    }
                },
                cgroup,
                init_reaper: request.init_reaper,
                netns: request.netns.is_some(),
                ports: request.ports.is_some(),
                user: request.user,
                additional_groups: request.additional_groups,
                io: streams(request.stdio),
                log: request.log,
                foreign: request.foreign_runtime.map(|(path, args)| protocol::Foreign { path, args }),
                restore,
            };
            let request_ = Request::Start(Box::new(start));
            let handed = Handed { netns: request.netns, ports: request.ports };
            self.launch(process, request_, request.seccomp, handed, request.attachments, tty).await
        })
    }

    fn exec(&self, request: ExecRequest) -> BoxFuture<'_, Result<Started, RuntimeError>> {
        Box::pin(async move {
            let container = self.handle(&ProcessRef::container(&request.process.container))?;
            let tty = request.stdio.tty;
            let exec = protocol::ExecRequest {
                container: request.process.container.clone(),
                exec_id: request.process.exec.clone().unwrap_or_default(),
                directory: self.directory(&request.process),
                container_pid: container.state.pid,
                container_start_ticks: container.state.start_ticks,
                // What the container was started with, rather than what the engine believes it was.
                cgroup: container.state.cgroup.clone(),
                process: *request.spec,
                user: request.user,
                additional_groups: request.additional_groups,
                io: streams(request.stdio),
                foreign: container.state.foreign.clone().map(|foreign| {
                    (foreign, self.directory(&ProcessRef::container(&request.process.container)))
                }),
                time_limit_ms: request
                    .time_limit
                    .map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
            };
            let request_ = Request::Exec(Box::new(exec));
            let attachments = request.attachment.into_iter().collect();
            self.launch(request.process, request_, request.seccomp, Handed::default(), attachments, tty).await
        })
    }

    fn signal<'a>(&'a self, process: &'a ProcessRef, signal: i32) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            match self.handle(process)?.peer() {
                Peer::Nobody(orphan) => orphan.get_ref().signal(signal).map_err(|_| not_running()),
                Peer::Monitor(monitor) => match monitor.call(Order::Signal(signal), With::Nothing).await {
                    // Without its monitor the process may still be there.
                    Err(error) => match shim::client::orphan(&self.directory(process)) {
                        Ok(Some(orphan)) => orphan.signal(signal).map_err(|_| not_running()),
                        _ => Err(error),
                    },
                    Ok(Reply::Refused { message }) => {
                        Err(RuntimeError { kind: RuntimeErrorKind::NotRunning, message })
                    }
                    Ok(_) => Ok(()),
                },
            }
        })
    }

    fn pause<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.with_cgroup(container, |cgroup| cgroup.freeze()))
    }

    fn resume<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.with_cgroup(container, |cgroup| cgroup.thaw()))
    }

    fn resize<'a>(
        &'a self,
        process: &'a ProcessRef,
        rows: u16,
        columns: u16,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move { done(self.order(process, Order::Resize(Size { rows, columns })).await?) })
    }

    fn clear_log<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move { done(self.order(process, Order::ClearLog).await?) })
    }

    fn hold_ports<'a>(
        &'a self,
        process: &'a ProcessRef,
        holder: std::os::fd::OwnedFd,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            match self.handle(process)?.peer() {
                Peer::Monitor(monitor) => {
                    done(monitor.call(Order::HoldPorts, With::Holder(holder.as_fd())).await?)
                }
                Peer::Nobody(_) => Err(without_a_monitor()),
            }
        })
    }

    fn let_go_ports<'a>(
        &'a self,
        process: &'a ProcessRef,
        mappings: Vec<engine::ports::PortMapping>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let all: Vec<HeldPorts> = mappings.iter().map(convert::held).collect();
            for some in all.chunks(PORTS_PER_ORDER) {
                done(self.order(process, Order::LetGoPorts(some.to_vec())).await?)?;
            }
            Ok(())
        })
    }

    fn attach<'a>(
        &'a self,
        process: &'a ProcessRef,
        attachment: Attachment,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let handle = self.handle(process)?;
            match handle.peer() {
                Peer::Monitor(monitor) => {
                    let wants = client(&attachment, handle.state.tty);
                    done(monitor.call(Order::Attach(wants), With::Client(&attachment)).await?)
                }
                Peer::Nobody(_) => Err(without_a_monitor()),
            }
        })
    }

    fn attachable<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move { done(self.order(process, Order::Status).await?) })
    }

    fn checkpoint<'a>(
        &'a self,
        container: &'a str,
        place: PathBuf,
        leave_running: bool,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let order = protocol::Checkpoint { criu: criu::find()?, images: place, leave_running };
            let process = ProcessRef::container(container);
            done(self.order(&process, Order::Checkpoint(order)).await?)
        })
    }

    fn probe<'a>(
        &'a self,
        container: &'a str,
        probe: &'a Probe,
    ) -> BoxFuture<'a, Result<Probed, RuntimeError>> {
        Box::pin(async move {
            let handle = self.handle(&ProcessRef::container(container))?;
            self.prober.look(&handle, probe).await
        })
    }

    fn meter<'a>(
        &'a self,
        container: &'a str,
        network: bool,
    ) -> BoxFuture<'a, Result<Arc<dyn engine::ports::Meter>, RuntimeError>> {
        Box::pin(async move {
            let handle = self.handle(&ProcessRef::container(container))?;
            let pid = handle.state.pid;
            let open = move |cgroup: cgroups::Cgroup| meter::open(&cgroup, network.then_some(pid));
            let meter: Arc<dyn engine::ports::Meter> = Arc::new(self.with_cgroup(container, open).await?);
            Ok(meter)
        })
    }

    fn update<'a>(
        &'a self,
        container: &'a str,
        resources: Box<oci::runtime::Resources>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.with_cgroup(container, move |cgroup| cgroup.update(&resources)))
    }

    fn change_mounts<'a>(
        &'a self,
        container: &'a str,
        remove: Vec<Unmounted>,
        add: Vec<oci::runtime::Mount>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(async move {
            let state = self.handle(&ProcessRef::container(container))?.state.clone();
            blocking(move || mounts::change(&state, &remove, &add)).await?
        })
    }

    fn mounted<'a>(
        &'a self,
        container: &'a str,
        places: Vec<String>,
    ) -> BoxFuture<'a, Result<Vec<Option<u64>>, RuntimeError>> {
        Box::pin(async move {
            let state = self.handle(&ProcessRef::container(container))?.state.clone();
            blocking(move || mounts::mounted(&state, &places)).await?
        })
    }

    fn pids<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Result<Vec<u32>, RuntimeError>> {
        Box::pin(async move {
            let pids = self.with_cgroup(container, |cgroup| cgroup.procs()).await?;
            Ok(pids.into_iter().map(|pid| pid.as_raw_nonzero().get().cast_unsigned()).collect())
        })
    }

    fn ended(&self, process: &ProcessRef) -> Option<Exit> {
        shim::record::Exit::read(&self.directory(process)).ok().flatten().map(ended)
    }

    fn reconnect<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, Reconnected> {
        Box::pin(self.find_again(process))
    }

    fn leftovers(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async move {
            let Ok(entries) = std::fs::read_dir(self.exec_root.join("containers")) else { return Vec::new() };
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
        })
    }

    fn note<'a>(&'a self, process: &'a ProcessRef, note: &'a [u8]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            // A process that has ended by now needs none. What is half-written is not understood, and so not used.
            let _ = std::fs::write(shim::layout::note(&self.directory(process)), note);
        })
    }

    fn execs<'a>(&'a self, container: &'a str) -> BoxFuture<'a, Vec<(ProcessRef, Option<Vec<u8>>)>> {
        Box::pin(async move {
            let directory = shim::layout::execs(&self.directory(&ProcessRef::container(container)));
            let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
            let named = entries.flatten().filter_map(|entry| {
                let note = std::fs::read(shim::layout::note(&entry.path())).ok();
                Some((ProcessRef::exec(container, entry.file_name().into_string().ok()?), note))
            });
            named.collect()
        })
    }

    fn forget<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.processes.settled(process).await;
            clear(process.clone(), self.directory(process)).await;
        })
    }

    fn settled<'a>(&'a self, process: &'a ProcessRef) -> BoxFuture<'a, ()> {
        Box::pin(self.processes.settled(process))
    }
}

fn open_cgroup(path: &str, container: &str) -> cgroups::Result<cgroups::Cgroup> {
    let path = cgroups::CgroupPath::resolve(Some(path), container, false)?;
    cgroups::Cgroup::open(cgroups::machine()?, &path)
}

/// Registers a descriptor with the event loop.
#[expect(
    deprecated,
    reason = "its successor takes a promise from the caller, to demand what holds here: both types own one descriptor for life and name no other"
)]
fn watched<T: AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(owner)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RuntimeError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| other(error.to_string()))
}
