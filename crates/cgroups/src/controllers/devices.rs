//! Which device nodes may be opened and made. v1 keeps two lists in files; v2 has no files, and asks an eBPF
//! program that is attached to the group.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

use oci::runtime::DeviceRule;
use sys::bpf;

use self::policy::{Entry, Policy};
use super::Moment;
use crate::directory::Directory;
use crate::{Cgroup, Error, Result};

mod policy;
mod program;

pub(crate) fn apply(cgroup: &Cgroup, rules: &[DeviceRule], moment: Moment) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let policy = Policy::from_rules(rules)?;
    if let Some((directory, _)) = cgroup.controller("devices") {
        return v1(directory, &policy, moment);
    }
    match cgroup.unified() {
        Some(directory) => v2(directory, &policy),
        None => Err(Error::NoController { controller: "devices", what: "a device rule".to_owned() }),
    }
}

fn v1(directory: &Directory, policy: &Policy, moment: Moment) -> Result<()> {
    let (to_default, to_except) = if policy.default_allow {
        ("devices.allow", "devices.deny")
    } else {
        ("devices.deny", "devices.allow")
    };
    if moment == Moment::Update {
        // The list of a group that allows by default is shown as "a *:* rwm", without its exceptions: only
        // between two lists of allowed devices can the difference be told.
        let current = directory.read("devices.list")?;
        if let Some(current) =
            Policy::from_list(&current).filter(|c| !c.default_allow && !policy.default_allow)
        {
            directory.write_each("devices.allow", policy.beyond(&current).map(|e| e.to_string()))?;
            return directory.write_each("devices.deny", current.beyond(policy).map(|e| e.to_string()));
        }
    }
    directory.write(to_default, "a")?;
    directory.write_each(to_except, policy.entries().map(|e: Entry| e.to_string()))
}

fn v2(directory: &Directory, policy: &Policy) -> Result<()> {
    const LICENSE: &CStr = c"Apache-2.0";
    let failed = |action| {
        move |source: io::Error| Error::DeviceFilter { action, path: directory.path().to_owned(), source }
    };
    let instructions = program::assemble(policy);
    let program = match bpf::load(bpf::PROG_TYPE_CGROUP_DEVICE, &instructions, LICENSE, None) {
        Ok(program) => program,
        Err(first) => {
            // Once more for the verifier's reasons.
            let mut log = vec![0u8; 64 * 1024];
            bpf::load(bpf::PROG_TYPE_CGROUP_DEVICE, &instructions, LICENSE, Some(&mut log)).map_err(|_| {
                let end = log.iter().position(|b| *b == 0).unwrap_or(log.len());
                let log = String::from_utf8_lossy(&log[..end]);
                failed("load")(if log.trim().is_empty() {
                    first
                } else {
                    io::Error::new(first.kind(), format!("{first}: {}", log.trim()))
                })
            })?
        }
    };
    // BPF calls refuse an O_PATH descriptor.
    let group = directory.open_file(".", rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY)?;
    let attached =
        bpf::attached_to_cgroup(group.as_fd(), bpf::ATTACH_CGROUP_DEVICE).map_err(failed("query"))?;
    let old =
        attached.iter().map(|id| bpf::open(*id)).collect::<io::Result<Vec<_>>>().map_err(failed("open"))?;
    // All attached programs must allow. Exactly one is replaced in one step; several (somebody else's work)
    // go after the new one is in place, so that no moment is without a filter.
    let (flags, replace) = match &old[..] {
        [one] => (bpf::F_ALLOW_MULTI | bpf::F_REPLACE, Some(one.as_fd())),
        _ => (bpf::F_ALLOW_MULTI, None),
    };
    bpf::attach_to_cgroup(program.as_fd(), group.as_fd(), bpf::ATTACH_CGROUP_DEVICE, flags, replace)
        .map_err(failed("attach"))?;
    if replace.is_none() {
        for program in &old {
            bpf::detach_from_cgroup(program.as_fd(), group.as_fd(), bpf::ATTACH_CGROUP_DEVICE)
                .map_err(failed("detach"))?;
        }
    }
    Ok(())
}
