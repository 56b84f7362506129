//! Volumes.

use api::volume::{UsageData, Volume, VolumeCreateRequest};
use engine::volumes::{self, CreateRequest, LOCAL, Scope};

/// Go's first moment: what a plugin does not say.
const NO_TIME: &str = "0001-01-01T00:00:00Z";

pub(crate) fn volume(volume: &volumes::Volume) -> Volume {
    Volume {
        // Whole seconds, as Docker tells it.
        created_at: match volume.created {
            Some(at) => jiff::Timestamp::from_second(at.as_second()).unwrap_or(at).to_string(),
            None if volume.driver != LOCAL => NO_TIME.to_owned(),
            None => String::new(),
        },
        driver: volume.driver.clone(),
        labels: volume.labels.clone(),
        mountpoint: volume.mountpoint.to_string_lossy().into_owned(),
        name: volume.name.clone(),
        options: volume.options.clone(),
        scope: match volume.scope {
            Scope::Local => "local",
            Scope::Global => "global",
        }
        .to_owned(),
        // Docker leaves an empty one out.
        status: volume.status.clone().filter(|status| !status.is_empty()),
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
