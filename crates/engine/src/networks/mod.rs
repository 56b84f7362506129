//! Networks: what there are, and who is on them.
//!
//! Three are always there (`bridge`, `host`, `none`); users make bridge networks beside them. What a network is, is
//! decided once, when it is made, and recorded; the bridge, its addresses and its firewall are the fabric's
//! ([`crate::ports::NetworkFabric`]), which makes at a start what the records say. Who is on a network is told by the
//! containers' snapshots, so that there is nothing to keep in step.

pub(crate) mod attach;
pub(crate) mod boot;
mod check;
mod config_only;
mod create;
mod endpoint_options;
pub(crate) mod names;
mod options;
mod over;
mod record;
pub(crate) mod registry;
mod remove;
mod service;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use service::Networks;
pub use usage::SubnetUse;

use crate::core::Core;
use crate::ports::{BridgeNetwork, Endpoint};

/// `POST /networks/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateRequest {
    pub name: String,
    /// Empty: `bridge`.
    pub driver: String,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    pub scope: String,
    pub config_only: bool,
    pub config_from: String,
    pub ipv4: Option<bool>,
    pub ipv6: Option<bool>,
    pub labels: BTreeMap<String, String>,
    pub options: BTreeMap<String, String>,
    pub ipam_driver: String,
    pub ipam_options: BTreeMap<String, String>,
    pub pools: Vec<Pool>,
}

/// A subnet and what is said about it, as it was written; empty where nothing was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pool {
    pub subnet: String,
    pub range: String,
    pub gateway: String,
    pub auxiliary: BTreeMap<String, String>,
}

impl Pool {
    /// Of IPv6. One without a subnet is of IPv4.
    pub fn is_ipv6(&self) -> bool {
        self.subnet.contains(':')
    }
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// 64 hex digits.
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    /// `bridge`, `macvlan`, `ipvlan`, `host` or `null`.
    pub driver: String,
    /// One of the three that are always there.
    #[serde(default)]
    pub predefined: bool,
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub attachable: bool,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    #[serde(default)]
    pub ipam_options: BTreeMap<String, String>,
    /// With what was chosen.
    #[serde(default)]
    pub pools: Vec<Pool>,
    /// The user named the subnet: an address of it may be asked for.
    #[serde(default)]
    pub chosen_subnet: bool,
    /// The same of IPv6.
    #[serde(default)]
    pub chosen_subnet6: bool,
    /// It has no IPv4.
    #[serde(default)]
    pub without_ipv4: bool,
    #[serde(default)]
    pub ipv6: bool,
    /// Nobody can be on it: it is what others are made from (`--config-only`).
    #[serde(default)]
    pub config_only: bool,
    /// The name of the one that it was made from.
    #[serde(default)]
    pub config_from: String,
    /// What the fabric makes. `None` for the predefined.
    #[serde(default)]
    pub bridge: Option<BridgeNetwork>,
}

impl Network {
    /// Names can be asked for, and aliases given.
    pub fn is_user_defined(&self) -> bool {
        !self.predefined
    }
}

/// A network with those on it.
#[derive(Debug, Clone)]
pub struct Inspected {
    pub network: Arc<Network>,
    /// By container id.
    pub containers: BTreeMap<String, Member>,
}

/// A running container on a network.
#[derive(Debug, Clone)]
pub struct Member {
    /// The container's name.
    pub name: String,
    pub endpoint: Endpoint,
}

/// An event of a network.
fn event(core: &Core, network: &Network, action: &str) {
    let attributes = [("name", &network.name), ("type", &network.driver)]
        .map(|(key, value)| (key.to_owned(), value.clone()));
    core.events.publish("network", action, network.id.clone(), attributes.into());
}
