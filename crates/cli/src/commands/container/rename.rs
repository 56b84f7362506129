//! `rename`.

use crate::command::{Command, Operands};
use crate::failure::Failure;

pub(crate) const COMMAND: Command = Command {
    name: "rename",
    aliases: &[],
    usage: "CONTAINER NEW_NAME",
    about: "Rename a container",
    flags: &[],
    operands: Operands::Exactly(2),
    interspersed: true,
    spellings: &["container rename", "rename"],
    run: |app, line| {
        Box::pin(async move {
            let (old, new) = (line.operands[0].trim(), line.operands[1].trim());
            if !old.is_empty() && new.trim_start_matches('/').is_empty() {
                return Err(Failure::new("failed to rename container: new name cannot be blank"));
            }
            app.client.containers().rename(old, new).await.map_err(|error| {
                let no_engine = error.is_connect();
                Failure { no_engine, ..Failure::new(format!("failed to rename container: {error}")) }
            })?;
            Ok(0)
        })
    },
};
