//! Volume plugins: the engine's port over the client of their protocol.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use engine::ports::{BoxFuture, PluginError, PluginErrorKind, PluginVolume, VolumePlugins};
use plugins::{Error, Patience, Plugins, VolumeDriver};

/// Plugins of the first version.
#[derive(Debug)]
pub struct HttpPlugins {
    plugins: Plugins,
    /// What each has said of its volumes.
    global: Mutex<BTreeMap<String, bool>>,
}

impl HttpPlugins {
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self { plugins: Plugins::new(directories), global: Mutex::default() }
    }

    /// Docker's words when there is none.
    async fn driver(&self, name: &str, patience: Patience) -> Result<VolumeDriver, PluginError> {
        self.plugins.volume_driver(name, patience).await.map_err(|error| {
            let told = converted(&error);
            PluginError {
                message: format!("error looking up volume plugin {name}: {}", told.message),
                ..told
            }
        })
    }
}

fn converted(error: &Error) -> PluginError {
    let kind = match error {
        Error::NotFound(_) => PluginErrorKind::NotFound,
        Error::OtherKind { .. } | Error::Place { .. } => PluginErrorKind::Unusable,
        Error::Unreachable { .. } | Error::Silent { .. } | Error::Garbled { .. } => PluginErrorKind::Open,
        Error::Refused(_) => PluginErrorKind::Refused,
    };
    PluginError { kind, message: error.to_string() }
}

fn told(error: Error) -> PluginError {
    converted(&error)
}

fn volume(found: plugins::Volume) -> PluginVolume {
    PluginVolume {
        name: found.name,
        mountpoint: found.mountpoint.into(),
        created: found.created_at.parse().ok().filter(|at: &jiff::Timestamp| at.as_second() > GO_ZERO_S),
        status: found.status,
    }
}

/// The first moment of Go's time, which stands for none.
const GO_ZERO_S: i64 = -62_135_596_800;

impl VolumePlugins for HttpPlugins {
    fn names(&self) -> Vec<String> {
        self.plugins.names()
    }
    fn drivers(&self) -> Vec<String> {
        self.plugins.volume_drivers()
    }
    fn look_up<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, Result<(), PluginError>> {
        Box::pin(async move { self.driver(driver, Patience::Some).await.map(drop) })
    }
    fn create<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
        options: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<(), PluginError>> {
        Box::pin(async move {
            let driver = self.driver(driver, Patience::Some).await?;
            driver.create(name, options).await.map_err(told)
        })
    }
    fn remove<'a>(&'a self, driver: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), PluginError>> {
        Box::pin(async move { self.driver(driver, Patience::Some).await?.remove(name).await.map_err(told) })
    }
    fn mount<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<PathBuf, PluginError>> {
        Box::pin(async move {
            let driver = self.driver(driver, Patience::Some).await?;
            let place = driver.mount(name, id).await.map_err(told)?;
            match place.as_str() {
                // Some say it only when they are asked.
                "" => driver.path(name).await.map(PathBuf::from).map_err(told),
                place => Ok(PathBuf::from(place)),
            }
        })
    }
    fn unmount<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), PluginError>> {
        Box::pin(async move {
            let driver = self.driver(driver, Patience::Some).await?;
            driver.unmount(name, id).await.map_err(told)
        })
    }
    fn get<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<PluginVolume>, PluginError>> {
        Box::pin(async move {
            let driver = self.driver(driver, Patience::None).await?;
            Ok(driver.get(name).await.map_err(told)?.map(volume))
        })
    }
    fn list<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, Result<Vec<PluginVolume>, PluginError>> {
        Box::pin(async move {
            let driver = self.driver(driver, Patience::None).await?;
            Ok(driver.list().await.map_err(told)?.into_iter().map(volume).collect())
        })
    }
    fn is_global<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let known =
                self.global.lock().expect("nothing panics while it holds the scopes").get(driver).copied();
            if let Some(known) = known {
                return known;
            }
            let Ok(found) = self.driver(driver, Patience::None).await else { return false };
            let Some(global) = found.is_global().await else { return false };
            self.global
                .lock()
                .expect("nothing panics while it holds the scopes")
                .insert(driver.to_owned(), global);
            global
        })
    }
}
