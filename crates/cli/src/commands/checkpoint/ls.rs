//! `checkpoint ls`.

use serde_json::json;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output;
use crate::output::table::{Listing, Row, render};

pub(crate) const COMMAND: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS] CONTAINER",
    about: "List checkpoints for a container",
    flags: &[Flag::text("checkpoint-dir", "Use a custom checkpoint storage directory")],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["checkpoint ls", "checkpoint list"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const LISTING: Listing =
    Listing { type_name: "*checkpoint.checkpointContext", titles: &[("Name", "CHECKPOINT NAME")] };

async fn run(app: &App, line: &Parsed) -> Outcome {
    let found = app.client.checkpoints().list(&line.operands[0], line.text("checkpoint-dir")).await?;
    let row = |name: String| Row { cells: vec![("Name", json!(name))], labels: None };
    let rows = found.into_iter().map(|checkpoint| row(checkpoint.name)).collect();
    output::out(&render(&LISTING, "table {{.Name}}", rows).map_err(Failure::new)?);
    Ok(0)
}
