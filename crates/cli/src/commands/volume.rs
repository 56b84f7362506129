//! `volume`: its verbs, and how a volume looks in a list.

use std::collections::BTreeMap;

use api::volume::Volume;
use serde_json::json;

use crate::command::Noun;
use crate::output::table::{Listing, Row};
use crate::output::units::human_size;

pub(crate) mod backup;
pub(crate) mod clone;
pub(crate) mod create;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod rename;
pub(crate) mod restore;
pub(crate) mod rm;
pub(crate) mod update;

pub(crate) const NOUN: Noun = Noun {
    name: "volume",
    usage: " COMMAND",
    about: "Manage volumes",
    verbs: &[
        &backup::COMMAND,
        &clone::COMMAND,
        &create::COMMAND,
        &export::COMMAND,
        &import::COMMAND,
        &inspect::COMMAND,
        &ls::COMMAND,
        &prune::COMMAND,
        &rename::COMMAND,
        &restore::COMMAND,
        &rm::COMMAND,
        &update::COMMAND,
    ],
};

pub(crate) const LISTING: Listing = Listing {
    type_name: "*formatter.volumeContext",
    titles: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Group", "GROUP"),
        ("Availability", "AVAILABILITY"),
        ("Status", "STATUS"),
        ("ID", "ID"),
    ],
};

/// Group, availability and status are of a Swarm's volumes, which there are none of.
pub(crate) fn row(volume: &Volume) -> Row {
    let used = volume.usage_data.as_ref();
    Row {
        cells: vec![
            ("Availability", json!("N/A")),
            ("Driver", json!(volume.driver)),
            ("Group", json!("N/A")),
            ("Labels", json!(labels(&volume.labels))),
            ("Links", json!(used.map_or("N/A".to_owned(), |used| used.ref_count.to_string()))),
            ("Mountpoint", json!(volume.mountpoint)),
            ("Name", json!(volume.name)),
            ("Scope", json!(volume.scope)),
            ("Size", json!(used.map_or("N/A".to_owned(), |used| human_size(used.size as f64, 4)))),
            ("Status", json!("N/A")),
        ],
        labels: Some(volume.labels.clone()),
    }
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}
