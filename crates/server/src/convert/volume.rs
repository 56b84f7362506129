//! Volumes.

use api::volume::{UsageData, Volume, VolumeCreateRequest};
use engine::volumes::{self, CreateRequest};

pub(crate) fn volume(volume: &volumes::Volume) -> Volume {
    Volume {
        // Whole seconds, as Docker tells it.
        created_at: volume.created.map_or_else(String::new, |at| {
            jiff::Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
        }),
        driver: volume.driver.clone(),
        labels: volume.labels.clone(),
        mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
        name: volume.name.clone(),
        options: volume.options.clone(),
        scope: "local".to_owned(),
        usage_data: volume.usage.map(|usage| UsageData {
            ref_count: usage.containers as i64,
            size: usage.bytes.map_or(-1, |bytes| bytes as i64),
        }),
    }
}

pub(crate) fn create(request: VolumeCreateRequest) -> CreateRequest {
    CreateRequest {
        name: request.name,
        driver: request.driver,
        labels: request.labels,
        options: request.driver_opts,
    }
}
