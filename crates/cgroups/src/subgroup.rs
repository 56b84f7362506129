//! Cgroups below a container's: made by what runs in it, and entered by further processes.

use rustix::process::Pid;

use crate::cgroup::Member;
use crate::machine::{Layout, Version};
use crate::{Cgroup, CgroupPath, Error, Result};

impl Cgroup {
    /// The group below this one that runc's `exec --cgroup` would mean: `path` in every hierarchy, or
    /// `controller[,controller]:path`, once for each hierarchy that is to differ. Nothing is made.
    ///
    /// # Errors
    /// A path that leads out of this cgroup, a controller that is not there or named twice, a group that does
    /// not exist.
    pub fn below(self, selectors: &[String]) -> Result<Cgroup> {
        let mut wanted: Vec<(&str, String)> = Vec::new();
        for selector in selectors {
            let Some((controllers, path)) = selector.split_once(':') else {
                if selectors.len() != 1 {
                    return Err(invalid(format!("{selector}: missing <controller>: prefix")));
                }
                wanted.push(("", clean(selector)?));
                continue;
            };
            for controller in controllers.split(',') {
                if controller.is_empty() {
                    return Err(invalid(format!("{selector}: empty <controller> prefix")));
                }
                if wanted.iter().any(|(name, _)| *name == controller) {
                    return Err(invalid(format!("controller {controller} specified multiple times")));
                }
                wanted.push((controller, clean(path)?));
            }
        }
        let mut members = Vec::with_capacity(self.members.len());
        let mut found = vec![false; wanted.len()];
        for member in self.members {
            let hierarchy = &self.machine.hierarchies()[member.hierarchy];
            let fits =
                |name: &str| name.is_empty() || hierarchy.has(name) || hierarchy.has(&format!("name={name}"));
            let mut path = "";
            for (at, (_, sub)) in wanted.iter().enumerate().filter(|(_, (name, _))| fits(name)) {
                found[at] = true;
                path = sub;
            }
            if path.is_empty() {
                members.push(member);
                continue;
            }
            let directory = member.directory.child(path)?;
            let relative = format!("{}/{path}", member.relative);
            members.push(Member { hierarchy: member.hierarchy, relative, directory, fresh: false });
        }
        if let Some((name, _)) = wanted.iter().zip(&found).find(|(_, found)| !**found).map(|(w, _)| w) {
            return Err(invalid(format!("unknown controller {name:?}")));
        }
        Ok(Cgroup { machine: self.machine, path: self.path, members })
    }

    /// The group for one more process of a container whose first is `first`: this one. On version 2 a container that made
    /// groups of its own has left the one it was given, and nobody can be added there: the group of its first process
    /// stands for it.
    ///
    /// # Errors
    /// As [`Cgroup::is_closed`] and [`Cgroup::of`].
    pub fn for_another(self, first: Pid) -> Result<Cgroup> {
        match self.is_closed()? {
            true => Cgroup::of(std::sync::Arc::clone(&self.machine), first),
            false => Ok(self),
        }
    }

    /// Whether version 2 would refuse a process here, since the group's children are controlled.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn is_closed(&self) -> Result<bool> {
        match self.unified().filter(|_| self.machine.layout() == Layout::Unified) {
            Some(directory) => Ok(!directory.read("cgroup.subtree_control")?.trim().is_empty()),
            None => Ok(false),
        }
    }

    /// The version 2 group that a process is in.
    ///
    /// # Errors
    /// The process is gone, or its group is out of this process's sight.
    pub fn of(machine: std::sync::Arc<crate::Machine>, pid: Pid) -> Result<Cgroup> {
        let path = format!("/proc/{}/cgroup", pid.as_raw_nonzero());
        let table = std::fs::read_to_string(&path);
        let table = table.map_err(|source| Error::Io { action: "read", path: path.into(), source })?;
        let own = table.lines().find_map(|line| line.strip_prefix("0::"));
        let own = own.filter(|p| !p.starts_with("/..")).ok_or(Error::NotMounted)?;
        let mut cgroup = Cgroup::open(machine, &CgroupPath::Absolute(own.to_owned()))?;
        cgroup.members.retain(|m| cgroup.machine.hierarchies()[m.hierarchy].version() == Version::V2);
        Ok(cgroup)
    }
}

fn invalid(what: String) -> Error {
    Error::Invalid(format!("invalid --cgroup argument: {what}"))
}

/// The path without empty parts; none that leads above its beginning.
fn clean(path: &str) -> Result<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop().ok_or_else(|| Error::Invalid(format!("bad sub cgroup path: {path}")))?),
            _ => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below() {
        assert_eq!(clean("/").unwrap(), "");
        assert_eq!(clean("/a//./b/../c").unwrap(), "a/c");
        assert!(clean("..").is_err());
        assert!(clean("a/../../b").is_err());
    }
}
