//! `volume import`: a new volume with what an archive has. Not in Docker.

use crate::command::{Command, Operands};
use crate::commands::image::import::{open, stdin};
use crate::failure::Failure;
use crate::flags::Flag;
use crate::{output, terminal};

pub(crate) const COMMAND: Command = Command {
    name: "import",
    aliases: &[],
    usage: "[OPTIONS] VOLUME [file|-]",
    about: "Create a volume with the contents of a tar archive, compressed or not",
    flags: &[
        Flag::list("label", "Set metadata for a volume"),
        Flag::map("opt", "Set driver specific options (size=5g)").short('o'),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["volume import"],
    run: |app, line| {
        Box::pin(async move {
            let (name, from) = match line.operands.as_slice() {
                [name] => (name, "-"),
                [name, from] => (name, from.as_str()),
                _ => return Err(Failure::new("a volume is imported from one archive")),
            };
            let from = match from {
                "-" if terminal::stdin_is_terminal() => {
                    return Err(Failure::new("requested import from stdin, but stdin is a terminal"));
                }
                "-" => stdin()?,
                path => open(path).await?,
            };
            let made =
                app.client.volumes().import(name, &line.list("label"), &line.list("opt"), from).await?;
            output::out(&format!("{}\n", made.name));
            Ok(0)
        })
    },
};
