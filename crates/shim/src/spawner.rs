//! The spawner: forks a monitor per request, and does nothing else.
//!
//! It never has a second thread, which is what makes forking it sound, and never reads a request: it passes
//! the descriptors on, so requests overlap and one that is broken harms only its own monitor. It is executed
//! from a sealed memfd, so no container can reach the binary on disk through `/proc/<pid>/exe`, and it ends
//! when the engine's socket does.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::SocketFlags;

use crate::client::Connection;
use crate::error::doing;
use crate::protocol::{Client, Event, Failure, FailureKind, Hello, Request, VERSION};
use crate::{Error, monitor, payload, wire};

/// `argv[0]` of the spawner: the binary calls [`main`] when it is called so.
pub const NAME: &str = "wharf-spawner";

/// Of ordinary processes; a spawner should outlive what it spawns. Docker's shims have -998.
const OOM_SCORE_ADJ: &str = "-998";

/// A running spawner, in the engine. Dropping it ends the spawner; its monitors live on.
#[derive(Debug)]
pub struct Spawner {
    /// `None` only while being dropped.
    socket: Option<OwnedFd>,
    /// Only to reap it: never held across anything that waits for another process.
    child: Mutex<Child>,
}

/// A client's socket and the input that was read from it before.
#[derive(Debug)]
pub struct Attached<'a> {
    pub client: Client,
    pub socket: BorrowedFd<'a>,
    pub input: &'a [u8],
}

/// What a container's monitor gets beside the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Handed<'a> {
    /// The network namespace to join.
    pub netns: Option<BorrowedFd<'a>>,
    /// Something to keep open until the process has ended.
    pub ports: Option<BorrowedFd<'a>>,
}

impl Spawner {
    /// Starts one. Takes a few milliseconds the first time, to copy the binary.
    ///
    /// # Errors
    /// No memory, no more descriptors, or the binary's file cannot be read.
    pub fn start() -> Result<Self, Error> {
        let program = sealed_self()?;
        let (ours, theirs) = wire::pair(SocketFlags::empty())?;
        let child = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()))
            .arg0(NAME)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::null())
            .spawn()
            .map_err(doing("start the spawner"))?;
        Ok(Self { socket: Some(ours), child: Mutex::new(child) })
    }

    /// Hands a request over, and returns the connection to the monitor that will serve it. The clients in the
    /// request's `io` are replaced by `clients`, and its `netns` and `ports` by whether they are handed over.
    ///
    /// # Errors
    /// [`Error::Gone`] when the spawner has died: start another and submit again. What happens to the
    /// request afterwards is told on the connection.
    pub fn submit(
        &self,
        request: &mut Request,
        seccomp: &[u8],
        handed: Handed<'_>,
        clients: &[Attached<'_>],
    ) -> Result<Connection, Error> {
        let wanted = clients
            .iter()
            .map(|attached| Client { has_input: !attached.input.is_empty(), ..attached.client.clone() });
        match request {
            Request::Start(request) => {
                request.netns = handed.netns.is_some();
                request.ports = handed.ports.is_some();
                request.io.clients = wanted.collect();
            }
            Request::Exec(request) => request.io.clients = wanted.collect(),
        }
        let payload = payload::write(request, seccomp)?;
        // Ours does not block, as the engine waits in its event loop.
        let (ours, theirs) = wire::pair(SocketFlags::empty())?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(doing("set a socket non-blocking"))?;
        let inputs = clients
            .iter()
            .map(|attached| (!attached.input.is_empty()).then(|| payload::bytes(attached.input)).transpose())
            .collect::<Result<Vec<_>, _>>()?;

        let mut descriptors = vec![theirs.as_fd(), payload.as_fd()];
        descriptors.extend(handed.netns);
        descriptors.extend(handed.ports);
        for (attached, input) in clients.iter().zip(&inputs) {
            descriptors.push(attached.socket);
            descriptors.extend(input.as_ref().map(AsFd::as_fd));
        }
        let Some(socket) = &self.socket else { return Err(Error::Gone("spawner")) };
        wire::send(socket, &Hello { version: VERSION }, &descriptors).map_err(|error| match error {
            Error::Gone(_) => Error::Gone("spawner"),
            error => error,
        })?;
        Ok(Connection::new(ours))
    }

    /// Whether it still runs. Reaps it if it does not.
    pub fn is_alive(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(child.try_wait(), Ok(None))
    }

    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        // It ends at once, since its only work is to wait for this socket.
        self.socket = None;
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.wait();
    }
}

/// The running binary as a memfd that nobody can change; made once per process.
fn sealed_self() -> Result<BorrowedFd<'static>, Error> {
    static SEALED: OnceLock<OwnedFd> = OnceLock::new();
    if let Some(sealed) = SEALED.get() {
        return Ok(sealed.as_fd());
    }
    let mut source = File::open("/proc/self/exe").map_err(doing("open /proc/self/exe"))?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // MFD_EXEC says since Linux 6.3 what was understood before; older kernels refuse it.
    let memfd = memfd_create("wharf", flags | MemfdFlags::EXEC)
        .or_else(|_| memfd_create("wharf", flags))
        .map_err(doing("create a memfd"))?;
    let mut copy = File::from(memfd);
    io::copy(&mut source, &mut copy).map_err(doing("copy /proc/self/exe"))?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&copy, seals).map_err(doing("seal a memfd"))?;
    Ok(SEALED.get_or_init(|| copy.into()).as_fd())
}

static FORMER_OOM_SCORE_ADJ: OnceLock<i32> = OnceLock::new();

/// What a process that wants no particular value should have, if this one has been given another.
pub(crate) fn former_oom_score_adj() -> Option<i32> {
    FORMER_OOM_SCORE_ADJ.get().copied()
}

/// The face behind [`NAME`]. Standard input is the engine's socket.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> Result<(), Error> {
    // A terminal's Ctrl-C is the engine's business.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"wharf-spawner");
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // Whatever the engine forgot to mark must not reach a container.
    sys::fd::cloexec_from(3).map_err(doing("mark descriptors close-on-exec"))?;
    let engine =
        rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(doing("keep the socket"))?;
    let null = rustix::fs::open(c"/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(doing("open /dev/null"))?;
    rustix::stdio::dup2_stdin(&null).map_err(doing("release standard input"))?;
    spare_from_oom();
    // Monitors are nobody's to wait for.
    sys::signal::ignore(SIGCHLD, true).map_err(doing("ignore SIGCHLD"))?;
    // Found out once here, inherited by every monitor.
    let _ = cgroups::machine();

    loop {
        let (hello, descriptors) = match wire::receive::<Hello>(&engine) {
            Ok(Some(received)) => received,
            Ok(None) => return Ok(()),
            // Its descriptors are closed, which is the answer.
            Err(Error::Message { .. }) => continue,
            Err(error) => return Err(error),
        };
        if hello.version != VERSION {
            continue;
        }
        match sys::process::clone3(sys::process::CloneFlags::empty(), None) {
            Ok(sys::process::Cloned::Child) => {
                drop(engine);
                become_monitor(&null);
                monitor::main(descriptors);
                sys::process::exit_now(0);
            }
            Ok(sys::process::Cloned::Parent { .. }) => {}
            Err(error) => {
                // Another spawner could not either.
                let failure =
                    Failure { kind: FailureKind::Other, message: format!("fork a monitor: {error}") };
                if let Some(connection) = descriptors.first() {
                    let _ = wire::send(connection, &Event::Failed(failure), &[]);
                }
            }
        }
    }
}

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;

fn become_monitor(null: &OwnedFd) {
    // It waits for its process, and ends after that and not before.
    let _ = sys::signal::ignore(SIGCHLD, false);
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        let _ = sys::signal::ignore(signal, true);
    }
    // Whoever reads the engine's standard error must not wait for its containers.
    let _ = rustix::stdio::dup2_stderr(null);
}

/// Not permitted everywhere (it takes CAP_SYS_RESOURCE), and then not done.
fn spare_from_oom() {
    let path = "/proc/self/oom_score_adj";
    let Some(former) = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()) else {
        return;
    };
    if fs::write(path, OOM_SCORE_ADJ).is_ok() {
        let _ = FORMER_OOM_SCORE_ADJ.set(former);
    }
}
