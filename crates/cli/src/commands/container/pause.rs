//! `pause`.

use crate::command::{Command, Operands};

pub(crate) const COMMAND: Command = Command {
    name: "pause",
    aliases: &[],
    usage: "CONTAINER [CONTAINER...]",
    about: "Pause all processes within one or more containers",
    flags: &[],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["container pause", "pause"],
    run: |app, line| {
        Box::pin(async move {
            super::each(app, &line.operands, super::in_order::MANY, |app, name| async move {
                app.client.containers().pause(name).await
            })
            .await
        })
    },
};
