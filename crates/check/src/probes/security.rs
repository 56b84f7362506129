//! What confines a container beside namespaces.

use super::first_line;
use crate::machine::Machine;
use crate::report::{Finding, Group, Status};

pub(super) fn probe(machine: &Machine) -> Vec<Finding> {
    let seccomp = match machine.seccomp {
        true => Ok(first_line("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default()),
        false => Err("not in this kernel: containers run without a system call filter".to_owned()),
    };
    let module = |name, present: bool| match present {
        true => Finding::new(Group::Security, name, Status::Ok, ""),
        false => Finding::new(Group::Security, name, Status::Info, "not active on this machine"),
    };
    vec![
        Finding::of(
            Group::Security,
            "seccomp",
            seccomp,
            Status::Missing,
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
        module("apparmor", machine.apparmor),
        module("selinux", machine.selinux),
    ]
}
