//! A container's start from a checkpoint: criu brings its processes back, as this monitor's children.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci::runtime::{NamespaceType, Spec};
use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::launch::{Streams, other};
use crate::criu::{self, Notes};
use crate::layout;
use crate::protocol::{Failure, FailureKind, Restore, StartRequest};

/// The first of the processes.
#[derive(Debug)]
pub(super) struct Restored {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
}

pub(super) fn start(
    request: &StartRequest,
    restore: &Restore,
    netns: Option<&OwnedFd>,
    streams: &Streams,
) -> Result<Restored, Failure> {
    let directory = &request.directory;
    let checked = criu::check(&restore.criu, directory).and_then(|mut criu| criu.wait());
    if !checked.map_err(|error| other(format!("run {}: {error}", restore.criu.display())))?.success() {
        return Err(other(criu::does_not_work(&restore.criu, directory)));
    }
    let mut notes = Notes::read(&restore.images).map_err(other)?;
    for mount in &mut notes.mounts {
        if let Some(source) = source_of(&request.spec, &mount.point) {
            mount.source = source;
        }
        if !PathBuf::from(&mount.source).exists() {
            let text = format!(
                "what was mounted at {} when it was written down is no more: {}",
                mount.point, mount.source
            );
            return Err(Failure { kind: FailureKind::Mount, message: text });
        }
    }
    let Some([stdin, stdout, stderr]) = &streams.theirs else {
        return Err(invalid("a container with a terminal is not brought back"));
    };
    let joined = match netns {
        Some(_) => None,
        None => joined(&request.spec)?,
    };
    let netns = netns.or(joined.as_ref());
    match (notes.netns, netns) {
        (true, None) => {
            return Err(invalid("it was written down with a network of its own, which it has no more"));
        }
        (false, Some(_)) => {
            return Err(invalid("it was written down on the host's network, on which it is no more"));
        }
        _ => {}
    }
    let root = layout::bundle_rootfs(directory);
    fs::create_dir_all(&root).map_err(|error| other(format!("mkdir {}: {error}", root.display())))?;
    runtime::mount_apart(&request.rootfs.clone().into(), &root)?;
    let readonly = request.spec.root.as_ref().is_some_and(|root| root.readonly);
    // criu takes the root as it is, and goes into it by way of its /tmp.
    let made = readonly && fs::create_dir(root.join("tmp")).is_ok();
    if readonly {
        remount(&root, MountFlags::RDONLY)?;
    }
    let pid_file = layout::runtime_pid(directory);
    let restored = criu::Restore {
        criu: &restore.criu,
        images: &restore.images,
        root: &root,
        pid_file: &pid_file,
        netns: netns.map(AsFd::as_fd),
        streams: [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
        notes: &notes,
    }
    .run();
    if made && remount(&root, MountFlags::empty()).is_ok() {
        let _ = fs::remove_dir(root.join("tmp"));
    }
    // The container has it in a mount namespace of its own.
    let _ = rustix::mount::unmount(&root, rustix::mount::UnmountFlags::DETACH);
    restored.map_err(other)?;
    let text = fs::read_to_string(&pid_file)
        .map_err(|error| other(format!("read {}: {error}", pid_file.display())))?;
    let number: Option<i32> = text.trim().parse().ok();
    let pid = number.and_then(Pid::from_raw).ok_or_else(|| other(format!("no process id: {text:?}")))?;
    // Ours to reap: the number cannot be another's yet, even if the process has ended.
    let pidfd = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|error| other(format!("open process {pid:?}: {error}")))?;
    Ok(Restored { pid: pid.as_raw_nonzero().get(), pidfd })
}

/// What the container's specification binds there now.
fn source_of(spec: &Spec, point: &str) -> Option<String> {
    let is_bind = |mount: &&oci::runtime::Mount| mount.kind == "bind" && mount.subpath.is_empty();
    let mount = spec.mounts.iter().filter(is_bind).find(|mount| mount.destination == point)?;
    Some(mount.source.clone()).filter(|source| source.starts_with('/') && !source.starts_with("/proc/"))
}

/// Another container's network.
fn joined(spec: &Spec) -> Result<Option<OwnedFd>, Failure> {
    let namespaces = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
    let path = namespaces.iter().find(|one| one.kind == NamespaceType::Network && !one.path.is_empty());
    let Some(path) = path.map(|one| &one.path) else { return Ok(None) };
    let opened = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    opened.map(Some).map_err(|error| other(format!("open network namespace {path:?}: {error}")))
}

fn remount(root: &Path, flags: MountFlags) -> Result<(), Failure> {
    rustix::mount::mount_remount(root, MountFlags::BIND | flags, c"")
        .map_err(|error| other(format!("remount {}: {error}", root.display())))
}

fn invalid(text: &str) -> Failure {
    Failure { kind: FailureKind::Invalid, message: text.to_owned() }
}
