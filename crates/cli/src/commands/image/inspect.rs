//! `image inspect`.

use crate::command::{Command, Operands};
use crate::commands::inspect::{self, Kind};
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "inspect",
    aliases: &[],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Display detailed information on one or more images",
    flags: &[Flag::text("format", inspect::FORMAT_HELP).short('f')],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["image inspect"],
    run: |app, line| {
        Box::pin(async move {
            inspect::run(app, line.text("format"), &line.operands, &[Kind::Image], false).await
        })
    },
};
