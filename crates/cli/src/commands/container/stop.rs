//! `stop`: the container's stop signal, then, after the timeout, SIGKILL.

use client::Stop;

use crate::command::{Command, Operands};
use crate::failure::Failure;
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "stop",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop one or more running containers",
    flags: &[
        Flag::text("signal", "Signal to send to the container").short('s'),
        Flag::int("timeout", "Seconds to wait before killing the container").short('t'),
        Flag::int("time", "Seconds to wait before killing the container").deprecated("use --timeout instead"),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["container stop", "stop"],
    run: |app, line| {
        Box::pin(async move {
            if line.changed("time") && line.changed("timeout") {
                return Err(Failure::new("conflicting options: cannot specify both --timeout and --time"));
            }
            let timeout_s =
                ["timeout", "time"].into_iter().find(|name| line.changed(name)).map(|name| line.int(name));
            let signal = line.text("signal");
            super::each(app, &line.operands, super::in_order::MANY, |app, name| async move {
                app.client.containers().stop(name, &Stop { signal, timeout_s }).await
            })
            .await
        })
    },
};
