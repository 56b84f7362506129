//! `netlink(7)`: socket options at level `SOL_NETLINK`; and the network part of `unshare(2)`.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::call::check;

/// Boolean options of a netlink socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetlinkFlag {
    /// Acknowledgements without a copy of the request (`NETLINK_CAP_ACK`).
    CapAck,
    /// Errors with a text and the offending attribute (`NETLINK_EXT_ACK`).
    ExtAck,
}

/// Sets a boolean option.
///
/// # Errors
/// `ENOPROTOOPT` on a kernel that lacks it.
pub fn set_flag(socket: BorrowedFd<'_>, flag: NetlinkFlag, on: bool) -> io::Result<()> {
    let name = match flag {
        NetlinkFlag::CapAck => libc::NETLINK_CAP_ACK,
        NetlinkFlag::ExtAck => libc::NETLINK_EXT_ACK,
    };
    let value = libc::c_int::from(on);
    // SAFETY: the kernel reads one int from `value`, which lives during the call and is as long as said.
    check(libc::c_long::from(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_NETLINK,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    }))
    .map(drop)
}

/// Has a socket receive messages of one type only: `NLM` type, the second field of `struct nlmsghdr`. The others are
/// dropped in the kernel and wake nobody (`SO_ATTACH_FILTER` of `socket(7)`).
///
/// # Errors
/// `ENOMEM`, or `EPERM` where the option is locked.
pub fn keep_only(socket: BorrowedFd<'_>, message_type: u16) -> io::Result<()> {
    // linux/filter.h: load the half word at 4, compare, return all or nothing. Loads are in network byte order.
    let line = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        line(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 4),
        line(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, u32::from(message_type.to_be())),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        line(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel reads one `sock_fprog`, as long as said, and through it `len` instructions of an array that
    // lives until the end of this function; it copies both.
    check(libc::c_long::from(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    }))
    .map(drop)
}

/// Moves the calling thread, and no other, into a new network namespace.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`, `ENOSPC` at the limit `user.max_net_namespaces`, `EINVAL` on a kernel without
/// network namespaces.
pub fn unshare_network() -> io::Result<()> {
    // SAFETY: takes a number only; CLONE_NEWNET shares no memory and no descriptors differently.
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWNET) })).map(drop)
}
