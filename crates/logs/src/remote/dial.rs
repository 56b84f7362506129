//! Connections to collectors: never blocking by themselves, all waiting is the inbox's.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};
use rustls::{ClientConfig, ClientConnection};
use serde::{Deserialize, Serialize};

use super::inbox::Inbox;
use super::tls;
use crate::options::host_port;

/// How long a collector may take to answer at all, where no option says.
pub(super) const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a collector is. A look-up wants an event loop, which lives as long as the question.
fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let host = if host.is_empty() { "localhost" } else { host };
    let events = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    events.block_on(::dial::resolve(host, port)).map_err(io::Error::other)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Network {
    Udp,
    Tcp,
    Tls,
    Unix,
    Unixgram,
}

impl Network {
    /// In Go's words.
    fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp | Self::Tls => "tcp",
            Self::Unix => "unix",
            Self::Unixgram => "unixgram",
        }
    }
}

/// Where a collector listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Endpoint {
    pub(super) network: Network,
    /// `host:port`, or a path.
    pub(super) address: String,
}

/// What the system says, in Go's words: `connection refused`.
pub(super) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

pub(super) struct Connection {
    raw: Raw,
    tls: Option<Box<ClientConnection>>,
}

/// Reads and writes what is possible now.
struct Raw(OwnedFd);

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| recv(&self.0, &mut *buffer, RecvFlags::DONTWAIT))?.0)
    }
}

impl Write for Raw {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        Ok(rustix::io::retry_on_intr(|| send(&self.0, bytes, flags))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Connection {
    pub(super) fn dial(
        to: &Endpoint,
        trust: Option<&Arc<ClientConfig>>,
        inbox: &mut Inbox,
        timeout: Duration,
    ) -> io::Result<Self> {
        let network = to.network.name();
        if matches!(to.network, Network::Unix | Network::Unixgram) {
            let raw = Self::local(to).map_err(|e| {
                io::Error::new(e.kind(), format!("dial {network} {}: connect: {}", to.address, reason(&e)))
            })?;
            return Ok(Self { raw, tls: None });
        }
        let (host, port) = host_port(&to.address)
            .map_err(|why| io::Error::other(format!("dial {network}: address {}: {why}", to.address)))?;
        let port = port
            .parse::<u16>()
            .map_err(|_| io::Error::other(format!("dial {network}: address {port}: invalid port")))?;
        let addresses =
            addresses(host, port).map_err(|e| io::Error::new(e.kind(), format!("dial {network}: {e}")))?;
        let mut last = io::Error::other(format!("dial {network}: lookup {host}: no such host"));
        for address in addresses {
            match Self::reach(to.network, address, inbox, timeout) {
                Ok(raw) => {
                    let mut connection = Self { raw, tls: None };
                    if let Some(config) = trust.filter(|_| to.network == Network::Tls) {
                        let name = tls::server_name(host)?;
                        let tls =
                            ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                        connection.tls = Some(Box::new(tls));
                        connection.shake_hands(inbox, timeout)?;
                    }
                    return Ok(connection);
                }
                Err(e) => {
                    last = io::Error::new(
                        e.kind(),
                        format!("dial {network} {address}: connect: {}", reason(&e)),
                    );
                }
            }
        }
        Err(last)
    }

    fn local(to: &Endpoint) -> io::Result<Raw> {
        let kind = if to.network == Network::Unix { SocketType::STREAM } else { SocketType::DGRAM };
        let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        connect(&socket, &SocketAddrUnix::new(to.address.as_str())?)?;
        Ok(Raw(socket))
    }

    fn reach(network: Network, to: SocketAddr, inbox: &mut Inbox, timeout: Duration) -> io::Result<Raw> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let kind = if network == Network::Udp { SocketType::DGRAM } else { SocketType::STREAM };
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        match connect(&socket, &to) {
            Ok(()) => {}
            Err(Errno::INPROGRESS) => {
                inbox.wait(socket.as_fd(), PollFlags::OUT, Some(timeout)).map_err(|e| match e.kind() {
                    io::ErrorKind::TimedOut => Errno::TIMEDOUT.into(),
                    _ => e,
                })?;
                rustix::net::sockopt::socket_error(&socket)??;
            }
            Err(e) => return Err(e.into()),
        }
        Ok(Raw(socket))
    }

    fn shake_hands(&mut self, inbox: &mut Inbox, timeout: Duration) -> io::Result<()> {
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            self.push_tls(inbox, Some(timeout))?;
            if self.tls.as_ref().is_some_and(|tls| tls.is_handshaking() && tls.wants_read()) {
                inbox.wait(self.raw.0.as_fd(), PollFlags::IN, Some(timeout))?;
                self.pull_tls()?;
            }
        }
        self.push_tls(inbox, Some(timeout))
    }

    /// Takes what the other side has sent. True at its end.
    fn pull_tls(&mut self) -> io::Result<bool> {
        let Self { raw, tls: Some(tls) } = self else { return Ok(false) };
        match tls.read_tls(raw) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(e) => return Err(e),
        }
        let result = tls.process_new_packets();
        if let Err(e) = result {
            // The alert says why.
            let _ = tls.write_tls(raw);
            return Err(io::Error::other(format!("tls: {e}")));
        }
        Ok(false)
    }

    fn push_tls(&mut self, inbox: &mut Inbox, timeout: Option<Duration>) -> io::Result<()> {
        let Self { raw, tls: Some(tls) } = self else { return Ok(()) };
        while tls.wants_write() {
            match tls.write_tls(raw) {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    inbox.wait(raw.0.as_fd(), PollFlags::OUT, timeout)?;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Whether the other side has gone: what is written then is lost without a word.
    pub(super) fn is_gone(&mut self) -> bool {
        let mut fds = [PollFd::new(&self.raw.0, PollFlags::RDHUP | PollFlags::IN)];
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&zero)).is_err() {
            return false;
        }
        let seen = fds[0].revents();
        if seen.intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR) {
            return true;
        }
        // Tickets for later sessions, and the like.
        self.tls.is_some() && seen.contains(PollFlags::IN) && self.pull_tls().unwrap_or(true)
    }

    /// Sends all of it: one datagram, or bytes of a stream.
    pub(super) fn write_all(
        &mut self,
        mut bytes: &[u8],
        inbox: &mut Inbox,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            if let Some(tls) = &mut self.tls {
                let taken = tls.writer().write(bytes)?;
                bytes = &bytes[taken..];
                self.push_tls(inbox, timeout)?;
                continue;
            }
            match self.raw.write(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    inbox.wait(self.raw.0.as_fd(), PollFlags::OUT, timeout)?;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads some bytes; 0 at the end.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        inbox: &mut Inbox,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        loop {
            let read = match &mut self.tls {
                Some(tls) => tls.reader().read(buffer),
                None => self.raw.read(buffer),
            };
            match read {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            inbox.wait(self.raw.0.as_fd(), PollFlags::IN, timeout)?;
            if self.pull_tls()? {
                return Ok(0);
            }
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}
