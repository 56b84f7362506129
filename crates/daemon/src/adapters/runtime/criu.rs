//! Where criu is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use engine::ports::RuntimeError;
use rustix::fs::Access;

use super::other;

/// The first in the engine's `PATH`.
pub(super) fn find() -> Result<PathBuf, RuntimeError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    in_path(&path).ok_or_else(|| {
        other(format!(
            "criu, which writes processes down and brings them back, is not in PATH ({}): install it (Debian: apt-get \
             install criu), and try again",
            path.display()
        ))
    })
}

fn in_path(path: &OsStr) -> Option<PathBuf> {
    let directories = std::env::split_paths(path).filter(|directory| directory.is_absolute());
    directories.map(|directory| directory.join("criu")).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_program_of_that_name_in_an_absolute_directory() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        for place in [&one, &two] {
            std::fs::create_dir(place).unwrap();
            std::fs::write(place.join("criu"), "").unwrap();
        }
        let path = std::env::join_paths([Path::new("."), &one, &two]).unwrap();
        assert_eq!(in_path(&path), None, "none can be executed");
        let program = two.join("criu");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(in_path(&path), Some(program));
    }
}
