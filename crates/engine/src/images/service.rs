//! The image service.

use std::io::{Read, Write};

use super::{HistoryEntry, ImageListRequest, ImageSummary, ImageView, ImportRequest, Progress, Removed};
use crate::error::{Error, Result};

/// Everything about images. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Images {}

impl Images {
    pub async fn list(&self, _request: ImageListRequest) -> Result<Vec<ImageSummary>> {
        Err(Error::unsupported("images: not wired yet"))
    }
    /// By name, `name:tag`, `name@digest`, id or id prefix.
    pub async fn inspect(&self, _reference: &str) -> Result<ImageView> {
        Err(Error::unsupported("images: not wired yet"))
    }
    pub async fn history(&self, _reference: &str) -> Result<Vec<HistoryEntry>> {
        Err(Error::unsupported("images: not wired yet"))
    }
    pub async fn tag(&self, _reference: &str, _repo: &str, _tag: &str) -> Result<()> {
        Err(Error::unsupported("images: not wired yet"))
    }
    pub async fn remove(&self, _reference: &str, _force: bool, _prune: bool) -> Result<Vec<Removed>> {
        Err(Error::unsupported("images: not wired yet"))
    }
    /// docker-archive or OCI-layout tar. `progress` is called from a blocking thread.
    pub async fn load(
        &self,
        _from: Box<dyn Read + Send>,
        _progress: Box<dyn FnMut(Progress) + Send>,
    ) -> Result<()> {
        Err(Error::unsupported("images: not wired yet"))
    }
    /// docker-archive (with OCI layout) of these images, to `to`, from a blocking thread. References are
    /// checked before the first byte is written.
    pub async fn save(&self, _references: Vec<String>, _to: Box<dyn Write + Send>) -> Result<()> {
        Err(Error::unsupported("images: not wired yet"))
    }
    /// Check that all these can be saved.
    pub async fn check_save(&self, _references: &[String]) -> Result<()> {
        Err(Error::unsupported("images: not wired yet"))
    }
    /// A root file system tar becomes an image; answers its id.
    pub async fn import(&self, _request: ImportRequest, _from: Box<dyn Read + Send>) -> Result<String> {
        Err(Error::unsupported("images: not wired yet"))
    }
    /// Built-in images (`hello-world`) come out of the binary; every other name is refused by name until the
    /// registry client is built.
    pub async fn pull(
        &self,
        _name: &str,
        _tag: &str,
        _platform: &str,
        _progress: Box<dyn FnMut(Progress) + Send>,
    ) -> Result<()> {
        Err(Error::unsupported("images: not wired yet"))
    }
}
