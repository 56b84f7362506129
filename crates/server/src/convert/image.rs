//! Images.

use super::{health, time};
use api::container::{DriverData, Empty};
use api::image::{
    AttestationStatement, Descriptor, HistoryItem, ImageConfig, ImageInspectResponse, ImageMetadata,
    ImageSummary, ManifestAttestationData, ManifestImageData, ManifestSize, ManifestSummary, Platform,
    RootFs, UnpackedSize,
};
use engine::images::ManifestKind;
use engine::{Error, Result, images};
use jiff::Timestamp;

/// Sizes fit: nobody has 8 EiB.
fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn seconds(at: Option<Timestamp>) -> i64 {
    // Go's zero time, in seconds of the epoch, is what Docker shows for "not said".
    at.map_or(-62_135_596_800, |at| at.as_second())
}

/// One line of the list; `manifests` shows what it is made of.
pub(crate) fn summary(image: images::ImageSummary, manifests: bool) -> ImageSummary {
    ImageSummary {
        containers: size(image.containers),
        created: seconds(image.created),
        id: image.id,
        labels: image.labels,
        repo_digests: image.repo_digests,
        repo_tags: image.repo_tags,
        shared_size: image.shared_bytes.map_or(-1, size),
        size: size(image.size_bytes),
        descriptor: image.target.as_ref().map(descriptor),
        manifests: if manifests { image.manifests.into_iter().map(manifest).collect() } else { Vec::new() },
        ..Default::default()
    }
}

pub(crate) fn descriptor(target: &images::Target) -> Descriptor {
    Descriptor {
        media_type: target.media_type.clone(),
        digest: target.digest.clone(),
        size: size(target.size_bytes),
        ..Default::default()
    }
}

fn manifest(manifest: images::Manifest) -> ManifestSummary {
    let platform = manifest.platform.as_ref().map(|platform| Platform {
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        os_version: platform.os_version.clone().unwrap_or_default(),
        os_features: platform.os_features.clone(),
        variant: platform.variant.clone().unwrap_or_default(),
    });
    let (kind, attested) = match manifest.kind {
        ManifestKind::Image => ("image", None),
        ManifestKind::Attestation(subject) => ("attestation", Some(ManifestAttestationData { subject })),
        ManifestKind::Unknown => ("unknown", None),
    };
    let image_data = (kind == "image").then(|| ManifestImageData {
        platform: platform.clone().unwrap_or_default(),
        size: UnpackedSize { unpacked: size(manifest.unpacked_bytes) },
        containers: manifest.containers,
    });
    ManifestSummary {
        id: manifest.digest.clone(),
        descriptor: Descriptor {
            media_type: manifest.media_type,
            digest: manifest.digest,
            size: size(manifest.size_bytes),
            platform,
            annotations: manifest.annotations,
            ..Default::default()
        },
        available: manifest.available,
        size: ManifestSize {
            content: size(manifest.content_bytes),
            total: size(manifest.content_bytes + manifest.unpacked_bytes),
        },
        kind: kind.to_owned(),
        image_data,
        attestation_data: attested,
    }
}

pub(crate) fn inspect(image: images::ImageView, manifests: bool) -> ImageInspectResponse {
    ImageInspectResponse {
        id: image.id,
        repo_tags: image.repo_tags,
        repo_digests: image.repo_digests,
        comment: image.comment,
        created: image.created.map(|at| at.to_string()).unwrap_or_default(),
        author: image.author,
        config: Some(config(image.config)),
        architecture: image.architecture,
        variant: image.variant,
        os: image.os,
        os_version: image.os_version,
        size: size(image.size_bytes),
        graph_driver: Some(DriverData { data: image.driver_data, name: image.driver }),
        root_fs: RootFs { kind: "layers".to_owned(), layers: image.layers },
        metadata: ImageMetadata { last_tag_time: time(image.last_tagged) },
        descriptor: image.target.as_ref().map(descriptor),
        manifests: if manifests { image.manifests.into_iter().map(manifest).collect() } else { Vec::new() },
        identity: None,
    }
}

fn config(config: images::ImageConfig) -> ImageConfig {
    let set = |keys: Vec<String>| keys.into_iter().map(|key| (key, Empty {})).collect();
    ImageConfig {
        user: config.user,
        exposed_ports: set(config.exposed_ports),
        env: config.env,
        entrypoint: config.entrypoint.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        volumes: set(config.volumes),
        working_dir: config.working_dir,
        labels: config.labels,
        stop_signal: config.stop_signal.unwrap_or_default(),
        args_escaped: config.args_escaped,
        healthcheck: config.healthcheck.as_ref().map(health::config),
        on_build: config.on_build.unwrap_or_default(),
        shell: config.shell.unwrap_or_default(),
    }
}

pub(crate) fn attestation(attestation: images::Attestation) -> Result<AttestationStatement> {
    let of = attestation.descriptor;
    let raw = |text: String| {
        serde_json::value::RawValue::from_string(text)
            .map_err(|error| Error::internal(format!("attestation statement {}: {error}", of.digest)))
    };
    Ok(AttestationStatement {
        statement: attestation.statement.map(raw).transpose()?,
        predicate_type: attestation.predicate,
        descriptor: Descriptor {
            media_type: of.media_type,
            digest: of.digest.to_string(),
            size: size(of.size),
            annotations: of.annotations,
            ..Default::default()
        },
    })
}

pub(crate) fn history(entry: images::HistoryEntry) -> HistoryItem {
    HistoryItem {
        comment: entry.comment,
        created: seconds(entry.created),
        created_by: entry.created_by,
        id: entry.id,
        size: size(entry.size_bytes),
        tags: entry.tags,
    }
}

/// A platform that was asked for.
pub(crate) fn platform(asked: Platform) -> Result<oci::Platform> {
    if asked.os.is_empty() || asked.architecture.is_empty() {
        let others =
            !asked.variant.is_empty() || !asked.os_version.is_empty() || !asked.os_features.is_empty();
        return Err(Error::invalid(match asked.os.is_empty() && asked.architecture.is_empty() && others {
            true => "optional platform fields provided, but OS and Architecture are missing",
            false => "both OS and Architecture must be provided",
        }));
    }
    let said = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(oci::Platform {
        architecture: asked.architecture,
        os: asked.os,
        os_version: said(asked.os_version),
        os_features: asked.os_features,
        variant: said(asked.variant),
    })
}

/// A container's configuration as an image's: what the body of a commit says.
pub(crate) fn config_of_container(config: api::container::ContainerConfig) -> images::ImageConfig {
    let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    images::ImageConfig {
        user: config.user,
        exposed_ports: config.exposed_ports.into_keys().collect(),
        env: config.env,
        entrypoint: config.entrypoint,
        cmd: some(config.cmd),
        volumes: config.volumes.into_keys().collect(),
        working_dir: config.working_dir,
        labels: config.labels,
        stop_signal: Some(config.stop_signal).filter(|signal| !signal.is_empty()),
        stop_timeout_s: config.stop_timeout,
        shell: some(config.shell),
        on_build: some(config.on_build),
        healthcheck: config.healthcheck.map(|check| engine::containers::Healthcheck {
            test: check.test,
            interval_ns: check.interval,
            timeout_ns: check.timeout,
            start_period_ns: check.start_period,
            start_interval_ns: check.start_interval,
            retries: check.retries,
        }),
        args_escaped: config.args_escaped,
    }
}
