//! Between the engine's words and the monitor's.

use engine::ports::{Attachment, PortMapping, PortProtocol, RuntimeError, RuntimeErrorKind, Stdio};
use shim::protocol::{self, FailureKind, Framing, HeldPorts, Reply, Size};

use super::other;

pub(super) fn streams(stdio: Stdio) -> protocol::Io {
    protocol::Io {
        tty: stdio.tty,
        size: stdio.console_size.map(|(rows, columns)| Size { rows, columns }),
        stdin_open: stdio.open_stdin,
        stdin_once: stdio.stdin_once,
        clients: Vec::new(),
    }
}

pub(super) fn client(attachment: &Attachment, tty: bool) -> protocol::Client {
    protocol::Client {
        stdin: attachment.stdin,
        stdout: attachment.stdout,
        stderr: attachment.stderr,
        framing: if attachment.framed { Framing::Multiplexed } else { Framing::Raw },
        // As in Docker, only a terminal's client types detach keys.
        detach_keys: if tty { attachment.detach_keys.clone() } else { Vec::new() },
        has_input: !attachment.leftover.is_empty(),
    }
}

pub(super) fn held(mapping: &PortMapping) -> HeldPorts {
    HeldPorts {
        protocol: match mapping.protocol {
            PortProtocol::Tcp => 6,
            PortProtocol::Udp => 17,
            PortProtocol::Sctp => 132,
        },
        address: mapping.address,
        first: mapping.host,
        last: mapping.host.saturating_add(mapping.count.saturating_sub(1)),
    }
}

pub(super) fn kind(kind: FailureKind) -> RuntimeErrorKind {
    match kind {
        FailureKind::ExecutableNotFound => RuntimeErrorKind::ExecutableNotFound,
        FailureKind::PermissionDenied => RuntimeErrorKind::PermissionDenied,
        FailureKind::IsADirectory => RuntimeErrorKind::IsADirectory,
        FailureKind::ExecFormat => RuntimeErrorKind::ExecFormat,
        FailureKind::NoSuchUser => RuntimeErrorKind::NoSuchUser,
        FailureKind::WorkingDirectory => RuntimeErrorKind::WorkingDirectory,
        FailureKind::Mount => RuntimeErrorKind::Mount,
        FailureKind::NotRunning => RuntimeErrorKind::NotRunning,
        FailureKind::Log => RuntimeErrorKind::Log,
        FailureKind::Invalid => RuntimeErrorKind::Invalid,
        FailureKind::Other => RuntimeErrorKind::Other,
    }
}

pub(super) fn done(reply: Reply) -> Result<(), RuntimeError> {
    match reply {
        Reply::Refused { message } => Err(other(message)),
        Reply::Done | Reply::Attached { .. } | Reply::Status(_) => Ok(()),
    }
}
