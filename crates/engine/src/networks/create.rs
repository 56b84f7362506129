//! Create: check → name → bridge → record → publish. One durable commit.

use std::sync::Arc;

use super::{CreateRequest, Network, Pool, check, event, options, record};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};
use crate::failpoints::CRASH;
use crate::ports::BridgeNetwork;

pub(super) async fn run(core: &Arc<Core>, request: CreateRequest) -> Result<Arc<Network>> {
    check::check(&request)?;
    let _turn = core.networks.turn.lock().await;
    if core.networks.named(&request.name).is_some() {
        return Err(Error::conflict(format!("network with name {} already exists", request.name)));
    }
    let id = core.ports.ids.id();
    let bridge = options::bridge(&id, &request)?;
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

/// The bridge is there, with its subnet.
async fn finish(core: &Arc<Core>, request: CreateRequest, bridge: BridgeNetwork) -> Result<Network> {
    core.failpoints.hit("network.record")?;
    let chosen_subnet = request.pools.first().is_some_and(|pool| !pool.subnet.is_empty());
    let mut pools = request.pools;
    if pools.is_empty() {
        pools.push(Pool::default());
    }
    pools[0].subnet = bridge.subnet.map(|subnet| subnet.to_string()).unwrap_or_default();
    pools[0].gateway = bridge.gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
    let network = Network {
        id: bridge.id.clone(),
        name: request.name,
        created: core.ports.clock.now(),
        driver: "bridge".to_owned(),
        predefined: false,
        internal: request.internal,
        attachable: request.attachable,
        labels: request.labels,
        options: request.options,
        ipam_options: request.ipam_options,
        pools,
        chosen_subnet,
        bridge: Some(bridge),
    };
    let json = record::write(&network);
    let (storage, id) = (core.ports.storage.clone(), network.id.clone());
    blocking(move || storage.put_network(&id, &json, true)).await?;
    core.failpoints.hit("network.publish")?;
    Ok(network)
}
