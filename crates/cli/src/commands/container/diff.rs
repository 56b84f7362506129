//! `diff`: what a container has changed.

use crate::command::{Command, Operands};
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "diff",
    aliases: &[],
    usage: "CONTAINER",
    about: "Inspect changes to files or directories on a container's filesystem",
    flags: &[],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["container diff", "diff"],
    run: |app, line| {
        Box::pin(async move {
            let changes = app.client.containers().changes(&line.operands[0]).await?;
            let letter = |kind| match kind {
                0 => "C",
                1 => "A",
                2 => "D",
                _ => "",
            };
            let rows = changes.iter().map(|change| format!("{} {}\n", letter(change.kind), change.path));
            output::out(&rows.collect::<String>());
            Ok(0)
        })
    },
};
