//! `network inspect`.

use crate::command::{Command, Operands};
use crate::commands::inspect::{self, Kind, Wanted};
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "inspect",
    aliases: &[],
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Display detailed information on one or more networks",
    flags: &[
        Flag::text("format", inspect::FORMAT_HELP).short('f'),
        Flag::switch("verbose", "Verbose output for diagnostics").short('v'),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["network inspect"],
    run: |app, line| {
        Box::pin(async move {
            // `--verbose` tells of a Swarm's services, which there are none of.
            let what = Wanted { kinds: &[Kind::Network], size: false, platform: "" };
            inspect::run(app, line.text("format"), &line.operands, &what).await
        })
    },
};
