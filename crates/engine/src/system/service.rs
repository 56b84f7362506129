//! The system service.

use super::{DiskUsage, Info, Version};
use crate::error::{Error, Result};

/// Info, version, disk usage. Cheap to clone.
#[derive(Debug, Clone)]
pub struct System {}

impl System {
    pub async fn info(&self) -> Result<Info> {
        Err(Error::unsupported("system: not wired yet"))
    }
    pub fn version(&self) -> Version {
        Version::default()
    }
    pub async fn disk_usage(&self) -> Result<DiskUsage> {
        Err(Error::unsupported("system: not wired yet"))
    }
}
