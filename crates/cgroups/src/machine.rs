//! What cgroup trees this machine mounts. Read once per process: the mount table of a busy host has
//! thousands of lines, and no container start may pay for parsing it.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::directory::Directory;
use crate::{Error, Result};

/// How the machine arranges its cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Version 1 only.
    Legacy,
    /// Version 1 with a version 2 tree beside it that holds none or few of the controllers.
    Hybrid,
    /// Version 2 only.
    Unified,
}

/// Version of one hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `cgroup`: one tree per controller (or per set of controllers).
    V1,
    /// `cgroup2`: one tree for all.
    V2,
}

/// One mounted tree.
#[derive(Debug)]
pub struct Hierarchy {
    pub(crate) version: Version,
    pub(crate) controllers: Vec<String>,
    pub(crate) mount_point: PathBuf,
    pub(crate) own: String,
    pub(crate) directory: Directory,
}

impl Hierarchy {
    /// `cgroup` or `cgroup2`.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Controllers in the kernel's spelling; `name=systemd` for a named v1 hierarchy.
    pub fn controllers(&self) -> &[String] {
        &self.controllers
    }

    /// Where it is mounted.
    pub fn mount_point(&self) -> &std::path::Path {
        &self.mount_point
    }

    pub(crate) fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }
}

/// The mounted hierarchies, each with an open descriptor of its root.
#[derive(Debug)]
pub struct Machine {
    hierarchies: Vec<Hierarchy>,
}

/// The machine this process runs on, detected at the first call. The spawner makes that call before it forks.
pub fn machine() -> Result<Arc<Machine>> {
    static MACHINE: OnceLock<Arc<Machine>> = OnceLock::new();
    if let Some(machine) = MACHINE.get() {
        return Ok(machine.clone());
    }
    let detected = Arc::new(Machine::detect()?);
    Ok(MACHINE.get_or_init(|| detected).clone())
}

impl Machine {
    /// Reads `/proc/self/mountinfo` and `/proc/self/cgroup`.
    pub fn detect() -> Result<Machine> {
        let read = |path: &str| {
            std::fs::read_to_string(path).map_err(|source| Error::Io {
                action: "read",
                path: path.into(),
                source,
            })
        };
        Machine::from_tables(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?)
    }

    /// As [`Machine::detect`], from given tables in the form of proc_pid_mountinfo(5) and cgroups(7).
    pub fn from_tables(mountinfo: &str, own_cgroups: &str) -> Result<Machine> {
        let mut hierarchies = Vec::new();
        for mount in parse_mounts(mountinfo) {
            if hierarchies.iter().any(|h: &Hierarchy| {
                h.version == mount.version
                    && (mount.version == Version::V2 || h.controllers == mount.controllers)
            }) {
                continue;
            }
            let directory = Directory::open(&mount.point)?;
            let controllers = match mount.version {
                Version::V1 => mount.controllers,
                Version::V2 => directory
                    .read_optional("cgroup.controllers")?
                    .unwrap_or_default()
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect(),
            };
            let own = own_path(own_cgroups, mount.version, &controllers, &mount.root);
            hierarchies.push(Hierarchy {
                version: mount.version,
                controllers,
                mount_point: mount.point,
                own,
                directory,
            });
        }
        if hierarchies.is_empty() {
            return Err(Error::NotMounted);
        }
        // A controller lives in one hierarchy only, so "the v2 tree last" costs nothing and lets code that
        // needs any v1 tree take the first.
        hierarchies.sort_by_key(|h| h.version == Version::V2);
        Ok(Machine { hierarchies })
    }

    /// How the machine arranges its cgroups.
    pub fn layout(&self) -> Layout {
        let v1 = self.hierarchies.iter().any(|h| h.version == Version::V1);
        let v2 = self.hierarchies.iter().any(|h| h.version == Version::V2);
        match (v1, v2) {
            (false, _) => Layout::Unified,
            (true, true) => Layout::Hybrid,
            (true, false) => Layout::Legacy,
        }
    }

    /// All mounted trees, v1 first.
    pub fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// The tree that has `controller`.
    pub fn find(&self, controller: &str) -> Option<&Hierarchy> {
        self.index_of(controller).map(|i| &self.hierarchies[i])
    }

    pub(crate) fn index_of(&self, controller: &str) -> Option<usize> {
        self.hierarchies.iter().position(|h| h.has(controller))
    }
}

#[derive(Debug)]
struct Mount {
    version: Version,
    controllers: Vec<String>,
    root: String,
    point: PathBuf,
}

/// Super-block options of a v1 mount that are not controllers (cgroup1_show_options in the kernel).
const NOT_CONTROLLERS: [&str; 9] =
    ["rw", "ro", "noprefix", "xattr", "clone_children", "none", "cpuset_v2_mode", "favordynmods", "all"];

fn parse_mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo
        .lines()
        .filter_map(|line| {
            // 36 35 98:0 /root /mount/point rw,noatime master:1 - cgroup cgroup rw,cpu,cpuacct
            let (left, right) = line.split_once(" - ")?;
            let mut right = right.split(' ');
            let version = match right.next()? {
                "cgroup" => Version::V1,
                "cgroup2" => Version::V2,
                _ => return None,
            };
            let options = right.nth(1).unwrap_or_default();
            let mut left = left.split(' ').skip(3);
            let (root, point) = (left.next()?, left.next()?);
            let controllers = match version {
                Version::V1 => options
                    .split(',')
                    .filter(|o| !NOT_CONTROLLERS.contains(o) && !o.starts_with("release_agent="))
                    .filter(|o| !o.contains('=') || o.starts_with("name="))
                    .map(str::to_owned)
                    .collect(),
                Version::V2 => Vec::new(),
            };
            Some(Mount { version, controllers, root: unescape(root), point: unescape(point).into() })
        })
        .collect()
}

/// Space, tab, newline and backslash are written as `\040` and so on.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = &rest[at + 4..];
            }
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

/// This process's path below the mount point. The table shows it from the hierarchy's root, and what is
/// mounted may be a part of that (in a container without a cgroup namespace).
fn own_path(table: &str, version: Version, controllers: &[String], mount_root: &str) -> String {
    let path = table.lines().find_map(|line| {
        // 4:cpu,cpuacct:/user.slice  or  0::/user.slice
        let mut fields = line.splitn(3, ':');
        let (id, names, path) = (fields.next()?, fields.next()?, fields.next()?);
        let fits = match version {
            Version::V1 => names.split(',').any(|n| controllers.iter().any(|c| c == n)),
            Version::V2 => id == "0",
        };
        fits.then_some(path)
    });
    let path = path.unwrap_or("/");
    let below = if mount_root == "/" { path } else { path.strip_prefix(mount_root).unwrap_or("") };
    below.trim_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_controllers_names_and_escapes_are_read_from_the_mount_table() {
        let table = "\
30 23 0:27 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 30 0:29 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory,clone_children
33 30 0:30 / /mnt/a\\040b rw - cgroup none rw,xattr,release_agent=/lib/agent,name=systemd
34 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate";
        let mounts = parse_mounts(table);
        let seen: Vec<_> =
            mounts.iter().map(|m| (m.version, m.controllers.join(","), m.root.as_str())).collect();
        assert_eq!(
            seen,
            [
                (Version::V1, "cpu,cpuacct".to_owned(), "/"),
                (Version::V1, "memory".to_owned(), "/docker/ab"),
                (Version::V1, "name=systemd".to_owned(), "/"),
                (Version::V2, String::new(), "/"),
            ]
        );
        assert_eq!(mounts[2].point, PathBuf::from("/mnt/a b"));
    }

    #[test]
    fn own_path_is_relative_to_what_is_mounted() {
        let table = "5:memory:/docker/ab/sub\n4:cpu,cpuacct:/\n1:name=systemd:/init\n0::/user.slice/x";
        let own = |version, controllers: &[&str], root| {
            let controllers: Vec<String> = controllers.iter().map(|c| (*c).to_owned()).collect();
            own_path(table, version, &controllers, root)
        };
        assert_eq!(own(Version::V1, &["memory"], "/docker/ab"), "sub");
        assert_eq!(own(Version::V1, &["memory"], "/"), "docker/ab/sub");
        assert_eq!(own(Version::V1, &["cpu", "cpuacct"], "/"), "");
        assert_eq!(own(Version::V1, &["name=systemd"], "/"), "init");
        assert_eq!(own(Version::V2, &["memory"], "/"), "user.slice/x");
    }
}
