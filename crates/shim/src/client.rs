//! The engine's end: talking to monitors, and finding them again.
//!
//! Nothing here waits. A [`Connection`] is a descriptor to poll: when it is readable, [`Connection::receive`]
//! until it would block.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::error::doing;
use crate::monitor::{address, open_directory};
use crate::protocol::{AnyEvent, Call, Client, Event, Order, Reply};
use crate::record::{Exit, State};
use crate::{Error, payload, wire};

/// One conversation with a monitor, non-blocking.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

/// What there is in a monitor's directory.
#[derive(Debug)]
pub enum Observed {
    /// The monitor lives. Its first event is [`Event::Welcome`].
    Monitored(Connection),
    /// The process has ended.
    Exited(Exit),
    /// The process runs, but its monitor was killed.
    Orphaned(Orphan),
    /// Neither process nor record of its end.
    Gone(Option<State>),
}

/// A process without a monitor: it can be signalled and waited for, but its output has no reader.
#[derive(Debug)]
pub struct Orphan {
    pub state: State,
    pidfd: OwnedFd,
}

impl Connection {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Connects to the monitor that serves `directory`.
    ///
    /// # Errors
    /// [`Error::Gone`] when none does.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let opened = open_directory(directory)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .map_err(doing("create a socket"))?;
        match connect(&socket, &address(&opened)?) {
            Ok(()) => Ok(Self { socket }),
            Err(Errno::NOENT | Errno::CONNREFUSED) => Err(Error::Gone("monitor")),
            Err(error) => Err(doing("connect to monitor.sock")(error)),
        }
    }

    /// # Errors
    /// [`Error::Gone`] when the monitor is; [`Error::would_block`] when it is too busy to listen.
    pub fn call(&self, seq: u64, order: Order) -> Result<(), Error> {
        wire::send(&self.socket, &Call { seq, order }, &[])
    }

    /// Hands a client's socket down; `input` was read from it before. The socket may be closed afterwards.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn attach(
        &self,
        seq: u64,
        client: Client,
        socket: BorrowedFd<'_>,
        input: &[u8],
    ) -> Result<(), Error> {
        let early = if input.is_empty() { None } else { Some(payload::bytes(input)?) };
        let mut descriptors = vec![socket];
        descriptors.extend(early.as_ref().map(AsFd::as_fd));
        let client = Client { has_input: early.is_some(), ..client };
        wire::send(&self.socket, &Call { seq, order: Order::Attach(client) }, &descriptors)
    }

    /// Hands over what holds ports. It may be closed afterwards.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub fn hold_ports(&self, seq: u64, holder: BorrowedFd<'_>) -> Result<(), Error> {
        wire::send(&self.socket, &Call { seq, order: Order::HoldPorts }, &[holder])
    }

    /// The next event; `None` when the monitor has gone. Events of a later version that mean nothing here are
    /// passed over.
    ///
    /// # Errors
    /// [`Error::would_block`] when there is none yet.
    pub fn receive(&self) -> Result<Option<Event>, Error> {
        loop {
            match wire::receive_as(&self.socket, |bytes| Ok(known(bytes)))? {
                Some((Some(event), _)) => return Ok(Some(event)),
                Some((None, _)) => {}
                None => return Ok(None),
            }
        }
    }

    /// [`Connection::receive`] for callers without an event loop: waits up to `patience`.
    ///
    /// # Errors
    /// [`Error::would_block`] when it was not enough.
    pub fn wait(&self, patience: Duration) -> Result<Option<Event>, Error> {
        let deadline = Instant::now() + patience;
        loop {
            match self.receive() {
                Err(error) if error.would_block() => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let left =
                        Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
                    match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
                        Ok(0) => return Err(error),
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(doing("wait for a monitor")(error)),
                    }
                }
                received => return received,
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// An answer that cannot be read is one all the same: somebody waits for it.
fn known(bytes: &[u8]) -> Option<Event> {
    serde_json::from_slice(bytes).ok().or_else(|| {
        let AnyEvent::Answer { seq } = serde_json::from_slice(bytes).ok()?;
        let message = "the process's monitor is of another version, and its answer means nothing to this one";
        Some(Event::Answer { seq, reply: Reply::Refused { message: message.into() } })
    })
}

/// Finds out what became of a process that an earlier engine started.
///
/// # Errors
/// The directory or a record in it cannot be read.
pub fn observe(directory: &Path) -> Result<Observed, Error> {
    if let Some(exit) = Exit::read(directory)? {
        return Ok(Observed::Exited(exit));
    }
    match Connection::open(directory) {
        Ok(connection) => return Ok(Observed::Monitored(connection)),
        Err(Error::Gone(_)) => {}
        // Never started, or forgotten.
        Err(Error::Path { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Observed::Gone(None));
        }
        Err(error) => return Err(error),
    }
    // It may have finished between the two looks.
    if let Some(exit) = Exit::read(directory)? {
        return Ok(Observed::Exited(exit));
    }
    let Some(state) = State::read(directory)? else { return Ok(Observed::Gone(None)) };
    Ok(match Orphan::of(&state) {
        Some(orphan) => Observed::Orphaned(orphan),
        None => Observed::Gone(Some(state)),
    })
}

/// The process of a monitor that is dead. Unlike [`observe`] this does not knock at the monitor: a connection that is
/// opened only to look would be taken for an engine that comes and leaves.
pub fn orphan(directory: &Path) -> Result<Option<Orphan>, Error> {
    let Some(state) = State::read(directory)? else { return Ok(None) };
    let monitor = Pid::from_raw(state.monitor_pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    // A number that has gone to another process errs to the side of a monitor that lives.
    let lives = match &monitor {
        None => false,
        // Readable is one that has ended and has not been waited for.
        Some(pidfd) => {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&now)).map_err(doing("look at a monitor"))?
                == 0
        }
    };
    Ok(if lives { None } else { Orphan::of(&state) })
}

impl Orphan {
    /// Unless the process has ended, too.
    fn of(state: &State) -> Option<Self> {
        // The descriptor first: if the number is still the process's after that, so is the descriptor.
        let pidfd = Pid::from_raw(state.pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        pidfd.filter(|_| state.is_running()).map(|pidfd| Self { state: state.clone(), pidfd })
    }

    /// # Errors
    /// The process has ended, or the number is no signal.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        sys::pidfd::send_signal(self.pidfd.as_fd(), signal).map_err(doing("signal a process"))
    }

    /// How it ended, to be asked once the descriptor is readable. Since it was not our child, the code is known
    /// only from Linux 6.15 on; before, it is that of SIGKILL, which is what orphans get.
    pub fn exit(&self) -> Exit {
        let status = sys::pidfd::exit_status(self.pidfd.as_fd()).ok().flatten();
        let signal = status.map(|status| status & 0x7f).filter(|&signal| signal != 0);
        let code = match (signal, status) {
            (Some(signal), _) => 128 + signal,
            (None, Some(status)) => status >> 8 & 0xff,
            (None, None) => 137,
        };
        Exit {
            version: 1,
            pid: self.state.pid,
            code,
            signal,
            oom_killed: false,
            timed_out: false,
            checkpointed: false,
            finished_at: crate::record::now(),
            error: Some("its monitor was killed, and it was killed as well".into()),
        }
    }
}

impl AsFd for Orphan {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

// tokio's AsyncFd asks for the number.
impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsRawFd for Orphan {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}
