//! An archive that the engine sends, to stdout or into a file.

use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use client::ByteStream;

use crate::failure::Failure;
use crate::flags::Parsed;
use crate::terminal;

/// Where `--output` says, or to stdout unless a person sits there. `what` has failed if a file does not come about.
pub(crate) async fn deliver(
    line: &Parsed,
    stream: impl Future<Output = client::Result<ByteStream>>,
    what: &str,
) -> Result<(), Failure> {
    match line.text("output") {
        "" if terminal::stdout_is_terminal() => {
            Err(Failure::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"))
        }
        "" => to_stdout(stream).await,
        path => to_path(stream, path, what).await,
    }
}

/// All of it, as it comes.
async fn to_stdout(stream: impl Future<Output = client::Result<ByteStream>>) -> Result<(), Failure> {
    let mut stream = stream.await?;
    let mut out = std::io::stdout().lock();
    while let Some(bytes) = stream.next().await? {
        out.write_all(&bytes)?;
    }
    Ok(out.flush()?)
}

/// Beside and renamed over: what breaks off leaves what was there. `what` has failed then.
async fn to_path(
    stream: impl Future<Output = client::Result<ByteStream>>,
    path: &str,
    what: &str,
) -> Result<(), Failure> {
    to_path_behind(&[], stream, path, what).await
}

/// The same, behind something else.
pub(crate) async fn to_path_behind(
    head: &[u8],
    stream: impl Future<Output = client::Result<ByteStream>>,
    path: &str,
    what: &str,
) -> Result<(), Failure> {
    check_destination(Path::new(path)).map_err(|error| Failure::new(format!("{what}: {error}")))?;
    let mut stream = stream.await?;
    let failed =
        |error: std::io::Error| Failure::new(format!("{what}: {path}: {}", crate::failure::reason(&error)));
    let beside = format!("{path}.wharf-{}", std::process::id());
    let written = async {
        let mut options = std::fs::File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside).map_err(failed)?;
        file.write_all(head).map_err(failed)?;
        while let Some(bytes) = stream.next().await? {
            file.write_all(&bytes).map_err(failed)?;
        }
        std::fs::rename(&beside, path).map_err(failed)
    };
    let written = written.await;
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// A file is written beside and renamed over: what is there must be a file, or nothing in a directory.
fn check_destination(path: &Path) -> Result<(), String> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
    if let Some(directory) = directory {
        let shown = directory.display();
        match std::fs::metadata(directory) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(format!("invalid output path: stat {shown}: not a directory")),
            Err(error) => {
                return Err(format!("invalid output path: stat {shown}: {}", crate::failure::reason(&error)));
            }
        }
    }
    let kind = match std::fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            let shown = path.display();
            return Err(format!(
                "failed to stat output path: lstat {shown}: {}",
                crate::failure::reason(&error)
            ));
        }
    };
    let what = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_symlink() => "a symbolic link directly",
        kind if kind.is_fifo() => "a named pipe (FIFO)",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() => "a character device file",
        _ => "a block device file",
    };
    Err(format!("cannot write to {what}"))
}
