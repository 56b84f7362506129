//! `volume export`: a volume's data as a tar. Not in Docker.

use crate::command::{Command, Operands};
use crate::failure::Failure;
use crate::flags::Flag;
use crate::output::file;
use crate::terminal;

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
            let path = line.text("output");
            if path.is_empty() && terminal::stdout_is_terminal() {
                return Err(Failure::new(
                    "cowardly refusing to save to a terminal. Use the -o flag or redirect",
                ));
            }
            let stream = async { app.client.volumes().export(&line.operands[0]).await };
            match path {
                "" => file::to_stdout(stream).await,
                path => file::to_path(stream, path, "failed to export volume").await,
            }?;
            Ok(0)
        })
    },
};
