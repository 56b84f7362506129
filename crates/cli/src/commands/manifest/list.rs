//! An entry of a list, and the list that comes of several: byte by byte what Docker's client makes of them, so that both push
//! the same digest.

use api::registry::DistributionManifest;
use oci::{Platform, Reference, media_type};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::failure::Failure;

/// One manifest, as its file holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    #[serde(rename = "Ref")]
    pub(crate) name: String,
    pub(crate) descriptor: Descriptor,
    /// Its bytes, in base64. Older clients kept only the document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) raw: String,
    #[serde(rename = "SchemaV2Manifest", default, skip_serializing_if = "Option::is_none")]
    docker: Option<Value>,
    #[serde(rename = "OCIManifest", default, skip_serializing_if = "Option::is_none")]
    oci: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
}

impl Entry {
    /// Of what a registry has.
    ///
    /// # Errors
    /// It is no manifest of an image.
    pub(crate) fn new(
        name: &Reference,
        found: DistributionManifest,
        platform: Option<Platform>,
    ) -> Result<Entry, Failure> {
        let media_type = found.descriptor.media_type.clone();
        if media_type::is_index(&media_type) {
            return Err(Failure::new(format!("{name} is a manifest list")));
        }
        let bytes = found.bytes().unwrap_or_default();
        let document: Value =
            serde_json::from_slice(&bytes).map_err(|error| Failure::new(format!("{name}: {error}")))?;
        let is_docker = media_type == media_type::DOCKER_MANIFEST;
        let own = found.platforms.into_iter().next().map(|own| Platform {
            architecture: own.architecture,
            os: own.os,
            os_version: Some(own.os_version).filter(|text| !text.is_empty()),
            os_features: own.os_features,
            variant: Some(own.variant).filter(|text| !text.is_empty()),
        });
        Ok(Entry {
            name: name.to_string(),
            descriptor: Descriptor {
                media_type,
                digest: found.descriptor.digest,
                size: found.descriptor.size,
                platform: platform.or(own),
            },
            raw: found.raw,
            docker: is_docker.then(|| document.clone()),
            oci: (!is_docker).then_some(document),
        })
    }

    /// The manifest itself.
    pub(crate) fn document(&self) -> Option<&Value> {
        self.docker.as_ref().or(self.oci.as_ref())
    }

    /// # Errors
    /// Its file names no image.
    pub(crate) fn reference(&self) -> Result<Reference, Failure> {
        Reference::parse(&self.name).map_err(|error| Failure::new(error.to_string()))
    }
}

/// The list of these, for a target: its bytes and its media type.
///
/// # Errors
/// One of them comes from another registry.
pub(crate) fn assemble(target: &Reference, entries: &[Entry]) -> Result<(String, &'static str), Failure> {
    let mut manifests = Vec::new();
    for entry in entries {
        let source = entry.reference()?;
        if source.domain() != target.domain() {
            return Err(Failure::new(format!(
                "cannot use source images from a different registry than the target image: {} != {}",
                source.domain(),
                target.domain()
            )));
        }
        let Descriptor { media_type, digest, size, platform } = &entry.descriptor;
        let platform = platform.clone().unwrap_or_else(|| Platform::new("", ""));
        let mut shown = json!({ "architecture": platform.architecture, "os": platform.os });
        if let Some(version) = platform.os_version.filter(|text| !text.is_empty()) {
            shown["os.version"] = version.into();
        }
        if !platform.os_features.is_empty() {
            shown["os.features"] = platform.os_features.into();
        }
        if let Some(variant) = platform.variant.filter(|text| !text.is_empty()) {
            shown["variant"] = variant.into();
        }
        manifests.push(json!({ "mediaType": media_type, "size": size, "digest": digest, "platform": shown }));
    }
    let is_oci = entries.first().is_some_and(|entry| entry.descriptor.media_type == media_type::OCI_MANIFEST);
    let media_type = if is_oci { media_type::OCI_INDEX } else { media_type::DOCKER_MANIFEST_LIST };
    let list = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": manifests });
    Ok((indented(&list, b"   "), media_type))
}

/// JSON with an indentation.
pub(crate) fn indented(document: &impl Serialize, by: &[u8]) -> String {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(by);
    // What is here has a JSON form.
    let _ = document.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter));
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, architecture: &str, variant: Option<&str>) -> Entry {
        let platform =
            Platform { variant: variant.map(str::to_owned), ..Platform::new("linux", architecture) };
        Entry {
            name: name.into(),
            descriptor: Descriptor {
                media_type: media_type::DOCKER_MANIFEST.into(),
                digest: "sha256:1".into(),
                size: 7,
                platform: Some(platform),
            },
            raw: String::new(),
            docker: Some(json!({})),
            oci: None,
        }
    }

    #[test]
    fn a_list_is_spelled_as_docker_spells_it() {
        let target = Reference::parse("reg:5000/a:1").unwrap();
        let (text, media_type) = assemble(&target, &[entry("reg:5000/a:arm", "arm", Some("v7"))]).unwrap();
        assert_eq!(media_type, media_type::DOCKER_MANIFEST_LIST);
        let wanted = "{\n   \"schemaVersion\": 2,\n   \"mediaType\": \
                      \"application/vnd.docker.distribution.manifest.list.v2+json\",\n   \"manifests\": [\n      {\n         \
                      \"mediaType\": \"application/vnd.docker.distribution.manifest.v2+json\",\n         \"size\": 7,\n         \
                      \"digest\": \"sha256:1\",\n         \"platform\": {\n            \"architecture\": \"arm\",\n            \
                      \"os\": \"linux\",\n            \"variant\": \"v7\"\n         }\n      }\n   ]\n}";
        assert_eq!(text, wanted);
        let elsewhere = assemble(&target, &[entry("other/a:1", "arm", None)]).unwrap_err();
        assert!(elsewhere.text.ends_with("docker.io != reg:5000"), "{}", elsewhere.text);
    }
}
