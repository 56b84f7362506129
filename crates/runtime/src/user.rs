//! Users and groups by name, from a container's own `/etc/passwd` and `/etc/group`.
//!
//! The files are opened inside the root descriptor and never followed out of it; the C library's lookups
//! (which would read the host's) are not used.

use std::os::fd::BorrowedFd;

use crate::error::Context;
use crate::{Error, Result, inside};

/// Who a process is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Groups of the user in `/etc/group`, then the additional ones asked for, without repetition.
    pub groups: Vec<u32>,
    /// The home directory; `/` when the user has no entry.
    pub home: String,
}

struct Passwd<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
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
    let passwd = read(root, "/etc/passwd")?;
    let group = read(root, "/etc/group")?;
    lookup(&passwd, &group, user, additional)
}

/// The name of a user of the host, for people to read.
pub(crate) fn name(uid: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    users(&passwd).find(|entry| entry.uid == uid).map(|entry| entry.name.to_owned())
}

/// The home directory of a user by number; `/` when it has no entry.
pub(crate) fn home(root: BorrowedFd<'_>, uid: u32) -> Result<String> {
    let passwd = read(root, "/etc/passwd")?;
    let entry = users(&passwd).find(|entry| entry.uid == uid);
    Ok(entry.map(|e| e.home).filter(|h| !h.is_empty()).unwrap_or("/").to_owned())
}

fn read(root: BorrowedFd<'_>, path: &str) -> Result<String> {
    Ok(inside::text(root, path).step(|| format!("read {path} of the container"))?.unwrap_or_default())
}

fn lookup(passwd: &str, group: &str, user: &str, additional: &[String]) -> Result<Identity> {
    let (name, wanted_group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|g| !g.is_empty())),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = name.parse::<u32>().ok();
    let entry = users(passwd)
        .find(|e| e.name == name)
        .or_else(|| number.and_then(|uid| users(passwd).find(|e| e.uid == uid)));
    let uid = match (&entry, number) {
        (Some(entry), _) => entry.uid,
        (None, Some(uid)) if i32::try_from(uid).is_ok() => uid,
        (None, _) if is_number(name) => return Err(out_of_range()),
        _ => return Err(Error::NoSuchUser { name: name.to_owned() }),
    };
    let mut groups = Vec::new();
    let gid = match wanted_group {
        Some(wanted) => group_id(group, wanted)?,
        None => {
            if let Some(entry) = &entry {
                let member = |g: &Group<'_>| g.members.split(',').any(|m| m.trim() == entry.name);
                groups.extend(self::groups(group).filter(member).map(|g| g.gid));
            }
            entry.as_ref().map_or(0, |e| e.gid)
        }
    };
    for wanted in additional {
        groups.push(group_id(group, wanted)?);
    }
    let mut seen = Vec::with_capacity(groups.len());
    groups.retain(|g| {
        !seen.contains(g) && {
            seen.push(*g);
            true
        }
    });
    let home = entry.map(|e| e.home).filter(|h| !h.is_empty()).unwrap_or("/").to_owned();
    Ok(Identity { uid, gid, groups, home })
}

fn group_id(group: &str, wanted: &str) -> Result<u32> {
    let number = wanted.parse::<u32>().ok().filter(|n| i32::try_from(*n).is_ok());
    groups(group).find(|g| g.name == wanted).map(|g| g.gid).or(number).ok_or_else(|| {
        match is_number(wanted) {
            true => out_of_range(),
            false => Error::NoSuchGroup { name: wanted.to_owned() },
        }
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

fn users(text: &str) -> impl Iterator<Item = Passwd<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let home = fields.nth(1).unwrap_or_default();
        Some(Passwd { name: name.trim(), uid: uid.trim().parse().ok()?, gid: gid.trim().parse().ok()?, home })
    })
}

fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Group {
            name: name.trim(),
            gid: gid.trim().parse().ok()?,
            members: fields.next().unwrap_or_default(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/sh\n123:x:5:6::/five:\nbroken\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\nadm:x:4:web,root\nlog:x:9:web\n";

    fn identity(user: &str, additional: &[&str]) -> Result<Identity> {
        let additional: Vec<String> = additional.iter().map(ToString::to_string).collect();
        lookup(PASSWD, GROUP, user, &additional)
    }

    fn is(uid: u32, gid: u32, groups: &[u32], home: &str) -> Identity {
        Identity { uid, gid, groups: groups.to_vec(), home: home.into() }
    }

    #[test]
    fn all_forms() {
        assert_eq!(identity("", &[]).unwrap(), is(0, 0, &[4], "/root"));
        assert_eq!(identity("web", &[]).unwrap(), is(33, 34, &[4, 9], "/srv"));
        assert_eq!(identity("33", &["9", "77"]).unwrap(), is(33, 34, &[4, 9, 77], "/srv"));
        assert_eq!(identity("web:adm", &["log"]).unwrap(), is(33, 4, &[9], "/srv"));
        assert_eq!(identity("1000:1001", &[]).unwrap(), is(1000, 1001, &[], "/"));
        // A name that looks like a number is a name first.
        assert_eq!(identity("123", &[]).unwrap(), is(5, 6, &[], "/five"));
    }

    #[test]
    fn who_is_not_there_is_named() {
        assert!(matches!(identity("nobody", &[]), Err(Error::NoSuchUser { name }) if name == "nobody"));
        assert!(matches!(identity("web:none", &[]), Err(Error::NoSuchGroup { name }) if name == "none"));
        assert!(matches!(identity("4294967295", &[]), Err(Error::Invalid(_))));
        assert!(matches!(identity("-1", &[]), Err(Error::Invalid(_))));
    }
}
