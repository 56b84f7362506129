//! `exec`.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use cgroups::{Cgroup, Layout};
use clap::Args;
use oci::runtime::{Capabilities, Process, Status};

use super::create::{check_directory, write_pid};
use super::record::Record;
use super::{Failure, Global, Outcome, descriptors, foreground, record, socket, told};
use crate::{ExecRequest, Stdio, capability, init, seccomp};

#[derive(Debug, Args)]
pub(super) struct ExecArgs {
    /// Socket that gets the master of the pty
    #[arg(long)]
    console_socket: Option<PathBuf>,
    /// Socket that gets a pidfd of the process
    #[arg(long)]
    pidfd_socket: Option<PathBuf>,
    /// Working directory
    #[arg(long)]
    cwd: Option<String>,
    /// Environment variable, NAME=value
    #[arg(short, long)]
    env: Vec<String>,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// User, uid[:gid] or name[:group]
    #[arg(short, long)]
    user: Option<String>,
    /// Additional group ids
    #[arg(short = 'g', long)]
    additional_gids: Vec<u32>,
    /// File with the process, as in config.json
    #[arg(short, long)]
    process: Option<PathBuf>,
    /// Return once it is started
    #[arg(short, long)]
    detach: bool,
    /// File that gets the pid
    #[arg(long)]
    pid_file: Option<PathBuf>,
    /// SELinux label
    #[arg(long)]
    process_label: Option<String>,
    /// AppArmor profile
    #[arg(long)]
    apparmor: Option<String>,
    /// Set no_new_privs
    #[arg(long)]
    no_new_privs: bool,
    /// Further capability
    #[arg(short, long)]
    cap: Vec<String>,
    /// Number of further descriptors to pass on
    #[arg(long, default_value_t = 0)]
    preserve_fds: u32,
    /// Cgroup below the container's to run in, [controllers:]path; on v1 for some controllers or all
    #[arg(long)]
    cgroup: Vec<String>,
    /// Run also in a paused container (the process then waits)
    #[arg(long)]
    ignore_paused: bool,
    id: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(super) fn exec(global: &Global, args: ExecArgs) -> Outcome {
    let (home, record) = record::open(global, &args.id)?;
    match record.status(&home) {
        Status::Stopped => return Err(Failure("cannot exec in a stopped container".into())),
        Status::Paused if !args.ignore_paused => {
            return Err(Failure(
                "cannot exec in a paused container (use --ignore-paused to override)".into(),
            ));
        }
        _ => {}
    }
    let activated = descriptors::listening();
    let mut process = process(&args, record.spec.process.as_ref())?;
    check_directory(&process.cwd).map_err(|Failure(error)| Failure(format!("exec failed: {error}")))?;
    process.env.extend(descriptors::environment(activated));
    if process.terminal && args.detach && args.console_socket.is_none() {
        return Err(Failure("cannot allocate tty if runc will detach without setting console socket".into()));
    }
    let rules = record.spec.linux.as_ref().and_then(|l| l.seccomp.as_ref());
    let filter = rules.map(seccomp::compile).transpose().map_err(crate::Error::from)?;
    let cgroup = cgroup(&record, &args.cgroup)?;
    global.log.debug(|| format!("exec in the cgroups {:?}", cgroup.as_ref().map(Cgroup::paths)));
    if let Some(affinity) = process.exec_cpu_affinity.as_ref().filter(|a| !a.initial.is_empty()) {
        let mask = cpu_mask(&affinity.initial);
        global.log.debug(|| format!("initial CPU affinity: {mask:#x}"));
    }
    if let Some(warning) = capability::warning(process.capabilities.as_ref()) {
        global.log.warn(&warning);
    }
    let mut request = ExecRequest::new(record.process()?, &process);
    request.cgroup = cgroup.as_ref();
    request.linux = record.spec.linux.as_ref();
    request.seccomp = filter.as_ref().map(crate::Filter::from);
    request.user = args.user.as_deref();
    request.preserve_fds = activated + args.preserve_fds;
    if process.terminal {
        let size = process.console_size.as_ref().map(|s| (s.height, s.width));
        let (rows, columns) = size.or_else(foreground::window).unwrap_or((0, 0));
        request.stdio = Stdio::Terminal { rows, columns };
    }
    // The process inherits the mask until its program begins with none.
    let watch = if args.detach { None } else { Some(foreground::Watch::begin()?) };
    let mut process = crate::exec(request)
        .map_err(|e| Failure(format!("exec failed: unable to start container process: {}", told(&e))))?;
    if let Some(path) = &args.console_socket
        && let Some(console) = process.console.take()
    {
        socket::send(path, b"/dev/ptmx", console.as_fd())?;
    }
    if let Some(path) = &args.pidfd_socket {
        socket::send(path, b"pidfd", process.pidfd.as_fd())?;
    }
    if let (Some(seccomp), Some(listener)) = (rules, process.listener.take()) {
        let (pid, state) = (process.pid.as_raw_nonzero().get(), record.document(Status::Running));
        socket::send_listener(seccomp, listener.as_fd(), pid, state)?;
    }
    if let Some(path) = &args.pid_file {
        write_pid(path, process.pid.as_raw_nonzero().get())?;
    }
    let Some(watch) = watch else { return Ok(ExitCode::SUCCESS) };
    foreground::stay(process, watch).map(ExitCode::from)
}

impl ExecArgs {
    /// How many descriptors the caller passes on.
    pub(super) fn preserved(&self) -> u32 {
        self.preserve_fds
    }
}

/// The container's cgroup, or the one below it that is asked for. On v2 a container that made groups of its own
/// has left the one it was given, and nobody can be added there: its first process's group stands for it.
fn cgroup(record: &Record, selectors: &[String]) -> Result<Option<Cgroup>, Failure> {
    let own = record.cgroup();
    if !selectors.is_empty() {
        return Ok(Some(own?.below(selectors)?));
    }
    let machine = cgroups::machine()?;
    let closed = || own.as_ref().map_or(Ok(true), Cgroup::is_closed);
    if machine.layout() == Layout::Unified && closed()? {
        return Ok(Some(Cgroup::of(machine, record.process()?)?));
    }
    Ok(own.ok())
}

/// A list like `0-1,4` as a mask, which runc logs.
fn cpu_mask(list: &str) -> u128 {
    let numbers = init::numbers(list).unwrap_or_default();
    numbers.iter().filter(|n| **n < 128).fold(0, |mask, n| mask | 1 << n)
}

/// What a process does not say for itself is as in its container.
fn completed(process: Process, of: &Process) -> Process {
    let or = |own: String, of: &String| if own.is_empty() { of.clone() } else { own };
    Process {
        capabilities: process.capabilities.or_else(|| of.capabilities.clone()),
        rlimits: if process.rlimits.is_empty() { of.rlimits.clone() } else { process.rlimits },
        apparmor_profile: or(process.apparmor_profile, &of.apparmor_profile),
        selinux_label: or(process.selinux_label, &of.selinux_label),
        oom_score_adj: process.oom_score_adj.or(of.oom_score_adj),
        scheduler: process.scheduler.or_else(|| of.scheduler.clone()),
        io_priority: process.io_priority.or_else(|| of.io_priority.clone()),
        ..process
    }
}

/// The process of `--process`, or the container's own with what the flags change.
fn process(args: &ExecArgs, of_container: Option<&Process>) -> Result<Process, Failure> {
    if let Some(path) = &args.process {
        let process: Process = serde_json::from_slice(&std::fs::read(path)?)?;
        return Ok(of_container.map_or_else(|| process.clone(), |of| completed(process.clone(), of)));
    }
    if args.command.is_empty() {
        return Err(Failure("exec args cannot be empty".into()));
    }
    let mut process = of_container.cloned().unwrap_or_default();
    process.args.clone_from(&args.command);
    process.terminal = args.tty;
    process.console_size = None;
    process.env.extend(args.env.iter().cloned());
    process.user.additional_gids.extend(&args.additional_gids);
    if let Some(cwd) = &args.cwd {
        process.cwd.clone_from(cwd);
    }
    if let Some(label) = &args.process_label {
        process.selinux_label.clone_from(label);
    }
    if let Some(profile) = &args.apparmor {
        process.apparmor_profile.clone_from(profile);
    }
    process.no_new_privileges |= args.no_new_privs;
    if !args.cap.is_empty() {
        let sets = process.capabilities.get_or_insert_with(Capabilities::default);
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.extend(args.cap.iter().cloned());
        }
        // Only what is inheritable may be ambient.
        if !sets.inheritable.is_empty() {
            sets.ambient.extend(args.cap.iter().cloned());
        }
    }
    Ok(process)
}
