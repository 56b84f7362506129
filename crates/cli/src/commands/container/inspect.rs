//! `container inspect`.

use crate::command::{Command, Operands};
use crate::commands::inspect::{self, Kind, Wanted};
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "inspect",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Display detailed information on one or more containers",
    flags: &[
        Flag::text("format", inspect::FORMAT_HELP).short('f'),
        Flag::switch("size", "Display total file sizes").short('s'),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["container inspect"],
    run: |app, line| {
        Box::pin(async move {
            let size = line.switch("size");
            let what = Wanted { kinds: &[Kind::Container], size, platform: "" };
            inspect::run(app, line.text("format"), &line.operands, &what).await
        })
    },
};
