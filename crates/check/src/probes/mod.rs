//! The probes, one file per group of the table.

mod cgroup;
mod kernel;
mod namespaces;
mod network;
mod security;
mod storage;
mod system;

use std::fs;
use std::path::Path;

use crate::machine::Machine;
use crate::report::Report;

/// Runs them all.
pub(crate) fn run() -> Report {
    let machine = Machine::detect();
    let mut findings = system::probe(&machine);
    findings.extend(namespaces::probe());
    findings.extend(cgroup::probe(&machine));
    findings.extend(storage::probe());
    findings.extend(network::probe(&machine));
    findings.extend(security::probe(&machine));
    findings.extend(kernel::probe());
    Report { findings }
}

/// A file's first line.
fn first_line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()?.lines().next().map(|line| line.trim().to_owned())
}

fn present(path: &str) -> Result<String, String> {
    if Path::new(path).exists() { Ok(path.to_owned()) } else { Err(format!("no {path}")) }
}

/// Whether the kernel knows a file system, or has a module for it that a mount would load.
fn filesystem(name: &str) -> Result<String, String> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if known.lines().any(|line| line.split_whitespace().last() == Some(name)) {
        return Ok(String::new());
    }
    if module(name) { Ok("as a module".to_owned()) } else { Err("not in this kernel".to_owned()) }
}

/// Whether a module of this name is loaded or can be.
fn module(name: &str) -> bool {
    if Path::new("/sys/module").join(name).exists() {
        return true;
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    ["modules.dep", "modules.builtin"].iter().any(|list| {
        fs::read_to_string(Path::new("/lib/modules").join(&release).join(list)).is_ok_and(|text| {
            text.lines()
                .filter_map(|line| line.split(':').next()?.rsplit('/').next()?.split(".ko").next())
                .any(|module| module.replace('-', "_") == name.replace('-', "_"))
        })
    })
}
