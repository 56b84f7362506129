//! A request made ready: everything that can be read, parsed or opened before the process exists.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use cgroups::Cgroup;
use oci::runtime::{Capabilities, IdMapping, Linux, Mount, NamespaceType, Process, Spec};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Resource;
use sys::process::CloneFlags;

use crate::capability::{self, Sets};
use crate::error::Context;
use crate::mount_api::{OpenTreeFlags, open_tree};
use crate::namespace::flag;
use crate::options::Options;
use crate::proc::open_proc;
use crate::{
    CreateRequest, Error, ExecRequest, Filter, Result, Rootfs, Stdio, check, file_system, idmap, inside,
    neighbour,
};

/// A namespace that is entered instead of made.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) kind: NamespaceType,
    pub(crate) fd: OwnedFd,
}

/// A mount of the spec.
#[derive(Debug)]
pub(crate) struct MountJob<'a> {
    pub(crate) mount: &'a Mount,
    pub(crate) options: Options,
    /// What is bound, opened by the caller where the process could not (id mappings, user namespaces); or a file system
    /// on a server.
    pub(crate) tree: Option<OwnedFd>,
}

/// How a process is to be, whichever way it came into its namespaces.
#[derive(Debug)]
pub(crate) struct ProcessJob<'a> {
    pub(crate) process: &'a Process,
    pub(crate) capabilities: Sets,
    pub(crate) rlimits: Vec<(Resource, rustix::process::Rlimit)>,
    /// `None` before the caller of `create` gave one: then none is installed.
    pub(crate) filter: Option<Filter<'a>>,
    pub(crate) stdio: Stdio<'a>,
    pub(crate) user: Option<&'a str>,
    pub(crate) additional_groups: &'a [String],
    pub(crate) preserve_fds: u32,
    pub(crate) no_new_keyring: bool,
    pub(crate) keyring: String,
    pub(crate) cgroup: Option<&'a Cgroup>,
    /// Personality and memory policy.
    pub(crate) linux: Option<&'a Linux>,
    /// The host's `/proc`, checked to be one. `self` in it is the process that asks.
    pub(crate) proc: OwnedFd,
}

/// A container to be set up.
#[derive(Debug)]
pub(crate) struct ContainerJob<'a> {
    pub(crate) id: &'a str,
    pub(crate) spec: &'a Spec,
    pub(crate) linux: &'a Linux,
    pub(crate) bundle: &'a Path,
    pub(crate) rootfs: &'a Rootfs,
    pub(crate) mounts: Vec<MountJob<'a>>,
    pub(crate) joins: Vec<Join>,
    /// Namespaces to be made.
    pub(crate) new: CloneFlags,
    pub(crate) init_reaper: bool,
    pub(crate) no_pivot: bool,
    pub(crate) process: ProcessJob<'a>,
}

impl<'a> ContainerJob<'a> {
    /// Checks and opens what a request names.
    pub(crate) fn new(request: &'a CreateRequest<'a>, linux: &'a Linux) -> Result<Self> {
        let spec = request.spec;
        let process = spec.process.as_ref().ok_or_else(|| Error::Invalid("process is missing".into()))?;
        let mut new = CloneFlags::empty();
        let mut joins: Vec<Join> = Vec::new();
        let mut seen = CloneFlags::empty();
        for namespace in &linux.namespaces {
            let kind = namespace.kind;
            if seen.contains(flag(kind)) {
                return Err(Error::Invalid(format!("duplicate namespace {}", kind.as_str())));
            }
            seen |= flag(kind);
            if kind == NamespaceType::Network && request.netns.is_some() {
                continue;
            }
            if namespace.path.is_empty() {
                new |= flag(kind);
            } else {
                joins.push(Join { kind, fd: open_namespace(kind, &namespace.path)? });
            }
        }
        if let Some(netns) = request.netns {
            let fd = netns.try_clone_to_owned().step(|| "duplicate the network namespace".into())?;
            joins.push(Join { kind: NamespaceType::Network, fd });
        }
        check_user_namespace(linux, new, &joins)?;
        check::container(spec, linux, seen)?;
        if !linux.time_offsets.is_empty() && !new.contains(CloneFlags::NEWTIME) {
            return Err(Error::Invalid(if seen.contains(CloneFlags::NEWTIME) {
                "time namespace enabled, but both namespace path and time offsets specified -- you may only \
                 provide one"
                    .into()
            } else {
                "timeOffsets need a new time namespace".into()
            }));
        }
        let private_user = new.contains(CloneFlags::NEWUSER);
        let mut mounts = Vec::with_capacity(spec.mounts.len());
        for mount in &spec.mounts {
            let mut options = Options::parse(mount)?;
            options.label(&mount.kind, &linux.mount_label);
            let tree = match options.bind {
                // Without the new mount calls the process has to try itself.
                Some(recursive)
                    if options.idmap.is_some()
                        || private_user && !crate::mount_api::is_classic()
                        || neighbour::is_of_another(&mount.source) =>
                {
                    let tree = open_source(mount, request.bundle, recursive)?;
                    if let Some(deep) = options.idmap {
                        let (uids, gids) = mappings(mount, linux);
                        idmap::apply(tree.as_fd(), uids, gids, deep).map_err(|source| Error::Mount {
                            what: format!(
                                "{:?} to rootfs at {:?} with id mappings",
                                mount.source, mount.destination
                            ),
                            source,
                        })?;
                    }
                    Some(tree)
                }
                // The same without them: on the container's network.
                None if file_system::is_served(&mount.kind) && !crate::mount_api::is_classic() => {
                    let what = || format!("{:?} to rootfs at {:?}", mount.source, mount.destination);
                    let tree = file_system::detached(mount, &options);
                    Some(tree.map_err(|source| Error::Mount { what: what(), source })?)
                }
                _ => None,
            };
            mounts.push(MountJob { mount, options, tree });
        }
        Ok(Self {
            id: request.id,
            spec,
            linux,
            bundle: request.bundle,
            rootfs: &request.rootfs,
            mounts,
            joins,
            new,
            init_reaper: request.init_reaper,
            no_pivot: request.no_pivot,
            process: ProcessJob {
                process,
                capabilities: capabilities(process)?,
                rlimits: rlimits(process)?,
                filter: request.seccomp,
                stdio: request.stdio,
                user: request.user,
                additional_groups: request.additional_groups,
                preserve_fds: request.preserve_fds,
                no_new_keyring: request.no_new_keyring,
                keyring: format!("_ses.{}", request.id),
                cgroup: request.cgroup,
                linux: Some(linux),
                proc: open_proc()?,
            },
        })
    }

    /// Whether it mounts where only it sees it.
    pub(crate) fn has_mount_namespace(&self) -> bool {
        self.new.contains(CloneFlags::NEWNS) || self.joins.iter().any(|j| j.kind == NamespaceType::Mount)
    }

    /// Whether a process in between has to enter namespaces first, because the caller could not leave them
    /// again, because they count for children only, or because nobody in a new user namespace could any more.
    pub(crate) fn needs_stage(&self) -> bool {
        let late =
            |join: &Join| matches!(join.kind, NamespaceType::Pid | NamespaceType::User | NamespaceType::Time);
        self.joins.iter().any(late)
            || self.new.contains(CloneFlags::NEWTIME)
            || self.new.contains(CloneFlags::NEWUSER) && !self.joins.is_empty()
    }
}

impl<'a> ProcessJob<'a> {
    pub(crate) fn for_exec(request: &'a ExecRequest<'a>) -> Result<Self> {
        Ok(Self {
            process: request.process,
            capabilities: capabilities(request.process)?,
            rlimits: rlimits(request.process)?,
            filter: request.seccomp,
            stdio: request.stdio,
            user: request.user,
            additional_groups: request.additional_groups,
            preserve_fds: request.preserve_fds,
            no_new_keyring: request.no_new_keyring,
            keyring: "_ses.exec".into(),
            cgroup: request.cgroup,
            linux: request.linux,
            proc: open_proc()?,
        })
    }
}

fn check_user_namespace(linux: &Linux, new: CloneFlags, joins: &[Join]) -> Result<()> {
    let mapped = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    let joined = joins.iter().any(|j| j.kind == NamespaceType::User);
    if new.contains(CloneFlags::NEWUSER) && (linux.uid_mappings.is_empty() || linux.gid_mappings.is_empty()) {
        return Err(Error::Invalid("user namespaces enabled, but no user or group mappings found".into()));
    }
    if mapped && !joined && !new.contains(CloneFlags::NEWUSER) {
        return Err(Error::Invalid("id mappings without a user namespace".into()));
    }
    Ok(())
}

fn open_namespace(kind: NamespaceType, path: &str) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty())
        .step(|| format!("open {} namespace {path:?}", kind.as_str()))
}

/// The mount's own mappings, or the container's.
fn mappings<'m>(mount: &'m Mount, linux: &'m Linux) -> (&'m [IdMapping], &'m [IdMapping]) {
    if mount.uid_mappings.is_empty() && mount.gid_mappings.is_empty() {
        (&linux.uid_mappings, &linux.gid_mappings)
    } else {
        (&mount.uid_mappings, &mount.gid_mappings)
    }
}

/// A detached copy of a bind mount's source.
pub(crate) fn open_source(mount: &Mount, bundle: &Path, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let opened = if neighbour::is_of_another(&mount.source) {
        neighbour::open_tree(&mount.source, flags)
    } else if !mount.subpath.is_empty() {
        part_of(&bundle.join(&mount.source), &mount.subpath, flags)
    } else {
        open_tree(CWD, bundle.join(&mount.source), flags).map_err(Into::into)
    };
    opened.map_err(|source| {
        let mut what = format!("{:?} to rootfs at {:?}", mount.source, mount.destination);
        if !mount.subpath.is_empty() {
            let part = Path::new(&mount.source).join(&mount.subpath);
            what.push_str(&format!(": cannot access path {}", part.display()));
        }
        Error::Mount { what, source }
    })
}

/// Of a source that containers write into: the path is looked up with it as the end of the world.
fn part_of(source: &Path, subpath: &str, flags: OpenTreeFlags) -> std::io::Result<OwnedFd> {
    let source = rustix::fs::open(source, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let part = inside::open(source.as_fd(), subpath, OFlags::PATH)?;
    Ok(open_tree(part, "", flags | OpenTreeFlags::AT_EMPTY_PATH)?)
}

/// None named is none had.
fn capabilities(process: &Process) -> Result<Sets> {
    check::process(process)?;
    let none = Capabilities::default();
    Ok(Sets::parse(process.capabilities.as_ref().unwrap_or(&none), capability::available()))
}

fn rlimits(process: &Process) -> Result<Vec<(Resource, rustix::process::Rlimit)>> {
    let limit = |value: u64| if value == u64::MAX { None } else { Some(value) };
    let mut limits: Vec<(Resource, rustix::process::Rlimit)> = Vec::new();
    for wanted in &process.rlimits {
        let resource = match wanted.kind.as_str() {
            "RLIMIT_AS" => Resource::As,
            "RLIMIT_CORE" => Resource::Core,
            "RLIMIT_CPU" => Resource::Cpu,
            "RLIMIT_DATA" => Resource::Data,
            "RLIMIT_FSIZE" => Resource::Fsize,
            "RLIMIT_LOCKS" => Resource::Locks,
            "RLIMIT_MEMLOCK" => Resource::Memlock,
            "RLIMIT_MSGQUEUE" => Resource::Msgqueue,
            "RLIMIT_NICE" => Resource::Nice,
            "RLIMIT_NOFILE" => Resource::Nofile,
            "RLIMIT_NPROC" => Resource::Nproc,
            "RLIMIT_RSS" => Resource::Rss,
            "RLIMIT_RTPRIO" => Resource::Rtprio,
            "RLIMIT_RTTIME" => Resource::Rttime,
            "RLIMIT_SIGPENDING" => Resource::Sigpending,
            "RLIMIT_STACK" => Resource::Stack,
            other => return Err(Error::Invalid(format!("wrong rlimit value: {other}"))),
        };
        if limits.iter().any(|l| l.0 == resource) {
            return Err(Error::Invalid(format!("duplicate rlimit {}", wanted.kind)));
        }
        let rlimit = rustix::process::Rlimit { current: limit(wanted.soft), maximum: limit(wanted.hard) };
        limits.push((resource, rlimit));
    }
    Ok(limits)
}

/// A borrowed view for the process that is made.
pub(crate) fn streams<'s>(stdio: &Stdio<'s>) -> Option<[BorrowedFd<'s>; 3]> {
    match stdio {
        Stdio::Streams { stdin, stdout, stderr } => Some([*stdin, *stdout, *stderr]),
        Stdio::Inherit | Stdio::Terminal { .. } => None,
    }
}
