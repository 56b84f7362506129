//! `volume rename`: of one that no container refers to. Not in Docker.

use crate::command::{Command, Operands};

pub(crate) const COMMAND: Command = Command {
    name: "rename",
    aliases: &[],
    usage: "VOLUME NEW_NAME",
    about: "Rename a volume that is not in use",
    flags: &[],
    operands: Operands::Exactly(2),
    interspersed: true,
    spellings: &["volume rename"],
    run: |app, line| {
        Box::pin(async move {
            app.client.volumes().rename(&line.operands[0], &line.operands[1]).await?;
            Ok(0)
        })
    },
};
