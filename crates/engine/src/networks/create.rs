//! Create: check → name → bridge → record → publish. One durable commit.

use std::sync::Arc;

use super::{CreateRequest, Network, Pool, check, config_only, event, options, over, record};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::failpoints::CRASH;
use crate::ports::BridgeNetwork;

pub(super) async fn run(core: &Arc<Core>, request: CreateRequest) -> Result<Arc<Network>> {
    check::check(&request)?;
    let _turn = core.networks.turn.lock().await;
    let request = options::versions(with_defaults(core, config_only::applied(core, request)?))?;
    check::check_configuration(&request)?;
    if core.networks.named(&request.name).is_some() {
        return Err(Error::conflict(format!("network with name {} already exists", request.name)));
    }
    let id = core.ports.ids.id();
    if request.config_only {
        let network = core.networks.insert(config_only::make(core, id, request).await?);
        event(core, &network, "create");
        return Ok(network);
    }
    let request = over::settled(request)?;
    let bridge = match request.driver.as_str() {
        "" | "bridge" => options::bridge(&id, &request)?,
        _ => over::network(&id, &request)?,
    };
    core.failpoints.hit("network.bridge")?;
    let made = core.ports.network.add_network(&bridge).await;
    let bridge = made.map_err(|error| Error::new(error.class, error.message))?;
    match finish(core, request, bridge).await {
        Ok(network) => {
            let network = core.networks.insert(network);
            event(core, &network, "create");
            Ok(network)
        }
        Err(error) if cfg!(test) && error.message == CRASH => Err(error),
        Err(error) => {
            if let Err(undo) = core.ports.network.remove_network(&id).await {
                tracing::warn!(network = %id, %undo, "undo failed");
            }
            let _ = core.ports.storage.delete_network(&id, false);
            Err(error)
        }
    }
}

/// With the options that this engine gives all networks of a driver (`default-network-opts`).
fn with_defaults(core: &Core, mut request: CreateRequest) -> CreateRequest {
    // Whoever takes over a configuration gets them.
    if request.config_only {
        return request;
    }
    let driver = if request.driver.is_empty() { "bridge" } else { &request.driver };
    for (key, value) in core.settings().network_options.get(driver).into_iter().flatten() {
        request.options.entry(key.clone()).or_insert_with(|| value.clone());
    }
    request
}

/// The bridge is there, with its subnet.
async fn finish(core: &Arc<Core>, request: CreateRequest, bridge: BridgeNetwork) -> Result<Network> {
    core.failpoints.hit("network.record")?;
    let named =
        |ipv6: bool| request.pools.iter().any(|pool| !pool.subnet.is_empty() && pool.is_ipv6() == ipv6);
    let (chosen_subnet, chosen_subnet6) = (named(false), named(true));
    let (without_ipv4, ipv6) = (bridge.without_ipv4, bridge.ipv6.is_some());
    let pools = settled(request.pools, &bridge);
    let network = Network {
        id: bridge.id.clone(),
        name: request.name,
        created: core.ports.clock.now(),
        driver: if request.driver.is_empty() { "bridge".to_owned() } else { request.driver },
        predefined: false,
        internal: request.internal,
        attachable: request.attachable,
        labels: request.labels,
        options: request.options,
        ipam_options: request.ipam_options,
        pools,
        chosen_subnet,
        chosen_subnet6,
        without_ipv4,
        ipv6,
        config_only: false,
        config_from: request.config_from,
        bridge: Some(bridge),
    };
    let json = record::write(&network);
    let (storage, id) = (core.ports.storage.clone(), network.id.clone());
    blocking(move || storage.put_network(&id, &json, true)).await?;
    core.failpoints.hit("network.publish")?;
    Ok(network)
}

/// What was said of each version of IP, with what was chosen; what was said of one that the network does not have stays
/// as it is.
fn settled(mut pools: Vec<Pool>, bridge: &BridgeNetwork) -> Vec<Pool> {
    fn text(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    pools.sort_by_key(Pool::is_ipv6);
    let mut settle = |ipv6: bool, subnet: String, gateway: String| {
        let at = match pools.iter().position(|pool| pool.is_ipv6() == ipv6) {
            Some(at) => at,
            None => {
                let at = if ipv6 { pools.len() } else { 0 };
                pools.insert(at, Pool::default());
                at
            }
        };
        (pools[at].subnet, pools[at].gateway) = (subnet, gateway);
    };
    if let Some(ipv6) = &bridge.ipv6 {
        settle(true, text(ipv6.subnet), text(ipv6.gateway));
    }
    if !bridge.without_ipv4 {
        settle(false, text(bridge.subnet), text(bridge.gateway));
    }
    pools
}
