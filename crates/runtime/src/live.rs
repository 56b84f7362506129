//! Mounts of a container that runs: more of them, and fewer.
//!
//! What is to be mounted is made where its source is, on the host, and detached. Places are looked up with the
//! container's root as the end of the world. Only attaching and detaching happen in the container's mount namespace, on
//! a thread that is of no use afterwards. Nothing is changed when one of them fails.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use oci::runtime::Mount;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sys::mount::Change;
use sys::process::CloneFlags;

use crate::error::Context;
use crate::init::live::{self as make, Made};
use crate::job::{MountJob, open_source};
use crate::mount_api::{OpenTreeFlags, UnmountFlags, is_classic, open_tree, unmount};
use crate::options::{MS_PRIVATE, Options};
use crate::{Error, Result, inside, neighbour};

/// A mount that goes.
#[derive(Debug, Clone, Copy)]
pub struct Unmount<'a> {
    pub destination: &'a str,
    /// Of a bind mount: what it shows.
    pub source: Option<&'a Path>,
    /// Of another: its file system.
    pub kind: &'a str,
}

/// What is mounted at a place in a container; the number means something as long as that is mounted.
///
/// `process` is a process's directory in the host's `/proc`.
///
/// # Errors
/// The process has ended.
pub fn mounted_at(process: BorrowedFd<'_>, destination: &str) -> Result<Option<u64>> {
    let root = root(process)?;
    let opened = inside::open(root.as_fd(), destination, OFlags::PATH);
    Ok(opened.ok().and_then(|place| mount_of(place.as_fd())))
}

/// Detaches mounts of the container that `process` (its directory in the host's `/proc`) runs in, and attaches others.
/// To be called on a thread that does nothing else: it is left in the container's mount namespace.
///
/// # Errors
/// The first that could not be done; then all is as it was.
pub fn change_mounts(process: BorrowedFd<'_>, remove: &[Unmount<'_>], add: &[Mount]) -> Result<()> {
    if is_classic() {
        let text = "mounts of a container that runs are changed on Linux 5.12 and newer only: stop it first";
        return Err(Error::Unsupported(text.into()));
    }
    let root = root(process)?;
    let table = table(process)?;
    let mut going = Vec::new();
    for wanted in remove {
        if let Some(mount) = find(root.as_fd(), &table, wanted)? {
            going.push((*wanted, mount));
        }
    }
    let coming = add.iter().map(prepare).collect::<Result<Vec<_>>>()?;
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The container's procfs would not know this thread.
    let own =
        rustix::fs::open("/proc/thread-self/fd", directory, Mode::empty()).step(|| "open /proc".into())?;
    let theirs = rustix::fs::openat(process, "ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let theirs = theirs.map_err(|_| Error::NotRunning)?;
    sys::process::unshare(CloneFlags::FS).step(|| "leave the engine's working directory".into())?;
    move_into_link_name_space(theirs.as_fd(), Some(LinkNameSpaceType::Mount))
        .step(|| "enter the container's mount namespace".into())?;

    let inside = Inside { root, own };
    let mut gone = Vec::new();
    let mut come = Vec::new();
    let mut done = Ok(());
    for (wanted, mount) in &going {
        match inside.take(mount.as_fd()) {
            Ok(copy) => gone.push((wanted.destination, copy)),
            Err(source) => {
                let what = format!("away from {:?}", wanted.destination);
                done = Err(Error::Mount { what, source });
                break;
            }
        }
    }
    for (job, made) in coming {
        if done.is_ok() {
            done = inside.put(&job, made).map(|tree| come.push(tree));
        }
    }
    if done.is_err() {
        for tree in come.iter().rev() {
            // What was attached a moment ago can be detached.
            let _ = inside.detach(tree.as_fd());
        }
        for (destination, copy) in gone.iter().rev() {
            let place = inside::open(inside.root.as_fd(), destination, OFlags::PATH).map_err(io::Error::from);
            if let Err(source) = place.and_then(|place| make::attach(copy.as_fd(), place.as_fd())) {
                let what = format!("back to {destination:?}, after a failure ({})", words(&done));
                return Err(Error::Mount { what, source });
            }
        }
    }
    // Until here, so that no new mount has the number of one that has gone.
    drop(going);
    done
}

fn words(result: &Result<()>) -> String {
    result.as_ref().err().map(ToString::to_string).unwrap_or_default()
}

fn root(process: BorrowedFd<'_>) -> Result<OwnedFd> {
    let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(process, "root", directory, Mode::empty()).map_err(|_| Error::NotRunning)
}

/// The container's mount namespace, entered.
struct Inside {
    root: OwnedFd,
    /// This thread's descriptors, in the host's `/proc`.
    own: OwnedFd,
}

impl Inside {
    /// Detaches a mount; what is returned could be attached in its place.
    fn take(&self, mount: BorrowedFd<'_>) -> io::Result<OwnedFd> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let copy = open_tree(mount, "", flags | OpenTreeFlags::AT_RECURSIVE | OpenTreeFlags::AT_EMPTY_PATH)?;
        self.detach(mount)?;
        Ok(copy)
    }

    fn detach(&self, mount: BorrowedFd<'_>) -> io::Result<()> {
        // What is mounted below a shared mount would be unmounted on the host, too.
        let alone = Change { propagation: MS_PRIVATE, ..Change::default() };
        crate::mount_api::setattr(mount, c"", true, alone, None)?;
        rustix::process::fchdir(&self.own)?;
        // By its descriptor: no path can lead to another one.
        Ok(unmount(mount.as_raw_fd().to_string(), UnmountFlags::DETACH)?)
    }

    fn put(&self, job: &MountJob<'_>, made: Made) -> Result<OwnedFd> {
        let path = |fd: BorrowedFd<'_>| {
            let link = fd.as_raw_fd().to_string();
            let path = rustix::fs::readlinkat(&self.own, &link, Vec::new());
            Ok(path.step(|| format!("read /proc/thread-self/fd/{link}"))?.to_string_lossy().into_owned())
        };
        make::put(self.root.as_fd(), job, made, path)
    }
}

/// Made without a place yet.
fn prepare(mount: &Mount) -> Result<(MountJob<'_>, Made)> {
    let options = Options::parse(mount)?;
    let stopped = |what: &str| {
        let text = format!(
            "{what} cannot be mounted at {:?} while the container runs: stop it first",
            mount.destination
        );
        Error::Unsupported(text)
    };
    if options.idmap.is_some() {
        return Err(stopped("what has id mappings"));
    }
    let mut job = MountJob { mount, options, tree: None };
    let made = match job.options.bind {
        Some(_) if neighbour::is_of_another(&mount.source) => {
            return Err(stopped("what another container has mounted"));
        }
        Some(recursive) => {
            job.tree = Some(open_source(mount, Path::new("/"), recursive)?);
            Made::Bound
        }
        None if !mount.subpath.is_empty() => return Err(stopped("a part of a file system")),
        None => make::file_system(&job)?,
    };
    Ok((job, made))
}

/// The mount that is meant; `None`: the container has unmounted it itself.
fn find(root: BorrowedFd<'_>, table: &[Row], wanted: &Unmount<'_>) -> Result<Option<OwnedFd>> {
    let place = match inside::open(root, wanted.destination, OFlags::PATH) {
        Ok(place) => place,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error).step(|| format!("open {:?} in the container", wanted.destination)),
    };
    let Some(number) = mount_of(place.as_fd()) else { return Ok(None) };
    let row = table.iter().find(|row| row.number == number);
    if row.is_some_and(|row| row.is(wanted, table)) || shows(place.as_fd(), wanted.source) {
        return Ok(Some(place));
    }
    let text =
        format!("what is mounted at {:?} is not the container's mount of that place", wanted.destination);
    Err(Error::Invalid(text))
}

/// The number of the mount that a descriptor is the root of.
fn mount_of(place: BorrowedFd<'_>) -> Option<u64> {
    let stat = rustix::fs::statx(place, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    let is_root = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    is_root.then_some(stat.stx_mnt_id)
}

/// Whether the place is the file that a source is, on the same file system.
fn shows(place: BorrowedFd<'_>, source: Option<&Path>) -> bool {
    let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    let here = rustix::fs::statat(place, "", AtFlags::EMPTY_PATH).map(identity);
    source.is_some_and(|source| {
        let there = rustix::fs::statat(CWD, source, AtFlags::empty()).map(identity);
        matches!((here, there), (Ok(here), Ok(there)) if here == there)
    })
}

/// Of a `mountinfo` table, proc(5).
#[derive(Debug, PartialEq, Eq)]
struct Row {
    number: u64,
    point: String,
    kind: String,
}

impl Row {
    /// Whether it is what was mounted there. Symbolic links may have led to another place than was said; but a container
    /// can change them, and what the runtime has mounted over the kernel's files must stay.
    fn is(&self, wanted: &Unmount<'_>, table: &[Row]) -> bool {
        let is_alone = table.iter().filter(|row| row.point == self.point).count() == 1;
        let of_kernel = ["/proc", "/sys", "/dev"].iter().any(|top| Path::new(&self.point).starts_with(top));
        let is_kind = wanted.source.is_none() && wanted.kind == self.kind;
        is_alone && (self.point == wanted.destination || is_kind && !of_kernel)
    }
}

fn table(process: BorrowedFd<'_>) -> Result<Vec<Row>> {
    let file = rustix::fs::openat(process, "mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let file = std::fs::File::from(file.map_err(|_| Error::NotRunning)?);
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut { file }, &mut bytes).step(|| "read the container's mounts".into())?;
    Ok(rows(&String::from_utf8_lossy(&bytes)))
}

/// `36 35 98:0 /root /mount/point options [fields] - type source options`
fn rows(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let mut words = front.split(' ');
        let number = words.next()?.parse().ok()?;
        let point = unescaped(words.nth(3)?);
        Some(Row { number, point, kind: back.split(' ').next()?.to_owned() })
    };
    text.lines().filter_map(row).collect()
}

/// Blanks, tabs, ends of lines and backslashes are three octal digits.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, letter)| text.replace(code, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_mounted_for_the_container_is_its_mount() {
        let table = rows(
            "20 1 0:30 / / rw - overlay overlay rw\n21 20 0:31 / /proc rw - proc proc rw\n\
             22 21 0:32 / /proc/kcore rw - tmpfs tmpfs rw\n23 20 8:1 /srv /data\\040set rw shared:1 - ext4 /dev/a rw\n\
             24 20 0:33 / /run/cache rw - tmpfs tmpfs rw\n25 20 8:1 /a /two rw - ext4 /dev/a rw\n\
             26 25 8:1 /b /two rw - ext4 /dev/a rw\n",
        );
        assert_eq!(table[3], Row { number: 23, point: "/data set".into(), kind: "ext4".into() });
        let is = |row: usize, destination: &str, kind: &str| {
            let source = (kind == "bind").then_some(Path::new("/nothing"));
            table[row].is(&Unmount { destination, source, kind }, &table)
        };
        assert!(is(3, "/data set", "bind") && is(4, "/run/cache", "tmpfs"));
        assert!(is(4, "/var/run/cache", "tmpfs"), "a link led there");
        assert!(!is(2, "/cache", "tmpfs"), "a link of the container's leads to what the runtime hides");
        assert!(!is(3, "/elsewhere", "bind"));
        assert!(!is(6, "/two", "bind"), "something else was mounted over it");
    }
}
