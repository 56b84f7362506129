//! What a container's record looks like on disk: versioned, apart from the domain's shape.

mod v1;

pub(crate) use v1::{Record, UnappliedMounts, UnappliedPorts};

use crate::error::{Error, Result};

/// Read a record of any version this engine knows.
pub(crate) fn read(id: &str, json: &[u8]) -> Result<Record> {
    #[derive(serde::Deserialize)]
    struct Head {
        version: u32,
    }
    let broken = |error: serde_json::Error| Error::internal(format!("record of container {id}: {error}"));
    let head: Head = serde_json::from_slice(json).map_err(broken)?;
    match head.version {
        v1::VERSION => serde_json::from_slice(json).map(Record::with_all_endpoints).map_err(broken),
        newer => Err(Error::internal(format!(
            "record of container {id} has version {newer}, written by a newer wharf"
        ))),
    }
}

pub(crate) fn write(record: &Record) -> Vec<u8> {
    serde_json::to_vec(record).expect("records have string keys only")
}
