//! A container's user by number, as its own files have it: for what is done to its files from outside.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Whoever makes these files larger does not want them read.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// User and group of `name`, `uid`, `name:group` ... `open` opens a file of the container.
pub(crate) fn ids(
    open: impl Fn(&str) -> std::result::Result<OwnedFd, Errno>,
    user: &str,
) -> Result<(u32, u32)> {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let (uid, own_group) = match (name, number(name)) {
        ("", _) => (0, 0),
        (_, Some(uid)) => {
            // Who has no line there has no group either.
            let lines = lines(&open, "/etc/passwd").unwrap_or_default();
            (uid, entry(&lines, |fields| fields.get(2) == Some(&name)).map_or(0, |(_, gid)| gid))
        }
        (name, None) => {
            entry(&lines(&open, "/etc/passwd")?, |fields| fields[0] == name).ok_or_else(|| {
                Error::invalid(format!(
                    "failed to look up user {name:?} in container: no matching entries in passwd file"
                ))
            })?
        }
    };
    let gid = match (group, number(group)) {
        ("", _) => own_group,
        (_, Some(gid)) => gid,
        (group, None) => {
            let lines = lines(&open, "/etc/group")?;
            let found = lines.iter().map(|line| line.split(':').collect::<Vec<_>>());
            let mut found = found.filter(|fields| fields[0] == group);
            found.find_map(|fields| fields.get(2)?.parse().ok()).ok_or_else(|| {
                Error::invalid(format!(
                    "failed to look up group {group:?} in container: no matching entries in group file"
                ))
            })?
        }
    };
    Ok((uid, gid))
}

/// Larger numbers are names, as in Docker.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id <= i32::MAX.cast_unsigned())
}

fn entry(lines: &[String], wanted: impl Fn(&[&str]) -> bool) -> Option<(u32, u32)> {
    lines.iter().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let ids = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        wanted(&fields).then_some(ids)
    })
}

fn lines(open: impl Fn(&str) -> std::result::Result<OwnedFd, Errno>, path: &str) -> Result<Vec<String>> {
    let failed = |error: std::io::Error| Error::invalid(format!("open {path} in container: {error}"));
    let file = open(path).map_err(|errno| failed(errno.into()))?;
    let kind =
        FileType::from_raw_mode(rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?.st_mode);
    if kind != FileType::RegularFile {
        return Err(Error::invalid(format!("{path} in container is no regular file")));
    }
    let mut text = Vec::new();
    File::from(file).take(FILE_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    Ok(String::from_utf8_lossy(&text).lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_looked_up_as_docker_does() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("passwd"), "root:x:0:0::/:/bin/sh\nweb:x:33:34::/:/bin/sh\n")
            .unwrap();
        std::fs::write(directory.path().join("group"), "root:x:0:\nweb:x:34:\nlog:x:70:web\n").unwrap();
        let open = |path: &str| {
            let path = directory.path().join(path.trim_start_matches("/etc/"));
            rustix::fs::open(path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty())
        };
        let of = |user: &str| ids(open, user).map_err(|error| error.message);
        assert_eq!(of("web"), Ok((33, 34)));
        assert_eq!(of("33"), Ok((33, 34)));
        assert_eq!(of("12345"), Ok((12345, 0)));
        assert_eq!(of("web:log"), Ok((33, 70)));
        assert_eq!(of("5:6"), Ok((5, 6)));
        assert_eq!(of(":log"), Ok((0, 70)));
        assert_eq!(
            of("nosuch"),
            Err("failed to look up user \"nosuch\" in container: no matching entries in passwd file".into())
        );
        assert!(of("web:nosuch").is_err());
    }
}
