//! `save`: images as an archive.

use std::io::Write;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{output, platforms, terminal};

pub(crate) const COMMAND: Command = Command {
    name: "save",
    aliases: &[],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    flags: &[
        Flag::text("output", "Write to a file, instead of STDOUT").short('o'),
        Flag::list(
            "platform",
            "Save only the given platform(s). Formatted as a comma-separated list of \"os[/arch[/variant]]\" (e.g., \"linux/amd64,linux/arm64/v8\")",
        ),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["image save", "save"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let path = line.text("output");
    let platforms = platforms::all_encoded(&line.list("platform")).map_err(platforms::invalid)?;
    if path.is_empty() {
        if terminal::stdout_is_terminal() {
            return Err(Failure::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
        }
        let mut stream = app.client.images().save(&line.operands, &platforms).await?;
        let mut out = std::io::stdout().lock();
        while let Some(bytes) = stream.next().await? {
            out.write_all(&bytes)?;
        }
        out.flush()?;
        return Ok(0);
    }
    check_destination(Path::new(path))
        .map_err(|error| Failure::new(format!("failed to save image: {error}")))?;
    let mut stream = app.client.images().save(&line.operands, &platforms).await?;
    // Beside and renamed over: a broken save leaves what was there.
    let failed = |error: std::io::Error| {
        Failure::new(format!("failed to save image: {path}: {}", output::reason(&error)))
    };
    let beside = format!("{path}.wharf-{}", std::process::id());
    let written = async {
        let mut file = std::fs::File::create(&beside).map_err(failed)?;
        while let Some(bytes) = stream.next().await? {
            file.write_all(&bytes).map_err(failed)?;
        }
        std::fs::rename(&beside, path).map_err(failed)
    };
    let written = written.await;
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.map(|()| 0)
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
                return Err(format!("invalid output path: stat {shown}: {}", output::reason(&error)));
            }
        }
    }
    let kind = match std::fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            let shown = path.display();
            return Err(format!("failed to stat output path: lstat {shown}: {}", output::reason(&error)));
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
