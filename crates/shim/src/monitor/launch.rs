//! From a request to a running process, through `runtime`.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use cgroups::{Cgroup, CgroupPath};
use oci::runtime::NamespaceType;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use super::ports::Ports;
use super::{Launched, finish, foreign, forwarder, restore};
use crate::protocol::{
    Client, ExecRequest, Failure, FailureKind, Io, Request, Rootfs, Size, StartRequest, seccomp_filter,
};
use crate::{layout, record};

pub(super) fn launch(
    request: Request,
    seccomp: Vec<u8>,
    descriptors: impl Iterator<Item = OwnedFd>,
) -> Result<Launched, Failure> {
    match request {
        Request::Start(request) => start(*request, &seccomp, descriptors),
        Request::Exec(request) => exec(*request, &seccomp, descriptors),
    }
}

fn start(
    mut request: StartRequest,
    seccomp: &[u8],
    mut descriptors: impl Iterator<Item = OwnedFd>,
) -> Result<Launched, Failure> {
    let netns = if request.netns { Some(descriptors.next().ok_or_else(missing)?) } else { None };
    let ports = if request.ports { Some(descriptors.next().ok_or_else(missing)?) } else { None };
    let ports = Ports::of(ports);
    let clients = take_clients(&mut request.io, descriptors)?;
    let log = open_log(&request.log)?;
    if let Some(process) = &mut request.spec.process {
        process.oom_score_adj = process.oom_score_adj.or_else(crate::spawner::former_oom_score_adj);
    }

    note_cgroup(&request.directory, &request.cgroup)?;
    let machine = cgroups::machine().map_err(runtime::Error::from)?;
    let path =
        CgroupPath::resolve(Some(&request.cgroup), &request.id, false).map_err(runtime::Error::from)?;
    let own_pid_namespace = request.spec.linux.as_ref().is_some_and(|linux| {
        linux.namespaces.iter().any(|ns| ns.kind == NamespaceType::Pid && ns.path.is_empty())
    });
    if let Some(foreign) = request.foreign.take() {
        let mut streams = Streams::open(&request.io)?;
        let (process, bundle) = foreign::start(&mut request, foreign, netns, &streams)?;
        let container = finish::Container { machine, path, own_pid_namespace, bundle: Some(bundle) };
        let (stdin, stdout, stderr, terminal) = streams.ours(process.console)?;
        return Ok(Launched {
            directory: request.directory,
            pid: process.pid,
            pidfd: process.pidfd,
            stdin,
            stdout,
            stderr,
            terminal,
            stdin_once: request.io.stdin_once,
            log,
            clients,
            ports,
            cgroup: Some(container),
            cgroup_path: request.cgroup,
            limit: super::limit::Limit::default(),
        });
    }
    let resources = request.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
    let cgroup = match resources {
        Some(resources) => Cgroup::create(Arc::clone(&machine), &path, resources),
        None => Cgroup::create(Arc::clone(&machine), &path, &Default::default()),
    }
    .map_err(runtime::Error::from)?;

    let mut streams = Streams::open(&request.io)?;
    let made = match &request.restore {
        Some(from) => restore::start(&request, from, netns.as_ref(), &streams)
            .map(|process| (process.pid, process.pidfd, None)),
        None => create(&request, seccomp, &cgroup, netns.as_ref(), &streams),
    };
    let (pid, pidfd, console) = made.inspect_err(|_| {
        let _ = cgroup.kill();
        let _ = cgroup.delete();
    })?;
    let container = finish::Container { machine, path, own_pid_namespace, bundle: None };
    let (stdin, stdout, stderr, terminal) = streams.ours(console)?;
    Ok(Launched {
        directory: request.directory,
        pid,
        pidfd,
        stdin,
        stdout,
        stderr,
        terminal,
        stdin_once: request.io.stdin_once,
        log,
        clients,
        ports,
        cgroup: Some(container),
        cgroup_path: request.cgroup,
        limit: super::limit::Limit::default(),
    })
}

type Process = (i32, OwnedFd, Option<OwnedFd>);

fn create(
    request: &StartRequest,
    seccomp: &[u8],
    cgroup: &Cgroup,
    netns: Option<&OwnedFd>,
    streams: &Streams,
) -> Result<Process, Failure> {
    let created = runtime::create(runtime::CreateRequest {
        cgroup: Some(cgroup),
        seccomp: seccomp_filter(seccomp),
        stdio: streams.stdio(&request.io),
        netns: netns.map(AsFd::as_fd),
        user: request.user.as_deref(),
        additional_groups: &request.additional_groups,
        init_reaper: request.init_reaper,
        ..runtime::CreateRequest::new(
            &request.id,
            &request.spec,
            &request.directory,
            request.rootfs.clone().into(),
        )
    });
    let process = created.and_then(runtime::Created::start)?;
    Ok((process.pid.as_raw_nonzero().get(), process.pidfd, process.console))
}

fn open_log(destination: &logs::Destination) -> Result<Box<dyn logs::LogWriter>, Failure> {
    logs::open(destination, forwarder::start).map_err(|error| match destination.remote() {
        Some(_) => Failure { kind: FailureKind::Log, message: error.to_string() },
        None => other(format!("open log: {error}")),
    })
}

/// So that whoever finds this monitor killed before it could say anything knows where to look for what it made.
fn note_cgroup(directory: &Path, cgroup: &str) -> Result<(), Failure> {
    let link = layout::cgroup(directory);
    let made = match rustix::fs::symlink(cgroup, &link) {
        // Of the run before.
        Err(Errno::EXIST) => rustix::fs::unlink(&link).and_then(|()| rustix::fs::symlink(cgroup, &link)),
        made => made,
    };
    made.map_err(|error| other(format!("write {}: {error}", link.display())))
}

fn exec(
    mut request: ExecRequest,
    seccomp: &[u8],
    descriptors: impl Iterator<Item = OwnedFd>,
) -> Result<Launched, Failure> {
    let clients = take_clients(&mut request.io, descriptors)?;
    let not_running =
        || Failure { kind: FailureKind::NotRunning, message: "container is not running".into() };
    let pid = Pid::from_raw(request.container_pid).ok_or_else(not_running)?;
    match record::start_ticks(request.container_pid) {
        Some((ticks, _)) if ticks == request.container_start_ticks => {}
        _ => return Err(not_running()),
    }
    if request.process.oom_score_adj.is_none() && crate::spawner::former_oom_score_adj().is_some() {
        // As the container's own process, and not as this one, which is spared.
        request.process.oom_score_adj =
            std::fs::read_to_string(format!("/proc/{}/oom_score_adj", request.container_pid))
                .ok()
                .and_then(|text| text.trim().parse().ok());
    }
    let mut streams = Streams::open(&request.io)?;
    let (pid, pidfd, console) = if let Some((runtime, directory)) = request.foreign.take() {
        let process = foreign::exec(&mut request, &runtime, &directory, &streams)?;
        (process.pid, process.pidfd, process.console)
    } else {
        let machine = cgroups::machine().map_err(runtime::Error::from)?;
        let path = CgroupPath::resolve(Some(&request.cgroup), &request.container, false)
            .map_err(runtime::Error::from)?;
        let cgroup = Cgroup::open(machine, &path).and_then(|cgroup| cgroup.for_another(pid));
        let cgroup = cgroup.map_err(runtime::Error::from)?;
        let process = runtime::exec(runtime::ExecRequest {
            cgroup: Some(&cgroup),
            seccomp: seccomp_filter(seccomp),
            stdio: streams.stdio(&request.io),
            user: request.user.as_deref(),
            additional_groups: &request.additional_groups,
            ..runtime::ExecRequest::new(pid, &request.process)
        })?;
        (process.pid.as_raw_nonzero().get(), process.pidfd, process.console)
    };
    let (stdin, stdout, stderr, terminal) = streams.ours(console)?;
    Ok(Launched {
        directory: request.directory,
        pid,
        pidfd,
        stdin,
        stdout,
        stderr,
        terminal,
        stdin_once: request.io.stdin_once,
        log: open_log(&logs::Destination::NONE)?,
        clients,
        ports: Ports::default(),
        cgroup: None,
        cgroup_path: request.cgroup,
        limit: super::limit::Limit::of(request.time_limit_ms),
    })
}

/// Both ends of the standard streams; with a terminal there are none until `runtime` has made it.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) theirs: Option<[OwnedFd; 3]>,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    wants_stdin: bool,
}

type Ours = (Option<OwnedFd>, Option<OwnedFd>, Option<OwnedFd>, Option<OwnedFd>);

impl Streams {
    fn open(io: &Io) -> Result<Self, Failure> {
        if io.tty {
            return Ok(Self { wants_stdin: io.stdin_open, ..Self::default() });
        }
        let failed = |error: Errno| other(format!("open standard streams: {error}"));
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(failed);
        let (their_stdin, stdin) = if io.stdin_open {
            let (read, write) = pipe()?;
            (read, Some(write))
        } else {
            let null = rustix::fs::open(c"/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            (null.map_err(failed)?, None)
        };
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        Ok(Self {
            theirs: Some([their_stdin, their_stdout, their_stderr]),
            stdin,
            stdout: Some(stdout),
            stderr: Some(stderr),
            wants_stdin: io.stdin_open,
        })
    }

    fn stdio(&self, io: &Io) -> runtime::Stdio<'_> {
        match &self.theirs {
            Some([stdin, stdout, stderr]) => runtime::Stdio::Streams {
                stdin: stdin.as_fd(),
                stdout: stdout.as_fd(),
                stderr: stderr.as_fd(),
            },
            None => {
                let size = io.size.unwrap_or(Size { rows: 0, columns: 0 });
                runtime::Stdio::Terminal { rows: size.rows, columns: size.columns }
            }
        }
    }

    /// The monitor's ends; the process's are closed, so that end of file is seen.
    fn ours(&mut self, console: Option<OwnedFd>) -> Result<Ours, Failure> {
        self.theirs = None;
        let Some(console) = console else {
            return Ok((self.stdin.take(), self.stdout.take(), self.stderr.take(), None));
        };
        let copy = || console.try_clone().map_err(|error| other(format!("copy the terminal: {error}")));
        let stdin = if self.wants_stdin { Some(copy()?) } else { None };
        Ok((stdin, Some(copy()?), None, Some(console)))
    }
}

fn take_clients(
    io: &mut Io,
    mut descriptors: impl Iterator<Item = OwnedFd>,
) -> Result<Vec<(Client, OwnedFd, Option<OwnedFd>)>, Failure> {
    std::mem::take(&mut io.clients)
        .into_iter()
        .map(|client| {
            let socket = descriptors.next().ok_or_else(missing)?;
            let input = if client.has_input { Some(descriptors.next().ok_or_else(missing)?) } else { None };
            Ok((client, socket, input))
        })
        .collect()
}

fn missing() -> Failure {
    Failure { kind: FailureKind::Invalid, message: "the request came with too few descriptors".into() }
}

pub(super) fn other(message: String) -> Failure {
    Failure { kind: FailureKind::Other, message }
}

impl From<Rootfs> for runtime::Rootfs {
    fn from(rootfs: Rootfs) -> Self {
        match rootfs {
            Rootfs::Directory(path) => Self::Directory(path),
            Rootfs::Overlay { lower, upper, work, volatile } => {
                let options = if volatile { vec!["volatile".to_owned()] } else { Vec::new() };
                Self::Overlay { lower, upper, work, options }
            }
        }
    }
}

impl From<runtime::Error> for Failure {
    fn from(error: runtime::Error) -> Self {
        use runtime::Error as E;
        let kind = match &error {
            E::ExecutableNotFound { .. } | E::NoSuchExecutable { .. } => FailureKind::ExecutableNotFound,
            E::Exec { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                FailureKind::ExecutableNotFound
            }
            E::PermissionDenied { .. } => FailureKind::PermissionDenied,
            E::IsADirectory { .. } => FailureKind::IsADirectory,
            E::ExecFormat { .. } => FailureKind::ExecFormat,
            E::WorkingDirectory { .. } => FailureKind::WorkingDirectory,
            E::NoSuchUser { .. } | E::NoSuchGroup { .. } => FailureKind::NoSuchUser,
            E::Mount { .. } => FailureKind::Mount,
            E::NotRunning => FailureKind::NotRunning,
            E::Invalid(_) => FailureKind::Invalid,
            _ => FailureKind::Other,
        };
        Failure { kind, message: error.to_string() }
    }
}
