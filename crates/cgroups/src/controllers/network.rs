//! `net_cls` (a class for traffic control) and `net_prio` (a priority per interface). Version 1 only: v2 has
//! no such controllers, and the request is refused there.

use oci::runtime::Network;

use crate::{Cgroup, Result};

pub(crate) fn apply(cgroup: &Cgroup, network: &Network) -> Result<()> {
    if let Some(class) = network.class_id.filter(|c| *c != 0) {
        let (directory, _) = cgroup.require("net_cls", || format!("network class {class}"))?;
        directory.write("net_cls.classid", &class.to_string())?;
    }
    if !network.priorities.is_empty() {
        let (directory, _) = cgroup.require("net_prio", || "a network priority".to_owned())?;
        let lines = network.priorities.iter().map(|p| format!("{} {}", p.name, p.priority));
        directory.write_each("net_prio.ifpriomap", lines)?;
    }
    Ok(())
}
