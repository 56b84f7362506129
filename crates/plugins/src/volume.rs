//! What a plugin that gives volumes can be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::error::Error;

/// Docker's limits, for what may mean work.
const LONG: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_secs(60);
/// For what a plugin only has to look up.
const QUESTION: Duration = Duration::from_secs(10);

/// Options of a volume, as they were given.
pub type Options = BTreeMap<String, String>;

/// A volume, as its plugin tells of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Volume {
    pub name: String,
    /// Empty while it is mounted nowhere.
    pub mountpoint: String,
    /// RFC 3339.
    pub created_at: String,
    /// Whatever the plugin wants to show.
    pub status: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A plugin that gives volumes.
#[derive(Debug, Clone)]
pub struct VolumeDriver {
    call: Call,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Question<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(rename = "ID", skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    opts: Option<&'a Options>,
}

/// Whatever was asked, and what went wrong.
#[derive(Debug, Deserialize)]
struct Answer<T> {
    #[serde(rename = "Err", default)]
    error: Option<String>,
    #[serde(flatten)]
    what: T,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Place {
    mountpoint: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct One {
    volume: Option<Volume>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Many {
    volumes: Option<Vec<Option<Volume>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Can {
    capabilities: Option<Capabilities>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Capabilities {
    scope: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Nothing {}

impl VolumeDriver {
    pub(crate) fn new(call: Call) -> Self {
        Self { call }
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        verb: &str,
        question: Question<'_>,
        limit: Duration,
    ) -> Result<T, Error> {
        let method = format!("VolumeDriver.{verb}");
        let answer: Answer<T> = self.call.ask(&method, Some(&question), limit).await?;
        match answer.error.filter(|error| !error.is_empty()) {
            None => Ok(answer.what),
            Some(error) => Err(Error::Refused(error)),
        }
    }

    pub async fn create(&self, name: &str, options: &Options) -> Result<(), Error> {
        let question = Question { name, opts: Some(options), ..Question::default() };
        self.ask::<Nothing>("Create", question, LONG).await.map(drop)
    }

    pub async fn remove(&self, name: &str) -> Result<(), Error> {
        self.ask::<Nothing>("Remove", Question { name, ..Question::default() }, SHORT).await.map(drop)
    }

    /// Where its files are now, for whoever `id` stands for.
    pub async fn mount(&self, name: &str, id: &str) -> Result<String, Error> {
        let place: Place = self.ask("Mount", Question { name, id, ..Question::default() }, LONG).await?;
        Ok(place.mountpoint.unwrap_or_default())
    }

    pub async fn unmount(&self, name: &str, id: &str) -> Result<(), Error> {
        self.ask::<Nothing>("Unmount", Question { name, id, ..Question::default() }, SHORT).await.map(drop)
    }

    /// Where its files are while it is mounted.
    pub async fn path(&self, name: &str) -> Result<String, Error> {
        let place: Place = self.ask("Path", Question { name, ..Question::default() }, QUESTION).await?;
        Ok(place.mountpoint.unwrap_or_default())
    }

    pub async fn get(&self, name: &str) -> Result<Option<Volume>, Error> {
        let one: One = self.ask("Get", Question { name, ..Question::default() }, QUESTION).await?;
        Ok(one.volume)
    }

    pub async fn list(&self) -> Result<Vec<Volume>, Error> {
        let many: Many = self.ask("List", Question::default(), QUESTION).await?;
        Ok(many.volumes.unwrap_or_default().into_iter().flatten().collect())
    }

    /// Whether its volumes are those of this machine or of all that have the plugin. `None`: it does not say, and need
    /// not.
    pub async fn is_global(&self) -> Option<bool> {
        let can = self.ask::<Can>("Capabilities", Question::default(), QUESTION).await.ok()?;
        let scope = can.capabilities.and_then(|can| can.scope).unwrap_or_default();
        Some(scope.eq_ignore_ascii_case("global"))
    }
}
