//! `import`: a root file system as an image of one layer.

use client::Import;
use oci::Reference;

use super::split_reference;
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::{self, Failure};
use crate::flags::{Flag, Parsed};
use crate::{platforms, progress};

pub(crate) const COMMAND: Command = Command {
    name: "import",
    aliases: &[],
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    about: "Import the contents from a tarball to create a filesystem image",
    flags: &[
        Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
        Flag::text("message", "Set commit message for imported image").short('m'),
        Flag::text("platform", "Set platform if server is multi-platform capable"),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["image import", "import"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let source = line.operands[0].as_str();
    let remote = source.starts_with("http://") || source.starts_with("https://");
    let from = match source {
        "-" => Some(stdin()?),
        _ if remote => None,
        path => Some(open(path).await?),
    };
    let platform = match line.given("platform") {
        Some(platform) => platform.to_owned(),
        None => std::env::var("DOCKER_DEFAULT_PLATFORM").unwrap_or_default(),
    };
    platforms::check(&platform)?;
    let reference = line.operands.get(1).map_or("", String::as_str);
    if !reference.is_empty() {
        Reference::parse(reference).map_err(|error| Failure::new(error.to_string()))?;
    }
    let (repo, tag) = split_reference(reference);
    let changes = line.list("change");
    let how = Import {
        repo,
        tag: tag.unwrap_or_default(),
        message: line.text("message"),
        changes: &changes,
        platform: &platform,
        url: if remote { source } else { "" },
    };
    let images = app.client.images();
    let stream = match from {
        Some(archive) => images.import(&how, archive).await?,
        None => images.import(&how, tokio::io::empty()).await?,
    };
    progress::show(stream, progress::To::Stdout).await?;
    Ok(0)
}

/// Our stdin, read as a file: on threads of the event loop's, since a pipe's end and a file's are the same there.
pub(crate) fn stdin() -> Result<tokio::fs::File, Failure> {
    let fd = rustix::stdio::stdin().try_clone_to_owned()?;
    Ok(tokio::fs::File::from_std(std::fs::File::from(fd)))
}

/// Opens an archive, with the path in what is said about a failure.
pub(crate) async fn open(path: &str) -> Result<tokio::fs::File, Failure> {
    tokio::fs::File::open(path)
        .await
        .map_err(|error| Failure::new(format!("open {path}: {}", failure::reason(&error))))
}
