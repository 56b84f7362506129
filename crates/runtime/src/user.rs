//! Users and groups by name, from a container's own `/etc/passwd` and `/etc/group`.
//!
//! The files are opened inside the root descriptor and never followed out of it; the C library's lookups
//! (which would read the host's) are not used.

use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::BorrowedFd;

use crate::error::Context;
use crate::{Error, Result, inside};

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// The group, those of the user in `/etc/group`, then the additional ones asked for, without repetition. The group is
    /// among them, as in Docker: whoever changes it (a set-gid program) would be free of what is denied to it otherwise.
    pub groups: Vec<u32>,
    /// The home directory; `/` when the user has no entry.
    pub home: String,
}

struct Passwd {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Looks up `user`, in one of Docker's forms `name`, `uid`, `name:group`, `uid:gid`, `:group` or empty (root),
/// and `additional` groups, names or numbers, in the root directory that `root` is.
///
/// A number needs no entry; a name does. With a group given, the user's entries in `/etc/group` do not count.
///
/// # Errors
/// [`Error::NoSuchUser`], [`Error::NoSuchGroup`], or a file that cannot be read.
pub fn resolve(root: BorrowedFd<'_>, user: &str, additional: &[String]) -> Result<Identity> {
    lookup(open(root, PASSWD)?, open(root, GROUP)?, user, additional)
}

/// The name of a user of the host, for people to read.
pub(crate) fn name(uid: u32) -> Option<String> {
    let text = std::fs::read_to_string(PASSWD).ok()?;
    text.lines().filter_map(passwd).find(|entry| entry.uid == uid).map(|entry| entry.name)
}

/// The home directory of a user by number; `/` when it has no entry.
pub(crate) fn home(root: BorrowedFd<'_>, uid: u32) -> Result<String> {
    let mut found = None;
    scan(open(root, PASSWD)?, PASSWD, |line| {
        found = found.take().or_else(|| passwd(line).filter(|e| e.uid == uid));
        found.is_none()
    })?;
    Ok(found.map(|e| e.home).filter(|h| !h.is_empty()).unwrap_or_else(|| "/".into()))
}

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";
/// A longer line is no entry, whatever else it may be.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// What is no regular file, or not there, has no entries.
fn open(root: BorrowedFd<'_>, path: &str) -> Result<Box<dyn BufRead>> {
    let file = inside::regular(root, path).step(|| format!("read {path} of the container"))?;
    Ok(match file {
        Some(file) => Box::new(BufReader::new(file)),
        None => Box::new(io::empty()),
    })
}

/// Shows `see` one line after the other until it has seen enough. The file is never in memory as a whole: it may be
/// of any size.
fn scan(mut source: impl BufRead, path: &str, mut see: impl FnMut(&str) -> bool) -> Result<()> {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = source.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes);
        let read = read.step(|| format!("read {path} of the container"))?;
        if read as u64 == LINE_BYTES_MAX {
            return Err(Error::Invalid(format!("{path} of the container has a line without an end")));
        }
        if read == 0 || !see(String::from_utf8_lossy(&bytes).trim_end_matches('\n')) {
            return Ok(());
        }
    }
}

fn lookup(
    passwd_file: impl BufRead,
    group_file: impl BufRead,
    user: &str,
    additional: &[String],
) -> Result<Identity> {
    let (name, wanted_group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|g| !g.is_empty())),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = name.parse::<u32>().ok();
    // A name that looks like a number is a name first.
    let (mut named, mut numbered) = (None, None);
    scan(passwd_file, PASSWD, |line| {
        if let Some(entry) = passwd(line) {
            if entry.name == name {
                named = Some(entry);
            } else if numbered.is_none() && Some(entry.uid) == number {
                numbered = Some(entry);
            }
        }
        named.is_none()
    })?;
    let entry = named.or(numbered);
    let uid = match (&entry, number) {
        (Some(entry), _) => entry.uid,
        (None, Some(uid)) if i32::try_from(uid).is_ok() => uid,
        (None, _) if is_number(name) => return Err(out_of_range()),
        _ => return Err(Error::NoSuchUser { name: name.to_owned() }),
    };
    let wanted: Vec<&str> = wanted_group.into_iter().chain(additional.iter().map(String::as_str)).collect();
    let mut found = vec![None; wanted.len()];
    let member = entry.as_ref().filter(|_| wanted_group.is_none());
    let mut groups = Vec::new();
    if member.is_some() || !wanted.is_empty() {
        scan(group_file, GROUP, |line| {
            let Some(group) = group(line) else { return true };
            for (slot, wanted) in found.iter_mut().zip(&wanted) {
                if slot.is_none() && group.name == *wanted {
                    *slot = Some(group.gid);
                }
            }
            if member.is_some_and(|e| group.members.split(',').any(|m| m.trim() == e.name)) {
                groups.push(group.gid);
            }
            true
        })?;
    }
    let mut ids = Vec::with_capacity(wanted.len());
    for (slot, wanted) in found.into_iter().zip(&wanted) {
        let number = wanted.parse::<u32>().ok().filter(|n| i32::try_from(*n).is_ok());
        ids.push(slot.or(number).ok_or_else(|| match is_number(wanted) {
            true => out_of_range(),
            false => Error::NoSuchGroup { name: (*wanted).to_owned() },
        })?);
    }
    let gid = match wanted_group {
        Some(_) => ids.remove(0),
        None => entry.as_ref().map_or(0, |e| e.gid),
    };
    groups.insert(0, gid);
    groups.extend(ids);
    let mut seen = Vec::with_capacity(groups.len());
    groups.retain(|g| {
        !seen.contains(g) && {
            seen.push(*g);
            true
        }
    });
    let home = entry.map(|e| e.home).filter(|h| !h.is_empty()).unwrap_or_else(|| "/".into());
    Ok(Identity { uid, gid, groups, home })
}

fn passwd(line: &str) -> Option<Passwd> {
    let mut fields = line.split(':');
    let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let home = fields.nth(1).unwrap_or_default().to_owned();
    Some(Passwd {
        name: name.trim().into(),
        uid: uid.trim().parse().ok()?,
        gid: gid.trim().parse().ok()?,
        home,
    })
}

fn is_number(name: &str) -> bool {
    let digits = name.strip_prefix('-').unwrap_or(name);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// runc's words.
fn out_of_range() -> Error {
    Error::Invalid(format!("uids and gids must be in range 0-{}", i32::MAX))
}

fn group(line: &str) -> Option<Group<'_>> {
    let mut fields = line.split(':');
    let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Group {
        name: name.trim(),
        gid: gid.trim().parse().ok()?,
        members: fields.next().unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n123:x:5:6::/five:\nbroken\n";
    const GROUPS: &str = "root:x:0:\nweb:x:34:\nadm:x:4:web,root\nlog:x:9:web\n";

    fn identity(user: &str, additional: &[&str]) -> Result<Identity> {
        let additional: Vec<String> = additional.iter().map(ToString::to_string).collect();
        lookup(USERS.as_bytes(), GROUPS.as_bytes(), user, &additional)
    }

    fn is(uid: u32, gid: u32, groups: &[u32], home: &str) -> Identity {
        Identity { uid, gid, groups: groups.to_vec(), home: home.into() }
    }

    #[test]
    fn all_forms() {
        assert_eq!(identity("", &[]).unwrap(), is(0, 0, &[0, 4], "/root"));
        assert_eq!(identity("web", &[]).unwrap(), is(33, 34, &[34, 4, 9], "/srv"));
        assert_eq!(identity("33", &["9", "77"]).unwrap(), is(33, 34, &[34, 4, 9, 77], "/srv"));
        assert_eq!(identity("web:adm", &["log"]).unwrap(), is(33, 4, &[4, 9], "/srv"));
        assert_eq!(identity("1000:1001", &[]).unwrap(), is(1000, 1001, &[1001], "/"));
        // A name that looks like a number is a name first.
        assert_eq!(identity("123", &[]).unwrap(), is(5, 6, &[6], "/five"));
    }

    #[test]
    fn who_is_not_there_is_named() {
        assert!(matches!(identity("nobody", &[]), Err(Error::NoSuchUser { name }) if name == "nobody"));
        assert!(matches!(identity("web:none", &[]), Err(Error::NoSuchGroup { name }) if name == "none"));
        assert!(matches!(identity("4294967295", &[]), Err(Error::Invalid(_))));
        assert!(matches!(identity("-1", &[]), Err(Error::Invalid(_))));
    }
}
