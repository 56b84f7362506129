//! What a volume's backup is in a registry: a manifest of a kind of its own (OCI image specification 1.1, artifacts) with one
//! blob, the tar that an export writes, compressed; and what the volume was called and labelled, as annotations.

use std::collections::BTreeMap;

use oci::{Descriptor, Digest, Manifest, media_type};

use crate::error::{Error, Result};

pub(super) const KIND: &str = "application/vnd.wharf.volume.v1";
pub(super) const DATA: &str = "application/vnd.wharf.volume.data.v1.tar+zstd";
/// What an artifact without a configuration has as one.
pub(super) const NO_CONFIG: &[u8] = b"{}";
const CREATED: &str = "org.opencontainers.image.created";
const NAME: &str = "vnd.wharf.volume.name";
/// With a label's key behind it.
const LABEL: &str = "vnd.wharf.volume.label.";

/// What is known of it beside its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
}

/// As bytes, which its digest is of.
pub(super) fn manifest(about: &About, created: &str, data: Digest, size: u64) -> Result<Vec<u8>> {
    let mut annotations: BTreeMap<String, String> =
        about.labels.iter().map(|(key, value)| (format!("{LABEL}{key}"), value.clone())).collect();
    annotations.insert(NAME.to_owned(), about.name.clone());
    annotations.insert(CREATED.to_owned(), created.to_owned());
    let config = Descriptor::new(media_type::OCI_EMPTY, Digest::of(NO_CONFIG), NO_CONFIG.len() as u64);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media_type::OCI_MANIFEST.to_owned()),
        config,
        layers: vec![Descriptor::new(DATA, data, size)],
        annotations,
        extra: [("artifactType".to_owned(), KIND.into())].into(),
    };
    serde_json::to_vec(&manifest).map_err(|error| Error::internal(format!("write a manifest: {error}")))
}

/// Its data, and what is known of it.
///
/// # Errors
/// It is something else, as an image.
pub(super) fn read(bytes: &[u8]) -> Result<(Descriptor, About)> {
    let manifest: Manifest = serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("its manifest cannot be read: {error}")))?;
    let kind = manifest.extra.get("artifactType").and_then(|kind| kind.as_str()).unwrap_or_default();
    if kind != KIND {
        let kind = if kind.is_empty() { manifest.config.media_type.as_str() } else { kind };
        return Err(Error::invalid(format!("it is no backup of a volume but {kind}")));
    }
    let [data] = &manifest.layers[..] else {
        return Err(Error::invalid(format!("it has {} blobs in place of one", manifest.layers.len())));
    };
    if data.media_type != DATA {
        return Err(Error::unsupported(format!("its data is {}, which is not known here", data.media_type)));
    }
    let mut about = About::default();
    for (key, value) in manifest.annotations {
        if let Some(label) = key.strip_prefix(LABEL) {
            about.labels.insert(label.to_owned(), value);
        } else if key == NAME {
            about.name = value;
        }
    }
    Ok((data.clone(), about))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned()), ("c.d/e".to_owned(), String::new())]);
        let about = About { name: "data".to_owned(), labels };
        let digest = Digest::of(b"data");
        let bytes = manifest(&about, "2026-01-02T03:04:05Z", digest.clone(), 4).unwrap();
        let (data, read_again) = read(&bytes).unwrap();
        assert_eq!((data.digest, data.size, read_again), (digest, 4, about));
        let text = String::from_utf8(bytes).unwrap();
        let image = text.replace(KIND, "").replace(media_type::OCI_EMPTY, media_type::OCI_CONFIG);
        let said = read(image.as_bytes()).unwrap_err().message;
        assert_eq!(said, format!("it is no backup of a volume but {}", media_type::OCI_CONFIG));
        let newer = text.replace(".data.v1.", ".data.v2.");
        assert!(
            read(newer.as_bytes()).unwrap_err().message.contains("data.v2.tar+zstd, which is not known here")
        );
    }
}
