//! The large part of a request: JSON and a blob in one sealed memfd.
//!
//! ```text
//! 0        4                 4 + n              end
//! | n: u32 |  n bytes JSON   |  blob            |
//! ```
//!
//! Sealed, so that the bytes which were checked are the bytes which are used; a memfd, so that neither a
//! socket's buffer nor the spawner's memory limits the size. The spawner passes it on unread.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::error::doing;

/// Far above any real request; a bound on what a monitor allocates.
const PAYLOAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(crate) fn write<T: Serialize>(request: &T, blob: &[u8]) -> Result<OwnedFd, Error> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, request)
        .map_err(|error| Error::Message { what: "encode a request", why: error.to_string() })?;
    let length = u32::try_from(bytes.len() - 4)
        .map_err(|_| Error::Message { what: "encode a request", why: "over 4 GiB".into() })?;
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(blob);

    self::bytes(&bytes)
}

/// Any bytes as a sealed memfd.
pub(crate) fn bytes(bytes: &[u8]) -> Result<OwnedFd, Error> {
    let fd = memfd_create("wharf-request", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(doing("create a memfd"))?;
    let mut file = File::from(fd);
    file.write_all(bytes).map_err(doing("write a memfd"))?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)
        .map_err(doing("seal a memfd"))?;
    Ok(file.into())
}

pub(crate) fn read<T: DeserializeOwned>(fd: OwnedFd) -> Result<(T, Vec<u8>), Error> {
    let mut file = File::from(fd);
    let size = file.metadata().map_err(doing("size a memfd"))?.len();
    if !(4..=PAYLOAD_BYTES_MAX).contains(&size) {
        return Err(Error::Message { what: "read a request", why: format!("{size} bytes") });
    }
    // The writer's offset travels with the descriptor.
    file.seek(SeekFrom::Start(0)).map_err(doing("rewind a memfd"))?;
    let mut bytes = vec![0; size as usize];
    file.read_exact(&mut bytes).map_err(doing("read a memfd"))?;
    let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
    let json = bytes
        .get(4..4 + length)
        .ok_or_else(|| Error::Message { what: "read a request", why: "it was cut short".into() })?;
    let request = serde_json::from_slice(json)
        .map_err(|error| Error::Message { what: "read a request", why: error.to_string() })?;
    bytes.drain(..4 + length);
    Ok((request, bytes))
}
