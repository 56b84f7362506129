//! What a configuration must not ask for: things that would reach the host instead of the container, and
//! things that this machine cannot give. Looked at before anything is made.

use oci::runtime::{Linux, NamespaceType, Process, Spec};
use sys::process::CloneFlags;

use crate::{Error, Result};

/// `namespaces` are those that the container does not share with its maker.
pub(crate) fn container(spec: &Spec, linux: &Linux, namespaces: CloneFlags) -> Result<()> {
    let has = |flag| namespaces.contains(flag);
    let invalid = |text: &str| Err(Error::Invalid(text.into()));
    if !spec.hostname.is_empty() && !has(CloneFlags::NEWUTS) {
        return invalid("unable to set hostname without a private UTS namespace");
    }
    if !spec.domainname.is_empty() && !has(CloneFlags::NEWUTS) {
        return invalid("unable to set domainname without a private UTS namespace");
    }
    if (!linux.masked_paths.is_empty() || !linux.readonly_paths.is_empty()) && !has(CloneFlags::NEWNS) {
        return invalid("unable to restrict sys entries without a private MNT namespace");
    }
    linux.sysctl.keys().try_for_each(|key| sysctl(key, linux, namespaces))?;
    if !linux.mount_label.is_empty() && !has_selinux() {
        return Err(no_selinux("linux.mountLabel", &linux.mount_label));
    }
    if linux.intel_rdt.is_some() {
        return Err(Error::Unsupported("linux.intelRdt is not supported: Wharf drives no resctrl".into()));
    }
    if !linux.net_devices.is_empty() && !has(CloneFlags::NEWNET) {
        return invalid("unable to move network devices without a NET namespace");
    }
    let devices = linux.net_devices.iter();
    for name in devices.flat_map(|(name, device)| [Some(name), Some(&device.name).filter(|n| !n.is_empty())])
    {
        if let Some(name) = name.filter(|name| !is_interface_name(name)) {
            return Err(Error::Invalid(format!("invalid network device name {name:?}")));
        }
    }
    if !linux.net_devices.is_empty() {
        return Err(Error::Unsupported("linux.netDevices is not supported".into()));
    }
    Ok(())
}

/// For every process, a container's first and those that follow.
pub(crate) fn process(process: &Process) -> Result<()> {
    if !process.selinux_label.is_empty() && !has_selinux() {
        return Err(no_selinux("process.selinuxLabel", &process.selinux_label));
    }
    let profile = process.apparmor_profile.as_str();
    if !profile.is_empty() && profile != "unconfined" && !has_apparmor() {
        return Err(Error::Unsupported(format!(
            "process.apparmorProfile {profile:?}: AppArmor is not enabled on this machine"
        )));
    }
    Ok(())
}

fn no_selinux(what: &str, label: &str) -> Error {
    Error::Unsupported(format!("{what} {label:?}: SELinux is disabled or not supported on this machine"))
}

/// The file is there where SELinux is compiled in and not switched off.
pub(crate) fn has_selinux() -> bool {
    rustix::fs::access("/sys/fs/selinux/enforce", rustix::fs::Access::EXISTS).is_ok()
}

pub(crate) fn has_apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.first() == Some(&b'Y'))
}

/// As the kernel's `dev_valid_name`.
fn is_interface_name(name: &str) -> bool {
    let forbidden = |c: char| c == '/' || c == ':' || c.is_whitespace();
    !name.is_empty() && name.len() < 16 && name != "." && name != ".." && !name.contains(forbidden)
}

/// Parameters that are the machine's, not a namespace's, are the host's to set; and those of a namespace only
/// where the container has one of its own.
fn sysctl(key: &str, linux: &Linux, namespaces: CloneFlags) -> Result<()> {
    const IPC: [&str; 9] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.msg_next_id",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let dotted = match key.find(['.', '/']) {
        Some(at) if key.as_bytes()[at] == b'/' => key.replace('/', "."),
        _ => key.to_owned(),
    };
    let refused = |why: &str| Err(Error::Invalid(format!("sysctl {key:?} {why}")));
    // One that is joined may be the host's own.
    let has = |kind: NamespaceType| {
        let joined = linux.namespaces.iter().find(|n| n.kind == kind);
        namespaces.contains(crate::namespace::flag(kind)) && !joined.is_some_and(|n| is_own(kind, &n.path))
    };
    if IPC.contains(&dotted.as_str()) || dotted.starts_with("fs.mqueue.") {
        return if has(NamespaceType::Ipc) {
            Ok(())
        } else {
            refused("is not allowed in the hosts ipc namespace")
        };
    }
    if dotted.starts_with("net.") {
        return if has(NamespaceType::Network) {
            Ok(())
        } else {
            refused("not allowed in host network namespace")
        };
    }
    if dotted.starts_with("user.") {
        return if has(NamespaceType::User) {
            Ok(())
        } else {
            refused("not allowed without a user namespace")
        };
    }
    match dotted.as_str() {
        "kernel.domainname" if has(NamespaceType::Uts) => Ok(()),
        "kernel.hostname" if has(NamespaceType::Uts) => {
            refused("is not allowed as it conflicts with the OCI \"hostname\" field")
        }
        _ => refused("is not in a separate kernel namespace"),
    }
}

/// Whether a path leads to the namespace that this process is in.
fn is_own(kind: NamespaceType, path: &str) -> bool {
    let own = format!("/proc/self/ns/{}", kind.proc_name());
    let identity = |path: &str| rustix::fs::stat(path).map(|s| (s.st_dev, s.st_ino));
    !path.is_empty() && matches!((identity(path), identity(&own)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        change: impl FnOnce(&mut Spec, &mut Linux),
        namespaces: CloneFlags,
    ) -> std::result::Result<(), String> {
        let (mut spec, mut linux) = (Spec::default(), Linux::default());
        change(&mut spec, &mut linux);
        container(&spec, &linux, namespaces).map_err(|error| error.to_string())
    }

    fn set(key: &'static str) -> impl FnOnce(&mut Spec, &mut Linux) {
        move |_, linux| drop(linux.sysctl.insert(key.into(), "1".into()))
    }

    #[test]
    fn the_hosts_parameters_are_out_of_reach() {
        let all = CloneFlags::NEWIPC | CloneFlags::NEWNET | CloneFlags::NEWUTS;
        for key in
            ["kernel.panic", "kernel/panic", "vm.swappiness", "kernel.hostname", "user.max_net_namespaces"]
        {
            assert!(check(set(key), all).is_err(), "{key}");
        }
        for key in
            ["net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "kernel.shmmax", "fs.mqueue.msg_max"]
        {
            assert_eq!(check(set(key), all), Ok(()), "{key}");
            assert!(check(set(key), CloneFlags::empty()).is_err(), "{key}");
        }
        assert_eq!(check(set("user.max_net_namespaces"), CloneFlags::NEWUSER), Ok(()));
        // Joined by path, but the host's own.
        let joined = |_: &mut Spec, linux: &mut Linux| {
            let (kind, path) = (NamespaceType::Network, "/proc/self/ns/net".to_owned());
            linux.namespaces.push(oci::runtime::Namespace { kind, path });
            linux.sysctl.insert("net.ipv4.ip_forward".into(), "1".into());
        };
        assert!(check(joined, all).is_err());
    }

    #[test]
    fn names_and_paths_need_their_namespaces() {
        let none = CloneFlags::empty();
        assert!(check(|spec, _| spec.hostname = "h".into(), none).is_err());
        assert!(check(|spec, _| spec.domainname = "d".into(), none).is_err());
        assert_eq!(check(|spec, _| spec.hostname = "h".into(), CloneFlags::NEWUTS), Ok(()));
        assert!(check(|_, linux| linux.masked_paths.push("/proc/keys".into()), none).is_err());
    }

    #[test]
    fn network_devices_have_names_of_interfaces() {
        let with = |name: &'static str, inside: &'static str| {
            move |_: &mut Spec, linux: &mut Linux| {
                let device = oci::runtime::NetDevice { name: inside.into() };
                linux.net_devices.insert(name.into(), device);
            }
        };
        assert!(check(with("eth0", ""), CloneFlags::empty()).is_err());
        for (name, inside) in [("a/b", ""), ("eth0", "a name"), ("0123456789abcdef", ""), ("eth0", "..")] {
            assert!(check(with(name, inside), CloneFlags::NEWNET).is_err(), "{name} {inside}");
        }
    }
}
