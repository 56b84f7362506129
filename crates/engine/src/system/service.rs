//! The system service.

use std::sync::Arc;

use super::{DiskUsage, Facts, Info, Version};
use crate::containers::{Containers, ListRequest, Status};
use crate::core::Core;
use crate::error::Result;
use crate::identity::engine_id;
use crate::images::{ImageListRequest, Images};
use crate::layout;
use crate::volumes::Volumes;

/// A container's patience where it says nothing, and what is allowed on top when the engine stops (as in Docker).
const DEFAULT_STOP_S: i64 = 10;
const GRACE_S: i64 = 5;

/// Info, version, disk usage. Cheap to clone.
#[derive(Debug, Clone)]
pub struct System {
    pub(crate) core: Arc<Core>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) images: Images,
    pub(crate) containers: Containers,
    pub(crate) volumes: Volumes,
}

impl System {
    pub async fn info(&self) -> Result<Info> {
        let settings = self.core.settings();
        let mut info = Info {
            facts: self.facts.clone(),
            id: engine_id(&self.core),
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            images: self.images.list(ImageListRequest::default()).await?.len() as u64,
            insecure_registries: settings.registries.insecure.clone(),
            mirrors: settings.registries.mirrors.get(oci::DEFAULT_DOMAIN).cloned().unwrap_or_default(),
            driver: self.core.ports.storage.driver().to_owned(),
            logging_driver: settings.log.driver.clone(),
            log_drivers: logs::DRIVERS.iter().map(|driver| (*driver).to_owned()).collect(),
            network_drivers: ["bridge", "host", "null"].map(str::to_owned).to_vec(),
            volume_drivers: self.volumes.drivers(),
            ipv4_forwarding: std::fs::read("/proc/sys/net/ipv4/ip_forward")
                .is_ok_and(|text| text.starts_with(b"1")),
            debug: settings.debug,
            open_files: count("/proc/self/fd"),
            tasks: count("/proc/self/task"),
            events_listeners: self.core.events.listeners() as u64,
            system_time: self.core.ports.clock.now(),
            labels: settings.labels.clone(),
            cdi_spec_dirs: settings.cdi_spec_dirs.iter().map(|path| path.display().to_string()).collect(),
            cdi_devices: crate::container::cdi::names(&settings.cdi_spec_dirs),
            experimental: settings.experimental,
            default_runtime: settings.default_runtime.clone(),
            live_restore: settings.live_restore,
            default_address_pools: self.facts.default_address_pools.clone(),
            warnings: self.facts.warnings.clone(),
            ..Info::default()
        };
        info.driver_status = match info.driver.as_str() {
            // Nothing is mounted without d_type, with metacopy or with user attributes: `store` says so at its start.
            "overlay2" => [
                ("Backing Filesystem", filesystem(&settings.data_root)),
                ("Supports d_type", "true".to_owned()),
                ("Using metacopy", "false".to_owned()),
                ("Native Overlay Diff", "true".to_owned()),
                ("userxattr", "false".to_owned()),
            ]
            .map(|(key, value)| (key.to_owned(), value))
            .to_vec(),
            "btrfs" => vec![("Btrfs".to_owned(), String::new())],
            _ => Vec::new(),
        };
        for name in crate::settings::BUILTIN_RUNTIMES {
            info.runtimes.insert((*name).to_owned(), ("wharf".to_owned(), Vec::new()));
        }
        for (name, (path, args)) in &settings.runtimes {
            info.runtimes.insert(name.clone(), (path.to_string_lossy().into_owned(), args.clone()));
        }
        info.warnings.extend(self.core.ports.network.facts().warnings);
        for view in self.core.index.views() {
            info.containers += 1;
            match view.state.status {
                Status::Running | Status::Restarting => info.running += 1,
                Status::Paused => info.paused += 1,
                Status::Created | Status::Exited | Status::Removing | Status::Dead => info.stopped += 1,
            }
        }
        Ok(info)
    }

    pub fn version(&self) -> Version {
        Version { facts: self.facts.clone(), experimental: self.core.settings().experimental }
    }

    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        let request = ImageListRequest { all: true, shared_size: true, ..ImageListRequest::default() };
        let images = self.images.list(request).await?;
        let mut containers =
            self.containers.list(ListRequest { all: true, size: true, ..ListRequest::default() }).await?;
        for container in &mut containers {
            let path = layout::log(&container.directory, &container.id, &container.log_driver);
            let bytes = crate::core::blocking(move || log_bytes(&path)).await;
            Arc::make_mut(container).size_log = Some(bytes);
        }
        let layers_bytes = self.images.layers_bytes();
        let volumes = self.volumes.usage().await;
        Ok(DiskUsage { layers_bytes, images, containers, volumes })
    }

    /// `--live-restore=false`: stop every container, each with its own patience, together no longer than the
    /// shutdown timeout, or the most patient container's if that is longer. With live restore nothing is done. No policy restarts anything from here on.
    pub async fn shut_down(&self) {
        self.core.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
        self.stop_all().await;
        self.core.ports.network.finish().await;
    }

    async fn stop_all(&self) {
        let settings = self.core.settings();
        if settings.live_restore {
            return;
        }
        let mut patience_s = settings.shutdown_timeout_s;
        let mut stops = tokio::task::JoinSet::new();
        for handle in self.core.index.all() {
            let view = handle.view();
            if view.state.is_running() {
                let own_s = view.spec.stop_timeout_s.unwrap_or(DEFAULT_STOP_S);
                patience_s = match (patience_s, own_s) {
                    (..0, _) | (_, ..0) => -1,
                    (all_s, own_s) => all_s.max(own_s + GRACE_S),
                };
                let containers = self.containers.clone();
                stops.spawn(async move {
                    if let Err(error) = containers.stop_for_shutdown(&view.id).await {
                        tracing::warn!(container = %view.id, %error, "could not stop it");
                    }
                });
            }
        }
        let all = async { while stops.join_next().await.is_some() {} };
        match u64::try_from(patience_s) {
            Ok(seconds) => {
                let patience = std::time::Duration::from_secs(seconds);
                if tokio::time::timeout(patience, all).await.is_err() {
                    tracing::warn!("not all containers stopped in time");
                }
            }
            Err(_) => all.await,
        }
    }

    /// The reloadable settings, changed by SIGHUP.
    pub fn reload(&self, change: impl FnOnce(&mut crate::Settings)) {
        let mut settings = crate::Settings::clone(&self.core.settings());
        change(&mut settings);
        let attributes = reload_attributes(&settings);
        self.core.replace_settings(settings);
        self.core.garbage.notify_one();
        self.core.events.publish("daemon", "reload", engine_id(&self.core), attributes);
    }
}

/// What holds now, as Docker tells it. Of what Wharf has no part yet, the default is told.
fn reload_attributes(settings: &crate::Settings) -> std::collections::BTreeMap<String, String> {
    let runtimes: Vec<_> =
        settings.runtimes.iter().map(|(name, (path, _))| format!("{name}:{}", path.display())).collect();
    let labels = serde_json::to_string(&settings.labels).unwrap_or_default();
    [
        ("name", rustix::system::uname().nodename().to_string_lossy().into_owned()),
        ("debug", settings.debug.to_string()),
        ("labels", labels),
        ("live-restore", settings.live_restore.to_string()),
        ("shutdown-timeout", settings.shutdown_timeout_s.to_string()),
        ("default-stop-timeout", DEFAULT_STOP_S.to_string()),
        ("runtimes", runtimes.join(" ")),
        ("default-runtime", settings.default_runtime.clone()),
        ("default-shm-size", settings.shm_size_bytes.to_string()),
        ("default-ipc-mode", settings.ipc_mode.word()),
        ("default-cgroupns-mode", settings.cgroupns_mode.word().to_owned()),
        ("features", "map[]".to_owned()),
        ("insecure-registries", "[]".to_owned()),
        ("registry-mirrors", "[]".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// What a container has written, on disk: the log of its driver, or what is kept of one that is sent elsewhere; also what was
/// rotated away.
fn log_bytes(path: &std::path::Path) -> u64 {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return 0;
    };
    let is_log = |entry: &std::fs::DirEntry| {
        let found = entry.file_name();
        let rest = found.to_str().and_then(|found| found.strip_prefix(name));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(is_log).filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Docker's names of the file systems that a data root usually lies on (statfs(2)).
fn filesystem(path: &std::path::Path) -> String {
    let Ok(status) = rustix::fs::statfs(path) else { return "<unknown>".into() };
    // The field's type differs between architectures; the numbers have 32 bits.
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a magic number")]
    let magic = status.f_type as u32;
    match magic {
        0xef53 => "extfs",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlayfs",
        0x2fc1_2fc1 => "zfs",
        0xf2f5_2010 => "f2fs",
        0x6969 => "nfs",
        _ => "<unknown>",
    }
    .to_owned()
}

fn count(directory: &str) -> u64 {
    std::fs::read_dir(directory).map_or(0, |entries| entries.count() as u64)
}
