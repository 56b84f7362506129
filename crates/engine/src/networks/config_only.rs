//! Networks that are only what others are made from (`--config-only`, `--config-from`): a subnet, options, labels. Nobody
//! can be on one, and nothing of it is on the host.

use std::sync::Arc;

use super::{CreateRequest, Network, record};
use crate::core::{Core, blocking};
use crate::error::{Error, Result};

/// What goes together, in Docker's words.
pub(super) fn check(request: &CreateRequest) -> Result<()> {
    let is_dependent = !request.config_from.is_empty();
    let said_more = request.ipv4.is_some()
        || request.ipv6.is_some()
        || !request.labels.is_empty()
        || !request.ipam_options.is_empty()
        || !request.pools.is_empty();
    let why = match () {
        () if request.config_only && (request.internal || request.attachable) => {
            "configuration network can only contain network specific fields. Network operator fields like [ ingress | \
             internal | attachable | scope ] are not supported."
        }
        () if request.config_only && is_dependent => {
            "a configuration network cannot depend on another configuration network"
        }
        () if is_dependent && said_more => {
            "user specified configurations are not supported if the network depends on a configuration network"
        }
        () if is_dependent && !request.options.is_empty() => {
            "network driver options are not supported if the network depends on a configuration network"
        }
        () => return Ok(()),
    };
    Err(Error::forbidden(why))
}

/// The request with what the network that it names has to say.
pub(super) fn applied(core: &Core, request: CreateRequest) -> Result<CreateRequest> {
    if request.config_from.is_empty() {
        return Ok(request);
    }
    let missing = || Error::not_found(format!("configuration network {:?} not found", request.config_from));
    let found = core.networks.find(&request.config_from).map_err(|_| missing())?;
    if !found.config_only {
        return Err(Error::forbidden(format!("{:?} is not a configuration network", request.config_from)));
    }
    Ok(CreateRequest {
        config_from: found.name.clone(),
        ipv4: Some(!found.without_ipv4),
        ipv6: Some(found.ipv6),
        labels: found.labels.clone(),
        options: found.options.clone(),
        ipam_options: found.ipam_options.clone(),
        pools: found.pools.clone(),
        ..request
    })
}

/// One durable commit.
pub(super) async fn make(core: &Arc<Core>, id: String, request: CreateRequest) -> Result<Network> {
    core.failpoints.hit("network.record")?;
    let network = Network {
        id,
        name: request.name,
        created: core.ports.clock.now(),
        // As Docker shows it.
        driver: "null".to_owned(),
        predefined: false,
        internal: false,
        attachable: false,
        chosen_subnet: false,
        chosen_subnet6: false,
        without_ipv4: request.ipv4 == Some(false),
        ipv6: request.ipv6 == Some(true),
        labels: request.labels,
        options: request.options,
        ipam_options: request.ipam_options,
        pools: request.pools,
        config_only: true,
        config_from: String::new(),
        bridge: None,
    };
    let json = record::write(&network);
    let (storage, id) = (core.ports.storage.clone(), network.id.clone());
    blocking(move || storage.put_network(&id, &json, true)).await?;
    Ok(network)
}

/// One that others were made from stays as long as they do.
pub(super) fn check_unused(core: &Core, network: &Network) -> Result<()> {
    let is_used = |other: &Arc<Network>| network.config_only && other.config_from == network.name;
    match core.networks.all().iter().any(is_used) {
        true => Err(Error::forbidden(format!("configuration network {:?} is in use", network.name))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_go_together() {
        let said = |change: fn(&mut CreateRequest)| {
            let mut request = CreateRequest::default();
            change(&mut request);
            check(&request).map_err(|error| error.message)
        };
        assert_eq!(said(|r| r.config_only = true), Ok(()));
        assert_eq!(said(|r| r.config_from = "a".into()), Ok(()));
        for (change, text) in [
            ((|r| (r.config_only, r.internal) = (true, true)) as fn(&mut CreateRequest), "network operator"),
            (|r| (r.config_only, r.config_from) = (true, "a".into()), "cannot depend on another"),
            (|r| (r.ipv6, r.config_from) = (Some(true), "a".into()), "user specified configurations"),
            (
                |r| (r.options, r.config_from) = ([("a".into(), "b".into())].into(), "a".into()),
                "network driver options",
            ),
        ] {
            assert!(said(change).unwrap_err().to_lowercase().contains(text), "{text}");
        }
    }
}
