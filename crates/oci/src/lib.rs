//! The words of the Open Container Initiative, and Docker's dialect of them: digests, references,
//! manifests, image configurations, and the runtime specification ([`runtime`]). Types and pure
//! functions only; no files, sockets or clocks.

mod digest;
mod image;
mod manifest;
pub mod media_type;
mod platform;
mod reference;
pub mod runtime;

pub use digest::{Algorithm, Digest, DigestError, Digester};
pub use image::{ContainerConfig, GoSet, Healthcheck, History, ImageConfig, RootFs, chain_ids};
pub use manifest::{Descriptor, Index, Manifest, annotation};
pub use platform::{Platform, PlatformError, go_architecture};
pub use reference::{DEFAULT_DOMAIN, DEFAULT_TAG, Reference, ReferenceError, is_identifier};

/// Go writes nil slices and maps as `null`.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + serde::Deserialize<'de>,
{
    Ok(<Option<T> as serde::Deserialize>::deserialize(deserializer)?.unwrap_or_default())
}
