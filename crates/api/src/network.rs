//! A container's place in networks: endpoints, port bindings.

use crate::go;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `"80/tcp"` → the host's sides; `None` is Docker's `null`: exposed, not published.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PortBinding {
    pub host_ip: String,
    /// A port, a range `8000-8010`, or empty for any.
    pub host_port: String,
}

/// `NetworkingConfig` of the create request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkingConfig {
    #[serde(serialize_with = "go::null_if_empty")]
    pub endpoints_config: BTreeMap<String, EndpointSettings>,
}

/// One container's interface in one network: what was asked (first seven fields) and what is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct EndpointSettings {
    #[serde(rename = "IPAMConfig")]
    pub ipam_config: Option<EndpointIpamConfig>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub links: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub aliases: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty")]
    pub driver_opts: BTreeMap<String, String>,
    pub gw_priority: i64,
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    pub gateway: String,
    #[serde(rename = "IPAddress")]
    pub ip_address: String,
    pub mac_address: String,
    #[serde(rename = "IPPrefixLen")]
    pub ip_prefix_len: i64,
    #[serde(rename = "IPv6Gateway")]
    pub ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    pub global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub global_ipv6_prefix_len: i64,
    #[serde(rename = "DNSNames", serialize_with = "go::null_if_empty")]
    pub dns_names: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndpointIpamConfig {
    #[serde(rename = "IPv4Address", skip_serializing_if = "go::is_zero")]
    pub ipv4_address: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "go::is_zero")]
    pub ipv6_address: String,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "go::is_zero")]
    pub link_local_ips: Vec<String>,
}
