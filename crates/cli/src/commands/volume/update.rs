//! `volume update`: of a Swarm's volumes, which there are none of.

use crate::command::{Command, Operands};
use crate::failure::Failure;
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "update",
    aliases: &[],
    usage: "[OPTIONS] [VOLUME]",
    about: "Update a volume (cluster volumes only)",
    flags: &[Flag::text("availability", "Cluster Volume availability (\"active\", \"pause\", \"drain\")")
        .default("active")],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["volume update"],
    run: |app, line| {
        Box::pin(async move {
            app.client.volumes().inspect_raw(&line.operands[0]).await?;
            Err(Failure::new("can only update cluster volumes"))
        })
    },
};
