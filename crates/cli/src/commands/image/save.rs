//! `save`: images as an archive.

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::flags::{Flag, Parsed};
use crate::output::file;
use crate::platforms;

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
    let platforms = platforms::all_encoded(&line.list("platform")).map_err(platforms::invalid)?;
    let stream = async { app.client.images().save(&line.operands, &platforms).await };
    file::deliver(line, stream, "failed to save image").await?;
    Ok(0)
}
