//! System calls that rustix lacks, or only has in pieces, one file per man-page family.
//!
//! The only room with `unsafe`. Functions take [`std::os::fd::BorrowedFd`] and return
//! [`std::os::fd::OwnedFd`]; numbers never stand for descriptors. Every `unsafe` block says what the call
//! requires and who guarantees it. What is a plain system call lives here without policy: no containers,
//! no fallbacks, no retries (but for `packet`, of whose calls a signal leaves nothing done).

#![expect(unsafe_code, reason = "this is the one room for it")]

pub mod bpf;
pub mod btrfs;
pub mod code;
pub mod exec;
pub mod fd;
pub mod keyctl;
pub mod malloc;
pub mod mount;
pub mod netlink;
pub mod packet;
pub mod pidfd;
pub mod process;
pub mod quota;
pub mod sched;
pub mod seccomp;
pub mod signal;
pub mod sync;

mod call;
