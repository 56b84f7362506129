//! `kill`: a signal, SIGKILL if none is named.

use crate::command::{Command, Operands};
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "kill",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Kill one or more running containers",
    flags: &[Flag::text("signal", "Signal to send to the container").short('s')],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["container kill", "kill"],
    run: |app, line| {
        Box::pin(async move {
            let signal = line.text("signal");
            super::each(app, &line.operands, super::in_order::MANY, |app, name| {
                let signal = signal.to_owned();
                async move { app.client.containers().kill(name, &signal).await }
            })
            .await
        })
    },
};
