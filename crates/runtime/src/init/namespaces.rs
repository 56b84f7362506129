//! Entering namespaces, and what belongs to new ones: host name, loopback, clocks.

use std::io;
use std::os::fd::AsFd;

use oci::runtime::{Linux, NamespaceType};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::Context;
use crate::job::{ContainerJob, Join};
use crate::{Error, Result};

/// Enters one.
pub(super) fn enter(join: &Join) -> Result<()> {
    let kind = match join.kind {
        NamespaceType::Pid => LinkNameSpaceType::ProcessID,
        NamespaceType::Network => LinkNameSpaceType::Network,
        NamespaceType::Mount => LinkNameSpaceType::Mount,
        NamespaceType::Ipc => LinkNameSpaceType::InterProcessCommunication,
        NamespaceType::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        NamespaceType::User => LinkNameSpaceType::User,
        NamespaceType::Cgroup => LinkNameSpaceType::ControlGroup,
        NamespaceType::Time => LinkNameSpaceType::Time,
    };
    move_into_link_name_space(join.fd.as_fd(), Some(kind))
        .step(|| format!("join the {} namespace", join.kind.as_str()))
}

/// Host and domain name.
pub(super) fn name(job: &ContainerJob<'_>) -> Result<()> {
    if !job.spec.hostname.is_empty() {
        rustix::system::sethostname(job.spec.hostname.as_bytes()).step(|| "sethostname".into())?;
    }
    if !job.spec.domainname.is_empty() {
        rustix::system::setdomainname(job.spec.domainname.as_bytes()).step(|| "setdomainname".into())?;
    }
    Ok(())
}

/// Brings `lo` up, which a new network namespace has down. It is always interface 1 there.
pub(super) fn loopback_up() -> Result<()> {
    up().step(|| "bring the loopback interface up".into())
}

fn up() -> io::Result<()> {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST: u16 = 1;
    const IFF_UP: u32 = 1;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    // Protocol 0 is NETLINK_ROUTE. struct nlmsghdr, then struct ifinfomsg. The kernel answers only with errors, and handles the request
    // before send returns.
    let mut message = Vec::with_capacity(32);
    message.extend_from_slice(&32_u32.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&1_i32.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    send(&socket, &message, SendFlags::empty())?;
    Ok(())
}

/// Writes the clocks' offsets for the time namespace that children are born into.
pub(super) fn clocks(proc: impl AsFd, linux: &Linux) -> Result<()> {
    if linux.time_offsets.is_empty() {
        return Ok(());
    }
    let mut text = String::new();
    for (clock, offset) in &linux.time_offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(Error::Invalid(format!("timeOffsets: unknown clock {clock:?}")));
        }
        text.push_str(&format!("{clock} {} {}\n", offset.secs, offset.nanosecs));
    }
    let write = || -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(proc, "self/timens_offsets", flags, Mode::empty())?;
        rustix::io::write(&file, text.as_bytes())?;
        Ok(())
    };
    write().step(|| "write the time namespace's offsets".into())
}

/// Kernel parameters, through the host's `/proc`: the kernel takes the asking process's namespaces.
pub(super) fn sysctls(proc: impl AsFd, linux: &Linux) -> Result<()> {
    for (key, value) in &linux.sysctl {
        let write = || -> io::Result<()> {
            let path = format!("sys/{}", path(key));
            let resolve = rustix::fs::ResolveFlags::BENEATH | rustix::fs::ResolveFlags::NO_MAGICLINKS;
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let file = rustix::fs::openat2(&proc, path, flags, Mode::empty(), resolve)?;
            rustix::io::write(&file, value.as_bytes())?;
            Ok(())
        };
        write().step(|| format!("write sysctl key {key}"))?;
    }
    Ok(())
}

/// `net.ipv4.ip_forward` is a path with dots; in one that has slashes, dots are part of names
/// (`net/ipv4/conf/eth0.1/forwarding`), as sysctl(8) reads it.
fn path(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key.as_bytes()[at] == b'/' => key.to_owned(),
        _ => key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn keys_become_paths() {
        assert_eq!(super::path("net.ipv4.ip_forward"), "net/ipv4/ip_forward");
        assert_eq!(super::path("net.ipv4.conf.eth0/1.forwarding"), "net/ipv4/conf/eth0.1/forwarding");
        assert_eq!(super::path("net/ipv4/conf/eth0.1/forwarding"), "net/ipv4/conf/eth0.1/forwarding");
    }
}
