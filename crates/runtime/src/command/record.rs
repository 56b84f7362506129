//! What is remembered of a container between two commands: `<root>/<id>/state.json`.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use cgroups::{Cgroup, CgroupPath};
use oci::runtime::{NamespaceType, Spec, State, Status, VERSION};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::{Failure, Global};
use crate::init;

/// Version of the file's shape.
const SHAPE: u32 = 1;
const FILE: &str = "state.json";
/// While it exists, the container waits at it.
const GATE: &str = "start.sock";

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    shape: u32,
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: String,
    pub(super) pid: i32,
    /// Clock ticks since boot: tells the process from a later one of the same number.
    pid_start: u64,
    /// RFC 3339.
    pub(super) created: String,
    /// Empty when it has none.
    pub(super) cgroup: String,
    /// The mount of its root in the host's own tree, when it has no mount namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_mount: Option<u64>,
    pub(super) spec: Spec,
}

/// A container's directory.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) path: PathBuf,
}

/// runc's rule for names.
pub(super) fn check_id(id: &str) -> Result<(), Failure> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() {
        return Err(Failure("container id cannot be empty".into()));
    }
    if id == "." || id == ".." || !id.chars().all(good) {
        return Err(Failure("invalid container ID format".into()));
    }
    Ok(())
}

impl Home {
    pub(super) fn at(global: &Global, id: &str) -> Result<Self, Failure> {
        check_id(id)?;
        Ok(Self { path: global.home().join(id) })
    }

    /// Takes the name.
    pub(super) fn claim(global: &Global, id: &str) -> Result<Self, Failure> {
        let home = Self::at(global, id)?;
        std::fs::create_dir_all(global.home())?;
        match rustix::fs::mkdir(&home.path, Mode::from_raw_mode(0o711)) {
            Ok(()) => Ok(home),
            Err(rustix::io::Errno::EXIST) => Err(Failure("container with given ID already exists".into())),
            Err(error) => Err(Failure(format!("mkdir {}: {error}", home.path.display()))),
        }
    }

    /// Frees the name.
    pub(super) fn release(&self) -> Result<(), Failure> {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn directory(&self) -> Result<OwnedFd, rustix::io::Errno> {
        rustix::fs::openat(CWD, &self.path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    /// The socket a created container waits at. Its path may be longer than a socket address holds, so it is
    /// reached through the directory's descriptor.
    pub(super) fn gate(&self) -> Result<OwnedFd, Failure> {
        let directory = self.directory()?;
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{GATE}", directory.as_raw_fd()))?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        bind(&socket, &address)?;
        listen(&socket, 1)?;
        Ok(socket)
    }

    /// Connects to the waiting container.
    pub(super) fn knock(&self) -> Result<OwnedFd, Failure> {
        let directory = self.directory()?;
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}/{GATE}", directory.as_raw_fd()))?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        connect(&socket, &address)?;
        Ok(socket)
    }

    /// From now on the container counts as started.
    pub(super) fn opened(&self) -> Result<(), Failure> {
        Ok(std::fs::remove_file(self.path.join(GATE))?)
    }

    pub(super) fn save(&self, record: &Record) -> Result<(), Failure> {
        let beside = self.path.join(".state.json");
        std::fs::write(&beside, serde_json::to_vec(record)?)?;
        Ok(std::fs::rename(beside, self.path.join(FILE))?)
    }

    pub(super) fn load(&self) -> Result<Record, Failure> {
        let bytes = match std::fs::read(self.path.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Failure("container does not exist".into()));
            }
            Err(error) => return Err(error.into()),
        };
        let record: Record = serde_json::from_slice(&bytes)?;
        if record.shape != SHAPE {
            return Err(Failure(format!("{}: unknown shape {}", self.path.display(), record.shape)));
        }
        Ok(record)
    }
}

/// A container by name.
pub(super) fn open(global: &Global, id: &str) -> Result<(Home, Record), Failure> {
    let home = Home::at(global, id)?;
    let record = home.load()?;
    Ok((home, record))
}

impl Record {
    pub(super) fn new(id: &str, bundle: &Path, spec: &Spec, pid: Pid, cgroup: Option<&CgroupPath>) -> Self {
        let pid = pid.as_raw_nonzero().get();
        let root = spec.root.as_ref().map(|r| bundle.join(&r.path)).unwrap_or_default();
        Self {
            shape: SHAPE,
            id: id.into(),
            bundle: bundle.into(),
            rootfs: root.display().to_string(),
            pid,
            pid_start: started(pid).map_or(0, |s| s.0),
            created: jiff::Timestamp::now().to_string(),
            cgroup: match cgroup {
                Some(CgroupPath::Absolute(path)) => path.clone(),
                Some(CgroupPath::Relative(path)) => format!("./{path}"),
                None => String::new(),
            },
            root_mount: init::mount_id(&root).filter(|_| init::is_mounted_on_host(spec)),
            spec: spec.clone(),
        }
    }

    /// Takes what the container mounted in the host's tree out of it.
    pub(super) fn unmount(&self) -> Result<(), Failure> {
        self.root_mount.map_or(Ok(()), |id| Ok(init::release(Path::new(&self.rootfs), id)?))
    }

    /// Where the container is in its life.
    pub(super) fn status(&self, home: &Home) -> Status {
        match started(self.pid) {
            Some((start, alive)) if start == self.pid_start && alive => {}
            _ => return Status::Stopped,
        }
        if self.cgroup().is_ok_and(|c| c.is_frozen().unwrap_or(false)) {
            return Status::Paused;
        }
        if home.path.join(GATE).exists() { Status::Created } else { Status::Running }
    }

    /// Whether the container has a new namespace of a kind.
    pub(super) fn has_own(&self, kind: NamespaceType) -> bool {
        let namespaces = self.spec.linux.as_ref().map_or(&[][..], |l| &l.namespaces);
        namespaces.iter().any(|n| n.kind == kind && n.path.is_empty())
    }

    pub(super) fn process(&self) -> Result<Pid, Failure> {
        Pid::from_raw(self.pid).ok_or_else(|| Failure("container not running".into()))
    }

    /// The cgroup, as far as it exists.
    pub(super) fn cgroup(&self) -> Result<Cgroup, Failure> {
        if self.cgroup.is_empty() {
            return Err(Failure("the container has no cgroup".into()));
        }
        let path = match self.cgroup.strip_prefix("./") {
            Some(relative) => CgroupPath::Relative(relative.into()),
            None => CgroupPath::Absolute(self.cgroup.clone()),
        };
        Ok(Cgroup::open(cgroups::machine()?, &path)?)
    }

    pub(super) fn document(&self, status: Status) -> State {
        State {
            oci_version: VERSION.into(),
            id: self.id.clone(),
            status,
            pid: if status == Status::Stopped { 0 } else { self.pid },
            bundle: self.bundle.display().to_string(),
            annotations: self.spec.annotations.clone(),
        }
    }

    /// runc's wider document, of `state` and `list`.
    pub(super) fn wide(&self, status: Status) -> WideState {
        WideState {
            oci_version: VERSION,
            id: self.id.clone(),
            pid: if status == Status::Stopped { 0 } else { self.pid },
            status: status.as_str(),
            bundle: self.bundle.display().to_string(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: self.spec.annotations.clone(),
            owner: String::new(),
        }
    }
}

/// What runc prints for a container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WideState {
    oci_version: &'static str,
    pub(super) id: String,
    pub(super) pid: i32,
    pub(super) status: &'static str,
    pub(super) bundle: String,
    rootfs: String,
    pub(super) created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    pub(super) owner: String,
}

/// When a process was started (proc(5), field 22), and whether it still runs.
fn started(pid: i32) -> Option<(u64, bool)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may contain some itself.
    let mut fields = text.get(text.rfind(')')? + 2..)?.split(' ');
    let state = fields.next()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some((start, !matches!(state, "Z" | "X")))
}
