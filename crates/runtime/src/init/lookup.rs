//! Finding the program, as the process will be and with the container's `PATH`.

use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use crate::{Error, Result};

/// The path to execute. A name with a slash is a path; any other is looked for in `path`, whose empty
/// elements are the working directory.
pub(super) fn executable(name: &str, path: &str) -> Result<String> {
    if name.contains('/') {
        return match check(name) {
            Ok(()) => Ok(name.to_owned()),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(Error::NoSuchExecutable { path: name.into() }),
            Err(Errno::ISDIR) => Err(Error::IsADirectory { name: name.into() }),
            Err(Errno::ACCESS) => Err(Error::PermissionDenied { name: name.into() }),
            Err(error) => Err(Error::Exec { path: name.into(), source: error.into() }),
        };
    }
    let mut candidates = path.split(':').map(|directory| {
        let directory = if directory.is_empty() { "." } else { directory };
        format!("{directory}/{name}")
    });
    let found = if name.is_empty() { None } else { candidates.find(|candidate| check(candidate).is_ok()) };
    found.ok_or_else(|| Error::ExecutableNotFound { name: name.into() })
}

/// Whether this process may execute the file.
fn check(path: &str) -> std::result::Result<(), Errno> {
    let stat = rustix::fs::stat(path)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Err(Errno::ISDIR),
        // Root may execute everything that anybody may.
        _ if stat.st_mode & 0o111 == 0 => Err(Errno::ACCESS),
        _ => rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_docker_s_words() {
        let text = |name: &str| executable(name, "/nowhere:/bin:/usr/bin").unwrap_err().to_string();
        assert_eq!(text("wharf-none"), r#"exec: "wharf-none": executable file not found in $PATH"#);
        assert_eq!(text(""), r#"exec: "": executable file not found in $PATH"#);
        assert_eq!(text("/etc"), r#"exec: "/etc": is a directory"#);
        assert_eq!(text("/etc/passwd"), r#"exec: "/etc/passwd": permission denied"#);
        assert_eq!(text("/none"), r#"exec: "/none": stat /none: no such file or directory"#);
        assert!(executable("sh", "/nowhere:/bin").unwrap().ends_with("/bin/sh"));
    }
}
