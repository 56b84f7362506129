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
        fabric.take(net::Place::default()).map(|_| "with veth".to_owned()).map_err(|e| e.to_string())
    });
    let forwarding = match machine.ipv4_forwarding {
        true => Finding::new(Group::Network, "ip_forward", Status::Ok, ""),
        false => Finding::new(Group::Network, "ip_forward", Status::Info, "off; the engine turns it on"),
    };
    let (drops, remedy) = forward_policy();
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
            "modprobe nf_tables nft_ct nft_fib_inet nft_masq nft_nat, or start the engine with --iptables=false",
        ),
        forwarding,
        Finding::of(Group::Network, "forward policy", drops, Status::Missing, &remedy),
        Finding::new(Group::Network, "br_netfilter", Status::Info, br_netfilter()),
    ]
}

/// Whether bridges show the firewall what they carry, and what does not work then.
fn br_netfilter() -> &'static str {
    match std::fs::read("/proc/sys/net/bridge/bridge-nf-call-ip6tables") {
        Ok(shown) if shown.starts_with(b"1") => {
            "loaded; a port published at [::1] wants net.bridge.bridge-nf-call-ip6tables=0"
        }
        Ok(_) => "loaded",
        Err(_) if module("br_netfilter") => "available",
        Err(_) => "not in this kernel; not needed",
    }
}

/// What others' chains do with forwarded packets by policy, and what helps.
fn forward_policy() -> (Result<String, String>, String) {
    let desired = net::Desired::default();
    let observed = match net::observe(&desired) {
        Ok(observed) => observed,
        Err(error) => return (Err(error.to_string()), "run it as root".to_owned()),
    };
    if observed.foreign_drops.is_empty() {
        let shared = if observed.shared.drops {
            "iptables' FORWARD drops by policy; the engine adds rules for its bridge at its end"
        } else {
            ""
        };
        return (Ok(shared.to_owned()), String::new());
    }
    let names: Vec<String> = observed.foreign_drops.iter().map(ToString::to_string).collect();
    let remedies: Vec<String> =
        observed.foreign_drops.iter().map(|chain| chain.remedy(&desired.bridges[0].name)).collect();
    (
        Err(format!("{} drops by policy", names.join(", "))),
        format!("no table overrules another's drop: {}", remedies.join("; ")),
    )
}
