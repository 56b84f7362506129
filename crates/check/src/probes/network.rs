//! Bridge, veth, firewall, forwarding.

use super::module;
use super::namespaces::in_own_thread;
use crate::machine::Machine;
use crate::report::{Finding, Group, Status};

pub(super) fn probe(machine: &Machine) -> Vec<Finding> {
    let firewall = in_own_thread(|| {
        net::NetNs::unshare().map_err(|e| e.to_string())?;
        net::probe_nftables().map(|()| "over netlink".to_owned()).map_err(|e| e.to_string())
    });
    // With a prepared sandbox everything is tried that a container on the default bridge needs.
    let bridge = in_own_thread(|| {
        net::NetNs::unshare().map_err(|e| e.to_string())?;
        let desired = net::Desired { firewall: None, ..net::Desired::default() };
        let fabric = net::Fabric::start(desired, |_| {}).map_err(|e| e.to_string())?;
        fabric.take(None, None).map(|_| "with veth".to_owned()).map_err(|e| e.to_string())
    });
    let forwarding = match machine.ipv4_forwarding {
        true => Finding::new(Group::Network, "ip_forward", Status::Ok, ""),
        false => Finding::new(Group::Network, "ip_forward", Status::Info, "off; the engine turns it on"),
    };
    let drops = match net::observe(&net::Desired::default()) {
        Ok(observed) if observed.foreign_drops.is_empty() => Ok(String::new()),
        Ok(observed) => Err(format!(
            "{} drops by policy",
            observed.foreign_drops.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        )),
        Err(e) => Err(e.to_string()),
    };
    vec![
        Finding::of(
            Group::Network,
            "bridge",
            bridge,
            Status::Missing,
            "as root: modprobe bridge veth; until then only --network none and host work",
        ),
        Finding::of(
            Group::Network,
            "nftables",
            firewall,
            Status::Missing,
            "modprobe nf_tables nft_ct nft_masq, or start the engine with --iptables=false",
        ),
        forwarding,
        Finding::of(
            Group::Network,
            "forward policy",
            drops,
            Status::Missing,
            "accept what comes from and returns to docker0 there: a table of ours cannot overrule another's drop",
        ),
        Finding::new(
            Group::Network,
            "br_netfilter",
            Status::Info,
            if module("br_netfilter") { "available" } else { "not in this kernel; not needed" },
        ),
    ]
}
