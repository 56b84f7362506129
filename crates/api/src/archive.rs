//! Files of a container: what a path is, in a header of `/containers/{id}/archive`.

use crate::go;
use serde::{Deserialize, Serialize};

/// The header with a [`PathStat`]: JSON in base64.
pub const PATH_STAT_HEADER: &str = "x-docker-container-path-stat";

/// What is at a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PathStat {
    pub name: String,
    pub size: i64,
    /// Bits of [`file_mode`] and permissions.
    pub mode: u32,
    /// RFC 3339.
    pub mtime: String,
    pub link_target: String,
}

/// One row of `GET /containers/{id}/changes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct FilesystemChange {
    pub path: String,
    /// 0 modified, 1 added, 2 deleted.
    pub kind: u8,
}

/// Go's `os.FileMode`.
pub mod file_mode {
    pub const DIRECTORY: u32 = 1 << 31;
    pub const SYMLINK: u32 = 1 << 27;
    pub const DEVICE: u32 = 1 << 26;
    pub const NAMED_PIPE: u32 = 1 << 25;
    pub const SOCKET: u32 = 1 << 24;
    pub const SETUID: u32 = 1 << 23;
    pub const SETGID: u32 = 1 << 22;
    pub const CHAR_DEVICE: u32 = 1 << 21;
    pub const STICKY: u32 = 1 << 20;
    pub const IRREGULAR: u32 = 1 << 19;
}

impl PathStat {
    pub fn is_directory(&self) -> bool {
        self.mode & file_mode::DIRECTORY != 0
    }

    pub fn is_symlink(&self) -> bool {
        self.mode & file_mode::SYMLINK != 0
    }

    /// As the header has it.
    pub fn to_header(&self) -> String {
        // Texts and numbers have a JSON form.
        go::base64(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// What a header says; `None` if it says nothing that can be read.
    pub fn from_header(text: &str) -> Option<Self> {
        serde_json::from_slice(&go::from_base64(text)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_it_in_base64() {
        let stat = PathStat {
            name: "etc".into(),
            mode: file_mode::DIRECTORY | 0o755,
            mtime: "2026-01-02T03:04:05Z".into(),
            ..PathStat::default()
        };
        let header = stat.to_header();
        assert_eq!(PathStat::from_header(&header), Some(stat));
        assert!(header.starts_with("eyJuYW1lIjoi"));
        assert_eq!(PathStat::from_header("!"), None);
    }
}
