//! What a caller asks for.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroups::Cgroup;
use oci::runtime::{Linux, Spec};
use rustix::process::Pid;

/// Where the container's root file system comes from. It replaces the spec's `root.path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rootfs {
    /// A directory as it is.
    Directory(PathBuf),
    /// An overlay that PID 1's set-up code mounts inside its own mount namespace, so that nothing is mounted
    /// on the host. `lower` has the top layer first.
    Overlay {
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
        /// Further options of the file system, `index=off`, `metacopy=on`, `volatile`.
        options: Vec<String>,
    },
}

/// The process's three standard streams.
#[derive(Debug, Clone, Copy)]
pub enum Stdio<'a> {
    /// The caller's own.
    Inherit,
    /// Three descriptors.
    Streams { stdin: BorrowedFd<'a>, stdout: BorrowedFd<'a>, stderr: BorrowedFd<'a> },
    /// A pty of the container's own devpts; its master is in [`crate::Created`]. What the spec's
    /// `process.terminal` says does not matter.
    Terminal { rows: u16, columns: u16 },
}

/// A compiled seccomp filter and the flags of `seccomp(2)` to install it with.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    /// Instructions, 8 bytes each ([`crate::seccomp::Filter::program`]).
    pub program: &'a [u8],
    pub flags: u32,
}

/// Who tells a created process to start.
#[derive(Debug)]
pub enum Gate {
    /// The caller of [`crate::create`], with [`crate::Created::start`].
    Caller,
    /// Whoever connects to this listening `SOCK_SEQPACKET` socket: for callers that end in between.
    Listener(OwnedFd),
}

/// A container to be made.
#[derive(Debug)]
pub struct CreateRequest<'a> {
    pub id: &'a str,
    pub spec: &'a Spec,
    /// The bundle: what hooks read in the state document, and what relative paths count from.
    pub bundle: &'a Path,
    pub rootfs: Rootfs,
    /// Made, limited and removed by the caller; the process is born in it (v2) or joins it first (v1).
    pub cgroup: Option<&'a Cgroup>,
    /// A compiled filter; stands for `linux.seccomp`. `None` compiles that one, if there is one.
    pub seccomp: Option<Filter<'a>>,
    pub stdio: Stdio<'a>,
    /// A network namespace to join; stands for the spec's entry.
    pub netns: Option<BorrowedFd<'a>>,
    /// `name`, `uid`, `name:group` ...: looked up in the container's own files; stands for `process.user`'s
    /// uid, gid and additional gids.
    pub user: Option<&'a str>,
    /// More groups of the process, names or numbers, looked up likewise.
    pub additional_groups: &'a [String],
    /// This many of the caller's descriptors, from 3 on, stay open in the process.
    pub preserve_fds: u32,
    /// PID 1 stays, forwards signals, reaps, and forks the spec's process.
    pub init_reaper: bool,
    /// `chroot` after moving the root, for root file systems that `pivot_root` refuses (initramfs).
    pub no_pivot: bool,
    /// Do not give the process a session keyring of its own.
    pub no_new_keyring: bool,
    pub gate: Gate,
}

impl<'a> CreateRequest<'a> {
    /// A request with everything that may be left out left out.
    #[must_use]
    pub fn new(id: &'a str, spec: &'a Spec, bundle: &'a Path, rootfs: Rootfs) -> Self {
        Self {
            id,
            spec,
            bundle,
            rootfs,
            cgroup: None,
            seccomp: None,
            stdio: Stdio::Inherit,
            netns: None,
            user: None,
            additional_groups: &[],
            preserve_fds: 0,
            init_reaper: false,
            no_pivot: false,
            no_new_keyring: false,
            gate: Gate::Caller,
        }
    }
}

/// One more process for a running container.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    /// The container's PID 1.
    pub pid: Pid,
    /// What runs.
    pub process: &'a oci::runtime::Process,
    /// The container's cgroup.
    pub cgroup: Option<&'a Cgroup>,
    pub seccomp: Option<Filter<'a>>,
    pub stdio: Stdio<'a>,
    /// As in [`CreateRequest`].
    pub user: Option<&'a str>,
    pub additional_groups: &'a [String],
    pub preserve_fds: u32,
    pub no_new_keyring: bool,
    /// The container's `linux` section: personality and memory policy of the process come from it.
    pub linux: Option<&'a Linux>,
}

impl<'a> ExecRequest<'a> {
    /// A request with everything that may be left out left out.
    #[must_use]
    pub fn new(pid: Pid, process: &'a oci::runtime::Process) -> Self {
        Self {
            pid,
            process,
            cgroup: None,
            seccomp: None,
            stdio: Stdio::Inherit,
            user: None,
            additional_groups: &[],
            preserve_fds: 0,
            no_new_keyring: false,
            linux: None,
        }
    }
}
