//! Native health probes: a look at a container's network or files from outside, without a process in it.
//!
//! A socket belongs to the network namespace in which it was made, whoever uses it later. So one thread of this
//! engine's visits the container's namespace, makes some sockets there and comes back; a check takes one, and the
//! conversation is tokio's. A file is looked up below the process's root, by the kernel's rules for a root that is not to be left: at once if the
//! kernel has the way there in memory, which it mostly has; a thread that may wait looks for the others.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use engine::containers::{Place, Probe};
use engine::ports::{Probed, RuntimeError};
use net::NetNs;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;

use super::processes::Handle;
use super::{not_running, other};

/// The status line is all that counts; a server that sends no end of a first line is not waited for.
const ANSWER_BYTES_MAX: usize = 4096;

/// Made at a visit: the visit costs more than the sockets, and more than the rest of a check.
const SOCKETS_AT_A_TIME: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Prober {
    /// The thread's inbox, once there is one. Held to copy or to replace it.
    thread: Mutex<Option<mpsc::Sender<Order>>>,
    /// Processes whose file a thread is looking for. A file system that hangs holds a thread of the pool: one, not one
    /// more with each check.
    looking: Arc<Mutex<HashSet<i32>>>,
}

/// Sockets wanted in a process's network.
#[derive(Debug)]
struct Order {
    process: Arc<Handle>,
    family: AddressFamily,
    made: oneshot::Sender<io::Result<Vec<OwnedFd>>>,
}

/// Of a process's network namespace, which is there as long as they are. Each is used once; the lock is held to take or
/// to put some.
#[derive(Debug, Default)]
pub(super) struct Sockets(Mutex<Ahead>);

#[derive(Debug, Default)]
struct Ahead {
    closed: bool,
    made: Vec<(AddressFamily, OwnedFd)>,
}

impl Sockets {
    fn take(&self, family: AddressFamily) -> Option<OwnedFd> {
        let made = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).made;
        let at = made.iter().position(|(of, _)| *of == family)?;
        Some(made.swap_remove(at).1)
    }

    fn put(&self, family: AddressFamily, sockets: Vec<OwnedFd>) {
        let mut ahead = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !ahead.closed {
            ahead.made.extend(sockets.into_iter().map(|socket| (family, socket)));
        }
    }

    /// The process has ended: nothing of ours is to hold its namespace.
    pub(super) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Ahead { closed: true, made: Vec::new() };
    }
}

impl Prober {
    pub(super) async fn look(&self, process: &Arc<Handle>, probe: &Probe) -> Result<Probed, RuntimeError> {
        match probe {
            Probe::Tcp { at } => Ok(match self.connect(process, *at).await? {
                Ok((_, address)) => healthy(format!("tcp://{address}: connected")),
                Err(why) => unhealthy(format!("tcp://{at}: {why}")),
            }),
            Probe::Http { at, path } => Ok(match self.connect(process, *at).await? {
                Ok((stream, address)) => http(stream, address, *at, path).await,
                Err(why) => unhealthy(format!("GET http://{at}{path}: {why}")),
            }),
            Probe::File { path } => self.file(process, path).await,
        }
    }

    /// To the first of the place's addresses that answers. The outer error is this engine's, the inner the container's.
    async fn connect(
        &self,
        process: &Arc<Handle>,
        place: Place,
    ) -> Result<Result<(TcpStream, SocketAddr), String>, RuntimeError> {
        let mut first = None;
        for address in place.addresses() {
            let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let connected = match self.socket(process, family).await? {
                Ok(socket) => TcpSocket::from_std_stream(socket.into()).connect(address).await,
                // No IPv6 there.
                Err(error) => Err(error),
            };
            match connected {
                Ok(stream) => return Ok(Ok((stream, address))),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        Ok(Err(first.map_or_else(|| "no address".to_owned(), |error| error_words(&error))))
    }

    async fn socket(
        &self,
        process: &Arc<Handle>,
        family: AddressFamily,
    ) -> Result<io::Result<OwnedFd>, RuntimeError> {
        if let Some(socket) = process.sockets.take(family) {
            return Ok(Ok(socket));
        }
        let (tell, made) = oneshot::channel();
        self.send(Order { process: process.clone(), family, made: tell })?;
        // Without an answer: the thread has given up in a namespace it could not leave.
        let made = made.await.map_err(|_| other("cannot make a socket in the container's network"))?;
        if made.is_err() && !process.state.is_running() {
            return Err(not_running());
        }
        Ok(made.and_then(|mut made| {
            let socket = made.pop().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            process.sockets.put(family, made);
            Ok(socket)
        }))
    }

    /// Starts the thread with the first order, and again if it had to end.
    fn send(&self, mut order: Order) -> Result<(), RuntimeError> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(inbox) = thread.as_ref() {
            match inbox.send(order) {
                Ok(()) => return Ok(()),
                Err(mpsc::SendError(back)) => order = back,
            }
        }
        let (inbox, orders) = mpsc::channel();
        std::thread::Builder::new()
            .name("probes".into())
            .spawn(move || make_sockets(&orders))
            .map_err(|error| other(format!("start a thread for health probes: {error}")))?;
        // It lives at least until it has looked into its inbox.
        let _ = inbox.send(order);
        *thread = Some(inbox);
        Ok(())
    }

    async fn file(&self, process: &Arc<Handle>, path: &str) -> Result<Probed, RuntimeError> {
        match find_file(process, path, ResolveFlags::CACHED) {
            // The kernel has to ask its disk, or a server, or knows no such question (before Linux 5.12).
            Some(Err(Errno::AGAIN | Errno::INVAL)) => self.seek(process, path).await,
            found => told(path, found),
        }
    }

    /// On a thread that may wait.
    async fn seek(&self, process: &Arc<Handle>, path: &str) -> Result<Probed, RuntimeError> {
        let pid = process.state.pid;
        if !self.looking.lock().unwrap_or_else(PoisonError::into_inner).insert(pid) {
            return Ok(unhealthy(format!("file://{path}: still looking for it since an earlier check")));
        }
        let (process, wanted, looking) = (process.clone(), path.to_owned(), self.looking.clone());
        let found = super::blocking(move || {
            let found = find_file(&process, &wanted, ResolveFlags::empty());
            looking.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
            found
        });
        told(path, found.await?)
    }
}

fn told(path: &str, found: Option<rustix::io::Result<()>>) -> Result<Probed, RuntimeError> {
    match found {
        None => Err(not_running()),
        Some(Ok(())) => Ok(healthy(format!("file://{path}: there"))),
        Some(Err(error)) => Ok(unhealthy(format!("file://{path}: {}", error_words(&error.into())))),
    }
}

/// The thread: at home while it waits.
fn make_sockets(orders: &mpsc::Receiver<Order>) {
    let home = match NetNs::current() {
        Ok(home) => home,
        Err(error) => return tracing::error!(%error, "no health probes"),
    };
    for order in orders {
        let made = order
            .process
            .proc()
            .and_then(|proc| NetNs::below(proc).ok())
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
            .and_then(|theirs| theirs.enter().map_err(io::Error::other))
            .and_then(|()| {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let socket = || rustix::net::socket_with(order.family, SocketType::STREAM, flags, None);
                (0..SOCKETS_AT_A_TIME).map(|_| socket().map_err(Into::into)).collect()
            });
        if let Err(error) = home.enter() {
            // Whatever it made next would be made in that container.
            return tracing::error!(%error, "cannot come back from a container's network; ending the thread");
        }
        // Who asked may have given up.
        let _ = order.made.send(made);
    }
}

/// `None`: the process has ended.
fn find_file(process: &Handle, path: &str, resolve: ResolveFlags) -> Option<rustix::io::Result<()>> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::openat(process.proc()?, c"root", flags, Mode::empty()).ok()?;
    let resolve = resolve | ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Some(rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve).map(drop))
}

async fn http(mut stream: TcpStream, address: SocketAddr, at: Place, path: &str) -> Probed {
    let what = format!("GET http://{address}{path}");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {at}\r\nUser-Agent: wharf-health\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    if let Err(error) = stream.write_all(request.as_bytes()).await {
        return unhealthy(format!("{what}: {}", error_words(&error)));
    }
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') && answer.len() < ANSWER_BYTES_MAX {
        match stream.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return unhealthy(format!("{what}: {}", error_words(&error))),
        }
    }
    match status(&answer) {
        Some((code, line)) if (200..400).contains(&code) => healthy(format!("{what}: {line}")),
        Some((_, line)) => unhealthy(format!("{what}: {line}")),
        None => unhealthy(format!("{what}: the answer is not HTTP")),
    }
}

/// The status and its line, without what would spoil a terminal.
fn status(answer: &[u8]) -> Option<(u16, String)> {
    let line = answer.split(|&byte| byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    let rest = line.strip_prefix("HTTP/")?;
    let (_, rest) = rest.split_once(' ')?;
    let code = rest.get(..3)?.parse().ok()?;
    Some((code, rest.chars().filter(|c| !c.is_control()).take(80).collect()))
}

fn healthy(words: String) -> Probed {
    Probed { healthy: true, words }
}

fn unhealthy(words: String) -> Probed {
    Probed { healthy: false, words }
}

/// Without Rust's `(os error 111)`.
fn error_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\nX: y"), Some((204, "204 No Content".into())));
        assert_eq!(status(b"HTTP/1.0 500\x1b[2J\n"), Some((500, "500[2J".into())));
        assert_eq!(status(b"HTTP/1.1 x"), None);
        assert_eq!(status(b"SSH-2.0-x\n"), None);
        assert_eq!(status(b""), None);
    }
}
