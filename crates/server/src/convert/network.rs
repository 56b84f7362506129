//! Networks: the create request inwards, networks and their members outwards.

use super::create;
use api::network::{
    ConfigReference, EndpointResource, EndpointSettings, Ipam, IpamConfig, IpamStatus, NetworkCreateRequest,
    NetworkInspect, NetworkStatus, NetworkSummary, SubnetStatus,
};
use engine::Result;
use engine::containers::EndpointSpec;
use engine::networks::{CreateRequest, Inspected, Member, Network, Pool, SubnetUse};

pub(crate) fn create(request: NetworkCreateRequest) -> CreateRequest {
    let ipam = request.ipam.unwrap_or_default();
    let pool = |config: IpamConfig| Pool {
        subnet: config.subnet,
        range: config.ip_range,
        gateway: config.gateway,
        auxiliary: config.auxiliary_addresses,
    };
    CreateRequest {
        name: request.name,
        driver: request.driver,
        internal: request.internal,
        attachable: request.attachable,
        ingress: request.ingress,
        scope: request.scope,
        config_only: request.config_only,
        config_from: request.config_from.unwrap_or_default().network,
        ipv4: request.enable_ipv4,
        ipv6: request.enable_ipv6,
        labels: request.labels,
        options: request.options,
        ipam_driver: ipam.driver,
        ipam_options: ipam.options,
        pools: ipam.config.into_iter().map(pool).collect(),
    }
}

/// What was asked of a connect.
pub(crate) fn endpoint(network: &str, settings: Option<EndpointSettings>) -> Result<EndpointSpec> {
    create::endpoint(network, settings.unwrap_or_default())
}

pub(crate) fn summary(network: &Network) -> NetworkSummary {
    let config = |pool: &Pool| IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: pool.auxiliary.clone(),
    };
    NetworkSummary {
        name: network.name.clone(),
        id: network.id.clone(),
        created: network.created.to_string(),
        scope: "local".to_owned(),
        driver: network.driver.clone(),
        enable_ipv4: !network.without_ipv4,
        enable_ipv6: network.ipv6,
        ipam: Ipam {
            driver: "default".to_owned(),
            options: network.ipam_options.clone(),
            config: network.pools.iter().map(config).collect(),
        },
        internal: network.internal,
        attachable: network.attachable,
        ingress: false,
        config_from: ConfigReference { network: network.config_from.clone() },
        config_only: network.config_only,
        options: network.options.clone(),
        labels: network.labels.clone(),
    }
}

pub(crate) fn status(found: &Inspected) -> NetworkStatus {
    let subnet = |usage: SubnetUse| {
        (usage.subnet, SubnetStatus { ips_in_use: usage.taken, dynamic_ips_available: usage.free })
    };
    NetworkStatus { ipam: IpamStatus { subnets: found.usage().into_iter().map(subnet).collect() } }
}

pub(crate) fn inspect(found: &Inspected) -> NetworkInspect {
    let member = |(id, member): (&String, &Member)| {
        let endpoint = &member.endpoint;
        let ipv4 = endpoint.ipv4.map(|ip| format!("{ip}/{}", endpoint.ipv4_prefix));
        let ipv6 = endpoint.ipv6.map(|ip| format!("{ip}/{}", endpoint.ipv6_prefix));
        let resource = EndpointResource {
            name: member.name.clone(),
            endpoint_id: endpoint.endpoint_id.clone(),
            mac_address: endpoint.mac.clone(),
            ipv4_address: ipv4.unwrap_or_default(),
            ipv6_address: ipv6.unwrap_or_default(),
        };
        (id.clone(), resource)
    };
    NetworkInspect {
        summary: summary(&found.network),
        containers: found.containers.iter().map(member).collect(),
        status: None,
    }
}
