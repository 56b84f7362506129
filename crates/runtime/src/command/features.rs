//! `features`.

use std::process::ExitCode;

use oci::runtime::{
    CAPABILITY_NAMES, CgroupFeatures, Enabled, Features, LinuxFeatures, MountExtensions, SeccompFeatures,
    VERSION,
};

use super::{Outcome, indented, print};
use crate::options;

const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

pub(super) fn features() -> Outcome {
    let words = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<String>>();
    let enabled = |on| Some(Enabled { enabled: Some(on) });
    let document = Features {
        oci_version_min: "1.0.0".into(),
        oci_version_max: VERSION.into(),
        hooks: words(&[
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ]),
        mount_options: options::known(),
        linux: Some(LinuxFeatures {
            namespaces: words(&["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]),
            capabilities: words(&CAPABILITY_NAMES),
            cgroup: Some(CgroupFeatures {
                v1: Some(true),
                v2: Some(true),
                systemd: Some(false),
                systemd_user: Some(false),
                rdma: Some(true),
            }),
            seccomp: Some(SeccompFeatures {
                enabled: Some(true),
                actions: words(&[
                    "SCMP_ACT_ALLOW",
                    "SCMP_ACT_ERRNO",
                    "SCMP_ACT_KILL",
                    "SCMP_ACT_KILL_PROCESS",
                    "SCMP_ACT_KILL_THREAD",
                    "SCMP_ACT_LOG",
                    "SCMP_ACT_NOTIFY",
                    "SCMP_ACT_TRACE",
                    "SCMP_ACT_TRAP",
                ]),
                operators: words(&[
                    "SCMP_CMP_EQ",
                    "SCMP_CMP_GE",
                    "SCMP_CMP_GT",
                    "SCMP_CMP_LE",
                    "SCMP_CMP_LT",
                    "SCMP_CMP_MASKED_EQ",
                    "SCMP_CMP_NE",
                ]),
                archs: words(&["SCMP_ARCH_NATIVE", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"]),
                known_flags: words(&FLAGS),
                supported_flags: words(&FLAGS),
            }),
            apparmor: enabled(true),
            selinux: enabled(true),
            intel_rdt: enabled(false),
            mount_extensions: Some(MountExtensions { idmap: enabled(true) }),
            net_devices: enabled(false),
        }),
        annotations: [("org.opencontainers.runc.checkpoint.enabled".to_owned(), "false".to_owned())].into(),
        potentially_unsafe_config_annotations: words(&["bundle"]),
    };
    print(&format!("{}\n", indented(&document, b"    ")?));
    Ok(ExitCode::SUCCESS)
}
