//! `linux.resources.unified`: files of the v2 tree, written as they stand. Also the only way to `misc.max`,
//! `memory.high` and whatever the kernel invents next.

use std::collections::BTreeMap;

use crate::{Cgroup, Error, Result};

pub(crate) fn apply(cgroup: &Cgroup, files: &BTreeMap<String, String>) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let directory = cgroup
        .unified()
        .ok_or_else(|| Error::Invalid("unified resources need cgroup v2, which is not mounted".to_owned()))?;
    for (file, value) in files {
        if file.contains('/') || file.is_empty() || file == "." || file == ".." {
            return Err(Error::Invalid(format!(
                "unified resource {file:?} must be a file name (no slashes)"
            )));
        }
        // A value of several lines is several commands.
        match directory.write_each(file, value.lines().filter(|l| !l.trim().is_empty())) {
            Err(e) if e.is_not_found() => {
                let controller = file.split('.').next().unwrap_or(file);
                return Err(Error::Invalid(format!(
                    "unified resource {file:?} can't be set: controller {controller:?} not available"
                )));
            }
            other => other?,
        }
    }
    Ok(())
}
