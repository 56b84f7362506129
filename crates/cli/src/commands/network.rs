//! `network`: its verbs, and how a network looks in a list.

use std::collections::BTreeMap;

use api::network::NetworkSummary;
use serde_json::json;

use crate::command::Noun;
use crate::output::short_id;
use crate::output::table::{Listing, Row};

pub(crate) mod connect;
pub(crate) mod create;
pub(crate) mod disconnect;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod rm;

pub(crate) const NOUN: Noun = Noun {
    name: "network",
    usage: " COMMAND",
    about: "Manage networks",
    verbs: &[
        &connect::COMMAND,
        &create::COMMAND,
        &disconnect::COMMAND,
        &inspect::COMMAND,
        &ls::COMMAND,
        &prune::COMMAND,
        &rm::COMMAND,
    ],
};

pub(crate) const LISTING: Listing = Listing {
    type_name: "*network.networkContext",
    titles: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
};

pub(crate) fn row(network: &NetworkSummary, truncate: bool) -> Row {
    let id = if truncate { short_id(&network.id) } else { &network.id };
    let created = crate::moment::go_string_of(&network.created);
    Row {
        cells: vec![
            ("CreatedAt", json!(created)),
            ("Driver", json!(network.driver)),
            ("ID", json!(id)),
            ("IPv4", json!(network.enable_ipv4.to_string())),
            ("IPv6", json!(network.enable_ipv6.to_string())),
            ("Internal", json!(network.internal.to_string())),
            ("Labels", json!(labels(&network.labels))),
            ("Name", json!(network.name)),
            ("Scope", json!(network.scope)),
        ],
        labels: Some(network.labels.clone()),
    }
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}
