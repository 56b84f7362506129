//! Volumes that are somebody else's: plugins beside the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;

use super::BoxFuture;

/// Why a plugin did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginError {
    pub kind: PluginErrorKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginErrorKind {
    /// There is no plugin of this name.
    NotFound,
    /// It gives no volumes, or where it is cannot be understood.
    Unusable,
    /// Nobody knows whether it has done it, or will.
    Open,
    /// It said why it does not.
    Refused,
}

/// A volume, as its plugin tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginVolume {
    pub name: String,
    /// Empty while it is mounted nowhere.
    pub mountpoint: PathBuf,
    pub created: Option<Timestamp>,
    pub status: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Plugins that give volumes, by the name that users call the driver. Each call ends by itself, if need be with `Open`.
pub trait VolumePlugins: Send + Sync + fmt::Debug {
    /// What is there now, whether it gives volumes or not.
    fn names(&self) -> Vec<String>;
    /// Those that are known to give volumes.
    fn drivers(&self) -> Vec<String>;
    fn look_up<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, Result<(), PluginError>>;
    fn create<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
        options: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<(), PluginError>>;
    fn remove<'a>(&'a self, driver: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), PluginError>>;
    /// Where its files are, until the mount of this id is taken back.
    fn mount<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<PathBuf, PluginError>>;
    fn unmount<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), PluginError>>;
    fn get<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<PluginVolume>, PluginError>>;
    fn list<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, Result<Vec<PluginVolume>, PluginError>>;
    /// Whether its volumes are there on each machine that has the plugin.
    fn is_global<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, bool>;
}
