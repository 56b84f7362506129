//! From the namespaces to the program: the order of everything.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use oci::runtime::{Hook, NamespaceType, Status};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::umask;
use sys::exec::Strings;
use sys::process::{CloneFlags, Cloned, clone3, exit_now};

use super::console::{self, Pty};
use super::{devices, hooks, identity, lookup, mounts, namespaces, paths, reaper, root};
use crate::error::Context;
use crate::handshake::{Channel, Message};
use crate::job::{ContainerJob, ProcessJob, streams};
use crate::{Error, Result, Stdio, idmap, inside, user};

const SIGTTOU: i32 = 22;

/// PID 1 of a new container. `staged`: a process in between has entered namespaces and cgroup already.
pub(crate) fn container(job: &ContainerJob<'_>, channel: Channel, gate: Option<OwnedFd>, staged: bool) -> ! {
    let mut channel = channel;
    let Err(error) = set_up(job, &mut channel, gate, staged);
    end(&channel, error)
}

/// One more process of a container, in its namespaces already.
pub(crate) fn exec(job: &ProcessJob<'_>, channel: &mut Channel, user_namespace: bool) -> ! {
    let Err(error) = set_up_exec(job, channel, user_namespace);
    end(channel, error)
}

fn end(channel: &Channel, error: Error) -> ! {
    // When the caller is gone, nobody is left to tell.
    let _ = channel.send(&Message::Failed(error), &[]);
    exit_now(1)
}

fn set_up(
    job: &ContainerJob<'_>,
    channel: &mut Channel,
    gate: Option<OwnedFd>,
    staged: bool,
) -> Result<Infallible> {
    // What the caller inherited is neither the hooks' nor the container's.
    sys::fd::cloexec_from(3 + job.process.preserve_fds).step(|| "mark descriptors close-on-exec".into())?;
    if !staged {
        // Both need what the host's root may, and a new user namespace ends that.
        join_cgroup(&job.process)?;
        identity::early(&job.process)?;
    }
    if job.new.contains(CloneFlags::NEWUSER) {
        ask(channel, &Message::Unmapped, |answer| matches!(answer, Message::Mapped))?;
        identity::become_root()?;
    } else if job.joins.iter().any(|j| j.kind == NamespaceType::User) {
        idmap::check(job.process.proc.as_fd(), &job.linux.uid_mappings, &job.linux.gid_mappings)?;
        identity::become_root()?;
    }
    if !staged {
        job.joins.iter().try_for_each(namespaces::enter)?;
    }
    if job.new.contains(CloneFlags::NEWCGROUP) {
        // Only now: the namespace's root is where its maker is.
        sys::process::unshare(CloneFlags::NEWCGROUP).step(|| "make a cgroup namespace".into())?;
    }
    // Modes are as asked for, not as the caller's umask has them.
    umask(Mode::empty());
    namespaces::name(job)?;
    if job.new.contains(CloneFlags::NEWNET) {
        namespaces::loopback_up()?;
    }
    let mounted = job.has_mount_namespace();
    let (root, pty) = if mounted { in_new_root(job)? } else { in_directory(job)? };
    run_hooks(job, channel)?;
    namespaces::sysctls(&job.process.proc, job.linux)?;
    let who = identity::who(&job.process, root.as_fd())?;
    if mounted {
        let cwd = job.process.process.cwd.as_str();
        if !cwd.is_empty() {
            // As runc does, also below a root that is read-only later. Where it cannot be, chdir says so.
            let _ = inside::directory(root.as_fd(), cwd, 0o755);
        }
        root::enter(job, root.as_fd())?;
    } else {
        rustix::process::fchdir(&root).step(|| "chdir to rootfs".into())?;
        rustix::process::chroot(".").step(|| "chroot to rootfs".into())?;
    }
    drop(root);
    let ending = Ending {
        job: &job.process,
        who,
        pty,
        gate,
        start_hooks: job.spec.hooks.as_ref().map_or(&[], |h| &h.start_container),
        container: Some(job),
        init_reaper: job.init_reaper,
    };
    finish(ending, channel)
}

fn in_new_root(job: &ContainerJob<'_>) -> Result<(OwnedFd, Option<Pty>)> {
    let root = root::prepare(job)?;
    mounts::all(job, root.as_fd())?;
    devices::all(job, root.as_fd())?;
    let pty = match job.process.stdio {
        Stdio::Terminal { rows, columns } => {
            let pty = console::open(root.as_fd(), rows, columns)?;
            console::mount(root.as_fd(), pty.slave.as_fd())?;
            Some(pty)
        }
        Stdio::Inherit | Stdio::Streams { .. } => None,
    };
    paths::read_only(root.as_fd(), &job.linux.readonly_paths)?;
    paths::mask(root.as_fd(), &job.linux.masked_paths)?;
    Ok((root, pty))
}

/// Without a mount namespace: the directory as it is, or, where something is to be mounted, bound over itself, so
/// that all of it goes with one unmount ([`root::release`]).
fn in_directory(job: &ContainerJob<'_>) -> Result<(OwnedFd, Option<Pty>)> {
    let crate::Rootfs::Directory(path) = job.rootfs else {
        return Err(Error::Invalid("an overlay needs a mount namespace".into()));
    };
    let root = if root::is_mounted_on_host(job.spec) {
        let root = root::bind_over_itself(&job.bundle.join(path))?;
        mounts::all(job, root.as_fd())?;
        devices::all(job, root.as_fd())?;
        if job.spec.root.as_ref().is_some_and(|r| r.readonly) {
            root::make_read_only(root.as_fd())?;
        }
        root
    } else {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, job.bundle.join(path), flags, Mode::empty())
            .step(|| format!("open rootfs {}", path.display()))?
    };
    let pty = match job.process.stdio {
        Stdio::Terminal { rows, columns } => Some(console::open(root.as_fd(), rows, columns)?),
        Stdio::Inherit | Stdio::Streams { .. } => None,
    };
    Ok((root, pty))
}

fn run_hooks(job: &ContainerJob<'_>, channel: &Channel) -> Result<()> {
    let Some(all) = &job.spec.hooks else { return Ok(()) };
    if !all.prestart.is_empty() || !all.create_runtime.is_empty() {
        ask(channel, &Message::HooksDue, |answer| matches!(answer, Message::HooksDone))?;
    }
    if all.create_container.is_empty() {
        return Ok(());
    }
    hooks::run("createContainer", &all.create_container, &state(job, Status::Creating))
}

fn state(job: &ContainerJob<'_>, status: Status) -> oci::runtime::State {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    hooks::document(job.id, job.spec, &absolute(job.bundle), status, pid)
}

fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn ask(channel: &Channel, question: &Message, expected: fn(&Message) -> bool) -> Result<()> {
    channel.send(question, &[]).step(|| "talk to the runtime".into())?;
    hear(channel, expected)
}

fn hear(channel: &Channel, expected: fn(&Message) -> bool) -> Result<()> {
    match channel.receive().step(|| "listen to the runtime".into())? {
        Some((message, _)) if expected(&message) => Ok(()),
        Some(_) => Err(Error::Invalid("the runtime spoke out of turn".into())),
        // Nobody wants this container any more, nor hears why it ends.
        None => exit_now(1),
    }
}

/// Into the container's cgroup, where `clone3` could not do it. Writing oneself into `tasks` needs none of the
/// locks that moving somebody else takes.
pub(super) fn join_cgroup(job: &ProcessJob<'_>) -> Result<()> {
    match job.cgroup {
        Some(cgroup) => {
            if cgroup.directory().is_none() {
                cgroup.join_self()?;
            }
            identity::any_processor()
        }
        None => Ok(()),
    }
}

fn set_up_exec(job: &ProcessJob<'_>, channel: &mut Channel, user_namespace: bool) -> Result<Infallible> {
    sys::fd::cloexec_from(3 + job.preserve_fds).step(|| "mark descriptors close-on-exec".into())?;
    if user_namespace {
        identity::become_root()?;
    }
    if let Some(affinity) = &job.process.exec_cpu_affinity {
        identity::affinity(&affinity.final_)?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, "/", flags, Mode::empty()).step(|| "open /".into())?;
    let pty = match job.stdio {
        Stdio::Terminal { rows, columns } => Some(console::open(root.as_fd(), rows, columns)?),
        Stdio::Inherit | Stdio::Streams { .. } => None,
    };
    let who = identity::who(job, root.as_fd())?;
    drop(root);
    let ending = Ending { job, who, pty, gate: None, start_hooks: &[], container: None, init_reaper: false };
    finish(ending, channel)
}

/// What is left to do once the process stands where it belongs.
struct Ending<'a> {
    job: &'a ProcessJob<'a>,
    who: user::Identity,
    pty: Option<Pty>,
    gate: Option<OwnedFd>,
    start_hooks: &'a [Hook],
    container: Option<&'a ContainerJob<'a>>,
    init_reaper: bool,
}

fn finish(ending: Ending<'_>, channel: &mut Channel) -> Result<Infallible> {
    let Ending { job, who, pty, gate, start_hooks, container, init_reaper } = ending;
    let process = job.process;
    if !job.no_new_keyring {
        keyring(&job.keyring)?;
    }
    standard_streams(job, pty.as_ref(), who.uid)?;
    identity::raise_limits(job)?;
    identity::modes(job.linux)?;
    umask(Mode::from_raw_mode(process.user.umask.unwrap_or(0o022) & 0o7777));
    identity::labels(job)?;
    // A directory that only root may enter is entered as root, one on a share that root may not as the user.
    let cwd = if process.cwd.is_empty() { "/" } else { process.cwd.as_str() };
    let early = rustix::process::chdir(cwd);
    let with_filter = job.filter.is_some() && !process.no_new_privileges;
    identity::become_user(&who, &job.capabilities, with_filter)?;
    match early {
        Ok(()) => {}
        Err(Errno::ACCESS) => rustix::process::chdir(cwd).map_err(|e| directory(cwd, e))?,
        Err(error) => return Err(directory(cwd, error)),
    }
    // A working directory like /proc/self/fd/7 must not be one of the set-up's own descriptors.
    let here = rustix::process::getcwd(Vec::new()).map_err(|e| directory(cwd, e))?;
    if here.as_bytes().first() != Some(&b'/') {
        return Err(directory(cwd, Errno::NOENT));
    }
    if process.no_new_privileges {
        rustix::thread::set_no_new_privs(true).step(|| "set no_new_privs".into())?;
    }
    let path = process.env.iter().rev().find_map(|e| e.strip_prefix("PATH=")).unwrap_or_default();
    let name = process.args.first().ok_or_else(|| Error::Invalid("process.args must not be empty".into()))?;
    let file = text(&lookup::executable(name, path)?)?;
    let argv = Strings::new(process.args.iter().map(|a| text(a)).collect::<Result<_>>()?);
    let envp = Strings::new(environment(&process.env, &who.home)?);
    // It may wait for long now: nothing of the host is to be found in it.
    let mut kept = vec![channel.as_fd().as_raw_fd()];
    kept.extend(gate.iter().map(AsRawFd::as_raw_fd));
    kept.extend(pty.iter().flat_map(|p| [p.master.as_raw_fd(), p.slave.as_raw_fd()]));
    keep_only(job, kept)?;
    let mut installed = false;
    let listener = match job.filter {
        // Whoever is notified has to have the listener before the program begins.
        Some(filter) if filter.flags & sys::seccomp::flag::NEW_LISTENER != 0 => {
            installed = true;
            identity::settle_limits(job)?;
            sys::seccomp::install(filter.program, filter.flags)
                .step(|| "install the seccomp filter".into())?
        }
        _ => None,
    };
    let ready = Message::Ready { console: pty.is_some(), listener: listener.is_some() };
    let fds: Vec<BorrowedFd<'_>> =
        pty.iter().map(|p| p.master.as_fd()).chain(listener.iter().map(AsFd::as_fd)).collect();
    channel.send(&ready, &fds).step(|| "talk to the runtime".into())?;
    drop((pty, listener));
    if let Some(gate) = gate {
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let connection = rustix::net::accept_with(&gate, flags).step(|| "wait for the start".into())?;
        *channel = Channel::from_socket(connection);
    }
    if let Some(container) = container {
        hear(channel, |message| matches!(message, Message::Start))?;
        if !start_hooks.is_empty() {
            hooks::run_with("startContainer", start_hooks, &state(container, Status::Created), &process.env)?;
        }
    }
    if init_reaper {
        fork_program(job)?;
    }
    if !installed {
        identity::settle_limits(job)?;
    }
    if let Some(filter) = job.filter.filter(|_| !installed) {
        sys::seccomp::install(filter.program, filter.flags).step(|| "install the seccomp filter".into())?;
    }
    identity::settle(&job.capabilities)?;
    sys::signal::reset().step(|| "reset signals".into())?;
    let error = sys::exec::execve(&file, &argv, &envp);
    Err(refused(name, &file, error))
}

/// Closes all descriptors but these, the standard ones and those to be passed on.
pub(super) fn keep_only(job: &ProcessJob<'_>, mut kept: Vec<RawFd>) -> Result<()> {
    kept.extend((3..).take(job.preserve_fds as usize));
    sys::fd::close_except(&kept).step(|| "close descriptors".into())
}

/// PID 1 stays here for ever; the copy goes on to the program.
fn fork_program(job: &ProcessJob<'_>) -> Result<()> {
    reaper::block().step(|| "block signals".into())?;
    match clone3(CloneFlags::empty(), None).step(|| "fork the program".into())? {
        Cloned::Child => {
            // Its own process group, in front where there is a terminal.
            let own = rustix::process::setpgid(None, None);
            own.step(|| "setpgid".into())?;
            if matches!(job.stdio, Stdio::Terminal { .. }) {
                // One that is not in front is stopped for wanting to be, tcsetpgrp(3).
                sys::signal::ignore(SIGTTOU, true).step(|| "ignore SIGTTOU".into())?;
                let pid = rustix::process::getpid();
                rustix::termios::tcsetpgrp(rustix::stdio::stdin(), pid).step(|| "tcsetpgrp".into())?;
            }
            Ok(())
        }
        Cloned::Parent { pid, .. } => {
            identity::settle(&job.capabilities)?;
            reaper::run(pid)
        }
    }
}

fn directory(cwd: &str, error: Errno) -> Error {
    Error::WorkingDirectory { path: cwd.into(), source: error.into() }
}

fn refused(name: &str, file: &CString, error: std::io::Error) -> Error {
    let path = file.to_string_lossy().into_owned();
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOEXEC) => Error::ExecFormat { path },
        Some(Errno::ACCESS) => Error::PermissionDenied { name: name.into() },
        _ => Error::Exec { path, source: error },
    }
}

fn text(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::Invalid(format!("{text:?} contains a NUL")))
}

/// The spec's environment: of two values of one name the later, and `HOME` where it is missing or empty.
fn environment(env: &[String], home: &str) -> Result<Vec<CString>> {
    let name = |entry: &'_ str| entry.split_once('=').map_or(entry, |(name, _)| name).len();
    let mut seen = std::collections::HashSet::with_capacity(env.len());
    let mut all: Vec<&String> =
        env.iter().rev().filter(|entry| seen.insert(&entry[..name(entry)]) && *entry != "HOME=").collect();
    all.reverse();
    let has_home = all.iter().any(|entry| entry.starts_with("HOME="));
    let mut all: Vec<CString> = all.into_iter().map(|entry| text(entry)).collect::<Result<_>>()?;
    if !has_home {
        all.push(text(&format!("HOME={home}"))?);
    }
    Ok(all)
}

/// A session keyring of its own, so that it does not possess the caller's keys.
fn keyring(name: &str) -> Result<()> {
    match sys::keyctl::join_session(&text(name)?) {
        Ok(key) => {
            // Only widens who may search it.
            let _ = sys::keyctl::allow_user_search(key);
            Ok(())
        }
        Err(error) if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) => Ok(()),
        Err(error) => Err(error).step(|| "join a session keyring".into()),
    }
}

fn standard_streams(job: &ProcessJob<'_>, pty: Option<&Pty>, uid: u32) -> Result<()> {
    // EPERM: a leader already, as the caller's child in a stage may be.
    match rustix::process::setsid() {
        Ok(_) | Err(Errno::PERM) => {}
        Err(error) => return Err(error).step(|| "setsid".into()),
    }
    if let Some(pty) = pty {
        place([pty.slave.as_fd(); 3])?;
        rustix::process::ioctl_tiocsctty(&pty.slave).step(|| "set the controlling terminal".into())?;
    } else if let Some(streams) = streams(&job.stdio) {
        place(streams)?;
    }
    if pty.is_none() {
        own_null_devices().step(|| "open the container's /dev/null".into())?;
    }
    if uid == 0 {
        return Ok(());
    }
    // The process may open /dev/stdout again. Null devices and files of others stay whose they are.
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        let Ok(stat) = rustix::fs::fstat(stream) else { continue };
        if stat.st_uid == uid || stat.st_rdev == rustix::fs::makedev(1, 3) {
            continue;
        }
        match rustix::fs::fchown(stream, Some(Uid::from_raw(uid)), None::<Gid>) {
            Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => {}
            Err(error) => return Err(error).step(|| "chown a standard stream".into()),
        }
    }
    Ok(())
}

/// What of the host's null device stands for a stream becomes the container's own, for reading and writing. A container
/// without one keeps the host's.
fn own_null_devices() -> std::result::Result<(), Errno> {
    let null = rustix::fs::makedev(1, 3);
    let is_null = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).is_ok_and(|stat| stat.st_rdev == null);
    let std = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let which = std.map(is_null);
    if !which.contains(&true) {
        return Ok(());
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(own) = rustix::fs::open("/dev/null", flags, Mode::empty()) else { return Ok(()) };
    if !is_null(own.as_fd()) {
        return Ok(());
    }
    let set = [rustix::stdio::dup2_stdin, rustix::stdio::dup2_stdout, rustix::stdio::dup2_stderr];
    for (dup2, _) in set.into_iter().zip(which).filter(|(_, is_null)| *is_null) {
        dup2(&own)?;
    }
    Ok(())
}

fn place(streams: [BorrowedFd<'_>; 3]) -> Result<()> {
    let set = || -> std::result::Result<(), Errno> {
        // One of them may lie at a number that another one is to have.
        let aside = |fd: BorrowedFd<'_>| -> std::result::Result<Option<OwnedFd>, Errno> {
            if fd.as_raw_fd() > 2 { Ok(None) } else { rustix::io::fcntl_dupfd_cloexec(fd, 3).map(Some) }
        };
        let [stdin, stdout, stderr] = streams;
        let kept = [aside(stdin)?, aside(stdout)?, aside(stderr)?];
        let pick = |n: usize, fd| kept[n].as_ref().map_or(fd, AsFd::as_fd);
        rustix::stdio::dup2_stdin(pick(0, stdin))?;
        rustix::stdio::dup2_stdout(pick(1, stdout))?;
        rustix::stdio::dup2_stderr(pick(2, stderr))
    };
    set().step(|| "set the standard streams".into())
}
