//! `volume export`: a volume's data as a tar. Not in Docker.

use crate::command::{Command, Operands};
use crate::flags::Flag;
use crate::output::file;

pub(crate) const COMMAND: Command = Command {
    name: "export",
    aliases: &[],
    usage: "[OPTIONS] VOLUME",
    about: "Export a volume's data as a tar archive, with attributes, access lists and holes",
    flags: &[Flag::text("output", "Write to a file, instead of STDOUT").short('o')],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["volume export"],
    run: |app, line| {
        Box::pin(async move {
            let stream = async { app.client.volumes().export(&line.operands[0]).await };
            file::deliver(&line, stream, "failed to export volume").await?;
            Ok(0)
        })
    },
};
