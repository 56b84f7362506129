//! File systems that are made of options, as detached mounts: who attaches them is another question.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use oci::runtime::Mount;
use rustix::io::Errno;
use sys::mount::attr;

use crate::mount_api::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};
use crate::options::{CONTEXT, Options};

/// Of a kind that is reached over the network of whoever makes it. A container has another network, which may lead nowhere,
/// and whose end would be the end of the connection: such a file system is made by the caller, on the host's.
pub(crate) fn is_served(kind: &str) -> bool {
    matches!(kind, "9p" | "afs" | "ceph" | "cifs" | "nfs" | "nfs4" | "smb3")
}

/// All of it, from the mount's source and options.
pub(crate) fn detached(mount: &Mount, options: &Options) -> io::Result<OwnedFd> {
    let fs = fsopen(mount.kind.as_str(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&fs, "source", mount.source.as_str())?;
    configure(fs.as_fd(), options)?;
    create(&fs, options)
}

pub(crate) fn configure(fs: BorrowedFd<'_>, options: &Options) -> io::Result<()> {
    for flag in &options.file_system {
        fsconfig_set_flag(fs, flag)?;
    }
    let words = |words: &'_ String| -> Vec<String> {
        let whole = words.starts_with(CONTEXT);
        if whole { vec![words.clone()] } else { words.split(',').map(str::to_owned).collect() }
    };
    for word in options.data.iter().flat_map(words) {
        match word.split_once('=') {
            Some((key, value)) => fsconfig_set_string(fs, key, value)?,
            None => fsconfig_set_flag(fs, &word)?,
        }
    }
    Ok(())
}

pub(crate) fn create(fs: &OwnedFd, options: &Options) -> io::Result<OwnedFd> {
    fsconfig_create(fs)?;
    // A tmpfs that is filled first becomes read-only afterwards, with `attributes`.
    let now = options.set & !(if options.copy_up { attr::RDONLY } else { 0 });
    let flags = u32::try_from(now & 0xff).map_err(|_| Errno::INVAL)?;
    Ok(fsmount(fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::from_bits_retain(flags))?)
}
