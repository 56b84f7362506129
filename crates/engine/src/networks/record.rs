//! A network's record on disk: versioned.

use serde::{Deserialize, Serialize};

use super::Network;
use crate::error::{Error, Result};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record<N> {
    version: u32,
    network: N,
}

pub(super) fn write(network: &Network) -> Vec<u8> {
    serde_json::to_vec(&Record { version: VERSION, network }).expect("records have string keys only")
}

pub(super) fn read(id: &str, json: &[u8]) -> Result<Network> {
    let broken = |error: serde_json::Error| Error::internal(format!("record of network {id}: {error}"));
    let record: Record<serde_json::Value> = serde_json::from_slice(json).map_err(broken)?;
    match record.version {
        VERSION => serde_json::from_value(record.network).map_err(broken),
        newer => Err(Error::internal(format!(
            "record of network {id} has version {newer}, written by a newer wharf"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_frozen() {
        let json = br#"{"version":1,"network":{"id":"ab","name":"n","created":"2026-01-02T03:04:05Z","driver":"bridge",
            "pools":[{"subnet":"10.0.0.0/24","gateway":"10.0.0.1"}],"chosen_subnet":true,
            "bridge":{"id":"ab","bridge":"br-ab","subnet":"10.0.0.0/24","gateway":"10.0.0.1","inter_container":true,
            "masquerade":true}}}"#;
        let network = read("ab", json).unwrap();
        assert_eq!(read("ab", &write(&network)).unwrap(), network);
        let bridge = network.bridge.unwrap();
        assert_eq!((bridge.subnet.unwrap().to_string(), bridge.mtu), ("10.0.0.0/24".to_owned(), None));
        assert!(read("ab", br#"{"version":2,"network":{}}"#).unwrap_err().message.contains("newer wharf"));
    }
}
