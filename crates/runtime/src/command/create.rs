//! `create` and `run`.

use std::borrow::Cow;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cgroups::{Cgroup, CgroupPath};
use clap::Args;
use oci::runtime::{DeviceRule, Resources, Spec, State, Status};

use super::foreground::Watch;
use super::record::{Home, Record};
use super::{Failure, Global, Outcome, descriptors, foreground, socket, told};
use crate::{CreateRequest, Created, Gate, Rootfs, Stdio, capability, init};

/// What both take.
#[derive(Debug, Args)]
pub(super) struct Common {
    /// Directory of the bundle
    #[arg(short, long, default_value = ".")]
    bundle: PathBuf,
    /// Socket that gets the master of the pty
    #[arg(long)]
    console_socket: Option<PathBuf>,
    /// Socket that gets a pidfd of the container's process
    #[arg(long)]
    pidfd_socket: Option<PathBuf>,
    /// File that gets the pid
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// Do not use pivot_root
    #[arg(long)]
    no_pivot: bool,
    /// Do not make a session keyring
    #[arg(long)]
    no_new_keyring: bool,
    /// Number of further descriptors to pass on
    #[arg(long, default_value_t = 0)]
    preserve_fds: u32,
    /// Name of the container
    id: String,
}

#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// Return once it is started
    #[arg(short, long)]
    detach: bool,
    /// Do not delete the container when it ends
    #[arg(long)]
    keep: bool,
    /// Do not reap orphaned descendants
    #[arg(long)]
    no_subreaper: bool,
}

impl CreateArgs {
    /// How many descriptors the caller passes on.
    pub(super) fn preserved(&self) -> u32 {
        self.common.preserve_fds
    }
}

impl RunArgs {
    /// How many descriptors the caller passes on.
    pub(super) fn preserved(&self) -> u32 {
        self.common.preserve_fds
    }
}

/// What was made, and how to unmake it.
struct Made {
    home: Home,
    /// None where permission was missing, and the user is content without.
    cgroup: Option<Cgroup>,
    created: Created,
    spec: Spec,
    bundle: PathBuf,
}

pub(super) fn create(global: &Global, args: &CreateArgs) -> Outcome {
    let made = make(global, &args.common, true)?;
    // It waits at its gate, whoever comes.
    drop(made.created.detach());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn run(global: &Global, args: &RunArgs) -> Outcome {
    if !args.no_subreaper && !args.detach {
        sys::process::set_subreaper(true)?;
    }
    let Made { home, cgroup, created, spec, bundle } = make(global, &args.common, false)?;
    let hooks = spec.hooks.as_ref();
    let pid = created.pid.as_raw_nonzero().get();
    let state = |status, pid| init::document(&args.common.id, &spec, &bundle, status, pid);
    let unmake = || -> Result<(), Failure> {
        if let Some(cgroup) = cgroup {
            cgroup.kill()?;
            cgroup.delete()?;
        }
        home.load()?.unmount()?;
        home.release()?;
        poststop(global, &spec, &state(Status::Stopped, 0));
        Ok(())
    };
    let watch = if args.detach { None } else { Some(Watch::begin()?) };
    let process = match created.start() {
        Ok(process) => process,
        Err(error) => {
            unmake()?;
            return Err(Failure(format!(
                "runc run failed: unable to start container process: error during container init: {error}"
            )));
        }
    };
    if let Some(hooks) = hooks
        && let Err(error) = init::run_hooks("poststart", &hooks.poststart, &state(Status::Running, pid))
    {
        process.end();
        unmake()?;
        return Err(Failure(format!("runc run failed: {error}")));
    }
    let Some(watch) = watch else { return Ok(ExitCode::SUCCESS) };
    let code = foreground::stay(process, watch)?;
    if !args.keep {
        unmake()?;
    }
    Ok(ExitCode::from(code))
}

/// Runs the `poststop` hooks. The container is gone: what fails is a warning.
pub(super) fn poststop(global: &Global, spec: &Spec, state: &State) {
    if let Some(hooks) = &spec.hooks {
        let failed = init::run_all_hooks("poststop", &hooks.poststop, state);
        failed.iter().for_each(|error| global.log.warn(&error.to_string()));
    }
}

fn remove(cgroup: Option<Cgroup>) -> Result<(), Failure> {
    Ok(cgroup.map_or(Ok(()), Cgroup::delete)?)
}

fn make(global: &Global, args: &Common, gated: bool) -> Result<Made, Failure> {
    // Much is read from there before the container's process verifies it again.
    drop(crate::proc::open_proc()?);
    let bundle = std::path::absolute(&args.bundle)?;
    let spec = load(&bundle)?;
    let home = Home::claim(global, &args.id)?;
    let verb = if gated { "create" } else { "run" };
    match make_in(global, args, &bundle, &spec, &home, gated) {
        Ok((cgroup, created)) => Ok(Made { home, cgroup, created, spec, bundle }),
        Err(failure) => {
            if let Ok(record) = home.load() {
                record.unmount()?;
            }
            home.release()?;
            Err(Failure(format!("runc {verb} failed: {failure}")))
        }
    }
}

/// A bundle's configuration.
fn load(bundle: &Path) -> Result<Spec, Failure> {
    let path = bundle.join("config.json");
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure("JSON specification file config.json not found".into()),
        _ => Failure(format!("open {}: {error}", path.display())),
    })?;
    let spec: Spec =
        serde_json::from_slice(&bytes).map_err(|error| Failure(format!("{}: {error}", path.display())))?;
    check_version(&spec.oci_version)?;
    if let Some(process) = &spec.process {
        check_directory(&process.cwd)?;
    }
    Ok(spec)
}

/// Where a process begins, in a container that it is not in yet: only from the root is that any place.
pub(super) fn check_directory(cwd: &str) -> Result<(), Failure> {
    match cwd.is_empty() || cwd.starts_with('/') {
        true => Ok(()),
        false => Err(Failure("Cwd must be an absolute path".into())),
    }
}

/// A version of the specification (Semantic Versioning 2.0.0) whose documents can be read.
fn check_version(text: &str) -> Result<(), Failure> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Option<Vec<u32>> = core.split('.').map(|n| n.parse().ok()).collect();
    match numbers.as_deref() {
        Some([1, _, _]) => Ok(()),
        _ => Err(Failure(format!("unsupported ociVersion {text:?}: 1.x.y is understood"))),
    }
}

fn make_in(
    global: &Global,
    args: &Common,
    bundle: &Path,
    given: &Spec,
    home: &Home,
    gated: bool,
) -> Result<(Option<Cgroup>, Created), Failure> {
    let spec = given;
    let linux = spec.linux.as_ref();
    let process = spec.process.as_ref().ok_or_else(|| Failure("process is missing".into()))?;
    let path = CgroupPath::resolve(linux.map(|l| l.cgroups_path.as_str()), &args.id, global.systemd_cgroup)?;
    if global.systemd_cgroup && !Path::new("/run/systemd/system").is_dir() {
        return Err(Failure("systemd not running on this host, cannot use systemd cgroups manager".into()));
    }
    let wanted = linux.and_then(|l| l.resources.as_ref());
    if wanted.and_then(|r| r.memory.as_ref()).is_some_and(|m| m.kernel.or(m.kernel_tcp).is_some()) {
        global.log.warn("Kernel memory settings are ignored and will be removed");
    }
    if let Some(warning) = capability::warning(process.capabilities.as_ref()) {
        global.log.warn(&warning);
    }
    let named = linux.is_some_and(|l| !l.cgroups_path.is_empty());
    let cgroup = match Cgroup::create(cgroups::machine()?, &path, &resources(wanted)) {
        Ok(cgroup) => Some(cgroup),
        // Limits that were asked for, or a place, are not silently gone without.
        Err(error) if global.rootless.decide() && !named && is_unlimited(wanted) && is_permission(&error) => {
            global.log.warn(&format!("no cgroup for the container: {error}"));
            None
        }
        Err(error) => return Err(error.into()),
    };
    global.log.debug(|| format!("cgroup {path:?}: {:?}", cgroup.as_ref().map(Cgroup::paths)));
    let root = spec.root.as_ref().map(|r| r.path.clone()).unwrap_or_default();
    let activated = descriptors::listening();
    let mut spec = Cow::Borrowed(spec);
    if activated > 0
        && let Some(process) = &mut spec.to_mut().process
    {
        process.env.extend(descriptors::environment(activated));
    }
    let mut request = CreateRequest::new(&args.id, &spec, bundle, Rootfs::Directory(root.into()));
    request.cgroup = cgroup.as_ref();
    request.no_pivot = args.no_pivot;
    request.no_new_keyring = args.no_new_keyring;
    request.preserve_fds = activated + args.preserve_fds;
    if process.terminal {
        if gated && args.console_socket.is_none() {
            remove(cgroup)?;
            return Err(Failure(
                "cannot allocate tty if runc will detach without setting console socket".into(),
            ));
        }
        let size = process.console_size.as_ref().map(|s| (s.height, s.width));
        let (rows, columns) = size.or_else(foreground::window).unwrap_or((0, 0));
        request.stdio = Stdio::Terminal { rows, columns };
    } else if args.console_socket.is_some() {
        remove(cgroup)?;
        return Err(Failure("cannot use console socket if runc will not detach or allocate tty".into()));
    }
    if gated {
        request.gate = Gate::Listener(home.gate()?);
    }
    let made = crate::create(request);
    let finished = made
        .map_err(|error| {
            let error = told(&error);
            Failure(format!("unable to start container process: error during container init: {error}"))
        })
        .and_then(|created| {
            global.log.debug(|| format!("the container's process is {}", created.pid.as_raw_nonzero()));
            let record = Record::new(&args.id, bundle, given, created.pid, cgroup.as_ref().map(|_| &path));
            home.save(&record)?;
            hand_over(args, &record, created)
        });
    match finished {
        Ok(created) => Ok((cgroup, created)),
        Err(failure) => {
            remove(cgroup)?;
            // Others may have run, and made what these remove.
            poststop(global, given, &init::document(&args.id, given, bundle, Status::Stopped, 0));
            Err(failure)
        }
    }
}

/// Tells the engine what it asked to know.
fn hand_over(args: &Common, record: &Record, mut created: Created) -> Result<Created, Failure> {
    // Without a socket the command itself relays it.
    if let Some(path) = &args.console_socket
        && let Some(console) = created.console.take()
    {
        socket::send(path, b"/dev/ptmx", console.as_fd())?;
    }
    if let Some(path) = &args.pidfd_socket {
        socket::send(path, b"pidfd", created.pidfd.as_fd())?;
    }
    let seccomp = record.spec.linux.as_ref().and_then(|l| l.seccomp.as_ref());
    if let (Some(seccomp), Some(listener)) = (seccomp, created.listener.take()) {
        let state = record.document(Status::Creating);
        socket::send_listener(seccomp, listener.as_fd(), record.pid, state)?;
    }
    if let Some(path) = &args.pid_file {
        write_pid(path, record.pid)?;
    }
    Ok(created)
}

/// Beside and renamed over: engines watch for the file and read it at once.
pub(super) fn write_pid(path: &Path, pid: i32) -> Result<(), Failure> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}"));
    std::fs::write(&beside, pid.to_string())?;
    Ok(std::fs::rename(beside, path)?)
}

fn is_permission(error: &cgroups::Error) -> bool {
    use rustix::io::Errno;
    let number = error.errno().map(Errno::from_raw_os_error);
    matches!(number, Some(Errno::ACCESS | Errno::PERM | Errno::ROFS))
}

/// Nothing but device rules, which an ordinary user could not escape anyway.
fn is_unlimited(wanted: Option<&Resources>) -> bool {
    wanted.is_none_or(|r| Resources { devices: Vec::new(), ..r.clone() } == Resources::default())
}

/// The limits, with the devices that every container may use: runc adds them, and engines rely on it.
fn resources(wanted: Option<&Resources>) -> Resources {
    let mut all = wanted.cloned().unwrap_or_default();
    let mut allow = |kind: &str, major: Option<i64>, minor: Option<i64>, access: &str| {
        all.devices.push(DeviceRule { allow: true, kind: kind.into(), major, minor, access: access.into() });
    };
    allow("c", None, None, "m");
    allow("b", None, None, "m");
    // The last one is /dev/net/tun, which Docker's users expect.
    for (major, minor) in [(1, 3), (1, 8), (1, 7), (5, 0), (1, 5), (1, 9), (5, 2), (10, 200)] {
        allow("c", Some(major), Some(minor), "rwm");
    }
    allow("c", Some(136), None, "rwm");
    all
}
