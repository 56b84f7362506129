//! `import`: a root file system as an image of one layer.

use client::Import;

use super::split_reference;
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::progress;

pub(crate) const COMMAND: Command = Command {
    name: "import",
    aliases: &[],
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    about: "Import the contents from a tarball to create a filesystem image",
    flags: &[
        Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
        Flag::text("message", "Set commit message for imported image").short('m'),
        Flag::text("platform", "Platform of the image"),
    ],
    operands: Operands::Between(1, 2),
    interspersed: true,
    spellings: &["image import", "import"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let source = line.operands[0].as_str();
    if source.starts_with("http://") || source.starts_with("https://") {
        return Err(Failure::new(format!(
            "importing from a URL is not supported yet: fetch {source} and import the file"
        )));
    }
    let (repo, tag) = line.operands.get(1).map_or(("", None), |reference| split_reference(reference));
    let changes = line.list("change");
    let how = Import {
        repo,
        tag: tag.unwrap_or_default(),
        message: line.text("message"),
        changes: &changes,
        platform: line.text("platform"),
    };
    let images = app.client.images();
    let stream = match source {
        "-" => images.import(&how, stdin()?).await?,
        path => images.import(&how, open(path).await?).await?,
    };
    progress::show(stream, progress::To::Stdout).await?;
    Ok(0)
}

/// Our stdin, read as a file: on threads of the event loop's, since a pipe's end and a file's are the same there.
pub(super) fn stdin() -> Result<tokio::fs::File, Failure> {
    let fd = rustix::stdio::stdin().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(std::fs::File::from(fd)))
}

/// Opens an archive, with the path in what is said about a failure.
pub(super) async fn open(path: &str) -> Result<tokio::fs::File, Failure> {
    tokio::fs::File::open(path).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(format!("open {path}: no such file or directory")),
        std::io::ErrorKind::PermissionDenied => Failure::new(format!("open {path}: permission denied")),
        _ => Failure::new(format!("open {path}: {error}")),
    })
}
