//! From `linux.cgroupsPath` to a path below the hierarchies.

use crate::{Error, Result};

/// Where a container's cgroup lies below each hierarchy's mount point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CgroupPath {
    /// Below the mount point: `/docker/<id>`.
    Absolute(String),
    /// Below the cgroup this process is in (v1), or beside it (v2, where a group with processes cannot have
    /// controlled children).
    Relative(String),
}

impl CgroupPath {
    /// Resolves `linux.cgroupsPath` of the runtime spec as runc does.
    ///
    /// - absent or empty: a group named `id` relative to the caller's own
    /// - `/docker/<id>`: as it stands, without any way out through `..`
    /// - `slice:prefix:name` when `systemd` is asked for: the path systemd would use,
    ///   `/a.slice/a-b.slice/prefix-name.scope`, written without D-Bus
    pub fn resolve(cgroups_path: Option<&str>, id: &str, systemd: bool) -> Result<CgroupPath> {
        let text = cgroups_path.unwrap_or_default();
        if systemd {
            let (slice, prefix, name) = match text.split(':').collect::<Vec<_>>()[..] {
                [""] => ("system.slice", "runc", id),
                [slice, prefix, name] => {
                    (if slice.is_empty() { "system.slice" } else { slice }, prefix, name)
                }
                _ => {
                    return Err(Error::Invalid(format!(
                        "cgroupsPath {text:?} is not of the form \"slice:prefix:name\" that systemd cgroups need"
                    )));
                }
            };
            if name.is_empty() || name.contains('/') || prefix.contains('/') {
                return Err(Error::Invalid(format!("cgroupsPath {text:?} names no unit")));
            }
            return Ok(CgroupPath::Absolute(format!("{}/{}", expand_slice(slice)?, unit(prefix, name))));
        }
        if text.is_empty() {
            return Ok(CgroupPath::Relative(clean(id)));
        }
        let cleaned = clean(text);
        if cleaned.is_empty() {
            return Err(Error::Invalid(format!("cgroupsPath {text:?} is the root of the hierarchy")));
        }
        Ok(if text.starts_with('/') {
            CgroupPath::Absolute(format!("/{cleaned}"))
        } else {
            CgroupPath::Relative(cleaned)
        })
    }
}

fn unit(prefix: &str, name: &str) -> String {
    if name.ends_with(".slice") {
        name.to_owned()
    } else if prefix.is_empty() {
        format!("{name}.scope")
    } else {
        format!("{prefix}-{name}.scope")
    }
}

/// `a-b.slice` is `/a.slice/a-b.slice` (systemd.slice(5)); `-.slice` is the root.
fn expand_slice(slice: &str) -> Result<String> {
    let invalid = || Error::Invalid(format!("invalid slice name {slice:?}"));
    let stem = slice.strip_suffix(".slice").ok_or_else(invalid)?;
    if stem == "-" {
        return Ok(String::new());
    }
    if stem.is_empty() || stem.contains('/') {
        return Err(invalid());
    }
    let mut path = String::new();
    let mut prefix = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return Err(invalid());
        }
        prefix.push_str(part);
        path.push_str(&format!("/{prefix}.slice"));
        prefix.push('-');
    }
    Ok(path)
}

/// Drops empty and `.` parts and resolves `..`, which can never climb above the root.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absolute(path: &str) -> CgroupPath {
        CgroupPath::Absolute(path.into())
    }

    #[test]
    fn plain_paths_are_cleaned_and_cannot_climb() {
        let resolve = |p| CgroupPath::resolve(Some(p), "id", false);
        assert_eq!(resolve("/docker/abc").unwrap(), absolute("/docker/abc"));
        assert_eq!(resolve("//docker/./abc/").unwrap(), absolute("/docker/abc"));
        assert_eq!(resolve("/../../docker/../etc").unwrap(), absolute("/etc"));
        assert_eq!(resolve("a/../../b").unwrap(), CgroupPath::Relative("b".into()));
        assert!(resolve("/..").is_err());
        assert_eq!(CgroupPath::resolve(None, "c1", false).unwrap(), CgroupPath::Relative("c1".into()));
    }

    #[test]
    fn systemd_form_becomes_the_path_systemd_would_use() {
        let resolve = |p| CgroupPath::resolve(Some(p), "id", true);
        assert_eq!(resolve("system.slice:docker:ab").unwrap(), absolute("/system.slice/docker-ab.scope"));
        assert_eq!(resolve(":docker:ab").unwrap(), absolute("/system.slice/docker-ab.scope"));
        assert_eq!(
            resolve("user-1000-x.slice::ab").unwrap(),
            absolute("/user.slice/user-1000.slice/user-1000-x.slice/ab.scope")
        );
        assert_eq!(resolve("-.slice:p:n").unwrap(), absolute("/p-n.scope"));
        assert_eq!(resolve("a.slice:p:pod.slice").unwrap(), absolute("/a.slice/pod.slice"));
        assert_eq!(resolve("").unwrap(), absolute("/system.slice/runc-id.scope"));
        for bad in ["/docker/x", "a--b.slice:p:n", "a:p:n", "x.slice:p:", "x.slice:p:../n"] {
            assert!(resolve(bad).is_err(), "{bad}");
        }
    }
}
