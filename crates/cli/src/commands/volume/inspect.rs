//! `volume inspect`.

use crate::command::{Command, Operands};
use crate::commands::inspect::{self, Kind, Wanted};
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "inspect",
    aliases: &[],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Display detailed information on one or more volumes",
    flags: &[Flag::text("format", inspect::FORMAT_HELP).short('f')],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["volume inspect"],
    run: |app, line| {
        Box::pin(async move {
            let what = Wanted { kinds: &[Kind::Volume], size: false, platform: "" };
            inspect::run(app, line.text("format"), &line.operands, &what).await
        })
    },
};
