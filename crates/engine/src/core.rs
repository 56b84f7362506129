//! What the services and the containers' tasks share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use crate::container::index::Index;
use crate::error::{Error, Result};
use crate::events::Events;
use crate::execs::registry::Registry;
use crate::networks::registry::Registry as Networks;
use crate::ports::{
    Clock, ContainerRuntime, Ids, Mirror, NetworkFabric, Roots, SeccompCompiler, Storage, VolumePlugins,
};
use crate::settings::Settings;
use crate::stats::Collector;
use crate::volumes::mounting::Mounts;
use crate::volumes::registry::Registry as Volumes;

/// The adapters, as the daemon hands them in.
#[derive(Debug, Clone)]
pub struct Ports {
    pub runtime: Arc<dyn ContainerRuntime>,
    pub network: Arc<dyn NetworkFabric>,
    pub storage: Arc<dyn Storage>,
    pub seccomp: Arc<dyn SeccompCompiler>,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn Ids>,
    pub mirror: Arc<dyn Mirror>,
    pub roots: Arc<dyn Roots>,
    pub plugins: Arc<dyn VolumePlugins>,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) ports: Ports,
    pub(crate) events: Events,
    pub(crate) index: Index,
    pub(crate) execs: Registry,
    pub(crate) stats: Collector,
    pub(crate) networks: Networks,
    pub(crate) volumes: Volumes,
    pub(crate) mounts: Mounts,
    /// Replaced as a whole by a reload; read without waiting by everybody, hence not an async lock.
    settings: RwLock<Arc<Settings>>,
    filters: Mutex<SeccompFilters>,
    pub(crate) failpoints: crate::failpoints::Failpoints,
    /// Images came, or other marks: is there too much of them?
    pub(crate) garbage: tokio::sync::Notify,
    /// Set once when the engine stops: nothing is restarted any more.
    pub(crate) stopping: std::sync::atomic::AtomicBool,
}

/// Compiled seccomp filters by profile text (`None`: the built-in one) and capabilities.
type SeccompFilters = HashMap<(Option<String>, Vec<String>), Arc<[u8]>>;

impl Core {
    pub(crate) fn new(settings: Settings, ports: Ports) -> Arc<Self> {
        let events = Events::new(ports.clock.clone(), crate::layout::events(&settings.data_root));
        let stats = Collector::new(ports.runtime.clone(), ports.clock.clone());
        Arc::new(Self {
            ports,
            events,
            index: Index::default(),
            execs: Registry::default(),
            stats,
            networks: Networks::default(),
            volumes: Volumes::default(),
            mounts: Mounts::default(),
            settings: RwLock::new(Arc::new(settings)),
            filters: Mutex::default(),
            failpoints: crate::failpoints::Failpoints::default(),
            garbage: tokio::sync::Notify::new(),
            stopping: std::sync::atomic::AtomicBool::new(false),
        })
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().expect("nothing panics while it holds the settings").clone()
    }

    pub(crate) fn replace_settings(&self, settings: Settings) {
        *self.settings.write().expect("nothing panics while it holds the settings") = Arc::new(settings);
    }

    /// The compiled filter; profiles are few, so the cache is never emptied.
    pub(crate) fn seccomp_filter(&self, profile: Option<&str>, capabilities: &[String]) -> Result<Arc<[u8]>> {
        let key = (profile.map(str::to_owned), capabilities.to_vec());
        if let Some(filter) =
            self.filters.lock().expect("nothing panics while it holds the filters").get(&key)
        {
            return Ok(filter.clone());
        }
        let filter = self
            .ports
            .seccomp
            .compile(profile, capabilities)
            .map_err(|error| Error::invalid(format!("seccomp profile: {error}")))?;
        self.filters.lock().expect("nothing panics while it holds the filters").insert(key, filter.clone());
        Ok(filter)
    }
}

/// Run something that waits for the disk where waiting is allowed.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
