//! Images.

use super::{host_config, time};
use api::container::{DriverData, Empty};
use api::image::{
    Descriptor, HistoryItem, ImageConfig, ImageInspectResponse, ImageMetadata, ImageSummary, RootFs,
};
use engine::images;
use jiff::Timestamp;

/// Sizes fit: nobody has 8 EiB.
fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn seconds(at: Option<Timestamp>) -> i64 {
    // Go's zero time, in seconds of the epoch, is what Docker shows for "not said".
    at.map_or(-62_135_596_800, |at| at.as_second())
}

pub(crate) fn summary(image: images::ImageSummary) -> ImageSummary {
    ImageSummary {
        containers: size(image.containers),
        created: seconds(image.created),
        id: image.id,
        labels: image.labels,
        repo_digests: image.repo_digests,
        repo_tags: image.repo_tags,
        shared_size: -1,
        size: size(image.size_bytes),
        ..Default::default()
    }
}

pub(crate) fn inspect(image: images::ImageView) -> ImageInspectResponse {
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
        descriptor: image.descriptor.map(|(digest, media_type, bytes)| Descriptor {
            media_type,
            digest,
            size: size(bytes),
            ..Default::default()
        }),
        manifests: Vec::new(),
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
        healthcheck: config.healthcheck.as_ref().map(host_config::health),
        on_build: config.on_build.unwrap_or_default(),
        shell: config.shell.unwrap_or_default(),
    }
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
