//! Carries a plan out. No decisions here.

use std::fs;

use crate::br_netfilter::bridges_filter;
use crate::desired::Desired;
use crate::error::{Error, Result};
use crate::forward;
use crate::mac::mac_from_ipv4;
use crate::netlink::{Batch, Socket};
use crate::observe::{IP_FORWARD, accept_ra};
use crate::plan::{Plan, Step};
use crate::published::Published;
use crate::respect;

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
            // Always the same hardware address: containers know it, also when the bridge is made again.
            Step::CreateBridge { name, mtu, address, owned } => {
                batch.create_bridge(name, *mtu, mac_from_ipv4(address.addr()));
                if *owned {
                    batch.set_alias(name, &desired.mark());
                }
            }
            Step::RemoveBridge { name } => batch.remove_link(socket.link_index(name)?),
            Step::SetMtu { name, mtu } => batch.set_mtu(socket.link_index(name)?, *mtu),
            Step::RemoveAddress { name, address } => batch.remove_address(socket.link_index(name)?, *address),
            Step::AddAddress { name, address } => batch.add_address(socket.link_index(name)?, *address),
            Step::IgnoreRouters { name } => write(&accept_ra(name), "0")?,
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
            Step::ReplaceTable { guard, .. } => {
                if let Some(nft) = &mut nft {
                    published.install(desired, *guard, nft)?;
                }
            }
            Step::AmendForward { remove, bridges } => {
                if let Some(nft) = &mut nft {
                    forward::amend(nft, remove, bridges)?;
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
            result => result?,
        }
    }
    published.switch_on(&plan.steps);
    Ok(())
}

/// A switch of the kernel's.
fn write(path: &str, value: &str) -> Result<()> {
    match fs::write(path, value) {
        // A kernel without IPv6 has no routers to ignore.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && path != IP_FORWARD => Ok(()),
        result => result.map_err(|e| Error::kernel(format!("write {path}"), e)),
    }
}
