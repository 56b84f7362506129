//! `save`: images as an archive.

use std::io::Write;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::terminal;

pub(crate) const COMMAND: Command = Command {
    name: "save",
    aliases: &[],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    flags: &[Flag::text("output", "Write to a file, instead of STDOUT").short('o')],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["image save", "save"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let path = line.text("output");
    if path.is_empty() && terminal::stdout_is_terminal() {
        return Err(Failure::new("cowardly refusing to save to a terminal. Use the -o flag or redirect"));
    }
    let mut stream = app.client.images().save(&line.operands).await?;
    if path.is_empty() {
        let mut out = std::io::stdout().lock();
        while let Some(bytes) = stream.next().await? {
            out.write_all(&bytes)?;
        }
        out.flush()?;
        return Ok(0);
    }
    // Beside and renamed over: a broken save leaves what was there.
    let failed = |error: std::io::Error| Failure::new(format!("failed to save image: {path}: {error}"));
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
