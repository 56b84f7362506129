//! A container's cgroup: one directory in every hierarchy, made, limited, joined and removed together.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use oci::runtime::Resources;
use rustix::io::Errno;
use rustix::process::Pid;

use crate::directory::Directory;
use crate::machine::{Hierarchy, Layout, Machine, Version};
use crate::path::CgroupPath;
use crate::wait::Backoff;
use crate::{Error, Result, controllers};

/// How long processes that were killed may take to leave before a removal gives up.
const DELETE_DEADLINE: Duration = Duration::from_secs(10);

/// An open cgroup. Dropping it closes descriptors and removes nothing; see [`Cgroup::delete`].
#[derive(Debug)]
pub struct Cgroup {
    pub(crate) machine: Arc<Machine>,
    pub(crate) path: CgroupPath,
    pub(crate) members: Vec<Member>,
}

/// The cgroup's directory in one hierarchy.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) hierarchy: usize,
    /// Below the hierarchy's root, without a leading slash.
    pub(crate) relative: String,
    pub(crate) directory: Directory,
    pub(crate) fresh: bool,
}

impl Cgroup {
    /// Makes the cgroup in every hierarchy and applies `resources`. What was made is removed again on failure.
    ///
    /// On a hybrid machine the v2 tree takes part only if `resources` name something that lives there.
    ///
    /// # Errors
    /// The directory exists and has processes in it; a limit is refused; a controller is missing.
    pub fn create(machine: Arc<Machine>, path: &CgroupPath, resources: &Resources) -> Result<Cgroup> {
        let with_unified =
            machine.layout() == Layout::Unified || controllers::need_unified(&machine, resources);
        let mut cgroup = Cgroup { machine, path: path.clone(), members: Vec::new() };
        match cgroup.fill(with_unified, resources) {
            Ok(()) => Ok(cgroup),
            Err(e) => {
                for member in cgroup.members.iter().filter(|m| m.fresh) {
                    let root = &cgroup.machine.hierarchies()[member.hierarchy].directory;
                    let _ = root.remove(&member.relative);
                }
                Err(e)
            }
        }
    }

    /// Opens an existing cgroup: the directories that are there.
    ///
    /// # Errors
    /// `ENOENT` ([`Error::is_not_found`]) if no hierarchy has it.
    pub fn open(machine: Arc<Machine>, path: &CgroupPath) -> Result<Cgroup> {
        let mut cgroup = Cgroup { machine, path: path.clone(), members: Vec::new() };
        let mut absent = None;
        for index in 0..cgroup.machine.hierarchies().len() {
            let hierarchy = &cgroup.machine.hierarchies()[index];
            let relative = below(hierarchy, path);
            match hierarchy.directory.child(&relative) {
                Ok(directory) => {
                    cgroup.members.push(Member { hierarchy: index, relative, directory, fresh: false })
                }
                Err(e) if e.is_not_found() => absent = Some(e),
                Err(e) => return Err(e),
            }
        }
        match absent {
            Some(e) if cgroup.members.is_empty() => Err(e),
            _ => Ok(cgroup),
        }
    }

    fn fill(&mut self, with_unified: bool, resources: &Resources) -> Result<()> {
        let obstacle = self.make(with_unified)?;
        self.check_unused()?;
        if obstacle.is_some()
            && let Some(leaf) = self.unified()
            && leaf.read_optional("cgroup.type")?.is_some_and(|kind| kind == "domain invalid")
        {
            let (path, parent) = (leaf.path().display(), leaf.path().parent().unwrap_or(leaf.path()));
            return Err(Error::Invalid(format!(
                "cgroup {path} cannot hold a container, since cgroup {} is threaded",
                parent.display()
            )));
        }
        controllers::apply(self, resources, controllers::Moment::Creation).map_err(|error| match obstacle {
            // A file that would be there, had its controller been handed down.
            Some(obstacle) if error.is_not_found() => Error::Invalid(format!("{obstacle} ({error})")),
            _ => error,
        })
    }

    fn make(&mut self, with_unified: bool) -> Result<Option<Obstacle>> {
        let mut obstacle = None;
        for index in 0..self.machine.hierarchies().len() {
            let hierarchy = &self.machine.hierarchies()[index];
            if hierarchy.version == Version::V2 && !with_unified {
                continue;
            }
            let relative = below(hierarchy, &self.path);
            let fresh = match hierarchy.version {
                Version::V1 => make_v1(hierarchy, &relative)?,
                Version::V2 => make_v2(hierarchy, &relative, &mut obstacle)?,
            };
            let directory = hierarchy.directory.child(&relative).inspect_err(|_| {
                if fresh {
                    let _ = hierarchy.directory.remove(&relative);
                }
            })?;
            self.members.push(Member { hierarchy: index, relative, directory, fresh });
        }
        Ok(obstacle)
    }

    /// A left-over directory may be used again, but not under the feet of somebody's processes.
    fn check_unused(&self) -> Result<()> {
        for member in self.members.iter().filter(|m| !m.fresh) {
            let pids = procs_below(&member.directory)?;
            if !pids.is_empty() {
                return Err(Error::Invalid(format!(
                    "cgroup {} is not empty: {} process(es) found",
                    member.directory.path().display(),
                    pids.len()
                )));
            }
        }
        if self.members.iter().any(|m| !m.fresh) && self.is_frozen()? {
            return Err(Error::Invalid(format!("cgroup {} is frozen", self.display().display())));
        }
        Ok(())
    }

    /// The path this was made from.
    pub fn path(&self) -> &CgroupPath {
        &self.path
    }

    /// The machine it lives on.
    pub fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    /// Where `controller` keeps this cgroup, as an absolute path.
    pub fn controller_path(&self, controller: &str) -> Option<PathBuf> {
        self.member(controller).map(|m| m.directory.path().to_owned())
    }

    /// Every hierarchy's controllers (joined by commas, empty for v2) with the absolute path of this cgroup in
    /// it: what runc's `state.json` calls `cgroup_paths`.
    pub fn paths(&self) -> Vec<(String, PathBuf)> {
        self.members
            .iter()
            .map(|m| {
                let hierarchy = self.hierarchy(m);
                let name = match hierarchy.version {
                    Version::V1 => hierarchy.controllers.join(","),
                    Version::V2 => String::new(),
                };
                (name, m.directory.path().to_owned())
            })
            .collect()
    }

    /// The directory for `CLONE_INTO_CGROUP`: on a pure v2 machine only. Elsewhere a process is moved with
    /// [`Cgroup::join`].
    pub fn directory(&self) -> Option<BorrowedFd<'_>> {
        match self.machine.layout() {
            Layout::Unified => self.members.first().map(|m| m.directory.fd()),
            Layout::Legacy | Layout::Hybrid => None,
        }
    }

    /// Changes limits of a cgroup in use. Device rules are changed without a moment in which a device that is
    /// allowed before and after is refused.
    pub fn update(&self, resources: &Resources) -> Result<()> {
        controllers::apply(self, resources, controllers::Moment::Update)
    }

    /// Moves a process (all its threads) into the cgroup, in every hierarchy.
    ///
    /// On v1 the first move after a pause waits 5 to 15 ms for an RCU grace period, under the kernel's
    /// thread-group semaphore. Nothing that starts a container comes here: a new process uses
    /// [`Cgroup::join_self`], or is born in its group.
    pub fn join(&self, pid: Pid) -> Result<()> {
        let text = pid.as_raw_nonzero().to_string();
        for member in &self.members {
            let mut backoff = Backoff::until(Duration::from_millis(200));
            loop {
                match member.directory.write("cgroup.procs", &text) {
                    // A task that the scheduler has not taken over yet cannot be moved (TASK_NEW).
                    Err(e) if e.is(Errno::INVAL) && backoff.pause() => {}
                    other => break other?,
                }
            }
        }
        Ok(())
    }

    /// Moves the calling thread, the only one of its process, into the cgroup, in every hierarchy.
    ///
    /// The kernel takes the thread-group semaphore, and waits for RCU, only to move somebody else or more than
    /// one thread: a process that writes itself into `tasks` pays neither (`cgroup_procs_write_start`).
    pub fn join_self(&self) -> Result<()> {
        for member in &self.members {
            let file = match self.hierarchy(member).version {
                Version::V1 => "tasks",
                Version::V2 => "cgroup.procs",
            };
            member.directory.write(file, "0")?;
        }
        Ok(())
    }

    /// The processes in the cgroup and in all below it, in the numbering of the caller's pid namespace.
    pub fn procs(&self) -> Result<Vec<Pid>> {
        match self.census() {
            Some(member) => procs_below(&member.directory),
            None => Ok(Vec::new()),
        }
    }

    /// Removes the cgroup and everything below it, waiting for processes that are on their way out.
    /// What is gone already counts as removed.
    ///
    /// # Errors
    /// [`Error::Timeout`] while a process stays in it: kill them first.
    pub fn delete(self) -> Result<()> {
        let started = Instant::now();
        let mut backoff = Backoff::until(DELETE_DEADLINE);
        for member in &self.members {
            let root = &self.hierarchy(member).directory;
            loop {
                match root.remove(&member.relative) {
                    Ok(()) | Err(Errno::NOENT) => break,
                    Err(Errno::BUSY | Errno::NOTEMPTY) => {}
                    Err(e) => return Err(crate::directory::io("remove", member.directory.path(), e)),
                }
                // Sub-groups or processes: the first are removed here, the second must go by themselves.
                remove_children(&member.directory)?;
                match root.remove(&member.relative) {
                    Ok(()) | Err(Errno::NOENT) => break,
                    Err(_) if backoff.pause() => {}
                    Err(_) => {
                        return Err(Error::Timeout {
                            what: "delete",
                            path: member.directory.path().to_owned(),
                            millis: started.elapsed().as_millis(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// Is the directory still there?
    pub fn exists(&self) -> bool {
        self.members.iter().any(|m| self.hierarchy(m).directory.has(&m.relative))
    }

    pub(crate) fn member(&self, controller: &str) -> Option<&Member> {
        let index = self.machine.index_of(controller)?;
        self.members.iter().find(|m| m.hierarchy == index)
    }

    /// The directory and version of the tree that has `controller`.
    pub(crate) fn controller(&self, controller: &str) -> Option<(&Directory, Version)> {
        self.member(controller).map(|m| (&m.directory, self.hierarchy(m).version))
    }

    /// The v2 directory, if the cgroup has one.
    pub(crate) fn unified(&self) -> Option<&Directory> {
        self.members.iter().find(|m| self.hierarchy(m).version == Version::V2).map(|m| &m.directory)
    }

    pub(crate) fn hierarchy(&self, member: &Member) -> &Hierarchy {
        &self.machine.hierarchies()[member.hierarchy]
    }

    /// The tree whose `cgroup.procs` is counted. Not the memory tree: it is the one in which others (systemd
    /// without delegation, resource managers) move processes around.
    fn census(&self) -> Option<&Member> {
        self.member("devices").or_else(|| self.member("pids")).or_else(|| self.members.first())
    }

    pub(crate) fn display(&self) -> &Path {
        self.census().map_or(Path::new(""), |m| m.directory.path())
    }
}

/// The cgroup's path below the root of `hierarchy`.
pub(crate) fn below(hierarchy: &Hierarchy, path: &CgroupPath) -> String {
    match path {
        CgroupPath::Absolute(path) => path.trim_start_matches('/').to_owned(),
        CgroupPath::Relative(path) => {
            let base = match hierarchy.version {
                Version::V1 => hierarchy.own.as_str(),
                // The caller's own group has the caller in it and so cannot have controlled children.
                Version::V2 => hierarchy.own.rsplit_once('/').map_or("", |(parent, _)| parent),
            };
            if base.is_empty() { path.clone() } else { format!("{base}/{path}") }
        }
    }
}

/// Makes the leaf; its parents only when the kernel says they are missing.
fn make_v1(hierarchy: &Hierarchy, relative: &str) -> Result<bool> {
    let root = &hierarchy.directory;
    let fresh = match root.make(relative) {
        Err(e) if e.is_not_found() => {
            for parent in ancestors(relative) {
                let fresh = root.make(parent)?;
                if hierarchy.has("cpuset") {
                    // Others' are filled too: whoever made them may not have come to it yet.
                    controllers::cpuset::inherit(root, parent).inspect_err(|_| {
                        if fresh {
                            let _ = root.remove(parent);
                        }
                    })?;
                }
            }
            root.make(relative)?
        }
        other => other?,
    };
    Ok(fresh)
}

/// As [`make_v1`], and hands every controller down to the leaf's parent.
fn make_v2(hierarchy: &Hierarchy, relative: &str, obstacle: &mut Option<Obstacle>) -> Result<bool> {
    let root = &hierarchy.directory;
    let ready = match root.child(parent_of(relative)) {
        Ok(parent) => missing(&parent, &hierarchy.controllers)?.is_empty(),
        Err(e) if e.is_not_found() => false,
        Err(e) => return Err(e),
    };
    if !ready {
        *obstacle = delegate(root, &hierarchy.controllers)?;
        for parent in ancestors(relative) {
            root.make(parent)?;
            let here = delegate(&root.child(parent)?, &hierarchy.controllers)?;
            // The first is the cause of those below.
            *obstacle = obstacle.take().or(here);
        }
    }
    root.make(relative)
}

fn missing<'c>(directory: &Directory, controllers: &'c [String]) -> Result<Vec<&'c str>> {
    let enabled = directory.read("cgroup.subtree_control")?;
    Ok(controllers
        .iter()
        .map(String::as_str)
        .filter(|c| !enabled.split_whitespace().any(|e| e == *c))
        .collect())
}

/// Why a version 2 group cannot hand controllers down to its children.
#[derive(Debug)]
pub(crate) struct Obstacle {
    path: PathBuf,
    errno: Option<i32>,
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.display();
        match self.errno.map(Errno::from_raw_os_error) {
            Some(Errno::BUSY) => {
                write!(
                    f,
                    "cgroup {path} has processes of its own, so there are no limits for groups below it"
                )
            }
            Some(Errno::OPNOTSUPP) => {
                write!(f, "cgroup {path} is threaded, so there are not all limits for groups below it")
            }
            Some(errno) => write!(f, "cgroup {path} hands not all of its controllers down: {errno}"),
            None => write!(f, "cgroup {path} hands not all of its controllers down"),
        }
    }
}

/// Enables controllers for the children of `directory`. One that the kernel refuses there (because the group
/// is threaded, has processes, or was not given the controller itself) stays off: whoever sets a limit that
/// needs it is told of the obstacle.
pub(crate) fn delegate(directory: &Directory, controllers: &[String]) -> Result<Option<Obstacle>> {
    let missing = missing(directory, controllers)?;
    if missing.is_empty() {
        return Ok(None);
    }
    let all: Vec<String> = missing.iter().map(|c| format!("+{c}")).collect();
    let refused = match directory.write("cgroup.subtree_control", &all.join(" ")) {
        Ok(()) => return Ok(None),
        Err(error) => error.errno(),
    };
    let obstacle = |errno| Obstacle { path: directory.path().to_owned(), errno };
    // One by one, those that know threads (cpu, pids ...) would be allowed even so, and make this the root of a threaded
    // tree, below which nobody can have a container.
    if matches!(refused.map(Errno::from_raw_os_error), Some(Errno::BUSY | Errno::OPNOTSUPP)) {
        return Ok(Some(obstacle(refused)));
    }
    let mut found = None;
    for one in &all {
        if let Err(error) = directory.write("cgroup.subtree_control", one) {
            found.get_or_insert(obstacle(error.errno()));
        }
    }
    Ok(found)
}

/// `a/b/c` has `a` and `a/b` above it.
pub(crate) fn ancestors(relative: &str) -> impl Iterator<Item = &str> {
    relative.match_indices('/').map(|(at, _)| &relative[..at])
}

pub(crate) fn parent_of(relative: &str) -> &str {
    relative.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn procs_below(directory: &Directory) -> Result<Vec<Pid>> {
    let mut pids = Vec::new();
    collect_procs(directory, &mut pids)?;
    Ok(pids)
}

fn collect_procs(directory: &Directory, pids: &mut Vec<Pid>) -> Result<()> {
    // Gone, or being removed: nobody is in it. A threaded v2 group refuses the question; its processes are
    // listed by the group above.
    let text = match directory.read("cgroup.procs") {
        Err(e) if e.is_not_found() || e.is(Errno::NODEV) => return Ok(()),
        Err(e) if e.is(Errno::OPNOTSUPP) => String::new(),
        other => other?,
    };
    pids.extend(text.lines().filter_map(|l| l.parse().ok()).filter_map(Pid::from_raw));
    for name in directory.children()? {
        match directory.child(&name) {
            Ok(child) => collect_procs(&child, pids)?,
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn remove_children(directory: &Directory) -> Result<()> {
    let names = match directory.children() {
        Err(e) if e.is_not_found() || e.is(Errno::NODEV) => return Ok(()),
        other => other?,
    };
    for name in names {
        if let Err(Errno::BUSY | Errno::NOTEMPTY) = directory.remove(&name) {
            match directory.child(&name) {
                Ok(child) => remove_children(&child)?,
                Err(e) if e.is_not_found() => continue,
                Err(e) => return Err(e),
            }
            // Still busy: the caller comes back after a pause.
            let _ = directory.remove(&name);
        }
    }
    Ok(())
}
