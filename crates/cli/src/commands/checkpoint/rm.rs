//! `checkpoint rm`.

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::flags::{Flag, Parsed};

pub(crate) const COMMAND: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] CONTAINER CHECKPOINT",
    about: "Remove a checkpoint",
    flags: &[Flag::text("checkpoint-dir", "Use a custom checkpoint storage directory")],
    operands: Operands::Exactly(2),
    interspersed: true,
    spellings: &["checkpoint rm", "checkpoint remove"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let (container, checkpoint) = (&line.operands[0], &line.operands[1]);
    app.client.checkpoints().remove(container, checkpoint, line.text("checkpoint-dir")).await?;
    Ok(0)
}
