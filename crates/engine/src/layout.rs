//! Where the engine's own files are, spelled once. (`store` has its own layout below the same root.)

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `<data-root>/containers`
pub(crate) fn containers(data_root: &Path) -> PathBuf {
    data_root.join("containers")
}

/// `<data-root>/containers/<id>`
pub(crate) fn container(data_root: &Path, id: &str) -> PathBuf {
    containers(data_root).join(id)
}

/// Where a container's records are written: `<id>-json.log`, `local-logs/container.log`, or beside a remote driver
/// `container-cached.log`
pub(crate) fn log(directory: &Path, id: &str, driver: &str) -> PathBuf {
    match driver {
        "json-file" => directory.join(format!("{id}-json.log")),
        "local" => directory.join("local-logs/container.log"),
        _ => directory.join("container-cached.log"),
    }
}

/// Where they can be read, if they can, and how.
pub(crate) fn kept_log(
    directory: &Path,
    id: &str,
    driver: &str,
    options: &BTreeMap<String, String>,
) -> Option<(PathBuf, logs::Format)> {
    Some((log(directory, id, driver), logs::kept(driver, options)?))
}

/// `<data-root>/containers/<id>/volumes`: the anonymous volumes that its create makes, one name a line
pub(crate) fn begun_volumes(directory: &Path) -> PathBuf {
    directory.join("volumes")
}

/// `<data-root>/containers/<id>/adding`: the anonymous volumes that an update makes for it, in the same way
pub(crate) fn added_volumes(directory: &Path) -> PathBuf {
    directory.join("adding")
}

/// `<data-root>/containers/<id>/committing`: it is paused for a commit
pub(crate) fn committing(directory: &Path) -> PathBuf {
    directory.join("committing")
}

/// `<data-root>/containers/<id>/checkpoints`: one directory each
pub(crate) fn checkpoints(data_root: &Path, id: &str) -> PathBuf {
    container(data_root, id).join("checkpoints")
}

/// `<data-root>/volumes`
pub(crate) fn volumes(data_root: &Path) -> PathBuf {
    data_root.join("volumes")
}

/// `<data-root>/volumes/<name>`
pub(crate) fn volume(data_root: &Path, name: &str) -> PathBuf {
    volumes(data_root).join(name)
}

/// `<data-root>/volumes/<name>/_data`
pub(crate) fn volume_data(data_root: &Path, name: &str) -> PathBuf {
    volume(data_root, name).join("_data")
}

/// `<data-root>/plugin-mounts`
pub(crate) fn plugin_mounts(data_root: &Path) -> PathBuf {
    data_root.join("plugin-mounts")
}

/// `<data-root>/plugin-mounts/<mount-id>`: a plugin has been asked to mount, and not yet unmounted
pub(crate) fn plugin_mount(data_root: &Path, id: &str) -> PathBuf {
    plugin_mounts(data_root).join(id)
}

/// `<data-root>/engine-id`
pub(crate) fn engine_id(data_root: &Path) -> PathBuf {
    data_root.join("engine-id")
}

/// `<data-root>/events.jsonl`; the one before it has `.1` behind it
pub(crate) fn events(data_root: &Path) -> PathBuf {
    data_root.join("events.jsonl")
}
