//! The engine's side.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::protocol::{Member, Order, Reply, VERSION};
use crate::{NAME, wire};

pub(crate) const SOCKET: &str = "resolver.sock";
const BACKLOG: i32 = 4;
/// One that hangs is no use; a healthy one answers at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// A conversation with a resolver.
#[derive(Debug)]
pub struct Client(OwnedFd);

/// What is listened at in a container, see [`crate`].
#[derive(Debug, Clone, Copy)]
pub struct Ears<'a> {
    pub udp: BorrowedFd<'a>,
    pub tcp: BorrowedFd<'a>,
    pub netns: BorrowedFd<'a>,
}

impl Client {
    /// To the one that runs under this exec root, and in which containers it listens. `None`: there is none of this
    /// version; an older one has been told to end.
    ///
    /// # Errors
    ///
    /// No more descriptors, a directory that is not there, one that hangs.
    pub fn connect(exec_root: &Path) -> io::Result<Option<(Self, HashSet<String>)>> {
        let socket = open()?;
        let (_directory, address) = address(exec_root)?;
        match connect(&socket, &address) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let client = Self(socket);
        set_socket_timeout(&client.0, Timeout::Send, Some(PATIENCE))?;
        set_socket_timeout(&client.0, Timeout::Recv, Some(PATIENCE))?;
        client.say(&Order::Hello { version: VERSION }, &[])?;
        let mut serves = HashSet::new();
        loop {
            match wire::receive::<Reply>(&client.0)? {
                Some((Reply::Welcome { version: VERSION }, _)) => {}
                Some((Reply::Welcome { .. }, _)) => {
                    let _ = client.say(&Order::Retire, &[]);
                    return Ok(None);
                }
                Some((Reply::Serves { id }, _)) => {
                    serves.insert(id);
                }
                Some((Reply::Ready, _)) => break,
                None => return Ok(None),
            }
        }
        set_socket_timeout(&client.0, Timeout::Recv, None)?;
        Ok(Some((client, serves)))
    }

    /// Starts one. It outlives this process; until then the child is there to be waited for.
    ///
    /// # Errors
    ///
    /// No memory, no more descriptors.
    pub fn start(exec_root: &Path) -> io::Result<(Self, Child)> {
        let listener = open()?;
        match std::fs::remove_file(exec_root.join(SOCKET)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let (directory, address) = address(exec_root)?;
        bind(&listener, &address)?;
        listen(&listener, BACKLOG)?;
        let child = Command::new("/proc/self/exe")
            .arg0(NAME)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(listener))
            // Where its address is, which it takes along.
            .stdout(Stdio::from(directory))
            .stderr(Stdio::null())
            .spawn()?;
        match Self::connect(exec_root)? {
            Some((client, _)) => Ok((client, child)),
            None => Err(io::Error::other("it ended at once")),
        }
    }

    /// What is known of a container from now on, and what is new to be listened at in it.
    ///
    /// # Errors
    ///
    /// It is gone, or hangs.
    pub fn put(&self, member: &Member, ears: Option<Ears<'_>>) -> io::Result<()> {
        let descriptors = ears.map(|ears| [ears.udp, ears.tcp, ears.netns]);
        self.say(&Order::Put(Box::new(member.clone())), descriptors.as_ref().map_or(&[], |all| &all[..]))
    }

    /// Its ears are open until this process ends.
    ///
    /// # Errors
    ///
    /// As [`Client::put`].
    pub fn runs(&self, id: &str, process: BorrowedFd<'_>) -> io::Result<()> {
        self.say(&Order::Runs { id: id.to_owned() }, &[process])
    }

    /// # Errors
    ///
    /// As [`Client::put`].
    pub fn forget(&self, id: &str) -> io::Result<()> {
        self.say(&Order::Forget { id: id.to_owned() }, &[])
    }

    /// There are no others than those that were put.
    ///
    /// # Errors
    ///
    /// As [`Client::put`].
    pub fn rest(&self) -> io::Result<()> {
        self.say(&Order::Rest, &[])
    }

    /// Ends this conversation, also for who waits for its end.
    pub fn hang_up(&self) {
        let _ = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both);
    }

    /// To wait for its end, beside this.
    ///
    /// # Errors
    ///
    /// No more descriptors.
    pub fn watch(&self) -> io::Result<Watch> {
        Ok(Watch(self.0.try_clone()?))
    }

    fn say(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        wire::send(&self.0, order, descriptors)
    }
}

/// Notices the end of a resolver.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Returns when it is gone.
    pub fn wait(&self) {
        while let Ok(Some(_)) = wire::receive::<Reply>(&self.0) {}
    }
}

fn open() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Through a descriptor of the directory, since the name of a socket is short.
fn address(exec_root: &Path) -> io::Result<(File, SocketAddrUnix)> {
    let directory = File::open(exec_root)?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", directory.as_fd().as_raw_fd());
    Ok((directory, SocketAddrUnix::new(path)?))
}
