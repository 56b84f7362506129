//! `bpf(2)`: loading a program and attaching it to a cgroup.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::call::{check, check_fd};

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const PROG_DETACH: libc::c_int = 9;
const PROG_QUERY: libc::c_int = 16;
const PROG_GET_FD_BY_ID: libc::c_int = 13;

/// `enum bpf_prog_type`, those used here.
pub const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
/// `enum bpf_attach_type`, those used here.
pub const ATTACH_CGROUP_DEVICE: u32 = 6;
/// Several programs of a cgroup run one after the other; all must allow.
pub const F_ALLOW_MULTI: u32 = 2;
/// Replaces one attached program, given as such.
pub const F_REPLACE: u32 = 4;

#[repr(C, align(8))]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

#[repr(C, align(8))]
#[derive(Default)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
    /// Not used, but a field: the kernel wants zeros behind the last field it knows, and padding has none.
    relative_fd: u32,
}

#[repr(C, align(8))]
#[derive(Default)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    /// As in [`AttachAttr`].
    unused: u32,
}

/// One `struct bpf_insn`, packed as the kernel reads it.
pub type Instruction = [u8; 8];

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().unsigned_abs()
}

/// Loads a program of `prog_type`; the verifier's words go into `log` when it is given.
///
/// # Errors
/// `EACCES`/`EINVAL` when the verifier refuses it, `EPERM` without `CAP_BPF`.
pub fn load(
    prog_type: u32,
    instructions: &[Instruction],
    license: &CStr,
    log: Option<&mut [u8]>,
) -> io::Result<OwnedFd> {
    let mut attr = LoadAttr {
        prog_type,
        insn_cnt: u32::try_from(instructions.len()).map_err(io::Error::other)?,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..LoadAttr::default()
    };
    if let Some(log) = log {
        attr.log_level = 1;
        attr.log_size = u32::try_from(log.len()).map_err(io::Error::other)?;
        attr.log_buf = log.as_mut_ptr() as u64;
    }
    // SAFETY: `attr` is the head of a bpf_attr of the size given (the kernel takes the rest as zero). Its
    // pointers lead to `insn_cnt` instructions, a C string and `log_size` writable bytes, all alive here.
    unsafe { check_fd(libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw mut attr, size_of::<LoadAttr>())) }
}

/// Attaches a program to a cgroup directory; with `replace` instead of that one.
///
/// # Errors
/// Those of `BPF_PROG_ATTACH`.
pub fn attach_to_cgroup(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
    flags: u32,
    replace: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attr = AttachAttr {
        target_fd: number(cgroup),
        attach_bpf_fd: number(program),
        attach_type,
        attach_flags: flags,
        replace_bpf_fd: replace.map_or(0, number),
        relative_fd: 0,
    };
    // SAFETY: `attr` is the head of a bpf_attr of the size given; it holds no pointers.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw mut attr, size_of::<AttachAttr>()) })
        .map(drop)
}

/// Detaches a program from a cgroup directory.
///
/// # Errors
/// Those of `BPF_PROG_DETACH`.
pub fn detach_from_cgroup(
    program: BorrowedFd<'_>,
    cgroup: BorrowedFd<'_>,
    attach_type: u32,
) -> io::Result<()> {
    let mut attr = AttachAttr {
        target_fd: number(cgroup),
        attach_bpf_fd: number(program),
        attach_type,
        ..AttachAttr::default()
    };
    // SAFETY: as in `attach_to_cgroup`.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_DETACH, &raw mut attr, size_of::<AttachAttr>()) })
        .map(drop)
}

/// The ids of the programs attached to a cgroup directory, up to 64.
///
/// # Errors
/// Those of `BPF_PROG_QUERY`; `ENOSPC` when there are more.
pub fn attached_to_cgroup(cgroup: BorrowedFd<'_>, attach_type: u32) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; 64];
    let mut attr = QueryAttr {
        target_fd: number(cgroup),
        attach_type,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: 64,
        ..QueryAttr::default()
    };
    // SAFETY: `attr` is the head of a bpf_attr of the size given; `prog_ids` has room for `prog_cnt` ids.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut attr, size_of::<QueryAttr>()) })?;
    ids.truncate(usize::try_from(attr.prog_cnt).map_err(io::Error::other)?);
    Ok(ids)
}

/// Opens a program by its id.
///
/// # Errors
/// `ENOENT` when it is gone, `EPERM` without `CAP_SYS_ADMIN`.
pub fn open(id: u32) -> io::Result<OwnedFd> {
    let mut attr: [u32; 4] = [id, 0, 0, 0];
    // SAFETY: the head of a bpf_attr: the id, then fields that may be zero; no pointers.
    unsafe { check_fd(libc::syscall(libc::SYS_bpf, PROG_GET_FD_BY_ID, &raw mut attr, size_of::<[u32; 4]>())) }
}
