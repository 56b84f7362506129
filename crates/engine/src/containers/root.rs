//! A container's root directory, opened for a look from outside, whatever its state. Everything is found below that
//! descriptor by `openat2`, with it as the end of the world: whatever a container does to its links meanwhile, it is in
//! its own files that they lead somewhere.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
pub(super) use store::Access;
use store::Bind;
use tokio::sync::OwnedRwLockReadGuard;

use crate::container::index::Handle;
use crate::container::{Container, Status};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::ports::{OpenRoot, RootView};
use crate::volumes::mounting::{self, Lent};
use crate::volumes::source;

/// How long an end that the engine has not heard of may take to reach it.
const END_WAIT: Duration = Duration::from_secs(10);
/// How often a path is looked for while somebody renames on the way.
const TRIES: u32 = 256;

/// An opened root, and the container as it was then.
#[derive(Debug)]
pub(super) struct Root {
    open: OpenRoot,
    pub(super) view: Arc<Container>,
    /// Where something is mounted only while it runs.
    absent: Vec<String>,
    _files: Option<OwnedRwLockReadGuard<()>>,
    /// After what is open.
    _lent: Lent,
}

impl Root {
    /// Refuses a path, without links in it, that is not there now: what is found in its place is hidden by a start.
    pub(super) fn check_present(&self, resolved: &str) -> Result<()> {
        let inside = |place: &&String| {
            resolved.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self.absent.iter().find(inside) {
            None => Ok(()),
            Some(place) => Err(Error::conflict(format!(
                "what is mounted at {place} of container {} is there only while it runs: start it first",
                self.view.id
            ))),
        }
    }

    /// Whether plugins have some of that, and would mount it for a look.
    pub(super) fn may_be_lent(&self, core: &Core) -> bool {
        self.view
            .mounts
            .iter()
            .any(|point| self.absent.contains(&point.destination) && mounting::is_plugged(core, point))
    }

    /// Whether there is anything to check.
    pub(super) fn is_complete(&self) -> bool {
        self.absent.is_empty()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.open.root.as_fd()
    }

    /// Opens a path, in which links count from the root. `/proc`'s magic ones are none.
    pub(super) fn find(&self, path: &str, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let path = if path.is_empty() { "/" } else { path };
        let mut tries = 0;
        loop {
            tries += 1;
            match rustix::fs::openat2(self.fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // Something was renamed in that moment, perhaps only to keep us here.
                Err(Errno::AGAIN | Errno::INTR) if tries < TRIES => {}
                other => return other,
            }
        }
    }
}

/// A container's root with its volumes, as one finds it: of a running one, what it has mounted; of another, what it
/// would. What plugins have is not there while it does not run.
pub(super) async fn open(core: &Arc<Core>, handle: &Handle, access: Access) -> Result<Root> {
    open_with(core, handle, access, false).await
}

/// The same, with what plugins mount for it.
pub(super) async fn open_plugged(core: &Arc<Core>, handle: &Handle, access: Access) -> Result<Root> {
    open_with(core, handle, access, true).await
}

async fn open_with(core: &Arc<Core>, handle: &Handle, access: Access, plugged: bool) -> Result<Root> {
    loop {
        let view = handle.view();
        if matches!(view.state.status, Status::Removing | Status::Dead) {
            return Err(Error::conflict(format!("container {} is marked for removal", view.id)));
        }
        let files = match (view.state.pid, access) {
            (0, _) | (_, Access::Write) => Some(handle.files.clone().read_owned().await),
            (_, Access::Read) => None,
        };
        // It may have been started or stopped while we waited.
        let view = handle.view();
        let mut lent = Lent::default();
        let (open, absent) = match view.state.pid {
            0 if files.is_none() => continue,
            0 => {
                if plugged {
                    lent = mounting::lend(core, &view.id, &view.mounts).await?;
                }
                stopped(core, &view, access, lent.places().clone()).await?
            }
            pid => match running(core, handle, &view, pid).await? {
                Some(open) => (open, Vec::new()),
                None => continue,
            },
        };
        return Ok(Root { open, view, absent, _files: files, _lent: lent });
    }
}

/// The root file system alone: without volumes, and also without looking for them.
pub(super) async fn alone(core: &Arc<Core>, handle: &Handle) -> Result<Root> {
    loop {
        let view = handle.view();
        let open = match view.state.pid {
            0 => {
                let (storage, id) = (core.ports.storage.clone(), view.id.clone());
                blocking(move || storage.open_root(&id, Access::Read, false, &[])).await?
            }
            pid => match enter(core, handle, &view, pid, RootView::Alone).await? {
                Some(open) => open,
                None => continue,
            },
        };
        return Ok(Root { open, view, absent: Vec::new(), _files: None, _lent: Lent::default() });
    }
}

async fn running(
    core: &Arc<Core>,
    handle: &Handle,
    view: &Arc<Container>,
    pid: u32,
) -> Result<Option<OpenRoot>> {
    // What the runtime mounts there is the machine's, and no file of the container's. Unless the user wants it there.
    let own = |place: &&str| !view.mounts.iter().any(|point| point.destination == *place);
    let hidden = ["/proc", "/sys", "/dev"].into_iter().filter(own).collect();
    enter(core, handle, view, pid, RootView::Mounted { hidden }).await
}

/// `None`: it has ended, look again.
async fn enter(
    core: &Arc<Core>,
    handle: &Handle,
    view: &Arc<Container>,
    pid: u32,
    what: RootView,
) -> Result<Option<OpenRoot>> {
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Error::internal(format!("look into the root of container {}: {what}: {error}", view.id))
    };
    // A number may be another process's by now. What is opened stays the same one, and belongs to the container if the
    // number still does afterwards.
    let directory = format!("/proc/{pid}");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let process = match rustix::fs::open(&directory, flags, Mode::empty()) {
        Ok(process) => process,
        Err(Errno::NOENT) => return ended(handle, pid).await,
        Err(error) => return Err(failed(&directory, &error)),
    };
    let pids = core.ports.runtime.pids(&view.id).await.unwrap_or_default();
    if !pids.contains(&pid) {
        return ended(handle, pid).await;
    }
    let roots = core.ports.roots.clone();
    match blocking(move || roots.open(process, what)).await {
        Ok(open) => Ok(Some(open)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => ended(handle, pid).await,
        Err(error) => Err(failed("open it", &error)),
    }
}

/// Waits until the engine has heard that a process has ended.
async fn ended(handle: &Handle, pid: u32) -> Result<Option<OpenRoot>> {
    let mut published = handle.published.clone();
    let heard = published.wait_for(|now| now.view.state.pid != pid || now.removed);
    match tokio::time::timeout(END_WAIT, heard).await {
        Ok(Ok(now)) if !now.removed => Ok(None),
        Ok(_) => Err(Error::no_such_container(&handle.view().id)),
        Err(_) => Err(Error::internal(format!("process {pid} is none of container {}", handle.view().id))),
    }
}

/// Mounts of a container without a process, and the places of those that are there only while it runs.
type Mounts = (Vec<Bind>, Vec<String>);

async fn stopped(
    core: &Arc<Core>,
    view: &Arc<Container>,
    access: Access,
    lent: BTreeMap<String, PathBuf>,
) -> Result<(OpenRoot, Vec<String>)> {
    let (core, view) = (core.clone(), view.clone());
    blocking(move || {
        let (binds, absent) = mounts(&core, &view, &lent);
        let read_only = view.spec.host.readonly_rootfs;
        Ok((core.ports.storage.open_root(&view.id, access, read_only, &binds)?, absent))
    })
    .await
}

/// What a start would mount, in its order: outer before inner. What is in memory only is not there, and of plugins what
/// is lent.
fn mounts(core: &Core, view: &Container, lent: &BTreeMap<String, PathBuf>) -> Mounts {
    let (mut binds, mut absent): Mounts = (Vec::new(), Vec::new());
    for point in view.mounts.iter().filter(|point| point.kind != "tmpfs") {
        let of_container = || view.spec.host.mounts.iter().find(|mount| mount.target == point.destination);
        let spec = point.spec.as_ref().or_else(of_container);
        let bind = spec.and_then(|mount| mount.bind.as_ref());
        let source = match point.kind.as_str() {
            "bind" => Some(PathBuf::from(&point.source)),
            "volume" => lent.get(&point.name).cloned().or_else(|| source::directory(core, point)),
            _ => None,
        };
        let Some(source) = source else {
            absent.push(point.destination.clone());
            continue;
        };
        let volume = spec.and_then(|mount| mount.volume.as_ref()).filter(|_| point.kind == "volume");
        binds.push(Bind {
            source,
            subpath: volume.map(|volume| volume.subpath.clone()).unwrap_or_default(),
            destination: PathBuf::from(&point.destination),
            read_only: !point.read_write,
            recursive: !bind.is_some_and(|bind| bind.non_recursive),
        });
    }
    let files = [
        (&view.hosts_path, "/etc/hosts"),
        (&view.hostname_path, "/etc/hostname"),
        (&view.resolv_conf_path, "/etc/resolv.conf"),
    ];
    for (source, destination) in files {
        let destination = PathBuf::from(destination);
        if !binds.iter().any(|bind| bind.destination == destination) {
            let (source, subpath) = (source.clone(), String::new());
            binds.push(Bind { source, subpath, destination, read_only: false, recursive: false });
        }
    }
    // Before the first start there are no files, and a directory to be bound may be made only then.
    binds.retain(|bind| bind.source.exists());
    binds.sort_by(|a, b| a.destination.cmp(&b.destination));
    (binds, absent)
}
