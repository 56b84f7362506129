//! `load`: images from an archive.

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{platforms, progress, terminal};

pub(crate) const COMMAND: Command = Command {
    name: "load",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Load an image from a tar archive or STDIN",
    flags: &[
        Flag::text("input", "Read from tar archive file, instead of STDIN").short('i'),
        Flag::list(
            "platform",
            "Load only the given platform(s). Formatted as a comma-separated list of \"os[/arch[/variant]]\" (e.g., \"linux/amd64,linux/arm64/v8\").",
        ),
        Flag::switch("quiet", "Suppress the load output").short('q'),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["image load", "load"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let quiet = line.switch("quiet") || !terminal::stdout_is_terminal();
    let from = match line.text("input") {
        "" if terminal::stdin_is_terminal() => {
            return Err(Failure::new("requested load from stdin, but stdin is empty"));
        }
        "" => super::import::stdin()?,
        path => super::import::open(path).await?,
    };
    let platforms = platforms::all_encoded(&line.list("platform")).map_err(platforms::invalid)?;
    let stream = app.client.images().load(from, quiet, &platforms).await?;
    progress::show(stream, progress::To::Stdout).await?;
    Ok(0)
}
