//! The process: who talks to it, in which containers it listens, and when it ends.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use rustix::fs::AtFlags;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, LocalSet};

use crate::client::SOCKET;
use crate::ears::{self, Ears};
use crate::forward::Forwarder;
use crate::protocol::{Order, Reply, VERSION};
use crate::state::State;
use crate::wire;

/// Who started it will say something soon, or is dead.
const GREETING: Duration = Duration::from_secs(10);
/// Containers that run are not to lose their names when memory is short: they would be of no use.
const OOM_SCORE_ADJ: &str = "-998";

/// What all conversations with engines share: one thread, and nothing is borrowed across an await.
#[derive(Debug)]
struct Server {
    state: Rc<State>,
    listening: RefCell<HashMap<String, Listening>>,
    engines: Cell<usize>,
    changed: Notify,
}

/// In one container; it ends when this is dropped.
#[derive(Debug)]
struct Listening {
    ears: AbortHandle,
    /// Waits for the end of its process. None yet: the engine is just starting it.
    watch: Option<AbortHandle>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ears.abort();
        self.watch.iter().for_each(AbortHandle::abort);
    }
}

/// Standard input is the listening socket, standard output the directory in which its address is.
pub fn main() -> ExitCode {
    // Not in the session and the process group of a terminal's engine. It is refused to a leader, who has its own.
    let _ = rustix::process::setsid();
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
    let _ = rustix::thread::set_name(c"wharf-resolver");
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    let done = runtime.and_then(|runtime| LocalSet::new().block_on(&runtime, serve()));
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Four for each container, and their questions.
fn raise_descriptors() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

async fn serve() -> io::Result<()> {
    let listener = rustix::stdio::stdin().try_clone_to_owned()?;
    rustix::io::ioctl_fionbio(&listener, true)?;
    let listener = waitable(listener)?;
    let server = Rc::new(Server {
        state: Rc::new(State { names: RefCell::default(), forwarder: Rc::new(Forwarder::new()?) }),
        listening: RefCell::default(),
        engines: Cell::new(0),
        changed: Notify::new(),
    });
    let mut greeting = Some(Box::pin(tokio::time::sleep(GREETING)));
    loop {
        if greeting.is_none() && server.engines.get() == 0 && server.listening.borrow().is_empty() {
            // Before the socket closes: an engine that hears of the end may bind another one there.
            let _ = rustix::fs::unlinkat(rustix::stdio::stdout(), SOCKET, AtFlags::empty());
            return Ok(());
        }
        let greeted = async {
            match &mut greeting {
                Some(greeting) => greeting.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = listener.readable() => {
                let mut ready = ready?;
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                match accept_with(&listener, flags) {
                    Ok(engine) => {
                        greeting = None;
                        server.engines.set(server.engines.get() + 1);
                        let server = server.clone();
                        tokio::task::spawn_local(async move {
                            // An error is an engine that went.
                            let _ = converse(&server, engine).await;
                            server.engines.set(server.engines.get() - 1);
                            server.forget_begun();
                            server.changed.notify_one();
                        });
                    }
                    Err(Errno::AGAIN) => ready.clear_ready(),
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
            () = server.changed.notified() => {}
            () = greeted => greeting = None,
        }
    }
}

/// With one engine, until it goes.
async fn converse(server: &Rc<Server>, engine: OwnedFd) -> io::Result<()> {
    let engine = waitable(engine)?;
    let mut put = HashSet::new();
    loop {
        let mut ready = engine.readable().await?;
        let (order, descriptors) = match wire::receive::<Order>(&engine) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.clear_ready();
                continue;
            }
            received => match received? {
                Some(received) => received,
                None => return Ok(()),
            },
        };
        match order {
            Order::Hello { .. } => {
                wire::send(&engine, &Reply::Welcome { version: VERSION }, &[])?;
                let serves: Vec<_> = server.listening.borrow().keys().cloned().collect();
                for id in serves {
                    tell(&engine, &Reply::Serves { id }).await?;
                }
                tell(&engine, &Reply::Ready).await?;
                put.clear();
            }
            Order::Put(member) => {
                let id = member.id.clone();
                put.insert(id.clone());
                server.state.names.borrow_mut().put(*member);
                if let Ok([udp, tcp, netns]) = <[OwnedFd; 3]>::try_from(descriptors) {
                    server.listen(id, Ears::new(udp, tcp, netns)?);
                }
            }
            Order::Runs { id } => {
                if let Some(process) = descriptors.into_iter().next() {
                    server.watch(id, process)?;
                }
            }
            Order::Forget { id } => server.forget(&id),
            Order::Rest => {
                let known = server.state.names.borrow().ids();
                known.iter().filter(|id| !put.contains(*id)).for_each(|id| server.forget(id));
            }
            Order::Retire => std::process::exit(0),
        }
    }
}

/// A list may be longer than what a socket holds.
async fn tell(engine: &AsyncFd<OwnedFd>, reply: &Reply) -> io::Result<()> {
    loop {
        match wire::send(engine, reply, &[]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            other => return other,
        }
    }
}

impl Server {
    fn listen(self: &Rc<Self>, id: String, ears: Ears) {
        let task = tokio::task::spawn_local(ears::listen(self.state.clone(), id.as_str().into(), ears));
        let listening = Listening { ears: task.abort_handle(), watch: None };
        self.listening.borrow_mut().insert(id, listening);
    }

    fn watch(self: &Rc<Self>, id: String, process: OwnedFd) -> io::Result<()> {
        let process = waitable(process)?;
        let mut listening = self.listening.borrow_mut();
        let Some(one) = listening.get_mut(&id) else { return Ok(()) };
        let server = self.clone();
        let task = tokio::task::spawn_local(async move {
            let _ = process.readable().await;
            server.forget(&id);
            server.changed.notify_one();
        });
        if let Some(other) = one.watch.replace(task.abort_handle()) {
            other.abort();
        }
        Ok(())
    }

    fn forget(&self, id: &str) {
        self.state.names.borrow_mut().forget(id);
        self.listening.borrow_mut().remove(id);
    }

    /// Those that an engine was just starting when it went: whether they came to be, the next one finds out.
    fn forget_begun(&self) {
        let begun = |(id, one): (&String, &Listening)| one.watch.is_none().then(|| id.clone());
        let begun: Vec<String> = self.listening.borrow().iter().filter_map(begun).collect();
        begun.iter().for_each(|id| self.forget(id));
    }
}

/// Registers a descriptor with the event loop.
#[expect(
    deprecated,
    reason = "its successor takes a promise from the caller, to demand what holds here: the type owns one descriptor for life and names no other"
)]
fn waitable(owned: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(owned)
}
