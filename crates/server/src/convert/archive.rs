//! What is at a path, as Go says it.

use api::archive::{FilesystemChange, PathStat, file_mode as go};
use engine::containers as domain;

pub(crate) fn change(change: &domain::Change) -> FilesystemChange {
    FilesystemChange {
        path: format!("/{}", String::from_utf8_lossy(&change.path)),
        kind: match change.kind {
            domain::ChangeKind::Modified => 0,
            domain::ChangeKind::Added => 1,
            domain::ChangeKind::Deleted => 2,
        },
    }
}

const KIND: u32 = 0o170_000;

pub(crate) fn path_stat(stat: &domain::PathStat) -> PathStat {
    PathStat {
        name: stat.name.clone(),
        size: stat.size,
        mode: file_mode(stat.mode),
        mtime: super::time(Some(stat.modified)),
        link_target: stat.link_target.clone(),
    }
}

/// `st_mode` as Go's `os.FileMode`.
fn file_mode(mode: u32) -> u32 {
    let kind = match mode & KIND {
        0o040_000 => go::DIRECTORY,
        0o120_000 => go::SYMLINK,
        0o060_000 => go::DEVICE,
        0o020_000 => go::DEVICE | go::CHAR_DEVICE,
        0o010_000 => go::NAMED_PIPE,
        0o140_000 => go::SOCKET,
        _ => 0,
    };
    let special = [(0o4000, go::SETUID), (0o2000, go::SETGID), (0o1000, go::STICKY)];
    let special: u32 = special.into_iter().filter(|(bit, _)| mode & bit != 0).map(|(_, go)| go).sum();
    kind | special | mode & 0o777
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_go_s() {
        assert_eq!(file_mode(0o100_644), 0o644);
        assert_eq!(file_mode(0o041_777), go::DIRECTORY | go::STICKY | 0o777);
        assert_eq!(file_mode(0o020_666), go::DEVICE | go::CHAR_DEVICE | 0o666);
        assert_eq!(file_mode(0o104_755), go::SETUID | 0o755);
    }
}
