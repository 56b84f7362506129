//! The conversation between a caller and the process it makes, in the order of [`Message`].
//!
//! Drawn in `docs/handshake.md`. One `SOCK_SEQPACKET` pair, close-on-exec at both ends: end of file without
//! [`Message::Failed`] after [`Message::Start`] means that the program has begun.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::Error;

/// Who says what, in protocol order. A step that a container does not need is left out by both sides.
#[derive(Debug)]
pub(crate) enum Message {
    /// Stage → caller: the process was made, by a stage in between. Carries its pidfd.
    Born { pid: i32 },
    /// Process → caller: in a new user namespace, waiting for its id mappings.
    Unmapped,
    /// Caller → process: the mappings are written.
    Mapped,
    /// Process → caller: namespaces and mounts are made, the root is not yet pivoted; run `prestart` and
    /// `createRuntime` hooks.
    HooksDue,
    /// Caller → process: they ran.
    HooksDone,
    /// Process → caller: nothing is missing but the program. Carries the console's master if there is one,
    /// then the seccomp listener if there is one.
    Ready { console: bool, listener: bool },
    /// Caller → process: begin. Only a container waits for it.
    Start,
    /// Of a child that copies a mount in another mount namespace ([`crate::neighbour`]): 0 and
    /// the copy, or why there is none.
    Copied { errno: i32 },
    /// Process → caller, at any time: the end.
    Failed(Error),
}

/// Room for the longest error text.
const BYTES_MAX: usize = 8192;

/// One end of the conversation.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

impl Channel {
    /// Both ends.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(one), Self(other)))
    }

    /// A connection made otherwise.
    pub(crate) fn from_socket(socket: OwnedFd) -> Self {
        Self(socket)
    }

    pub(crate) fn send(&self, message: &Message, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        Ok(sys::packet::send(&self.0, &message.encode(), fds)?)
    }

    /// The next message with its descriptors; `None` when the other end is closed.
    pub(crate) fn receive(&self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut bytes = [0; BYTES_MAX];
        let Some(received) = sys::packet::receive(&self.0, &mut bytes)? else { return Ok(None) };
        let message = if received.is_cut { None } else { Message::decode(&bytes[..received.bytes]) };
        let message = message.ok_or_else(|| io::Error::other("malformed handshake message"))?;
        Ok(Some((message, received.descriptors)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Message {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Born { pid } => [&[0][..], &pid.to_ne_bytes()].concat(),
            Self::Unmapped => vec![1],
            Self::Mapped => vec![2],
            Self::HooksDue => vec![3],
            Self::HooksDone => vec![4],
            Self::Ready { console, listener } => vec![5, u8::from(*console), u8::from(*listener)],
            Self::Start => vec![6],
            Self::Copied { errno } => [&[8][..], &errno.to_ne_bytes()].concat(),
            Self::Failed(error) => {
                let (kind, text, errno) = flatten(error);
                let text = &text.as_bytes()[..text.len().min(BYTES_MAX - 16)];
                [&[7, kind][..], &errno.to_ne_bytes(), text].concat()
            }
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        Some(match first {
            0 => Self::Born { pid: i32::from_ne_bytes(rest.try_into().ok()?) },
            1 => Self::Unmapped,
            2 => Self::Mapped,
            3 => Self::HooksDue,
            4 => Self::HooksDone,
            5 => Self::Ready { console: *rest.first()? == 1, listener: *rest.get(1)? == 1 },
            6 => Self::Start,
            7 => {
                let (&kind, rest) = rest.split_first()?;
                let (errno, text) = rest.split_at_checked(4)?;
                let errno = i32::from_ne_bytes(errno.try_into().ok()?);
                Self::Failed(unflatten(kind, String::from_utf8_lossy(text).into_owned(), errno))
            }
            8 => Self::Copied { errno: i32::from_ne_bytes(rest.try_into().ok()?) },
            _ => return None,
        })
    }
}

/// An error as kind, text and number. What has no kind of its own travels as its text.
fn flatten(error: &Error) -> (u8, String, i32) {
    let number = |source: &io::Error| source.raw_os_error().unwrap_or(libc_eio());
    match error {
        // An error of our own has no number, and its text would be lost.
        Error::Exec { source, .. }
        | Error::WorkingDirectory { source, .. }
        | Error::Mount { source, .. }
        | Error::Setup { source, .. }
            if source.raw_os_error().is_none() =>
        {
            (15, error.to_string(), 0)
        }
        Error::ExecutableNotFound { name } => (0, name.clone(), 0),
        Error::NoSuchExecutable { path } => (1, path.clone(), 0),
        Error::PermissionDenied { name } => (2, name.clone(), 0),
        Error::IsADirectory { name } => (3, name.clone(), 0),
        Error::ExecFormat { path } => (4, path.clone(), 0),
        Error::Exec { path, source } => (5, path.clone(), number(source)),
        Error::WorkingDirectory { path, source } => (6, path.clone(), number(source)),
        Error::NoSuchUser { name } => (7, name.clone(), 0),
        Error::NoSuchGroup { name } => (8, name.clone(), 0),
        Error::Mount { what, source } => (9, what.clone(), number(source)),
        Error::Setup { step, source } => (10, step.clone(), number(source)),
        Error::Hook { kind, index, problem } => (11, format!("{kind}\0{index}\0{problem}"), 0),
        Error::Unsupported(text) => (12, text.clone(), 0),
        Error::NotRunning => (13, String::new(), 0),
        Error::Died(text) => (14, text.clone(), 0),
        Error::Cgroup(_) | Error::Seccomp(_) | Error::Invalid(_) => (15, error.to_string(), 0),
    }
}

fn unflatten(kind: u8, text: String, errno: i32) -> Error {
    let source = io::Error::from_raw_os_error(errno);
    match kind {
        0 => Error::ExecutableNotFound { name: text },
        1 => Error::NoSuchExecutable { path: text },
        2 => Error::PermissionDenied { name: text },
        3 => Error::IsADirectory { name: text },
        4 => Error::ExecFormat { path: text },
        5 => Error::Exec { path: text, source },
        6 => Error::WorkingDirectory { path: text, source },
        7 => Error::NoSuchUser { name: text },
        8 => Error::NoSuchGroup { name: text },
        9 => Error::Mount { what: text, source },
        10 => Error::Setup { step: text, source },
        11 => {
            let mut parts = text.splitn(3, '\0').map(ToOwned::to_owned);
            let kind = parts.next().unwrap_or_default();
            let index = parts.next().and_then(|i| i.parse().ok()).unwrap_or_default();
            Error::Hook { kind, index, problem: parts.next().unwrap_or_default() }
        }
        12 => Error::Unsupported(text),
        13 => Error::NotRunning,
        14 => Error::Died(text),
        _ => Error::Invalid(text),
    }
}

/// For an error that never had a number.
fn libc_eio() -> i32 {
    Errno::IO.raw_os_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_arrive_with_their_type_and_text() {
        let errors = [
            Error::ExecutableNotFound { name: "sh".into() },
            Error::WorkingDirectory { path: "/x".into(), source: Errno::NOENT.into() },
            Error::Hook { kind: "createContainer".into(), index: 2, problem: "exit status 1".into() },
            Error::Mount { what: "\"proc\" to rootfs at \"/proc\"".into(), source: Errno::PERM.into() },
        ];
        let (here, there) = Channel::pair().unwrap();
        for error in errors {
            let text = error.to_string();
            here.send(&Message::Failed(error), &[]).unwrap();
            let Some((Message::Failed(arrived), fds)) = there.receive().unwrap() else { panic!("no error") };
            assert_eq!(arrived.to_string(), text);
            assert!(fds.is_empty());
        }
    }

    #[test]
    fn descriptors_travel_and_the_end_is_seen() {
        let (here, there) = Channel::pair().unwrap();
        here.send(&Message::Ready { console: true, listener: false }, &[here.as_fd()]).unwrap();
        let Some((Message::Ready { console: true, listener: false }, fds)) = there.receive().unwrap() else {
            panic!("not ready")
        };
        assert_eq!(fds.len(), 1);
        drop((fds, here));
        assert!(there.receive().unwrap().is_none());
    }
}
