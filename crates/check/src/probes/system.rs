//! Processor, kernel, privileges.

use crate::machine::Machine;
use crate::report::{Finding, Group, Status};

/// The oldest kernel that has everything Wharf builds on: `openat2`, `pidfd_getfd`, `clone3` into a cgroup is 5.7.
const OLDEST: (u32, u32) = (5, 6);

/// Since when the kernel has what makes things better.
const BETTER: &[((u32, u32), &str)] = &[
    ((5, 7), "clone3 straight into a cgroup"),
    ((5, 9), "close_range"),
    ((5, 12), "mount_setattr: recursive read-only and idmapped mounts"),
    ((5, 14), "cgroup.kill"),
    ((6, 7), "overlay layers given one by one (lowerdir+)"),
];

pub(super) fn probe(machine: &Machine) -> Vec<Finding> {
    let architecture = match machine.architecture.as_str() {
        known @ ("x86_64" | "aarch64") => Ok(known.to_owned()),
        other => Err(format!("{other} is not supported")),
    };
    vec![
        Finding::of(
            Group::Machine,
            "architecture",
            architecture,
            Status::Fatal,
            "use a 64-bit x86 or ARM machine",
        ),
        kernel(&machine.kernel_version),
        Finding::new(
            Group::Machine,
            "system",
            Status::Info,
            format!(
                "{}, {} CPUs, {} MiB memory",
                machine.operating_system,
                machine.cpus,
                machine.memory_bytes >> 20
            ),
        ),
        Finding::of(
            Group::Machine,
            "root",
            match rustix::process::geteuid().is_root() {
                true => Ok(String::new()),
                false => {
                    Err("this check does not run as root, what follows says less than it could".to_owned())
                }
            },
            Status::Missing,
            "run it with sudo: the engine needs root",
        ),
    ]
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if version < OLDEST {
        let reason = Err(format!("{release} is older than {}.{}", OLDEST.0, OLDEST.1));
        return Finding::of(Group::Machine, "kernel", reason, Status::Fatal, "install a newer kernel");
    }
    let lacks: Vec<String> = BETTER
        .iter()
        .filter(|(since, _)| version < *since)
        .map(|((major, minor), what)| format!("{what} (since {major}.{minor})"))
        .collect();
    match lacks.is_empty() {
        true => Finding::new(Group::Machine, "kernel", Status::Ok, release),
        false => Finding {
            remedy: Some(format!("a newer kernel also has {}", lacks.join(", "))),
            ..Finding::new(Group::Machine, "kernel", Status::Ok, release)
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_judged() {
        assert_eq!(kernel("4.19.0-5-amd64").status, Status::Fatal);
        assert_eq!(kernel("5.6.0").status, Status::Ok);
        assert!(kernel("5.13.0").remedy.unwrap().contains("cgroup.kill (since 5.14)"));
        assert_eq!(kernel("6.18.2").remedy, None);
        assert_eq!(kernel("garbage").status, Status::Fatal);
    }
}
