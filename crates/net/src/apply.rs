//! Carries a plan out. No decisions here.

use std::fs;

use crate::br_netfilter::bridges_filter;
use crate::desired::Desired;
use crate::error::{Error, Result};
use crate::firewall::Guard;
use crate::forward;
use crate::netlink::{Batch, Socket};
use crate::observe::{IP_FORWARD, IPV6_FORWARD, accept_ra, disable_ipv6};
use crate::plan::{Plan, Step};
use crate::published::Published;
use crate::reaper;
use crate::respect;
use crate::version::Version;

/// Does every step, in order. The sockets and the calling thread are of the same network namespace.
pub(crate) fn apply(
    desired: &Desired,
    plan: &Plan,
    published: &mut Published,
    socket: &mut Socket,
    mut nft: Option<&mut Socket>,
) -> Result<()> {
    for step in &plan.steps {
        let mut batch = Batch::default();
        match step {
            Step::CreateBridge { name, mtu, mac, owned } => {
                batch.create_bridge(name, *mtu, *mac);
                if *owned {
                    batch.set_alias(name, &desired.mark());
                }
            }
            Step::CreateDummy { name } => {
                batch.create_dummy(name);
                batch.set_alias(name, &desired.mark());
            }
            Step::CreateVlan { name, parent, id } => {
                let missing = |_| Error::NoMaster { parent: parent.clone(), name: name.clone() };
                batch.create_vlan(name, socket.link_index(parent).map_err(missing)?, *id);
                batch.set_alias(name, &desired.mark());
            }
            Step::RemoveBridge { name } => remove_stray(socket, name)?,
            Step::SetMtu { name, mtu } => batch.set_mtu(socket.link_index(name)?, *mtu),
            Step::RemoveAddress { name, address } => batch.remove_address(socket.link_index(name)?, *address),
            Step::AddAddress { name, address } => batch.add_address(socket.link_index(name)?, *address),
            Step::SwitchOnIpv6 { name } => {
                fs::write(disable_ipv6(name), "0").map_err(|_| Error::NoIpv6(name.clone()))?;
            }
            Step::IgnoreRouters { name } => write(&accept_ra(name), "0")?,
            // A link may be gone meanwhile.
            Step::KeepHearing { name } => write(&accept_ra(name), "2")?,
            Step::TurnOnForwarding6 => write(IPV6_FORWARD, "1")?,
            Step::SetUp { name } => batch.set_up(socket.link_index(name)?),
            Step::Reconnect { index, link, bridge } => {
                let isolated = desired.bridges.iter().any(|b| b.name == *bridge && !b.inter_container);
                batch.set_master(*index, socket.link_index(bridge)?, isolated);
                if bridges_filter() {
                    batch.set_hairpin(link);
                }
            }
            Step::TurnOnForwarding => write(IP_FORWARD, "1")?,
            Step::AskHost => {
                if let Some(nft) = &mut nft {
                    respect::set_up(desired, socket, nft)?;
                }
            }
            Step::AskNobody => {
                if let Some(nft) = &mut nft {
                    respect::remove(desired, socket, nft)?;
                }
            }
            Step::ReplaceTable { guard, guard6, .. } => {
                if let Some(nft) = &mut nft {
                    published.install(desired, Guard { ipv4: *guard, ipv6: *guard6 }, nft)?;
                }
            }
            Step::AmendForward { ipv6, remove, bridges } => {
                let version = if *ipv6 { Version::V6 } else { Version::V4 };
                if let Some(nft) = &mut nft {
                    forward::amend(nft, version, remove, bridges)?;
                }
            }
        }
        if batch.is_empty() {
            continue;
        }
        match socket.send(&batch) {
            // A container may end at any moment, and with it its link.
            Err(e)
                if matches!(step, Step::Reconnect { .. }) && e.errno() == Some(rustix::io::Errno::NODEV) => {}
            Err(e) if matches!(step, Step::CreateVlan { .. }) && e.is_unknown_kind() => {
                let (what, option, module) = ("VLAN devices", "CONFIG_VLAN_8021Q", "8021q");
                return Err(Error::NoSuchLinks { what, option, module });
            }
            Err(e) if matches!(step, Step::CreateDummy { .. }) && e.is_unknown_kind() => {
                let (what, option, module) = ("dummy devices", "CONFIG_DUMMY", "dummy");
                return Err(Error::NoSuchLinks { what, option, module });
            }
            result => result?,
        }
    }
    published.switch_on(&plan.steps, socket);
    Ok(())
}

/// Of a network that is no more. A bridge is removed later, by the reaper.
fn remove_stray(socket: &mut Socket, name: &str) -> Result<()> {
    let links = socket.links()?;
    let Some(link) = links.iter().find(|link| link.name == name) else { return Ok(()) };
    if link.kind == "bridge" {
        // Free at once for a network that is made again.
        let mut batch = Batch::default();
        let ports = links.iter().filter(|port| port.master == Some(link.index));
        ports.for_each(|port| batch.set_master(port.index, 0, false));
        if !batch.is_empty() {
            // A container may end at any moment, and with it its link.
            let _ = socket.send(&batch);
        }
        let addresses = socket.addresses()?.into_iter().filter(|(index, _)| *index == link.index);
        return reaper::retire(socket, name, addresses.map(|(_, address)| address));
    }
    let mut batch = Batch::default();
    batch.remove_link(link.index);
    socket.send(&batch)
}

/// A switch of the kernel's.
fn write(path: &str, value: &str) -> Result<()> {
    match fs::write(path, value) {
        // A kernel without IPv6 has no routers to ignore.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && path != IP_FORWARD => Ok(()),
        result => result.map_err(|e| Error::kernel(format!("write {path}"), e)),
    }
}
