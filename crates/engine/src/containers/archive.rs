//! Files in and out of a container (`docker cp`): what is at a path, it as an archive, and an archive into a directory.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use archive::{CopyRules, Decoder, Extractor, Mode, Owner, PackOptions, TarWriter};
use jiff::Timestamp;
use rustix::fs::{FileType, OFlags, Stat, StatVfsMountFlags, StatxFlags};
use rustix::io::Errno;

use super::Containers;
use super::root::{self, Access, Root};
use crate::container::index::Handle;
use crate::container::user;
use crate::core::blocking;
use crate::error::{Error, Result};

/// Links that are followed for one path, as the kernel does.
const LINKS_MAX: usize = 40;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// The last part of the path as it was asked for.
    pub name: String,
    pub size: i64,
    /// As `stat` gives it, kind included.
    pub mode: u32,
    pub modified: Timestamp,
    /// Of a link: where it leads, links on the way resolved.
    pub link_target: String,
}

/// How an archive is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtractRequest {
    /// Everything belongs to the container's user, if it has one.
    pub copy_owner: bool,
    /// No directory gives way to a file, and no file to a directory.
    pub keep_directories: bool,
}

/// What is at a path, ready to be packed.
#[derive(Debug)]
pub struct Archive {
    pub stat: PathStat,
    path: Path,
    root: Root,
}

/// A path in a container as it was asked for: cleaned, and whether it names what a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Path {
    /// Absolute, without `.`, `..` and a slash at its end.
    clean: String,
    /// `/` or `/.` at the end of what was asked for.
    suffix: &'static str,
}

impl Path {
    fn parse(text: &str) -> Self {
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => _ = parts.pop(),
                part => parts.push(part),
            }
        }
        let suffix = match text {
            text if text == "." || text.ends_with("/.") => "/.",
            text if text.ends_with('/') => "/",
            _ => "",
        };
        Self { clean: format!("/{}", parts.join("/")), suffix }
    }

    /// Go's `filepath.Base` of it.
    fn base(&self) -> &str {
        match self.clean.rsplit_once('/') {
            _ if self.suffix == "/." => ".",
            Some((_, "")) | None => "/",
            Some((_, base)) => base,
        }
    }

    fn parent(&self) -> &str {
        self.clean.rsplit_once('/').map_or("/", |(parent, _)| parent)
    }

    fn is_asserted_directory(&self) -> bool {
        !self.suffix.is_empty() || self.clean == "/"
    }

    /// Docker's words for what a look at it gave.
    fn error(&self, errno: Errno, asked: &str, container: &str) -> Error {
        if errno == Errno::NOENT {
            return Error::not_found(format!("Could not find the file {asked} in container {container}"));
        }
        let reason = match errno {
            Errno::NOTDIR => "not a directory".to_owned(),
            Errno::LOOP => "too many levels of symbolic links".to_owned(),
            other => other.to_string(),
        };
        Error::internal(format!("lstat {}{}: {reason}", self.clean, self.suffix))
    }
}

impl Containers {
    /// What is at a path, with the container's volumes.
    pub async fn stat_path(&self, reference: &str, path: &str) -> Result<PathStat> {
        Ok(self.look(reference, path).await?.stat)
    }

    /// What is at a path, to be packed: a directory with all that is in it.
    pub async fn archive(&self, reference: &str, path: &str) -> Result<Archive> {
        let archive = self.look(reference, path).await?;
        self.event(&archive.root.view, "archive-path", &[]);
        Ok(archive)
    }

    async fn look(&self, reference: &str, asked: &str) -> Result<Archive> {
        let handle = self.core.index.find(reference)?;
        let root = self.rooted(&handle, Access::Read, asked).await?;
        let (asked, container) = (asked.to_owned(), reference.to_owned());
        blocking(move || {
            let path = Path::parse(&asked);
            check_present(&root, &path)?;
            let stat = stat(&root, &path).map_err(|errno| path.error(errno, &asked, &container))?;
            Ok(Archive { stat, path, root })
        })
        .await
    }

    /// The container's root with what there is at a path: a plugin is asked to mount what it has there, and only then.
    async fn rooted(&self, handle: &Handle, access: Access, asked: &str) -> Result<Root> {
        let root = root::open(&self.core, handle, access).await?;
        if !root.may_be_lent(&self.core) {
            return Ok(root);
        }
        let path = Path::parse(asked);
        let (root, present) = blocking(move || {
            let present = check_present(&root, &path);
            Ok::<_, Error>((root, present))
        })
        .await?;
        if present.is_ok() {
            return Ok(root);
        }
        drop(root);
        root::open_plugged(&self.core, handle, access).await
    }

    /// Unpacks an archive, compressed or not, into a directory. `from` is read in a blocking thread.
    pub async fn extract(
        &self,
        reference: &str,
        path: &str,
        request: ExtractRequest,
        from: Box<dyn Read + Send>,
    ) -> Result<()> {
        let handle = self.core.index.find(reference)?;
        let root = self.rooted(&handle, Access::Write, path).await?;
        let (asked, container) = (path.to_owned(), reference.to_owned());
        self.core.failpoints.hit("extract.unpack")?;
        let view = root.view.clone();
        blocking(move || extract(&root, &asked, &container, request, from)).await?;
        self.event(&view, "extract-to-dir", &[]);
        Ok(())
    }
}

impl Archive {
    /// Writes it as a tar, from a blocking thread.
    pub fn write_to(self, to: impl Write) -> Result<()> {
        let failed = |errno: Errno| Error::internal(format!("open {}: {errno}", self.path.clean));
        let options = PackOptions { whole_seconds: true, ..PackOptions::default() };
        let mut tar = TarWriter::new(to);
        let packed = match FileType::from_raw_mode(self.stat.mode) {
            FileType::Directory => {
                let dir =
                    self.root.find(&self.path.clean, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed)?;
                let name = self.stat.name.trim_start_matches('/');
                tar.append_directory(dir, name.as_bytes(), options)
            }
            _ => {
                let parent = self.root.find(self.path.parent(), OFlags::PATH | OFlags::DIRECTORY);
                let name = self.path.base().as_bytes();
                tar.append_entry(&parent.map_err(failed)?, name, name, options)
            }
        };
        packed.and_then(|()| tar.finish().map(drop)).map_err(|error| {
            Error::internal(format!(
                "archive {} of container {}: {error}",
                self.path.clean, self.root.view.id
            ))
        })
    }
}

fn check_present(root: &Root, path: &Path) -> Result<()> {
    if root.is_complete() {
        return Ok(());
    }
    // What cannot be followed is told by whoever looks at it.
    root.check_present(&follow(root, &path.clean).unwrap_or_else(|_| path.clean.clone()))
}

fn stat(root: &Root, path: &Path) -> std::result::Result<PathStat, Errno> {
    let flags = match path.is_asserted_directory() {
        true => OFlags::PATH | OFlags::DIRECTORY,
        false => OFlags::PATH | OFlags::NOFOLLOW,
    };
    let found = rustix::fs::fstat(root.find(&path.clean, flags)?)?;
    let link_target = match FileType::from_raw_mode(found.st_mode) {
        FileType::Symlink => follow(root, &path.clean)?,
        _ => String::new(),
    };
    Ok(PathStat {
        name: path.base().to_owned(),
        size: found.st_size,
        mode: found.st_mode,
        modified: modified(&found),
        link_target,
    })
}

fn modified(found: &Stat) -> Timestamp {
    let nanoseconds = i32::try_from(found.st_mtime_nsec).unwrap_or_default();
    Timestamp::new(found.st_mtime, nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Where a path leads with every link on it resolved; from the first name that is not there on, as it is written.
fn follow(root: &Root, path: &str) -> std::result::Result<String, Errno> {
    let split = |text: &str| text.split('/').rev().map(str::to_owned).collect::<Vec<_>>();
    let mut rest: VecDeque<String> = split(path).into();
    let mut resolved: Vec<String> = Vec::new();
    let mut links = 0;
    let mut lost = false;
    while let Some(part) = rest.pop_back() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                resolved.pop();
                continue;
            }
            _ => resolved.push(part),
        }
        let here = format!("/{}", resolved.join("/"));
        let found = match root.find(&here, OFlags::PATH | OFlags::NOFOLLOW) {
            _ if lost => continue,
            Err(Errno::NOENT | Errno::NOTDIR) => {
                lost = true;
                continue;
            }
            other => other?,
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != FileType::Symlink {
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(Errno::LOOP);
        }
        let target = rustix::fs::readlinkat(&found, "", Vec::new())?.to_string_lossy().into_owned();
        resolved.pop();
        if target.starts_with('/') {
            resolved.clear();
        }
        rest.extend(split(&target));
    }
    Ok(format!("/{}", resolved.join("/")))
}

fn extract(
    root: &Root,
    asked: &str,
    container: &str,
    request: ExtractRequest,
    from: Box<dyn Read + Send>,
) -> Result<()> {
    let path = Path::parse(asked);
    let failed = |errno| path.error(errno, asked, container);
    check_present(root, &path)?;
    let found = root.find(&path.clean, OFlags::PATH).map_err(failed)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&found).map_err(failed)?.st_mode);
    if kind != FileType::Directory {
        return Err(Error::invalid("extraction point is not a directory"));
    }
    check_writable(root, &found)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The one that was looked at, whatever is at the path by now.
    let directory = rustix::fs::openat(&found, ".", flags, rustix::fs::Mode::empty()).map_err(failed)?;
    let owner = match root.view.spec.user.as_str() {
        user if request.copy_owner && !user.is_empty() => {
            let (uid, gid) = user::ids(|path| root.find(path, OFlags::RDONLY | OFlags::NONBLOCK), user)?;
            Owner::Fixed(uid, gid)
        }
        _ => Owner::Archive,
    };
    let rules = CopyRules {
        owner,
        keep_directories: request.keep_directories,
        destination: format!("{}{}", path.clean, path.suffix),
        rename: None,
    };
    let unpack = || {
        let extractor = Extractor::new(directory, Mode::Verbatim).with_copy_rules(rules);
        extractor.extract(Decoder::new(from)?)
    };
    unpack().map(drop).map_err(|error| match error.is_input() {
        true => Error::invalid(error.to_string()),
        false => Error::internal(error.to_string()),
    })
}

/// Asked of the mount, which knows it better than any configuration.
fn check_writable(root: &Root, directory: &OwnedFd) -> Result<()> {
    let failed = |errno: Errno| Error::internal(format!("statfs: {errno}"));
    let flags = rustix::fs::fstatvfs(directory).map_err(failed)?.f_flag;
    if !flags.contains(StatVfsMountFlags::RDONLY) {
        return Ok(());
    }
    let mount = |file: BorrowedFd<'_>| {
        let flags = rustix::fs::AtFlags::EMPTY_PATH;
        rustix::fs::statx(file, "", flags, StatxFlags::MNT_ID).map(|found| found.stx_mnt_id)
    };
    let is_root = mount(root.fd()).map_err(failed)? == mount(directory.as_fd()).map_err(failed)?;
    Err(Error::invalid(match is_root {
        true => "container rootfs is marked read-only",
        false => "mounted volume is marked read-only",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_keep_what_their_end_says() {
        let parse = |text: &str| {
            let path = Path::parse(text);
            (path.clean.clone(), path.suffix, path.base().to_owned(), path.parent().to_owned())
        };
        let of = |clean: &str, suffix, base: &str, parent: &str| {
            (clean.into(), suffix, base.into(), parent.into())
        };
        assert_eq!(parse("/etc/passwd"), of("/etc/passwd", "", "passwd", "/etc"));
        assert_eq!(parse("etc/"), of("/etc", "/", "etc", ""));
        assert_eq!(parse("/a/../etc/."), of("/etc", "/.", ".", ""));
        assert_eq!(parse("/"), of("/", "/", "/", ""));
        assert_eq!(parse("."), of("/", "/.", ".", ""));
        assert_eq!(parse("../../x"), of("/x", "", "x", ""));
    }
}
