//! What a container's `/sys/fs/cgroup` is made of.

use std::path::PathBuf;

use crate::{Cgroup, Layout, Version};

/// One tree as the container is to see it, below its `/sys/fs/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupMount {
    /// `cgroup` or `cgroup2`.
    pub version: Version,
    /// Directory below `/sys/fs/cgroup`: `cpu,cpuacct`, `memory`, `systemd`; empty when the v2 tree *is*
    /// `/sys/fs/cgroup`.
    pub name: String,
    /// Options of a fresh mount inside a new cgroup namespace: `cpu,cpuacct`, `name=systemd`; empty for v2.
    pub options: String,
    /// The container's directory on the host, to bind when the container has no cgroup namespace of its own.
    pub source: PathBuf,
    /// Names below `/sys/fs/cgroup` to be made as symlinks to `name`: `cpu` and `cpuacct`.
    pub links: Vec<String>,
}

impl Cgroup {
    /// The trees to mount in the container, in order. On v1 and hybrid machines they lie side by side in a
    /// tmpfs (the v2 tree of a hybrid machine is left out, as runc leaves it out); on v2 there is one.
    pub fn mounts(&self) -> Vec<CgroupMount> {
        let unified = self.machine().layout() == Layout::Unified;
        self.members
            .iter()
            .filter(|m| unified || self.hierarchy(m).version() == Version::V1)
            .map(|m| {
                let hierarchy = self.hierarchy(m);
                let source = m.directory.path().to_owned();
                if unified {
                    return CgroupMount {
                        version: Version::V2,
                        name: String::new(),
                        options: String::new(),
                        source,
                        links: Vec::new(),
                    };
                }
                let name = hierarchy
                    .mount_point()
                    .file_name()
                    .map(|n| n.to_string_lossy().into_owned())
                    .unwrap_or_else(|| hierarchy.controllers().join(","));
                let links = if hierarchy.controllers().len() > 1 {
                    hierarchy.controllers().iter().filter(|c| **c != name).cloned().collect()
                } else {
                    Vec::new()
                };
                CgroupMount {
                    version: Version::V1,
                    name,
                    options: hierarchy.controllers().join(","),
                    source,
                    links,
                }
            })
            .collect()
    }
}
