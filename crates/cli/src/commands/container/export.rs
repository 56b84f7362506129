//! `export`: a container's root file system as a tar.

use crate::command::{Command, Operands};
use crate::flags::Flag;
use crate::output::file;

pub(crate) const COMMAND: Command = Command {
    name: "export",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER",
    about: "Export a container's filesystem as a tar archive",
    flags: &[Flag::text("output", "Write to a file, instead of STDOUT").short('o')],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["container export", "export"],
    run: |app, line| {
        Box::pin(async move {
            let stream = async { app.client.containers().export(&line.operands[0]).await };
            file::deliver(&line, stream, "failed to export container").await?;
            Ok(0)
        })
    },
};
