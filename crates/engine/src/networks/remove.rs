//! Remove: nobody on it → bridge → record. A bridge that is gone while its record is not comes back at the next start.

use std::sync::Arc;

use super::service::members;
use super::{Network, config_only, event};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};

pub(super) async fn run(core: &Arc<Core>, reference: &str) -> Result<()> {
    let _turn = core.networks.turn.lock().await;
    let network = core.networks.find(reference)?;
    if network.predefined {
        let text = format!("{} is a pre-defined network and cannot be removed", network.name);
        return Err(Error::forbidden(text));
    }
    config_only::check_unused(core, &network)?;
    let on_it = members(core, &network);
    if !on_it.is_empty() {
        let each = |(id, member): (&String, &super::Member)| {
            format!("name:{:?} id:{:?}", member.name, &member.endpoint.endpoint_id.get(..12).unwrap_or(id))
        };
        let mut endpoints: Vec<String> = on_it.iter().map(each).collect();
        endpoints.sort();
        return Err(in_use(&network, &endpoints.join(", ")));
    }
    core.failpoints.hit("network.unmake")?;
    // Who is just being started may have an address already: the fabric knows.
    core.ports
        .network
        .remove_network(&network.id)
        .await
        .map_err(|error| Error::new(error.class, error.message).context("error while removing network"))?;
    core.failpoints.hit("network.forget")?;
    let (storage, id) = (core.ports.storage.clone(), network.id.clone());
    blocking(move || storage.delete_network(&id, true)).await?;
    core.networks.remove(&network.id);
    event(core, &network, "destroy");
    Ok(())
}

fn in_use(network: &Network, endpoints: &str) -> Error {
    Error::forbidden(format!(
        "error while removing network: network {} has active endpoints ({endpoints})",
        network.name
    ))
}
