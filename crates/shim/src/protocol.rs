//! The conversation between engine, spawner and monitor, in the order in which it happens.
//!
//! ```text
//! engine                          spawner                         monitor
//!   │ socketpair(SEQPACKET)          │
//!   ├─ Hello + [one end, payload, ──►│
//!   │   netns?, clients ...]         ├─ fork ─────────────────────────►│
//!   │                                │ (closes all it received,        │ reads Request from the payload
//!   │                                │  waits for the next)            │
//!   │◄─────────────────────────────────────────────────────── Born ────┤ nothing has been created yet
//!   │                                                                  │ runtime::create, start | exec
//!   │◄──────────────────────────────────── Started{..} | Failed(..) ───┤ state.json; after Failed: exit
//!   │                                                                  │ listens on monitor.sock
//!   ├─ Call{seq, Attach + [client, input?]} ──────────────────────────►│
//!   │◄───────────────────────────── Answer{seq, Attached{client}} ─────┤
//!   ├─ Call{seq, Resize | CloseStdin | ClearLog | Signal | ...} ─────►│
//!   │◄───────────────────────────── Answer{seq, Done | Refused ...} ───┤
//!   │◄──────────────────────────────────────── ClientLeft{client, ..} ─┤ at any time
//!   │                                                                  │ PID 1 ends; output drained; log flushed
//!   │                                                                  │ exit.json
//!   │◄─────────────────────────────────────────────── Exited(Exit) ────┤
//!   │                                                                  │ cgroup removed
//!   │◄──────────────────────────────────────────────── end of file ────┤ then it exits
//! ```
//!
//! * The engine holds one connection per monitor from its birth. End of file before `Born` means that
//!   nothing was started: the request may be sent again, to a new spawner. End of file after it is to be
//!   resolved with [`crate::client::observe`].
//! * A later engine connects to `monitor.sock` and is greeted with `Welcome`, then the same calls hold. Any
//!   number of engines' connections may be open at once; each event goes to all of them.
//! * Messages are JSON, at most 8 KiB, one per packet. What may be larger is in the payload ([`Request`]) or
//!   in a memfd of its own.
//! * **Engine and monitor may be of different versions**: containers outlive an upgrade. So nothing is ever taken
//!   out of [`Call`], [`Event`] and the records; what is added is optional to read; and what a side does not know
//!   it answers with `Refused` (an order), passes over (an event), or takes for a refusal (a reply). `Hello` and
//!   [`Request`] stay within one binary, and may change freely.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::record::{Exit, State};

/// Grows with what a side may expect of the other. Engine and spawner are always one binary; a monitor tells its
/// version in [`Status`].
pub const VERSION: u32 = 1;

/// Engine to spawner. The descriptors, in order: the monitor's end of a connection, the payload with the
/// [`Request`], the network namespace if [`StartRequest::netns`], what holds ports if [`StartRequest::ports`], then for each of the request's clients its
/// socket and, if [`Client::has_input`], its input.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Hello {
    pub version: u32,
}

/// What a monitor is forked for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    Start(Box<StartRequest>),
    Exec(Box<ExecRequest>),
}

/// Create and start a container. Everything is resolved: the monitor looks nothing up.
#[derive(Debug, Serialize, Deserialize)]
pub struct StartRequest {
    pub id: String,
    /// Must exist: see [`crate::layout`]. Older records in it are overwritten.
    pub directory: PathBuf,
    pub spec: oci::runtime::Spec,
    pub rootfs: Rootfs,
    /// Relative to each controller's mount point, as in the spec's `linux.cgroupsPath`.
    pub cgroup: String,
    /// PID 1 is a reaper of ours and the container's process its child (`--init`).
    pub init_reaper: bool,
    /// A network namespace descriptor travels with the request; its path in the spec, if any, is not used.
    pub netns: bool,
    /// A descriptor travels with the request that is kept open until the process has ended.
    pub ports: bool,
    /// `--user` with names in it, looked up in the container's own files.
    pub user: Option<String>,
    /// `--group-add`, numbers or names.
    pub additional_groups: Vec<String>,
    pub io: Io,
    pub log: logs::Destination,
    /// Whose trade it is, if not ours. The spec then has its `linux.seccomp`.
    pub foreign: Option<Foreign>,
    /// Nothing is executed: its processes go on from where they were.
    pub restore: Option<Restore>,
}

/// Where processes were written down, and who brings them back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    pub criu: PathBuf,
    pub images: PathBuf,
}

/// Another OCI runtime, as a command: `<path> <args ...> create ...`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    pub path: PathBuf,
    pub args: Vec<String>,
}

/// Run one more process in a running container.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExecRequest {
    pub container: String,
    pub exec_id: String,
    /// Must exist: see [`crate::layout::exec`].
    pub directory: PathBuf,
    /// The container's process, and [`State::start_ticks`] of it: a later process with the number is refused.
    pub container_pid: i32,
    pub container_start_ticks: u64,
    pub cgroup: String,
    pub process: oci::runtime::Process,
    /// As in [`StartRequest::user`].
    pub user: Option<String>,
    pub additional_groups: Vec<String>,
    pub io: Io,
    /// As in the container's [`StartRequest`], with that one's directory.
    pub foreign: Option<(Foreign, PathBuf)>,
    /// After this long its process group is killed, and [`Exit::timed_out`] says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_ms: Option<u64>,
}

/// Where the root file system comes from; an overlay is mounted by the container's own set-up code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rootfs {
    Directory(PathBuf),
    /// `lower` has the top layer first.
    Overlay {
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
        /// Nothing of it need survive a power cut. The kernel then leaves out all syncs, also the one of the whole
        /// file system below when it is unmounted, which every exit would wait for.
        #[serde(default)]
        volatile: bool,
    },
}

/// Standard streams of the new process.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Io {
    pub tty: bool,
    /// Of the terminal, before the process sees it.
    pub size: Option<Size>,
    /// Otherwise the process reads end of file at once.
    pub stdin_open: bool,
    /// Standard input ends when the first attached client's does.
    pub stdin_once: bool,
    /// Already attached: they miss no byte.
    pub clients: Vec<Client>,
}

/// A terminal's, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// An attached client: a connected stream socket that the monitor reads and writes from now on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Client {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub framing: Framing,
    /// Read from a terminal's client, these bytes detach it. Empty: none do.
    pub detach_keys: Vec<u8>,
    /// A memfd follows the socket, with input that was read from the socket before it was handed over.
    #[serde(default)]
    pub has_input: bool,
}

/// How output is written to a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Framing {
    /// Docker's eight-byte header before each chunk: stream number, three zeroes, big-endian length.
    #[default]
    Multiplexed,
    /// As it comes: terminals.
    Raw,
}

/// Engine to monitor. Answers carry the same number; calls are served in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    pub seq: u64,
    pub order: Order,
}

/// A call as a monitor reads it: the order may be one that it does not know.
#[derive(Debug, Deserialize)]
pub(crate) struct AnyCall {
    pub(crate) seq: u64,
    pub(crate) order: serde_json::Value,
}

/// An event that today's [`Event`] cannot read, as far as somebody waits for it.
#[derive(Debug, Deserialize)]
pub(crate) enum AnyEvent {
    Answer { seq: u64 },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Order {
    /// With the client's socket, and its input if [`Client::has_input`]. Answered by [`Reply::Attached`].
    Attach(Client),
    /// Let go of one client.
    Detach {
        client: u32,
    },
    Resize(Size),
    /// End of standard input, after what clients have already sent.
    CloseStdin,
    /// To the monitored process, through its pidfd: the number can not have been reused. An exec's SIGKILL is for its
    /// process group.
    Signal(i32),
    /// Forget the records that are kept of the container's output.
    ClearLog,
    /// With a descriptor that is kept open until the process has ended, beside what holds ports already.
    HoldPorts,
    /// Close the sockets that are bound to these.
    LetGoPorts(Vec<HeldPorts>),
    /// Answered by [`Reply::Status`].
    Status,
    /// Answered when it is done, with others in between.
    Checkpoint(Checkpoint),
}

/// Write a container's processes down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub criu: PathBuf,
    /// Where it will be, whole: until then it is beside, with a dot in front of its name.
    pub images: PathBuf,
    /// Otherwise they end with it.
    pub leave_running: bool,
}

/// Ports of the host's that lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPorts {
    /// As in IP's header.
    pub protocol: u8,
    pub address: IpAddr,
    pub first: u16,
    pub last: u16,
}

/// Monitor to engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Event {
    /// The monitor exists; from here on the request must not be sent again.
    Born {
        monitor_pid: i32,
    },
    /// The process runs what it was asked to run: `execve` has succeeded.
    Started(State),
    /// It does not, and nothing is left of the attempt.
    Failed(Failure),
    /// First message on a connection made through `monitor.sock`.
    Welcome(Status),
    Answer {
        seq: u64,
        reply: Reply,
    },
    /// An attached client is no longer served.
    ClientLeft {
        client: u32,
        why: Leave,
    },
    /// The container's memory has run out, whichever of its processes dies of it.
    OutOfMemory,
    /// The process has ended, its output is in the log, `exit.json` is written. End of file follows, once its
    /// cgroup is gone: nobody may use its directory or its cgroup again before.
    Exited(Exit),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    Done,
    /// The first clients, of [`Io::clients`], are numbered from 0.
    Attached {
        client: u32,
    },
    Status(Status),
    Refused {
        message: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    pub version: u32,
    pub state: State,
    pub clients: u32,
    /// Present once the process has ended: the monitor is only finishing.
    pub exit: Option<Exit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leave {
    /// It closed its connection, or the connection broke.
    Hangup,
    /// It typed the detach keys, or was let go by the engine.
    Detached,
    /// It ended an input that does not end the container's.
    InputEnded,
}

/// Why a process did not start: what the engine needs for Docker's status and exit code, and the text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    pub kind: FailureKind,
    /// Without an engine's prefix, e.g. `exec: "foo": executable file not found in $PATH`.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FailureKind {
    /// The executable, or the interpreter it names, does not exist: exit code 127.
    ExecutableNotFound,
    /// It may not be executed: exit code 126.
    PermissionDenied,
    /// It is a directory: exit code 126.
    IsADirectory,
    /// The kernel knows no such format.
    ExecFormat,
    /// `user` names nobody in the container's files.
    NoSuchUser,
    /// The working directory cannot be entered.
    WorkingDirectory,
    Mount,
    /// The container that an exec is for has ended.
    NotRunning,
    /// The log's collector cannot be reached.
    Log,
    /// The request can not be right.
    Invalid,
    /// All else.
    Other,
}

/// A compiled filter as a request carries it: its flags (four bytes, of the machine), then its program.
#[must_use]
pub fn seccomp_bytes(filter: &runtime::seccomp::Filter) -> Vec<u8> {
    let mut bytes = filter.flags().to_ne_bytes().to_vec();
    bytes.extend_from_slice(filter.program());
    bytes
}

/// The way back. Instructions have eight bytes, so a program without flags is told from one with them.
pub(crate) fn seccomp_filter(bytes: &[u8]) -> Option<runtime::Filter<'_>> {
    match bytes.split_first_chunk::<4>() {
        Some((flags, program)) if bytes.len() % 8 == 4 => {
            Some(runtime::Filter { program, flags: u32::from_ne_bytes(*flags) })
        }
        Some(_) => Some(runtime::Filter { program: bytes, flags: 0 }),
        None => None,
    }
}
