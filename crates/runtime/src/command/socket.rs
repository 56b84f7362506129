//! Sockets on which a runtime hands descriptors to its engine.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

use oci::runtime::{ContainerProcessState, LinuxSeccomp, State, VERSION};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, sendmsg, socket_with,
};

use super::Failure;

/// Connects to the stream socket at `path` and sends `text` with one descriptor.
pub(super) fn send(path: &Path, text: &[u8], fd: BorrowedFd<'_>) -> Result<(), Failure> {
    let failed =
        |error: rustix::io::Errno| Failure(format!("send a descriptor to {}: {error}", path.display()));
    // A path may be longer than a socket's address: its directory stands for all but the name.
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, directory, flags, Mode::empty()).map_err(failed)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    let socket =
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).map_err(failed)?;
    connect(&socket, &SocketAddrUnix::new(&short).map_err(failed)?).map_err(failed)?;
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(&socket, &[IoSlice::new(text)], &mut control, SendFlags::NOSIGNAL).map_err(failed)?;
    Ok(())
}

/// Hands the listener of a process's filter to whoever answers for it.
pub(super) fn send_listener(
    seccomp: &LinuxSeccomp,
    listener: BorrowedFd<'_>,
    pid: i32,
    state: State,
) -> Result<(), Failure> {
    if seccomp.listener_path.is_empty() {
        return Err(Failure("seccomp: SCMP_ACT_NOTIFY needs a listenerPath".into()));
    }
    let state = ContainerProcessState {
        oci_version: VERSION.into(),
        fds: vec!["seccompFd".into()],
        pid,
        metadata: seccomp.listener_metadata.clone(),
        state,
    };
    send(Path::new(&seccomp.listener_path), &serde_json::to_vec(&state)?, listener)
}
