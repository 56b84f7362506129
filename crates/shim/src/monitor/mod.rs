//! A monitor: one thread that owns one process until it has ended and everything about it is told.
//!
//! ```text
//!            ┌────────────────────── monitor ───────────────────────┐
//!  process ──┤ stdout, stderr (or pty) ─► log ─► attached clients   │
//!          ◄─┤ stdin ◄──────────────────────────┘  (sockets)        │
//!            │ pidfd ─► drain ─► oom? ─► exit.json ─► engines       │
//!            └── engines' connections, monitor.sock ────────────────┘
//! ```
//!
//! The log comes first: a chunk is in the log before a client sees it. Who is waited for, and how long, stands in
//! [`client`]. One that is gone is dropped.
//!
//! If a monitor is itself killed, nobody reads the process's output any more: it would get `EPIPE` (or `SIGPIPE`, or a
//! hang-up from its terminal) at the next write. Holding the pipes a second time elsewhere would keep the output,
//! but then end of file would never come. So an engine that finds such a process ([`crate::client::observe`]) ends it.

mod checkpoint;
mod client;
mod clients;
mod connection;
mod detach;
mod finish;
mod foreign;
mod forwarder;
mod input;
mod launch;
mod limit;
mod output;
mod ports;
mod restore;
#[cfg(test)]
mod tests;

pub(crate) use self::connection::{address, open_directory};
pub use self::foreign::delete_force;

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use logs::{LogWriter, Stream};
use rustix::event::epoll::EventFlags;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use self::client::{Client, Place};
use self::input::Stdin;
use self::output::Source;
use self::ports::Ports;
use crate::error::doing;
use crate::protocol::{Client as Wants, Event, Failure, FailureKind, Leave, Request};
use crate::record::{Exit, State, now};
use crate::{Error, layout, payload};

/// What one read takes from a pipe: as much as a pipe holds by default, see pipe(7).
const CHUNK_BYTES: usize = 64 * 1024;

/// After this long without an event, buffers are given back.
const IDLE: Duration = Duration::from_millis(500);

/// How long others may hold the output open after the process has ended (Docker's two seconds).
const DRAIN: Duration = Duration::from_secs(2);

/// How long a client that has everything may take to close its side.
const FAREWELL: Duration = Duration::from_secs(1);

/// Everything that [`launch`] made.
#[derive(Debug)]
struct Launched {
    directory: PathBuf,
    pid: i32,
    pidfd: OwnedFd,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    /// Present with a terminal; then also the base of `stdin` and `stdout`.
    terminal: Option<OwnedFd>,
    stdin_once: bool,
    log: Box<dyn LogWriter>,
    clients: Vec<(Wants, OwnedFd, Option<OwnedFd>)>,
    /// Holds the container's ports on the host.
    ports: Ports,
    /// Of a container; an exec leaves it alone.
    cgroup: Option<finish::Container>,
    cgroup_path: String,
    limit: limit::Limit,
}

/// The life of a monitor, in the forked child. The descriptors are those of [`crate::protocol::Hello`].
pub(crate) fn main(descriptors: Vec<OwnedFd>) {
    let mut descriptors = descriptors.into_iter();
    let (Some(engine), Some(payload)) = (descriptors.next(), descriptors.next()) else { return };
    let _ = rustix::thread::set_name(c"wharf-monitor");
    let _ = rustix::io::ioctl_fionbio(&engine, true);
    if crate::wire::send(&engine, &Event::Born { monitor_pid: own_pid() }, &[]).is_err() {
        return;
    }
    let fail = |failure: Failure| drop(crate::wire::send(&engine, &Event::Failed(failure.fitted()), &[]));

    let (request, seccomp) = match payload::read::<Request>(payload) {
        Ok(read) => read,
        Err(error) => return fail(Failure { kind: FailureKind::Invalid, message: error.to_string() }),
    };
    let directory = request.directory().to_owned();
    note_panics_in(layout::panic_log(&directory));
    let listener = match connection::listen(&directory) {
        Ok(listener) => listener,
        Err(error) => return fail(Failure { kind: FailureKind::Other, message: error.to_string() }),
    };
    // A record of the process before must not be taken for this one's.
    for stale in [layout::exit(&directory), layout::state(&directory)] {
        let _ = std::fs::remove_file(stale);
    }
    // Whoever asked for this died before there was a socket: the next engine may have looked already, found nobody, and
    // would never know of what is made now. From here on it finds us.
    if is_hung_up(&engine) {
        let _ = std::fs::remove_file(layout::socket(&directory));
        return;
    }
    match launch::launch(request, seccomp, descriptors) {
        Ok(launched) => {
            if let Err(error) = Monitor::new(launched, listener).and_then(|mut monitor| {
                monitor.add_engine(engine)?;
                monitor.begin();
                monitor.run()
            }) {
                note(&layout::panic_log(&directory), &error.to_string());
            }
        }
        Err(failure) => {
            let _ = std::fs::remove_file(layout::socket(&directory));
            fail(failure);
        }
    }
}

fn is_hung_up(socket: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok_and(|n| n > 0)
}

#[derive(Debug)]
struct Monitor {
    epoll: OwnedFd,
    directory: PathBuf,
    state: State,
    pidfd: OwnedFd,
    listener: OwnedFd,
    engines: BTreeMap<u32, OwnedFd>,
    clients: BTreeMap<u32, Client>,
    /// For the next client or engine.
    number: u32,
    stdin: Option<Stdin>,
    stdin_once: bool,
    terminal: Option<OwnedFd>,
    sources: [Option<Source>; 2],
    log: Box<dyn LogWriter>,
    /// The log may have background work.
    log_busy: bool,
    /// epoll watches for room in what the log waits for.
    log_armed: bool,
    log_error: Option<String>,
    /// For one chunk of output or input; empty while idle.
    scratch: Vec<u8>,
    ports: Ports,
    checkpoint: Option<checkpoint::Checkpoint>,
    /// A checkpoint has ended the process.
    checkpointed: bool,
    cgroup: Option<finish::Container>,
    /// Of a container, where there is a memory controller.
    oom: Option<cgroups::OomWatch>,
    limit: limit::Limit,
    ended: Option<Ended>,
    exit: Option<Exit>,
    farewell_until: Option<Instant>,
}

/// The process has been reaped.
#[derive(Debug, Clone, Copy)]
struct Ended {
    code: i32,
    signal: Option<i32>,
    drain_until: Instant,
}

/// What an epoll event is about.
#[derive(Debug, Clone, Copy)]
enum Token {
    Process,
    Listener,
    Stdin,
    Oom,
    Log,
    Source(usize),
    Criu,
    Client(u32),
    Engine(u32),
}

impl Token {
    fn data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Token::Process => 0,
            Token::Listener => 1,
            Token::Stdin => 2,
            Token::Oom => 3,
            Token::Log => 4,
            Token::Source(index) => 5 + index as u64,
            Token::Criu => 7,
            Token::Client(number) => 1 << 32 | u64::from(number),
            Token::Engine(number) => 2 << 32 | u64::from(number),
        })
    }

    fn of(data: epoll::EventData) -> Token {
        let value = data.u64();
        match (value >> 32, value as u32) {
            (1, number) => Token::Client(number),
            (2, number) => Token::Engine(number),
            (_, 0) => Token::Process,
            (_, 1) => Token::Listener,
            (_, 2) => Token::Stdin,
            (_, 3) => Token::Oom,
            (_, 4) => Token::Log,
            (_, 7) => Token::Criu,
            (_, index) => Token::Source(index as usize - 5),
        }
    }
}

impl Monitor {
    fn new(launched: Launched, listener: OwnedFd) -> Result<Self, Error> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(doing("create an epoll instance"))?;
        let terminal = launched.terminal;
        let state = State {
            version: 1,
            pid: launched.pid,
            start_ticks: crate::record::start_ticks(launched.pid).map_or(0, |(ticks, _)| ticks),
            started_at: now(),
            monitor_pid: own_pid(),
            cgroup: launched.cgroup_path,
            tty: terminal.is_some(),
            foreign: launched.cgroup.as_ref().and_then(finish::Container::foreign).cloned(),
        };
        for fd in [&launched.stdin, &launched.stdout, &launched.stderr].into_iter().flatten() {
            rustix::io::ioctl_fionbio(fd, true).map_err(doing("set a stream non-blocking"))?;
        }
        let mut monitor = Self {
            epoll,
            directory: launched.directory,
            state,
            pidfd: launched.pidfd,
            listener,
            engines: BTreeMap::new(),
            clients: BTreeMap::new(),
            number: 0,
            stdin: launched.stdin.map(Stdin::new),
            stdin_once: launched.stdin_once,
            terminal,
            sources: [launched.stdout.map(Source::new), launched.stderr.map(Source::new)],
            log: launched.log,
            log_busy: false,
            log_armed: false,
            log_error: None,
            scratch: Vec::new(),
            ports: launched.ports,
            checkpoint: None,
            checkpointed: false,
            cgroup: launched.cgroup,
            oom: None,
            limit: launched.limit,
            ended: None,
            exit: None,
            farewell_until: None,
        };
        monitor.watch(&monitor.pidfd, Token::Process, EventFlags::IN)?;
        monitor.watch(&monitor.listener, Token::Listener, EventFlags::IN)?;
        for (index, source) in monitor.sources.iter().enumerate() {
            if let Some(source) = source {
                monitor.watch(source, Token::Source(index), EventFlags::IN)?;
            }
        }
        for (wants, socket, input) in launched.clients {
            monitor.add_client(wants, socket, input, Place::InFront)?;
        }
        Ok(monitor)
    }

    /// Writes down that the process runs, then says so: whoever heard of it can find it again, even without
    /// this monitor.
    fn begin(&mut self) {
        if let Err(error) = self.state.write(&self.directory) {
            note(&layout::panic_log(&self.directory), &error.to_string());
        }
        self.tell(&Event::Started(self.state.clone()));
        // Behind the news, which is waited for. What was killed before is noticed now.
        self.oom = self.cgroup.as_ref().and_then(finish::Container::watch_oom);
        if let Some(watch) = &self.oom
            && self.watch(watch, Token::Oom, EventFlags::IN).is_ok()
        {
            self.look_for_oom();
        }
    }

    fn look_for_oom(&mut self) {
        match self.oom.as_mut().map(cgroups::OomWatch::take) {
            Some(Ok(true)) => self.tell(&Event::OutOfMemory),
            Some(Ok(false)) | None => {}
            // Somebody has removed the group.
            Some(Err(_)) => self.oom = None,
        }
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; 16];
        let mut idle = false;
        self.settle();
        loop {
            // A checkpoint that ends the process is still being put in its place.
            if self.exit.is_none() && self.checkpoint.is_none() && self.is_drained() {
                self.finish();
            }
            if self.exit.is_some() && self.is_done() {
                return Ok(());
            }
            self.enforce_limit();
            self.lose_patience();
            let timeout = self.timeout(idle);
            let timeout =
                timeout.map(|t| Timespec { tv_sec: t.as_secs() as i64, tv_nsec: t.subsec_nanos().into() });
            let ready = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
                Ok((ready, _)) => ready,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(doing("wait for events")(error)),
            };
            if ready.is_empty() {
                idle = self.rest();
                continue;
            }
            idle = false;
            let ready: Vec<(Token, EventFlags)> =
                ready.iter().map(|event| (Token::of(event.data), event.flags)).collect();
            for (token, flags) in ready {
                match token {
                    Token::Process => self.reap(),
                    Token::Listener => self.accept(),
                    Token::Stdin => self.flush_stdin(),
                    Token::Oom => self.look_for_oom(),
                    // There is room: what waits goes out.
                    Token::Log => self.work_on_log(),
                    Token::Criu => self.on_criu(),
                    Token::Source(index) => self.pump(index, true),
                    Token::Client(number) => self.serve_client(number, flags),
                    Token::Engine(number) => self.serve_engine(number),
                }
            }
            self.settle();
        }
    }

    /// How long to wait for the next event; `None`: for as long as it takes.
    fn timeout(&self, idle: bool) -> Option<Duration> {
        let until = |moment: Instant| moment.saturating_duration_since(Instant::now());
        if self.log_busy {
            return Some(Duration::ZERO);
        }
        let deadline = match (self.ended, &self.exit) {
            (Some(_), None) if self.checkpoint.is_some() => None,
            (Some(ended), None) => Some(ended.drain_until),
            (None, None) => self.limit.at(),
            // Who is behind gets all the time there is, or leaves.
            _ => self.farewell_until.filter(|_| !self.clients.values().any(Client::is_behind)),
        };
        let deadline = deadline.into_iter().chain(self.patience_ends()).min();
        match deadline {
            Some(moment) => Some(until(moment)),
            None => (!idle).then_some(IDLE),
        }
    }

    /// Nothing happens: does what waits for that, and gives memory back. True when there is nothing left to
    /// do at all.
    fn rest(&mut self) -> bool {
        if self.log_busy {
            self.work_on_log();
            return false;
        }
        self.scratch = Vec::new();
        sys::malloc::trim();
        true
    }

    fn work_on_log(&mut self) {
        self.log_busy = match self.log.idle() {
            Ok(more) => more,
            Err(error) => {
                self.note_log_error(&error);
                false
            }
        };
    }

    fn watch(&self, fd: impl AsFd, token: Token, flags: EventFlags) -> Result<(), Error> {
        epoll::add(&self.epoll, fd, token.data(), flags).map_err(doing("watch a descriptor"))
    }

    fn scratch(&mut self) -> Vec<u8> {
        let scratch = std::mem::take(&mut self.scratch);
        // The kernel's zeroes will do: pages that no output comes to are never touched.
        if scratch.len() == CHUNK_BYTES { scratch } else { vec![0; CHUNK_BYTES] }
    }

    /// Takes what a stream holds, for at most a few chunks so that nobody else starves.
    fn pump(&mut self, index: usize, hold_back: bool) {
        let stream = if index == 0 { Stream::Stdout } else { Stream::Stderr };
        let mut scratch = self.scratch();
        for _ in 0..16 {
            if hold_back && self.is_held(stream) {
                break;
            }
            let Some(source) = &self.sources[index] else { break };
            match source.read(&mut scratch) {
                output::Read::Chunk(length) => self.deliver(stream, &scratch[..length]),
                output::Read::Nothing => break,
                output::Read::End => {
                    self.sources[index] = None;
                    if let Err(error) = self.log.end_of_stream(stream, now()) {
                        self.note_log_error(&error);
                    }
                }
            }
        }
        self.scratch = scratch;
    }

    /// The log first, then whoever listens.
    fn deliver(&mut self, stream: Stream, chunk: &[u8]) {
        if let Err(error) = self.log.write(stream, chunk, now()) {
            self.note_log_error(&error);
        }
        self.log_busy = true;
        let mut gone = Vec::new();
        for (&number, client) in &mut self.clients {
            if client.wants(stream) && !client.farewell && client.write(stream, chunk).is_err() {
                gone.push(number);
            }
        }
        for number in gone {
            self.drop_client(number, Leave::Hangup);
        }
    }

    /// Whether a client that is waited for, or a log that takes no more, holds the stream back. What a container leaves in its pipes is little
    /// and finite, since nobody outlives its PID 1 to write more: that is taken at once.
    fn is_held(&self, stream: Stream) -> bool {
        if self.ended.is_some() && self.cgroup.as_ref().is_some_and(|container| container.own_pid_namespace) {
            return false;
        }
        self.log.holds_back()
            || self.clients.values().any(|client| client.wants(stream) && client.is_waited_for())
    }

    fn note_log_error(&mut self, error: &std::io::Error) {
        if self.log_error.is_none() {
            self.log_error = Some(format!("write log: {error}"));
        }
    }

    /// Brings epoll's interests in line with what each descriptor may do now.
    fn settle(&mut self) {
        let input_full = self.stdin.as_ref().is_some_and(Stdin::is_full);
        if let Some(stdin) = &mut self.stdin
            && stdin.armed != input_full
        {
            // Watched only while there is something to write: a pipe without a reader is always ready.
            let changed = if input_full {
                epoll::add(&self.epoll, &*stdin, Token::Stdin.data(), EventFlags::OUT)
            } else {
                epoll::delete(&self.epoll, &*stdin)
            };
            stdin.armed = input_full && changed.is_ok();
        }
        self.log_armed = match (self.log.waits_for(), self.log_armed) {
            (Some(fd), false) => epoll::add(&self.epoll, fd, Token::Log.data(), EventFlags::OUT).is_ok(),
            (None, true) => self.log.descriptor().is_some_and(|fd| epoll::delete(&self.epoll, fd).is_err()),
            (_, armed) => armed,
        };
        for index in 0..self.sources.len() {
            let stream = if index == 0 { Stream::Stdout } else { Stream::Stderr };
            let wanted = !self.is_held(stream);
            if let Some(source) = &mut self.sources[index]
                && source.armed != wanted
            {
                // A held stream is taken out altogether: its hang-up would be reported again and again.
                let _ = if wanted {
                    epoll::add(&self.epoll, &*source, Token::Source(index).data(), EventFlags::IN)
                } else {
                    epoll::delete(&self.epoll, &*source)
                };
                source.armed = wanted;
            }
        }
        for (&number, client) in &mut self.clients {
            let mut wanted = EventFlags::empty();
            if client.farewell || (client.reads && !input_full) {
                wanted |= EventFlags::IN;
            }
            if client.is_behind() {
                wanted |= EventFlags::OUT;
            }
            if client.armed != wanted {
                let _ = epoll::modify(&self.epoll, &*client, Token::Client(number).data(), wanted);
                client.armed = wanted;
            }
        }
    }
}

impl Request {
    fn directory(&self) -> &Path {
        match self {
            Request::Start(request) => &request.directory,
            Request::Exec(request) => &request.directory,
        }
    }
}

impl Failure {
    /// Cut to what one message holds.
    fn fitted(mut self) -> Self {
        const TEXT_BYTES_MAX: usize = 4 * 1024;
        if self.message.len() > TEXT_BYTES_MAX {
            let end = (0..=TEXT_BYTES_MAX).rev().find(|&end| self.message.is_char_boundary(end)).unwrap_or(0);
            self.message.truncate(end);
        }
        self
    }
}

fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// There is no terminal and no log of its own: a monitor that fails says so in its directory.
fn note_panics_in(path: PathBuf) {
    std::panic::set_hook(Box::new(move |panic| note(&path, &panic.to_string())));
}

fn note(path: &Path, text: &str) {
    let _ = std::fs::write(path, format!("{text}\n"));
}
