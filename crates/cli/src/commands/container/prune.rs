//! `container prune`.

use crate::command::{Command, Operands};
use crate::commands::prune::{self, FORCE, Pruned, Pruner};
use crate::filters;
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "prune",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Remove all stopped containers",
    flags: &[
        Flag::checked_list(
            "filter",
            "filter",
            filters::check,
            "Provide filter values (e.g. \"until=<timestamp>\")",
        ),
        FORCE,
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["container prune"],
    run: |app, line| {
        Box::pin(async move {
            let warning = "WARNING! This will remove all stopped containers.";
            prune::run(app, &line, &PRUNER, false, warning).await
        })
    },
};

pub(crate) const PRUNER: Pruner = Pruner {
    warning: |_| Some("all stopped containers"),
    run: |app, options| {
        Box::pin(async move {
            let pruned = app.client.containers().prune(&options.filters).await?;
            if pruned.containers_deleted.is_empty() {
                return Ok(Pruned::default());
            }
            let ids: String = pruned.containers_deleted.iter().map(|id| format!("{id}\n")).collect();
            Ok(Pruned { list: format!("Deleted Containers:\n{ids}"), space_bytes: pruned.space_reclaimed })
        })
    },
};
