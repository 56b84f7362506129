//! An engine inside a container: the container's group is the root of all it sees, and it is in there itself. On
//! version 2 a group with processes cannot have children with limits, unless it is the machine's own root.

use crate::cgroup::delegate;
use crate::machine::{Layout, Machine};
use crate::{Error, Result};

/// The group that the processes of the root are moved to, as Docker's own image for this does.
const REFUGE: &str = "init";

/// New ones may be born while the others are moved.
const ROUNDS: usize = 100;

/// Makes the root of what is mounted able to have children with limits: its processes, the caller among them, go to
/// `/init`. Does nothing on version 1, on the machine's own root, or where it can already. Returns how many were moved.
///
/// # Errors
/// The tree is read-only; a process is out of sight, or keeps coming back.
pub fn make_room(machine: &Machine) -> Result<usize> {
    let [hierarchy] = machine.hierarchies() else { return Ok(0) };
    // The machine's own root has no type.
    let is_nested = machine.layout() == Layout::Unified
        && hierarchy.own.is_empty()
        && hierarchy.directory.has("cgroup.type");
    if !is_nested {
        return Ok(0);
    }
    let root = &hierarchy.directory;
    let Some(mut obstacle) = delegate(root, &hierarchy.controllers)? else { return Ok(0) };
    root.make(REFUGE)?;
    let refuge = root.child(REFUGE)?;
    let mut moved = 0;
    for _ in 0..ROUNDS {
        for pid in root.read("cgroup.procs")?.lines() {
            // 0 is one outside the pid namespace, and as an order it would mean the caller.
            if pid != "0" && refuge.write("cgroup.procs", pid).is_ok() {
                moved += 1;
            }
        }
        match delegate(root, &hierarchy.controllers)? {
            None => return Ok(moved),
            Some(still) => obstacle = still,
        }
    }
    Err(Error::Invalid(obstacle.to_string()))
}
