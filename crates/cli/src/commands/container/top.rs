//! `top`: the container's processes, by ps(1) on the engine's side.

use crate::command::{Command, Operands};
use crate::output::{self, table};

pub(crate) const COMMAND: Command = Command {
    name: "top",
    aliases: &[],
    usage: "CONTAINER [ps OPTIONS]",
    about: "Display the running processes of a container",
    flags: &[],
    operands: Operands::AtLeast(1),
    interspersed: false,
    spellings: &["container top", "top"],
    run: |app, line| {
        Box::pin(async move {
            let arguments = line.operands[1..].join(" ");
            let top = app.client.containers().top(&line.operands[0], &arguments).await?;
            let rows: String = std::iter::once(&top.titles)
                .chain(&top.processes)
                .map(|cells| format!("{}\n", cells.join("\t")))
                .collect();
            output::out(&table::align_with(&rows, 20, 3));
            Ok(0)
        })
    },
};
