//! What a container's task tells: the snapshot it publishes, its record, its events, its files for other programs.

use std::sync::Arc;
use std::time::Duration;

use super::Owner;
use crate::container::{Container, NetworkMode, NetworkView, StateView};
use crate::core::{Core, blocking};
use crate::error::Result;
use crate::layout;
use crate::ports::{Endpoint, ImageManifest};
use crate::records::{self, Record};

/// Changes of this long are written into its directory together, and what lives shorter never is: no request waits.
const MIRROR_DELAY: Duration = Duration::from_millis(250);

impl Owner {
    pub(super) fn publish(&mut self) {
        self.mirror_soon();
        let view = Arc::new(view_of(&self.core, &self.record));
        let exits = self.exits;
        self.publish.send_modify(|published| {
            published.view = view;
            published.exits = exits;
        });
    }

    pub(super) fn mirror_soon(&mut self) {
        if self.mirror_at.is_none() {
            self.mirror_at = Some(self.core.ports.clock.sleep(MIRROR_DELAY));
        }
    }

    /// Here rather than beside, so that no file comes into a directory that is being removed.
    pub(super) fn mirror(&self) {
        let view = self.publish.borrow().view.clone();
        for (name, text) in self.core.ports.mirror.files(&view) {
            if let Err(error) = put_file(&view.directory.join(name), &text) {
                tracing::warn!(container = %view.id, file = name, %error, "could not write it for other programs");
            }
        }
    }

    pub(super) async fn try_save(&mut self, durable: bool) -> Result<()> {
        let json = records::write(&self.record);
        if !durable {
            return self.core.ports.storage.put_record(&self.record.id, &json, false);
        }
        let (storage, id) = (self.core.ports.storage.clone(), self.record.id.clone());
        blocking(move || storage.put_record(&id, &json, true)).await
    }

    /// Observed state: nothing that was promised is lost when this fails, so it is said and that is all.
    pub(super) async fn save(&mut self, durable: bool) {
        if let Err(error) = self.try_save(durable).await {
            tracing::warn!(container = %self.record.id, %error, "could not save its state");
        }
    }

    pub(super) fn event(&self, action: &str, extra: &[(&str, String)]) {
        publish_event(&self.core, &self.record, action, extra);
    }
}

/// A container's event with the attributes Docker gives it: labels, image, name, and the action's own.
pub(crate) fn publish_event(core: &Core, record: &Record, action: &str, extra: &[(&str, String)]) {
    let mut attributes = record.spec.labels.clone();
    attributes.insert("image".into(), record.spec.image.clone());
    attributes.insert("name".into(), record.name.clone());
    attributes.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    core.events.publish("container", action, record.id.clone(), attributes);
}

/// Beside, then renamed over: whoever reads it sees one whole version. What is there already is left alone.
fn put_file(path: &std::path::Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if std::fs::read(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let beside = path.with_extension("tmp");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    std::fs::rename(&beside, path)
}

/// The record as the outside sees it.
pub(super) fn view_of(core: &Core, record: &Record) -> Container {
    let settings = core.settings();
    let directory = layout::container(&settings.data_root, &record.id);
    let own_files = |name: &str| directory.join(name);
    let mut endpoints = std::collections::BTreeMap::new();
    match &record.spec.host.network_mode {
        NetworkMode::Container(_) => {}
        mode => {
            let unnamed = match mode {
                NetworkMode::Bridge | NetworkMode::Named(_) if record.spec.without_networks => None,
                mode if record.spec.endpoints.is_empty() => Some(mode.word()),
                _ => None,
            };
            for name in record.spec.endpoints.keys().cloned().chain(unnamed) {
                let network = core.networks.find(&name).ok();
                let network_id = network.map(|network| network.id.clone()).unwrap_or_default();
                let endpoint = Endpoint { network: name.clone(), network_id, ..Endpoint::default() };
                endpoints.insert(name, endpoint);
            }
            let named = |endpoint: &Endpoint| (endpoint.network.clone(), endpoint.clone());
            endpoints.extend(record.endpoints.iter().map(named));
        }
    }
    let sandbox_key = match record.pid {
        0 => String::new(),
        pid => format!("/proc/{pid}/ns/net"),
    };
    Container {
        id: record.id.clone(),
        name: record.name.clone(),
        created: record.created,
        path: record.path.clone(),
        args: record.args.clone(),
        state: StateView {
            status: record.status,
            pid: record.pid,
            exit_code: record.exit_code,
            error: record.error.clone(),
            oom_killed: record.oom_killed,
            started_at: record.started_at,
            finished_at: record.finished_at,
            health: record.health.clone(),
            end: record.end.clone(),
        },
        image_id: record.image_id.clone(),
        image_manifest: record.manifest.clone().or_else(|| {
            let digest = record.image_manifest.clone()?;
            Some(ImageManifest { digest, ..ImageManifest::default() })
        }),
        spec: record.spec.clone(),
        restart_count: record.restart_count,
        driver: record.driver.clone(),
        rootfs: record.rootfs.clone().into(),
        mounts: record.mounts.clone(),
        network: NetworkView {
            sandbox_id: record.sandbox_id.clone(),
            sandbox_key,
            endpoints,
            exposes: !record.endpoints.is_empty(),
            ports: record.ports.clone(),
        },
        exec_ids: Vec::new(),
        resolv_conf_path: own_files("resolv.conf"),
        hostname_path: own_files("hostname"),
        hosts_path: own_files("hosts"),
        log_path: match record.log_driver.as_str() {
            "json-file" => layout::log(&directory, &record.id, "json-file"),
            _ => std::path::PathBuf::new(),
        },
        directory,
        apparmor_profile: String::new(),
        mount_label: String::new(),
        process_label: String::new(),
        log_driver: record.log_driver.clone(),
        link_names: Vec::new(),
        stopped_by_user: record.stopped_by_user,
        size_rw: None,
        size_rootfs: None,
        size_log: None,
    }
}
