//! A client of plugins of the first version: programs beside the engine that speak JSON over HTTP, each on a socket or
//! an address that is found by the plugin's name in a few directories.
//!
//! A plugin is other people's program. It may be started later than the engine, be gone, hang or lie, so that each call
//! has a limit in time and in size, and an error says whose it is.

mod call;
mod discovery;
mod error;
mod tls;
mod volume;

pub use discovery::DIRECTORIES;
pub use error::Error;
pub use volume::{Options, Volume, VolumeDriver};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::Deserialize;

use call::Call;
use discovery::Found;

/// How long one that is being started, or started again, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The answer to the first question is known to a plugin without any work.
const ACTIVATE_MAX: Duration = Duration::from_secs(10);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LAST: Duration = Duration::from_secs(1);

/// What a plugin is that gives volumes.
const VOLUME_DRIVER: &str = "VolumeDriver";

/// Whether a plugin that is not there now is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    None,
    /// It may be on its way up.
    Some,
}

/// Those that can be found.
#[derive(Debug)]
pub struct Plugins {
    directories: Vec<PathBuf>,
    /// By name: where each was when it said what it is, and what that was.
    active: Mutex<BTreeMap<String, (Found, Vec<String>)>>,
}

/// `Plugin.Activate`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Manifest {
    implements: Option<Vec<String>>,
}

impl Plugins {
    /// An earlier directory counts more.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories, active: Mutex::default() }
    }

    /// What there is now, whether it answers or not.
    pub fn names(&self) -> Vec<String> {
        discovery::names(&self.directories)
    }

    /// Those that have said that they give volumes.
    pub fn volume_drivers(&self) -> Vec<String> {
        let active = self.lock();
        let drivers = active.iter().filter(|(_, (_, kinds))| kinds.iter().any(|kind| kind == VOLUME_DRIVER));
        drivers.map(|(name, _)| name.clone()).collect()
    }

    /// The plugin of this name, which has said that it gives volumes.
    ///
    /// # Errors
    /// There is none, it does not answer, or it is another kind of plugin.
    pub async fn volume_driver(&self, name: &str, patience: Patience) -> Result<VolumeDriver, Error> {
        let found = match patience {
            Patience::None => discovery::find(&self.directories, name)?,
            Patience::Some => self.wait_for(name).await?,
        };
        let known =
            self.lock().get(name).filter(|(place, _)| *place == found).map(|(_, kinds)| kinds.clone());
        let call = Call::new(name, &found, patience)?;
        let kinds = match known {
            Some(kinds) => kinds,
            None => {
                let manifest: Manifest = call.ask("Plugin.Activate", None::<&()>, ACTIVATE_MAX).await?;
                let kinds = manifest.implements.unwrap_or_default();
                self.lock().insert(name.to_owned(), (found, kinds.clone()));
                kinds
            }
        };
        match kinds.iter().any(|kind| kind == VOLUME_DRIVER) {
            true => Ok(VolumeDriver::new(call)),
            false => Err(Error::OtherKind { name: name.to_owned(), wanted: VOLUME_DRIVER }),
        }
    }

    /// Only one that has been there before: a name with an error in it is told at once.
    async fn wait_for(&self, name: &str) -> Result<Found, Error> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut pause = PAUSE_FIRST;
        loop {
            match discovery::find(&self.directories, name) {
                Err(Error::NotFound(_))
                    if self.lock().contains_key(name) && tokio::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_LAST);
                }
                found => return found,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Found, Vec<String>)>> {
        self.active.lock().expect("nothing panics while it holds the plugins")
    }
}

#[cfg(test)]
mod tests;
