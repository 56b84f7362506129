//! The command `criu`, which writes a container's processes down and brings them back.
//!
//! ```text
//! <checkpoint>/
//! ├── *.img                what criu wrote of processes, memory, mounts in the container's own file systems
//! ├── wharf.json           Notes: the names under which it knows what comes from outside
//! └── restore.log criu.out of the last start from it
//! ```
//!
//! What comes from outside is named when it is dumped and given again when it is restored: the pipes of the standard
//! streams, the network namespace, the root, and what is bound from the host's file systems. So all of that may be another
//! one then: new pipes, a namespace with a new veth in it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::io::FdFlags;
use serde::{Deserialize, Serialize};

use crate::tools;

/// The network namespace's name.
const NETNS: &str = "extRootNetNS";

const DUMP_LOG: &str = "criu-dump.log";
const RESTORE_LOG: &str = "restore.log";
const CHECK_LOG: &str = "criu-check.log";
const NOTES: &str = "wharf.json";

/// What a restore has to know of the container as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notes {
    pub(crate) version: u32,
    /// Standard input, output and error: `pipe:[inode]`.
    pub(crate) streams: [Option<String>; 3],
    /// It had a network namespace of its own.
    pub(crate) netns: bool,
    pub(crate) mounts: Vec<External>,
}

/// What a container has mounted of the host's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct External {
    /// In the container.
    pub(crate) point: String,
    /// On the host.
    pub(crate) source: String,
}

impl Notes {
    pub(crate) fn write(&self, images: &Path) -> io::Result<()> {
        fs::write(images.join(NOTES), serde_json::to_vec(self)?)
    }

    pub(crate) fn read(images: &Path) -> Result<Self, String> {
        let path = images.join(NOTES);
        let bytes = fs::read(&path).map_err(|error| format!("read {}: {error}", path.display()))?;
        let notes: Self =
            serde_json::from_slice(&bytes).map_err(|error| format!("read {}: {error}", path.display()))?;
        match notes.version {
            1 => Ok(notes),
            newer => Err(format!("{} has version {newer}, written by a newer wharf", path.display())),
        }
    }
}

/// `criu check`, which says whether the kernel can do it; what it says is in the log. `directory` is for the log.
pub(crate) fn check(criu: &Path, directory: &Path) -> io::Result<Child> {
    let mut command = command(criu, &directory.join(CHECK_LOG))?;
    command.arg("check");
    spawn(&mut command, &[])
}

/// What a failed check, dump or restore is told as.
pub(crate) fn does_not_work(criu: &Path, directory: &Path) -> String {
    let log = fs::read_to_string(directory.join(CHECK_LOG)).unwrap_or_default();
    format!(
        "{} does not work on this machine: `criu check` says: {}. Processes are written down and brought back by criu, \
         with the kernel's help: install a version of it that knows this kernel",
        criu.display(),
        complaints(&log)
    )
}

pub(crate) fn dump_failed(directory: &Path) -> String {
    let path = directory.join(DUMP_LOG);
    let log = fs::read_to_string(&path).unwrap_or_default();
    format!("criu dump failed: {} (its log is {})", complaints(&log), path.display())
}

pub(crate) fn restore_failed(images: &Path) -> String {
    let path = images.join(RESTORE_LOG);
    let log = fs::read_to_string(&path).unwrap_or_default();
    format!("criu restore failed: {} (its log is {})", complaints(&log), path.display())
}

/// What to write down, and where.
#[derive(Debug)]
pub(crate) struct Dump<'a> {
    pub(crate) criu: &'a Path,
    pub(crate) pid: i32,
    pub(crate) images: &'a Path,
    /// For the log, while the container runs.
    pub(crate) directory: &'a Path,
    pub(crate) leave_running: bool,
    pub(crate) freezer: Option<PathBuf>,
    /// The number of its network namespace, if that is not the host's.
    pub(crate) netns: Option<u64>,
    pub(crate) mounts: &'a [External],
}

impl Dump<'_> {
    pub(crate) fn start(&self) -> io::Result<Child> {
        let mut command = command(self.criu, &self.directory.join("criu.out"))?;
        command.args(["dump", "--tree", &self.pid.to_string()]);
        command.arg("--images-dir").arg(self.images);
        command.arg("--work-dir").arg(self.directory).args(["--log-file", DUMP_LOG]);
        common(&mut command);
        // Of established connections the state is written down; what becomes of them a restore decides.
        command.arg("--tcp-established");
        if self.leave_running {
            command.arg("--leave-running");
        }
        if let Some(freezer) = &self.freezer {
            command.arg("--freeze-cgroup").arg(freezer);
        }
        if let Some(netns) = self.netns {
            command.arg("--external").arg(format!("net[{netns}]:{NETNS}"));
        }
        for mount in self.mounts {
            command.arg("--external").arg(format!("mnt[{}]:{}", mount.point, mount.point));
        }
        let _ = fs::remove_file(self.directory.join(DUMP_LOG));
        spawn(&mut command, &[])
    }
}

/// What to bring back, and with what from outside.
#[derive(Debug)]
pub(crate) struct Restore<'a> {
    pub(crate) criu: &'a Path,
    pub(crate) images: &'a Path,
    /// A mount of the container's root file system.
    pub(crate) root: &'a Path,
    pub(crate) pid_file: &'a Path,
    pub(crate) netns: Option<BorrowedFd<'a>>,
    pub(crate) streams: [BorrowedFd<'a>; 3],
    /// Its notes, with the sources as they are now.
    pub(crate) notes: &'a Notes,
}

impl Restore<'_> {
    /// Returns when the processes run. The first of them is the caller's child.
    pub(crate) fn run(&self) -> Result<(), String> {
        let failed = |error: io::Error| format!("run {}: {error}", self.criu.display());
        let mut command = command(self.criu, &self.images.join("criu.out")).map_err(failed)?;
        command.arg("restore").arg("--images-dir").arg(self.images);
        command.arg("--work-dir").arg(self.images).args(["--log-file", RESTORE_LOG]);
        common(&mut command);
        command.arg("--root").arg(self.root);
        command.args(["--restore-detached", "--restore-sibling", "--pidfile"]).arg(self.pid_file);
        // Whom they were with has seen them break, or the address is another's.
        command.arg("--tcp-close");
        let mut handed = Vec::new();
        if let Some(netns) = self.netns {
            command.arg("--inherit-fd").arg(format!("fd[{}]:{NETNS}", netns.as_raw_fd()));
            handed.push(netns);
        }
        for (stream, name) in self.streams.iter().zip(&self.notes.streams) {
            if let Some(name) = name {
                command.arg("--inherit-fd").arg(format!("fd[{}]:{name}", stream.as_raw_fd()));
                handed.push(*stream);
            }
        }
        for mount in &self.notes.mounts {
            command.arg("--external").arg(format!("mnt[{}]:{}", mount.point, mount.source));
        }
        let _ = fs::remove_file(self.images.join(RESTORE_LOG));
        let _ = fs::remove_file(self.pid_file);
        let status = spawn(&mut command, &handed).and_then(|mut criu| criu.wait()).map_err(failed)?;
        if status.success() { Ok(()) } else { Err(restore_failed(self.images)) }
    }
}

fn common(command: &mut Command) {
    command.args(["-v4", "--manage-cgroups=soft", "--ext-unix-sk", "--file-locks"]);
    // Which criu does itself; the other way needs iptables' commands.
    command.args(["--network-lock", "nftables"]);
}

fn command(criu: &Path, log: &Path) -> io::Result<Command> {
    let output = fs::File::create(log)?;
    let mut command = Command::new(criu);
    command
        .env_clear()
        .env("PATH", tools::PATH)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
    Ok(command)
}

/// With descriptors that keep their numbers.
fn spawn(command: &mut Command, handed: &[BorrowedFd<'_>]) -> io::Result<Child> {
    let inherited = |on: bool| {
        let flags = if on { FdFlags::empty() } else { FdFlags::CLOEXEC };
        handed.iter().try_for_each(|fd| rustix::io::fcntl_setfd(fd, flags))
    };
    inherited(true)?;
    let spawned = tools::hearing_signals(|| command.spawn());
    // This process has one thread: nobody has executed anything meanwhile.
    inherited(false)?;
    spawned
}

/// The first lines that criu calls errors, without the places in its source.
fn complaints(log: &str) -> String {
    const LINES: usize = 4;
    let text = |line: &str| {
        let (_, said) = line.split_once("Error (")?;
        let said = said.split_once("): ").map_or(said, |(_, said)| said);
        // Of tools that it tries out.
        (!said.starts_with("exited, status=")).then(|| said.trim().trim_end_matches('.').to_owned())
    };
    let said: Vec<String> = log.lines().filter_map(text).take(LINES).collect();
    match (said.is_empty(), log.lines().rfind(|line| !line.trim().is_empty())) {
        (false, _) => said.join("; "),
        (true, Some(last)) => last.trim().to_owned(),
        (true, None) => "nothing".to_owned(),
    }
}

/// What a process has mounted of the host's, from its mount table and the host's.
pub(crate) fn externals(table: &str, host: &str) -> Vec<External> {
    let host: Vec<Row<'_>> = host.lines().filter_map(Row::of).collect();
    let of = |row: Row<'_>| {
        // criu knows these, and makes them anew: every container has its own, although they may be one to the kernel.
        let is_made = matches!(row.kind, "proc" | "sysfs" | "devpts" | "mqueue" | "cgroup" | "cgroup2");
        if row.point == "/" || is_made {
            return None;
        }
        let there =
            |mount: &&Row<'_>| mount.device == row.device && Path::new(row.root).starts_with(mount.root);
        // The nearest one, which hides least.
        let mount = host.iter().filter(there).max_by_key(|mount| mount.root.len())?;
        let rest = Path::new(row.root).strip_prefix(mount.root).ok()?;
        let source = Path::new(&unescaped(mount.point)).join(unescaped(&rest.to_string_lossy()));
        let source = source.to_string_lossy().trim_end_matches('/').to_owned();
        Some(External { point: unescaped(row.point), source })
    };
    table.lines().filter_map(Row::of).filter_map(of).collect()
}

/// Of `mountinfo`, proc(5).
#[derive(Debug)]
struct Row<'a> {
    device: &'a str,
    root: &'a str,
    point: &'a str,
    kind: &'a str,
}

impl<'a> Row<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (front, back) = line.split_once(" - ")?;
        let mut words = front.split(' ').skip(2);
        let (device, root, point) = (words.next()?, words.next()?, words.next()?);
        Some(Self { device, root, point, kind: back.split(' ').next()? })
    }
}

fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, letter)| text.replace(code, letter))
}

/// The number that a pipe has in `/proc/<pid>/fd`.
pub(crate) fn pipe_name(end: impl AsFd) -> Option<String> {
    let stat = rustix::fs::fstat(end).ok()?;
    let is_pipe = rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Fifo;
    is_pipe.then(|| format!("pipe:[{}]", stat.st_ino))
}

/// A namespace of a process, as the kernel numbers them.
pub(crate) fn namespace(process: &str, kind: &str) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(format!("/proc/{process}/ns/{kind}")).ok().map(|namespace| namespace.ino())
}

/// Where a finished checkpoint is put, from where it was written.
pub(crate) fn publish(written: &Path, place: &Path) -> io::Result<()> {
    // A container that has ended with it exists nowhere else.
    rustix::fs::syncfs(fs::File::open(written)?)?;
    fs::rename(written, place)?;
    let parent: OsString = place.parent().unwrap_or(Path::new("/")).into();
    fs::File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_bound_from_the_host_is_told_from_what_is_the_containers_own() {
        let host = "25 1 0:5 / /dev rw - devtmpfs devtmpfs rw\n28 1 8:1 / / rw - ext4 /dev/a rw\n\
                    29 28 8:1 /srv/data /mnt/my\\040data rw - ext4 /dev/a rw\n30 28 0:24 / /sys/fs/cgroup rw - cgroup2 c rw\n";
        let table = "36 28 0:40 / / rw - overlay overlay rw\n37 36 0:26 / /proc rw - proc proc rw\n\
                     38 36 0:27 / /dev rw - tmpfs tmpfs rw\n41 36 0:24 /docker/x /sys/fs/cgroup ro - cgroup2 c rw\n\
                     44 36 8:1 /var/c/hosts /etc/hosts rw - ext4 /dev/a rw\n53 37 0:5 /null /proc/keys rw - devtmpfs d rw\n\
                     54 36 8:1 /srv/data/one /vol ro - ext4 /dev/a rw\n55 36 0:99 / /big rw - ext4 /dev/b rw\n";
        let of = |point: &str, source: &str| External { point: point.into(), source: source.into() };
        assert_eq!(
            externals(table, host),
            [of("/etc/hosts", "/var/c/hosts"), of("/proc/keys", "/dev/null"), of("/vol", "/mnt/my data/one")]
        );
    }

    #[test]
    fn criu_is_quoted_without_its_source() {
        let log = "(00.1) Error (criu/util.c:642): exited, status=1\n(00.2) fine\n\
                   Error (criu/vdso.c:381): vdso: Unexpected rt vDSO area bounds\nError (criu/crtools.c:260): Could not.\n";
        assert_eq!(complaints(log), "vdso: Unexpected rt vDSO area bounds; Could not");
        assert_eq!(complaints("criu: not for this machine\n"), "criu: not for this machine");
        assert_eq!(complaints(""), "nothing");
    }
}
