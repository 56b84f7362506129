//! Boot: the networks of the records, and the three that are always there.

use std::net::IpAddr;
use std::sync::Arc;

use super::options::{DEFAULT_GATEWAY, DEFAULT_GATEWAY6, ICC, MASQUERADE, NAME};
use super::{Network, Pool, record};
use crate::core::Core;
use crate::error::Result;
use crate::ports::BridgeNetwork;

/// Before the containers, which are on them. Answers what the fabric is to make.
pub(crate) fn load(core: &Arc<Core>) -> Result<Vec<BridgeNetwork>> {
    let mut bridges = Vec::new();
    for (id, json) in core.ports.storage.networks()? {
        match json.and_then(|json| record::read(&id, &json)) {
            Ok(network) => {
                bridges.extend(network.bridge.clone());
                core.networks.insert(network);
            }
            Err(error) => {
                tracing::error!(network = %id, %error, "a network's record cannot be read; it is left alone");
            }
        }
    }
    // Once recorded they keep their ids.
    for (name, driver) in [("host", "host"), ("none", "null")] {
        if core.networks.named(name).is_none() {
            let network = predefined(core, core.ports.ids.id(), name, driver);
            core.ports.storage.put_network(&network.id, &record::write(&network), false)?;
            core.networks.insert(network);
        }
    }
    default_bridge(core);
    Ok(bridges)
}

fn predefined(core: &Core, id: String, name: &str, driver: &str) -> Network {
    Network {
        id,
        name: name.to_owned(),
        created: core.ports.clock.now(),
        driver: driver.to_owned(),
        predefined: true,
        internal: false,
        attachable: false,
        labels: Default::default(),
        options: Default::default(),
        ipam_options: Default::default(),
        pools: Vec::new(),
        chosen_subnet: false,
        chosen_subnet6: false,
        without_ipv4: false,
        ipv6: false,
        config_only: false,
        config_from: String::new(),
        bridge: None,
    }
}

/// What it is like is said by this engine's flags, so it has no record. There is none with `--bridge none`.
fn default_bridge(core: &Core) {
    let facts = core.ports.network.facts();
    let Some(bridge) = facts.bridge else { return };
    let mut network = predefined(core, facts.network_id, "bridge", "bridge");
    let subnet = facts.subnet.unwrap_or_default();
    network.pools.push(pool(subnet, facts.range, facts.address, facts.gateway, DEFAULT_GATEWAY));
    if let Some(subnet) = facts.subnet6 {
        network.pools.push(pool(subnet, facts.range6, facts.address6, facts.gateway6, DEFAULT_GATEWAY6));
        network.ipv6 = true;
    }
    let options = [
        ("com.docker.network.bridge.default_bridge", "true".to_owned()),
        (ICC, facts.inter_container.to_string()),
        (MASQUERADE, facts.masquerade.to_string()),
        ("com.docker.network.bridge.host_binding_ipv4", core.settings().publish_address.to_string()),
        (NAME, bridge),
        ("com.docker.network.driver.mtu", facts.mtu.to_string()),
    ];
    network.options = options.map(|(key, value)| (key.to_owned(), value)).into();
    core.networks.insert(network);
}

/// As Docker shows it: the gateway is the bridge, and another that containers have is an auxiliary address.
fn pool(
    subnet: String,
    range: Option<String>,
    bridge: Option<IpAddr>,
    gateway: Option<IpAddr>,
    name: &str,
) -> Pool {
    let shown = bridge.or(gateway);
    let auxiliary =
        gateway.filter(|_| gateway != shown).map(|gateway| (name.to_owned(), gateway.to_string()));
    Pool {
        subnet,
        range: range.unwrap_or_default(),
        gateway: shown.map(|ip| ip.to_string()).unwrap_or_default(),
        auxiliary: auxiliary.into_iter().collect(),
    }
}
