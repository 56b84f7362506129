//! The caller's side: making a process and talking it through its set-up.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use oci::runtime::{Linux, Status};
use rustix::fs::AtFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid,
};
use rustix::thread::ThreadNameSpaceType;
use sys::process::{CloneFlags, Cloned, clone3, exit_now, vfork};

use crate::error::Context;
use crate::handshake::{Channel, Message};
use crate::job::{ContainerJob, ProcessJob};
use crate::request::Gate;
use crate::{CreateRequest, Error, ExecRequest, Filter, Result, Rootfs, idmap, init, seccomp};

/// A container that waits to be started. Dropping it kills the waiting process.
#[derive(Debug)]
pub struct Created {
    /// As the caller's pid namespace numbers it; the caller is the parent and reaps it.
    pub pid: Pid,
    pub pidfd: OwnedFd,
    /// The pty's master, with [`crate::Stdio::Terminal`].
    pub console: Option<OwnedFd>,
    /// The seccomp listener, when the filter has one: whoever answers the notifications needs it.
    pub listener: Option<OwnedFd>,
    waiting: Waiting,
}

/// A process whose `execve` succeeded.
#[derive(Debug)]
pub struct Process {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    pub console: Option<OwnedFd>,
    pub listener: Option<OwnedFd>,
}

/// The conversation with a process that has not begun; it does not survive this.
#[derive(Debug)]
struct Waiting {
    channel: Channel,
    pidfd: Option<OwnedFd>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.pidfd {
            end(pidfd);
        }
    }
}

/// Kills and reaps. Neither can fail for a child that is there, and for one that is gone it does not matter.
fn end(pidfd: &OwnedFd) {
    let _ = pidfd_send_signal(pidfd, Signal::KILL);
    let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
}

/// Makes a container up to the point where its program would begin.
///
/// # Errors
/// Every typed failure of [`Error`]; nothing of the process is left then.
pub fn create(mut request: CreateRequest<'_>) -> Result<Created> {
    let gate = match std::mem::replace(&mut request.gate, Gate::Caller) {
        Gate::Caller => None,
        Gate::Listener(socket) => Some(socket),
    };
    let nothing = Linux::default();
    let linux = request.spec.linux.as_ref().unwrap_or(&nothing);
    let compiled = match (&request.seccomp, &linux.seccomp) {
        (None, Some(rules)) => Some(seccomp::compile(rules)?),
        _ => None,
    };
    let mut job = ContainerJob::new(&request, linux)?;
    job.process.filter = request.seccomp.or(compiled.as_ref().map(Filter::from));
    let (here, there) = Channel::pair().step(|| "make a socket pair".into())?;
    let into = job.process.cgroup.and_then(cgroups::Cgroup::directory);
    let staged = job.needs_stage();
    let covered = root_on_host(&job).and_then(|root| init::mount_id(&root));
    let flags = if staged { CloneFlags::empty() } else { job.new.without(CloneFlags::NEWCGROUP) };
    let born = match clone3(flags, into).step(|| "clone the container's process".into())? {
        Cloned::Child => {
            drop(here);
            if staged {
                init::stage(&job, there, gate)
            }
            init::container(&job, there, gate, false)
        }
        Cloned::Parent { pid, pidfd } => Born { pid, pidfd },
    };
    drop((there, gate));
    let first = if staged { Err(born.pidfd) } else { Ok(born) };
    let (born, console, listener) = match converse(&here, first, Some(&job)) {
        Ok(ready) => ready,
        Err(error) => {
            unmount_from_host(&job, covered);
            return Err(error);
        }
    };
    let waiting =
        Waiting { channel: here, pidfd: Some(born.pidfd.try_clone().step(|| "duplicate a pidfd".into())?) };
    Ok(Created { pid: born.pid, pidfd: born.pidfd, console, listener, waiting })
}

/// The root directory of a container that mounts in the host's own tree.
fn root_on_host(job: &ContainerJob<'_>) -> Option<PathBuf> {
    match job.rootfs {
        Rootfs::Directory(path) if init::is_mounted_on_host(job.spec) => Some(job.bundle.join(path)),
        Rootfs::Directory(_) | Rootfs::Overlay { .. } => None,
    }
}

/// After a failure: what the process mounted in the host's tree. `covered` is the mount that was there before.
fn unmount_from_host(job: &ContainerJob<'_>, covered: Option<u64>) {
    let Some(root) = root_on_host(job) else { return };
    if let Some(id) = init::mount_id(&root).filter(|id| Some(*id) != covered) {
        // The error that led here is the one to report.
        let _ = init::release(&root, id);
    }
}

struct Born {
    pid: Pid,
    pidfd: OwnedFd,
}

type Ready = (Born, Option<OwnedFd>, Option<OwnedFd>);

/// Answers until the process is ready. `first` is the process, or the pidfd of the stage that makes it. When
/// something fails, all that was made is ended.
fn converse(
    channel: &Channel,
    first: std::result::Result<Born, OwnedFd>,
    job: Option<&ContainerJob<'_>>,
) -> Result<Ready> {
    let (mut born, stage) = match first {
        Ok(born) => (Some(born), None),
        Err(stage) => (None, Some(stage)),
    };
    let outcome = answer(channel, &mut born, job);
    if let Some(stage) = &stage {
        // It ends by itself once it has said who was born; after a failure it may hang in a namespace.
        if outcome.is_err() {
            let _ = pidfd_send_signal(stage, Signal::KILL);
        }
        let _ = waitid(WaitId::PidFd(stage.as_fd()), WaitIdOptions::EXITED);
    }
    match (outcome, born) {
        (Ok((console, listener)), Some(born)) => Ok((born, console, listener)),
        (Ok(_), None) => Err(Error::Died("before it was made".into())),
        (Err(error), None) => Err(error),
        (Err(error), Some(born)) => {
            end(&born.pidfd);
            Err(error)
        }
    }
}

fn answer(
    channel: &Channel,
    born: &mut Option<Born>,
    job: Option<&ContainerJob<'_>>,
) -> Result<(Option<OwnedFd>, Option<OwnedFd>)> {
    let mut unmapped = false;
    let mut ready = None;
    let mut failed = None;
    loop {
        let Some((message, fds)) = channel.receive().step(|| "listen to the process".into())? else {
            return Err(failed.unwrap_or_else(|| Error::Died("no message".into())));
        };
        let mut fds = fds.into_iter();
        match message {
            Message::Born { pid } => {
                let (Some(pid), Some(pidfd)) = (Pid::from_raw(pid), fds.next()) else {
                    return Err(Error::Died("born without a pid".into()));
                };
                *born = Some(Born { pid, pidfd });
            }
            Message::Unmapped => unmapped = true,
            Message::HooksDue => {
                let (Some(job), Some(born)) = (job, born.as_ref()) else {
                    return Err(Error::Invalid("the process spoke out of turn".into()));
                };
                host_hooks(job, born.pid)?;
                channel.send(&Message::HooksDone, &[]).step(|| "talk to the process".into())?;
            }
            Message::Ready { console, listener } => {
                let console = if console { fds.next() } else { None };
                ready = Some((console, if listener { fds.next() } else { None }));
            }
            Message::Failed(error) => failed = Some(error),
            Message::Mapped | Message::HooksDone | Message::Start | Message::Copied { .. } => {
                return Err(Error::Invalid("the process spoke out of turn".into()));
            }
        }
        // Stage and process talk on one socket, so the process may be heard before its birth is told.
        let Some(known) = born.as_ref() else { continue };
        if let Some(error) = failed {
            return Err(error);
        }
        if let Some(job) = job.filter(|_| std::mem::take(&mut unmapped)) {
            idmap::write(
                job.process.proc.as_fd(),
                known.pid,
                &job.linux.uid_mappings,
                &job.linux.gid_mappings,
            )
            .step(|| "write the id mappings".into())?;
            channel.send(&Message::Mapped, &[]).step(|| "talk to the process".into())?;
        }
        if let Some(ready) = ready.take() {
            return Ok(ready);
        }
    }
}

/// `prestart` and `createRuntime` hooks run in the caller's namespaces.
fn host_hooks(job: &ContainerJob<'_>, pid: Pid) -> Result<()> {
    let Some(hooks) = &job.spec.hooks else { return Ok(()) };
    let bundle = std::path::absolute(job.bundle).step(|| "resolve the bundle".into())?;
    let state = init::document(job.id, job.spec, &bundle, Status::Creating, pid.as_raw_nonzero().get());
    init::run_hooks("prestart", &hooks.prestart, &state)?;
    init::run_hooks("createRuntime", &hooks.create_runtime, &state)
}

impl Process {
    /// Kills and reaps it.
    pub fn end(self) {
        end(&self.pidfd);
    }
}

impl Created {
    /// Lets the program begin and waits until it has.
    ///
    /// # Errors
    /// A `startContainer` hook failed, or the kernel refused the program.
    pub fn start(self) -> Result<Process> {
        let Self { pid, pidfd, console, listener, mut waiting } = self;
        begin(&waiting.channel)?;
        waiting.pidfd = None;
        Ok(Process { pid, pidfd, console, listener })
    }

    /// Leaves the waiting process alone: somebody else starts it through [`Gate::Listener`].
    #[must_use]
    pub fn detach(self) -> Process {
        let Self { pid, pidfd, console, listener, mut waiting } = self;
        waiting.pidfd = None;
        Process { pid, pidfd, console, listener }
    }
}

/// Says [`Message::Start`] and waits for the program to begin.
pub(crate) fn begin(channel: &Channel) -> Result<()> {
    channel.send(&Message::Start, &[]).step(|| "talk to the process".into())?;
    has_begun(channel)
}

/// Waits until the kernel has closed the process's end, which is when its program begins.
fn has_begun(channel: &Channel) -> Result<()> {
    match channel.receive().step(|| "listen to the process".into())? {
        None => Ok(()),
        Some((Message::Failed(error), _)) => Err(error),
        Some(_) => Err(Error::Invalid("the process spoke out of turn".into())),
    }
}

/// Runs one more process in a container and waits until its program has begun. The caller is its parent.
///
/// # Errors
/// As [`create`].
pub fn exec(request: ExecRequest<'_>) -> Result<Process> {
    let job = ProcessJob::for_exec(&request)?;
    let target = pidfd_open(request.pid, PidfdFlags::empty()).map_err(|_| Error::NotRunning)?;
    let kinds = namespaces_of(&job, request.pid)?;
    let (here, there) = Channel::pair().step(|| "make a socket pair".into())?;
    let into = job.cgroup.and_then(cgroups::Cgroup::directory);
    let mut there = there;
    // The kernel lets nobody into these two whose memory another process has as well.
    let apart = kinds.intersects(ThreadNameSpaceType::USER | ThreadNameSpaceType::TIME);
    let stage = if apart {
        match clone3(CloneFlags::empty(), into).step(|| "clone the process".into())? {
            Cloned::Child => {
                init::exec_stage(&job, target.as_fd(), kinds, &mut there);
                exit_now(0)
            }
            Cloned::Parent { pidfd, .. } => pidfd,
        }
    } else {
        let mut stage = || init::exec_stage(&job, target.as_fd(), kinds, &mut there);
        vfork(into, &mut stage).step(|| "clone the process".into())?
    };
    drop(there);
    let (born, console, listener) = converse(&here, Err(stage), None)?;
    if let Err(error) = has_begun(&here) {
        end(&born.pidfd);
        return Err(error);
    }
    Ok(Process { pid: born.pid, pidfd: born.pidfd, console, listener })
}

/// All kinds, but user and time only where they differ: the kernel refuses to enter the user namespace one is
/// in, and older ones know no time namespaces.
fn namespaces_of(job: &ProcessJob<'_>, pid: Pid) -> Result<ThreadNameSpaceType> {
    let mut kinds = ThreadNameSpaceType::MOUNT
        | ThreadNameSpaceType::PROCESS_ID
        | ThreadNameSpaceType::NETWORK
        | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION
        | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
        | ThreadNameSpaceType::CONTROL_GROUP;
    let same = |name: &str| -> Result<bool> {
        let of = |who: &str| rustix::fs::statat(&job.proc, format!("{who}/ns/{name}"), AtFlags::empty());
        let theirs = of(&pid.as_raw_nonzero().to_string());
        match (of("self"), theirs) {
            (Ok(mine), Ok(theirs)) => Ok((mine.st_dev, mine.st_ino) == (theirs.st_dev, theirs.st_ino)),
            (Err(_), _) => Ok(true),
            (Ok(_), Err(_)) => Err(Error::NotRunning),
        }
    };
    if !same("user")? {
        kinds |= ThreadNameSpaceType::USER;
    }
    if !same("time")? {
        kinds |= ThreadNameSpaceType::TIME;
    }
    Ok(kinds)
}
