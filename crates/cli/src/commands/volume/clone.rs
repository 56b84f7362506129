//! `volume clone`: a new volume with what another has. Not in Docker.

use crate::command::{Command, Operands};
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "clone",
    aliases: &[],
    usage: "VOLUME [NEW_NAME]",
    about: "Create a volume with the data and labels of another",
    flags: &[],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["volume clone"],
    run: |app, line| {
        Box::pin(async move {
            let (source, new) = match line.operands.as_slice() {
                [source] => (source, ""),
                [source, new] => (source, new.as_str()),
                _ => return Err(crate::failure::Failure::new("a clone has one name, or none")),
            };
            let made = app.client.volumes().clone_of(source, new).await?;
            output::out(&format!("{}\n", made.name));
            Ok(0)
        })
    },
};
